"""A statement of Cypher as it goes to the driver, under a name of its own.

Stands at the beginning of the path: *statement* -> Graph -> driver -> server -> rows. What compiles one gives values as
parameters and never as text; the name, which tells shape from shape and no value, goes into messages and the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

KEY, NAME = "key", "name"


@dataclass(frozen=True)
class Statement:
    """Text and parameters for the driver. columns: of each row; statement_id: the same for the same text."""

    text: str
    parameters: Mapping[str, Any]
    columns: tuple[str, ...]
    statement_id: str
    writes: bool = False


def named_statement(
    name: str, lines: Iterable[str], parameters: Mapping[str, Any], columns: Iterable[str], *, writes: bool = False
) -> Statement:
    """The lines as one statement, named after its text, so that a log tells one kind from another."""
    text = "\n".join(lines)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return Statement(text, parameters, tuple(columns), f"{name}.{digest}", writes)
