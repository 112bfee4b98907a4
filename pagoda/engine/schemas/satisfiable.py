"""Whether any JSON text at all satisfies a schema, as far as its references tell.

Beside the token's path: `enforceable` asks before a grammar is made. A schema that leads back to itself on every way
has no finite instance: a grammar would write it without end, or never begin. The usual least fixed point over
definitions: a schema is taken for empty until something finite is found for it. Where this says no, there is none;
contradictions of other kinds are found by the grammar engine. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pagoda.engine.schemas.normal_form import NormalForm, Schema


def has_finite_instance(form: NormalForm) -> bool:
    """False where every instance would hold another one of the same schema."""
    finite: dict[str, bool] = dict.fromkeys(form.definitions, False)
    changed = True
    while changed:
        grown = {name: _is_finite(schema, finite) for name, schema in form.definitions.items()}
        changed, finite = grown != finite, grown
    return _is_finite(form.root, finite)


def _is_finite(schema: Schema | bool, finite: Mapping[str, bool]) -> bool:
    if isinstance(schema, bool):
        return True
    if "$ref" in schema and not finite[schema["$ref"].rpartition("/")[2]]:
        return False
    if not all(_is_finite(part, finite) for part in schema.get("allOf", ())):
        return False
    if not all(any(_is_finite(part, finite) for part in schema[key]) for key in ("anyOf", "oneOf") if key in schema):
        return False
    types = schema.get("type")
    if types == "object":
        return all(_is_finite(_property(schema, name), finite) for name in schema.get("required", ()))
    return types != "array" or _has_finite_items(schema, finite)


def _property(schema: Schema, name: str) -> Any:
    properties = schema.get("properties", {})
    if name in properties or "patternProperties" in schema:
        return properties.get(name, True)
    return schema.get("additionalProperties", True)


def _has_finite_items(schema: Schema, finite: Mapping[str, bool]) -> bool:
    prefix, least = schema.get("prefixItems", []), schema.get("minItems", 0)
    if not all(_is_finite(item, finite) for item in prefix[:least]):
        return False
    return least <= len(prefix) or _is_finite(schema.get("items", True), finite)
