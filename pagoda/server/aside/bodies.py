"""Bodies: bytes become JSON values, and those the fields of a request.

On a request's path: between the middleware and the endpoints. pydantic's parser refuses what Python's lets pass: NaN,
lone surrogates, endless nesting. But it keeps Python's lock from the first byte to the last, and a million token ids
are a tenth of a second in which no other request is answered. So a large body is read by Python's parser, which calls
back at each number and each object and gives up the lock there; what it would let pass is looked for afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any, NoReturn, Protocol

from fastapi.exceptions import RequestValidationError
from pydantic_core import from_json

from pagoda.errors import InvalidRequestError
from pagoda.server.aside.threads import LIGHT

MAX_DEPTH = 200
"""Of values within values, as in pydantic's parser."""
_MANY = 100_000
_ESCAPES = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F])|.)", re.DOTALL)
"""A pair of surrogates, one alone (the group), or another escape; in JSON, only strings have backslashes."""


class BodyField(Protocol):
    """What FastAPI knows of a body: how to make an instance of its model."""

    def validate(self, value: Any, values: dict[str, Any], *, loc: tuple[str, ...]) -> tuple[Any, Any]:
        """The instance, and the errors where there is none."""
        ...


def read(body: bytes, field: BodyField) -> Any:
    """A body as an instance of the field's model.

    Raises InvalidRequestError where it is not JSON, RequestValidationError where it does not fit the model.
    """
    checked, errors = field.validate(read_json(body), {}, loc=("body",))
    if errors:
        raise RequestValidationError(errors)
    return checked


def read_json(body: bytes) -> Any:
    """The value of a JSON text. Raises InvalidRequestError where it is none."""
    try:
        body = _as_utf8(body)
        return from_json(body, allow_inf_nan=False) if len(body) <= LIGHT else read_in_steps(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error


def read_in_steps(body: bytes) -> Any:
    """The same value, without keeping Python's lock. Raises ValueError or RecursionError where there is none."""
    text = body.decode("utf-8")
    # Between strings and lists the quick one calls nobody back; the other is Python itself, and slow.
    parser = _PARSER if text.count('"') + text.count("[") <= _MANY else _PATIENT_PARSER
    value = parser.decode(text)
    if "\\u" in text and any(escape.group(1) for escape in _ESCAPES.finditer(text)):
        raise ValueError("a lone surrogate stands in a string")
    _check_depth(value)
    return value


def _as_utf8(body: bytes) -> bytes:
    """JSON in any encoding of Unicode, with or without its mark, as Windows' programs write it."""
    encoding = json.detect_encoding(body)
    return body if encoding == "utf-8" else body.decode(encoding).encode()


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [child for parent in level for child in _children(parent) if isinstance(child, (dict, list))]
        if not level:
            return
    raise ValueError(f"more than {MAX_DEPTH} values stand within each other")


def _children(parent: Any) -> Iterable[Any]:
    return parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ()


# Functions of Python, since the lock is given up where these are called, and not where the parser calls C's own.


def _whole(digits: str) -> int:
    return int(digits)


def _fraction(digits: str) -> float:
    return float(digits)


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return members


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no value of JSON")


_PARSER = json.JSONDecoder(parse_int=_whole, parse_float=_fraction, object_hook=_object, parse_constant=_no_number)
_PATIENT_PARSER = json.JSONDecoder(parse_constant=_no_number)
_PATIENT_PARSER.scan_once = py_make_scanner(_PATIENT_PARSER)  # type: ignore[attr-defined]
