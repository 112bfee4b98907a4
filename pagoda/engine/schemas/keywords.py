"""The keywords of JSON Schema: which of them a grammar can hold an answer to, and what their values must be.

Beside the token's path: the tables of `normal_form`. All drafts from 4 to 2020-12 are read, and OpenAPI's `nullable`.
Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

TYPES = frozenset({"null", "boolean", "number", "integer", "string", "array", "object"})
FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "unknown"}
)
"""Formats that llguidance knows; "unknown" is its word for any string."""
APPLICATORS = ("const", "enum", "allOf", "anyOf", "oneOf", "$ref")
"""Keywords that speak of the whole value, whatever its type."""


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_schemas(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_value(value: Any) -> bool:
    """A value that JSON text can hold, and a grammar spell."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_value(key) and _is_value(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_value, value))
    return value is None or isinstance(value, bool) or _is_number(value)


_COUNT = (_is_count, "a whole number of at least 0")
_NUMBER = (_is_number, "a number")
_BOUND = (lambda value: isinstance(value, bool) or _is_number(value), "a number")
_OF_SCHEMAS = (lambda value: isinstance(value, Mapping), "an object of schemas")
_LIST = (_is_schemas, "a list of at least one schema")
EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_is_type, f"one of {', '.join(sorted(TYPES))}, or a list of them"),
    "enum": (lambda value: isinstance(value, list) and _is_value(value), "a list of values"),
    "const": (_is_value, "a value of JSON"),
    "format": (lambda value: value in FORMATS if isinstance(value, str) else False, "a format that a grammar has"),
    "pattern": (lambda value: isinstance(value, str) and _is_value(value), "a regular expression"),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _COUNT),
    **dict.fromkeys(("minimum", "maximum"), _NUMBER),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), _BOUND),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "required": (_is_names, "a list of names"),
    **dict.fromkeys(("properties", "patternProperties"), _OF_SCHEMAS),
    **dict.fromkeys(("additionalProperties", "items"), (lambda value: isinstance(value, Mapping | bool), "a schema")),
    "prefixItems": _LIST,
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), _LIST),
    "$ref": (lambda value: isinstance(value, str), "a reference"),
}
"""Keyword that a grammar holds an answer to -> what its value must be, and how that is said."""


def _is_open(value: Any) -> bool:
    return value is True or value == {}


def _always(_: Any) -> bool:
    return False


IDLE: dict[str, Callable[[Any], bool]] = {
    "uniqueItems": lambda value: value is False,
    "not": lambda value: value is False,
    "contains": _always,
    "propertyNames": _is_open,
    "if": _always,
    **dict.fromkeys(("dependencies", "dependentRequired", "dependentSchemas"), lambda value: value == {}),
    **dict.fromkeys(("unevaluatedProperties", "unevaluatedItems"), _is_open),
    **dict.fromkeys(("$dynamicRef", "$recursiveRef", "extends", "disallow", "divisibleBy"), _always),
}
"""Keyword that no grammar holds an answer to -> whether a value of it asks for nothing anyway.

What stands neither here nor in EXPECTED is an annotation, or of a vocabulary that JSON Schema lets a reader pass over.
"""
