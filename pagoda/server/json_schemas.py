"""JSON schemas of clients on their way to a grammar: narrowed, widened, and what of them is left to the model.

Between a request's fields and the grammar, for response formats and tools alike. A schema is made narrower where a
client left open what a weak model would fill without end, and wider where no grammar can hold an answer to a keyword:
`engine.schemas` tells which. A client that said `strict` is refused there; the others are told in a header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from pagoda.engine.schemas.enforceable import enforceable
from pagoda.engine.schemas.places import path
from pagoda.errors import StructuredOutputError
from pagoda.sampling_params import StructuredOutputsParams

WHITESPACE = "[ ]?"
"""Between parts: models that were never trained on JSON fall into endless whitespace where the grammar lets them."""
UNENFORCED_HEADER = "x-pagoda-unenforced"
"""Of an answer: places in the request's schemas, with commas between them, that it was not held to."""
MAX_PLACES_TOLD = 20
_OPEN_ENDED = frozenset(
    {
        "additionalProperties",
        "unevaluatedProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
    }
)


class HeldSchema(NamedTuple):
    """A schema that a grammar holds an answer to, and the places in the client's own that it is not held to."""

    schema: dict[str, Any]
    unenforced: tuple[str, ...] = ()


class Shape(NamedTuple):
    """What an answer is held to, if to anything, and the places in the client's schemas that it is not held to."""

    constraint: StructuredOutputsParams | None = None
    unenforced: tuple[str, ...] = ()


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema, with no fields but its own where it names some and does not speak of others.

    >>> closed({"type": "object", "properties": {"a": {}}})["additionalProperties"]
    False
    """
    given = dict(schema)
    properties, required = given.get("properties"), given.get("required", [])
    if properties is None or _OPEN_ENDED & given.keys():
        return given
    if isinstance(properties, Mapping) and isinstance(required, list):
        undeclared = [name for name in required if isinstance(name, str) and name not in properties]
        given["properties"] = {**properties, **dict.fromkeys(undeclared, True)}
    given["additionalProperties"] = False
    return given


def held(schema: Any, field: str, *, strict: bool = False) -> HeldSchema:
    """As much of a schema as a grammar holds an answer to.

    field: what the client calls the schema. Raises StructuredOutputError where no text satisfies it, and if strict
    where a keyword is left to the model.
    """
    try:
        found = enforceable(schema)
    except StructuredOutputError as error:
        raise StructuredOutputError(f"{field}: {error}. Change the schema", param=field) from error
    places = tuple(path(left.place, field) for left in found.unenforced)
    if strict and places:
        raise StructuredOutputError(
            f"{places[0]}: {found.unenforced[0].reason}, and strict is true: leave it out, or set strict to false to "
            "leave it to the model",
            param=places[0],
        )
    return HeldSchema(found.schema, places)


def unenforced_headers(places: Iterable[str]) -> dict[str, str]:
    """The header that tells of them, if there are any.

    >>> unenforced_headers(["tools[0].function.parameters.properties.a.uniqueItems"])
    {'x-pagoda-unenforced': 'tools[0].function.parameters.properties.a.uniqueItems'}
    """
    unique = list(dict.fromkeys(places))
    if not unique:
        return {}
    shown = [quote(place[:200], safe="[]$.\"'@:/") for place in unique[:MAX_PLACES_TOLD]]
    more = [f"and {len(unique) - len(shown)} more"] if len(unique) > len(shown) else []
    return {UNENFORCED_HEADER: ", ".join([*shown, *more])}
