"""Rules for the fields of a caller's parameters: what each accepts, and the sentence that refuses the rest.

Stands in front of the token's path: `sampling_params` is a table of these rules. A refusal names the field, what
was given and what was expected. Foundation room: imports only `errors`, and no torch.
"""

from __future__ import annotations

import functools
import logging
import math
import reprlib
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, TypeVar

from pagoda.errors import InvalidParameterError, nearest

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
MAX_WHOLE = 2**63 - 1
"""Tensors and metrics take no larger one."""
MAX_TOKEN_IDS = 1 << 20
"""Of one list: more than any vocabulary has, and any prompt."""
MAX_MEMBERS = 1 << 16
"""Of any other list. Nobody writes longer ones by hand, and one request must not take the time of all."""
MAX_CHARACTERS = 1 << 20
"""Of all strings of one list together, where the engine has to make something of them."""


class RefusedName(NamedTuple):
    """A name that cannot be served: what to write instead, and values beside the empty ones that ask for nothing."""

    instead: str
    harmless: tuple[object, ...] = ()


class Sorted(NamedTuple):
    """Keywords that are known, and names of those that were accepted and change nothing."""

    known: dict[str, Any]
    ignored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NameTable:
    """Names beside the known ones that programs written for another engine bring along.

    renamed: name -> the known name of the same thing. without_effect: name -> why it changes nothing here.
    refused: name -> what to write instead.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    without_effect: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, RefusedName] = field(default_factory=dict)

    def sort(self, owner: str, values: Mapping[str, Any], known: Collection[str]) -> Sorted:
        """Tell the keywords apart. Raises InvalidParameterError for one that is refused, unknown or given twice."""
        kept: dict[str, Any] = {}
        ignored: list[str] = []
        for given, value in values.items():
            name = self.renamed.get(given, given)
            if name in kept:
                raise InvalidParameterError(f"{owner} was given {name} twice: leave out {given}", param=given)
            if name in known:
                kept[name] = value
            elif name in self.without_effect:
                ignored += [name] if _asks(value) else []
            else:
                self._refuse(owner, name, value, known)
        return Sorted(kept, tuple(ignored))

    def _refuse(self, owner: str, name: str, value: object, known: Collection[str]) -> None:
        """Raises InvalidParameterError, unless the value asks for nothing."""
        if name not in self.refused:
            names = {*known, *self.renamed, *self.without_effect}
            message = f"{owner} has no parameter {name!r}: {nearest(name, names, listed=known)}"
            raise InvalidParameterError(message, param=name)
        instead, harmless = self.refused[name]
        if _asks(value) and value not in harmless:
            raise InvalidParameterError(
                f"{owner} was given {name}={reprlib.repr(value)}, which is not supported: {instead}", param=name
            )


def _asks(value: object) -> bool:
    """Whether a value asks for anything: none of None, False, 0 and what is empty does."""
    # An array has no truth of its own, and is given because something is asked.
    return bool(value) if value is None or isinstance(value, (int, float, str, list, tuple, dict, set)) else True


NO_OTHER_NAMES = NameTable()


def refuse_unknown_names(names: NameTable = NO_OTHER_NAMES) -> Callable[[type[_T]], type[_T]]:
    """Make a dataclass answer an unknown keyword with InvalidParameterError and the nearest field, or as `names` says.

    Wraps the generated `__init__` and keeps its signature, so editors, `inspect.signature`, `replace` and pickling see
    the plain dataclass.
    """

    def decorate(cls: type[_T]) -> type[_T]:
        generated_init: Callable[..., None] = cls.__init__
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type]

        @functools.wraps(generated_init)
        def checked_init(self: _T, *args: object, **values: object) -> None:
            values, ignored = names.sort(cls.__name__, values, known)
            generated_init(self, *args, **values)
            for name in ignored:
                logger.warning("%s: %s changes nothing here: %s", cls.__name__, name, names.without_effect[name])

        setattr(cls, "__init__", checked_init)  # noqa: B010 - a plain assignment is an error to mypy
        return cls

    return decorate


def checked_assignment(cls: type[_T]) -> type[_T]:
    """Let the fields of a frozen dataclass be assigned, each held against the rules as on construction.

    Programs written for vLLM change parameters that they were given. What the engine has accepted is a copy.
    """

    def assign(self: Any, name: str, value: object) -> None:
        self.__dict__.update(replace(self, **{name: value}).__dict__)

    setattr(cls, "__setattr__", assign)  # noqa: B010 - as above
    return cls


class Rule(NamedTuple):
    """What one field accepts, and how an error message words it."""

    accepts: Callable[[Any], bool]
    expected: str


def check_fields(params: object, rules: Mapping[str, Rule], prefix: str = "") -> None:
    """Hold the fields of an object against their rules; prefix: what the field is called behind, as in "a.b".

    Raises InvalidParameterError for the first that does not fit.
    """
    for name, rule in rules.items():
        if not rule.accepts(getattr(params, name)):
            raise wrong(prefix + name, getattr(params, name), rule.expected)


def wrong(name: str, value: object, expected: str) -> InvalidParameterError:
    """The refusal of one value; a long value is abridged.

    >>> str(wrong("top_p", 2, "a number in (0, 1]"))
    'top_p is 2, expected a number in (0, 1]'
    """
    return InvalidParameterError(f"{name} is {reprlib.repr(value)}, expected {expected}", param=name)


def optional(rule: Rule) -> Rule:
    """The rule, or None."""
    return Rule(lambda value: value is None or rule.accepts(value), f"{rule.expected}, or None")


def instance_of(kind: type | tuple[type, ...], expected: str) -> Rule:
    """A value of one of these types."""
    return Rule(lambda value: isinstance(value, kind), expected)


def is_number(value: object) -> bool:
    """Finite as a float, and not a bool, which Python counts among the numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def number(low: float, high: float) -> Rule:
    """A number from low to high, both included."""
    return Rule(lambda value: is_number(value) and low <= value <= high, f"a number in [{low}, {high}]")


