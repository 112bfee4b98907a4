"""What a Markdown file says of itself before its text: YAML between lines of three dashes, TOML between three pluses.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. Values stay as they are
written: the number 1.10 would be 1.1, and that is another version.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.document import Metadata, Scalar

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)\n(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"([\w.-][^:\n]*?)\s*:\s+(.+)")
_WHOLE = re.compile(r"-?[1-9]\d{0,17}|0")
_LONGEST = 100_000


def split_front_matter(text: str) -> tuple[Metadata, int]:
    """What a text says of itself, and where the text itself begins; ({}, 0) where it says nothing.

    >>> split_front_matter("---\\ntitle: Leave\\nversion: 1.10\\ntags: [hr, 人事]\\n---\\nText")
    ({'title': 'Leave', 'version': '1.10', 'tags': ('hr', '人事')}, 50)
    """
    match = _FRONT_MATTER.match(text[:_LONGEST])
    if match is None:
        return {}, 0
    fields = _toml(match[2]) if match[1] == "+++" else _yaml(match[2])
    if not fields:
        return {}, 0
    found = dict(_flat(fields))
    return found, match.end()


def _toml(text: str) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError:
        return None


def _yaml(text: str) -> Mapping[str, Any] | None:
    """The fields; of a text that is only nearly YAML, such as a title with a colon, the lines that name one."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading what Markdown says of itself (pyyaml)", "rag") from error
    try:
        # The base loader makes nothing but texts, lists and mappings of them.
        fields = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        found = (_FIELD.fullmatch(line.rstrip()) for line in text.split("\n"))
        fields = {match[1]: match[2] for match in found if match}
    return fields if isinstance(fields, dict) else None


def _flat(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Scalar | tuple[Scalar, ...]]]:
    """Values and lists of values; of a mapping its own, behind its name and a dot. Deeper ones are not for filters."""
    found: list[tuple[str, Scalar | tuple[Scalar, ...]]] = []
    for key, value in fields.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found += _flat(value, f"{name}.") if not prefix else []
        elif isinstance(value, list):
            found.append((name, tuple(_scalar(entry) for entry in value if not isinstance(entry, (dict, list)))))
        elif value not in (None, ""):
            found.append((name, _scalar(value)))
    return found


def _scalar(value: Any) -> Scalar:
    """Whole numbers and truth are what they are; other numbers would lose how they were written."""
    if isinstance(value, (bool, int)):
        return value
    text = " ".join(str(value).split())
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if _WHOLE.fullmatch(text) else text
