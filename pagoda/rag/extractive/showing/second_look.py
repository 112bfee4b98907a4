"""What a second look at a passage of a manual comes to: its numbers weighed, whichever language they were taken in.

Beside the decision to answer: question -> Hits -> decision -> *second look at the best* -> what is shown. Which numbers
a language takes, and why, stands in `english/second_look` and `chinese/second_look`; here they become a probability by
a logistic regression, whose weights are read from the package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagoda.errors import ConfigError
from pagoda.rag.documents.document import Hit

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

NEAR = 0.75
"""Of the largest share of the question that a sentence holds: those that hold as much speak of it."""
_MOST = 8.0
_MOST_LOGIT = 30.0


def is_of_few(hit: Hit) -> bool:
    """Whether it was found among so few that none stands out: a person's first notes, or what a filter leaves.

    What is asked of them is mostly there, in the one passage that speaks of it; the first look, which was fitted to
    the best of hundreds, is far too doubtful of them.
    """
    return "stands_out" not in hit.parts


def bounded(log_odds: float) -> float:
    """Beyond some odds a reader is as sure as it can be, and one number is not to outweigh all others."""
    return max(-_MOST, min(_MOST, log_odds))


@dataclass(frozen=True)
class Weighed:
    """weights: of a look's numbers by name, with a bias."""

    weights: Mapping[str, float]

    def probability(self, look: DataclassInstance) -> float:
        """That the passage, or those shown with it, answers, 0 to 1."""
        logit = self.weights["bias"] + sum(self.weights[name] * value for name, value in asdict(look).items())
        return 1 / (1 + math.exp(-max(-_MOST_LOGIT, min(_MOST_LOGIT, logit))))


@dataclass(frozen=True)
class SecondLook(Weighed):
    """The same where it is decided by them. least: probability from which on it is answered."""

    least: float


@dataclass(frozen=True)
class PassageLook:
    """What orders passages that were read with the question. first: log-odds of the first look; joint: by reading."""

    first: float
    joint: float


@lru_cache(maxsize=4)
def read_second_look(path: Path, look: type[DataclassInstance]) -> SecondLook:
    """Packaged weights of the numbers of `look`. Raises ConfigError where they are missing, broken, or of others."""
    told = _read(path, look, ("least",), "the second look")
    return SecondLook(told["weights"], told["least"])


@lru_cache(maxsize=4)
def read_passage_weights(path: Path, look: type[PassageLook] = PassageLook) -> Weighed:
    """The same of a `PassageLook`, which orders and decides nothing."""
    return Weighed(_read(path, look, (), "a passage")["weights"])


def _read(path: Path, look: type[DataclassInstance], numbers: Sequence[str], what: str) -> dict[str, Any]:
    wanted = {*(each.name for each in fields(look)), "bias"}
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found: dict[str, Any] = {name: float(told[name]) for name in numbers}
        found["weights"] = {name: float(value) for name, value in told["weights"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} holds no weights of {what} ({error!r}): reinstall pagoda") from error
    if set(found["weights"]) != wanted:
        raise ConfigError(f"{path} holds weights of other numbers than are looked at: reinstall pagoda")
    return found