def positive(high: float = math.inf) -> Rule:
    """A number above 0 and up to high, included."""
    expected = "a finite number above 0" if high == math.inf else f"a number in (0, {high}]"
    return Rule(lambda value: is_number(value) and 0 < value <= high, expected)


def is_whole(value: object, low: int, high: int = MAX_WHOLE) -> bool:
    """An int, not a bool, from low to high, both included."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def whole_number(low: int, high: int | None = None) -> Rule:
    """A whole number from low to high, both included."""
    expected = f"a whole number of at least {low}" if high is None else f"a whole number in [{low}, {high}]"
    return Rule(lambda value: is_whole(value, low, MAX_WHOLE if high is None else high), expected)


def list_of(accepts: Callable[[Any], bool], expected: str, min_length: int = 0, max_length: int = MAX_MEMBERS) -> Rule:
    """A list, tuple, set or range of so many members, all of them accepted."""

    def accepts_list(value: Any) -> bool:
        is_list = isinstance(value, (list, tuple, set, frozenset, range))
        return is_list and min_length <= len(value) <= max_length and all(map(accepts, value))

    return Rule(accepts_list, f"{expected}, at most {max_length:,} of them")


def of_few_characters(rule: Rule, most: int = MAX_CHARACTERS) -> Rule:
    """The rule of a list of strings that have at most so many characters together."""

    def accepts(value: Any) -> bool:
        return rule.accepts(value) and sum(map(len, value)) <= most

    return Rule(accepts, f"{rule.expected}, with at most {most:,} characters together")


def is_token_id(value: object) -> bool:
    """Whether it can be a token id; the upper end depends on the model."""
    return is_whole(value, 0)


FLAG = instance_of(bool, "True or False")
STRING = instance_of(str, "a string")
STRINGS = list_of(lambda value: isinstance(value, str) and value != "", "a list of strings, none of them empty")
TOKEN_IDS = list_of(is_token_id, "a list of token ids, whole numbers of at least 0", max_length=MAX_TOKEN_IDS)
