"""JSON schemas made narrower where a client left open what a weak model would fill without end.

Between a request's fields and the grammar, for response formats and tools alike. Whatever a narrowed schema allows, the
client's own allows too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WHITESPACE = "[ ]?"
"""Between parts: models that were never trained on JSON fall into endless whitespace where the grammar lets them."""
_OPEN_ENDED = {"additionalProperties", "unevaluatedProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref"}


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema, with no fields but its own where it names some and does not speak of others.

    >>> closed({"type": "object", "properties": {"a": {}}})["additionalProperties"]
    False
    """
    given = dict(schema)
    if "properties" in given and not _OPEN_ENDED & given.keys():
        given["additionalProperties"] = False
    return given
