"""Every error that pagoda raises on purpose, in one tree.

    PagodaError
    |-- InvalidRequestError        the caller's mistake, raised at the door (HTTP 400)
    |   |-- InvalidParameterError    a field of SamplingParams and the like; `.param` names it
    |   |-- PromptTooLongError       the prompt does not fit the context window
    |   |-- StructuredOutputError    a schema, regex or grammar that cannot be compiled
    |   `-- ConstraintError          what the request demands of its tokens leaves none, now or on the way
    |-- ConfigError                the operator's mistake: a setting, a recipe, a flag
    |   `-- DivergedError            a training whose loss is no number any more
    |-- CheckpointError            files of a model: missing, truncated, mislabelled
    |   `-- UnknownArchitectureError
    |-- InsufficientMemoryError    the machine cannot hold what was asked for
    |-- MissingExtraError          an optional dependency; the message is the install command
    |-- EngineOverloadedError      the queue is full (HTTP 503); `.retry_after_s` says when to come back
    |-- MissingMethodError         a method of vLLM's that is not here; the message says what to do instead
    |-- EngineDeadError            the engine stopped; nothing it held can be finished
    `-- ChatModelError             a model behind the ChatModel seam cannot be reached or gave no usable answer

A message says what was given, what was expected and what to do next. Foundation room.
Learned from httpx, `_exceptions.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from pagoda.installation import install_command


class PagodaError(Exception):
    """Base of every error below; catching it catches nothing else."""


class InvalidRequestError(PagodaError, ValueError):
    """The request cannot be served as it was given. `param` is the dotted field, if one is to blame."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidParameterError(InvalidRequestError):
    """A parameter is out of range, of the wrong type or misspelt."""


class PromptTooLongError(InvalidRequestError):
    """The prompt has more tokens than the context window holds."""


class StructuredOutputError(InvalidRequestError):
    """A schema, regex, choice or grammar that cannot be compiled."""


class ConstraintError(InvalidRequestError):
    """The request's own constraints allow no token, or its grammar cannot go on: the same request ends so again."""


class ConfigError(PagodaError, ValueError):
    """A setting of the operator is unknown, out of range or contradicts another."""


class DivergedError(ConfigError):
    """The loss of a training became infinite or no number: its learning rate is too high."""


class CheckpointError(PagodaError):
    """Files of a checkpoint are missing, truncated, mislabelled or contradict each other."""


class UnknownArchitectureError(CheckpointError):
    """`config.json` names an architecture that pagoda does not implement."""


class InsufficientMemoryError(PagodaError):
    """Weights or KV cache do not fit into the memory that was granted."""


class MissingExtraError(PagodaError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: {install_command(extra)}")


class MissingMethodError(PagodaError, AttributeError):
    """A method of vLLM's API that has no meaning here."""


class EngineOverloadedError(PagodaError):
    """As many requests wait as may. `retry_after_s`: seconds until the queue has drained at the measured rate."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineDeadError(PagodaError):
    """The engine stopped with an error; what it held cannot be finished."""


class ChatModelError(PagodaError):
    """A model behind the ChatModel seam cannot be reached, or what it gave is no answer."""


def missing_method(owner: str, name: str, instead: Mapping[str, str]) -> AttributeError:
    """The error for a name that an object does not have; `instead` says of known ones what to do."""
    if name in instead:
        return MissingMethodError(f"{owner}.{name} is not supported: {instead[name]}")
    return AttributeError(f"{owner!r} object has no attribute {name!r}")


def nearest(name: str, known: Iterable[str], *, listed: Iterable[str] | None = None) -> str:
    """A clause that names the closest known spelling, or lists what is known: `listed`, where that is less.

    >>> nearest("temprature", ["temperature", "top_p"])
    'did you mean "temperature"?'
    >>> nearest("zzz", ["b", "a"])
    'known: a, b'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else "known: " + (", ".join(sorted(listed or names)) or "none")
