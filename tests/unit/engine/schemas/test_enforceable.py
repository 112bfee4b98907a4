"""What of a schema is held: every kind of keyword, where it is said to stand, and what contradicts itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pagoda.engine.schemas.enforceable import enforceable
from pagoda.engine.schemas.places import path
from pagoda.errors import StructuredOutputError

STRING: dict[str, Any] = {"type": "string"}


def left_out(schema: Any) -> list[str]:
    return [path(one.place) for one in enforceable(schema).unenforced]


@pytest.mark.parametrize(
    ("keywords", "place"),
    [
        ({"type": "array", "items": STRING, "uniqueItems": True}, "uniqueItems"),
        ({"contains": STRING, "minContains": 2}, "contains"),
        ({"not": STRING}, "not"),
        ({"propertyNames": {"maxLength": 2}}, "propertyNames"),
        ({"if": STRING, "then": {"minLength": 1}}, "if"),
        ({"dependencies": {"a": ["b"]}}, "dependencies"),
        ({"dependentRequired": {"a": ["b"]}}, "dependentRequired"),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, "dependentSchemas"),
        ({"allOf": [{"properties": {"a": STRING}}], "unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"allOf": [{"prefixItems": [STRING]}], "unevaluatedItems": False}, "unevaluatedItems"),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, "oneOf"),
        ({"type": "integer", "format": "int64"}, "format"),
        ({"type": "string", "format": "uri-reference"}, "format"),
        ({"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}, "pattern"),
        ({"type": "string", "pattern": r"(a)\1"}, "pattern"),
        ({"type": "string", "pattern": "[a"}, "pattern"),
        ({"type": "any"}, "type"),
        ({"type": ["string", "int"]}, "type"),
        ({"type": []}, "type"),
        ({"$ref": "https://example.com/s.json"}, "$ref"),
        ({"$ref": "#/$defs/nowhere"}, "$ref"),
        ({"$dynamicRef": "#node"}, "$dynamicRef"),
        ({"patternProperties": {"^a": STRING, "b$": {"type": "integer"}}}, "patternProperties"),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 2}, "minProperties"),
        ({"minLength": -1}, "minLength"),
        ({"minLength": "3"}, "minLength"),
        ({"required": True}, "required"),
        ({"enum": "abc"}, "enum"),
        ({"const": "\ud83d"}, "const"),
        ({"multipleOf": 0}, "multipleOf"),
        ({"maximum": 10**400}, "maximum"),
        ({"properties": [1]}, "properties"),
        ({"anyOf": []}, "anyOf"),
        ({"items": 5}, "items"),
    ],
    ids=str,
)
def test_one_keyword_is_left_out_by_its_place_and_the_others_hold(keywords: dict[str, Any], place: str) -> None:
    beside = {"title": "beside", "maxLength": 3}
    assert place in left_out({**beside, **keywords})
    found = enforceable({"type": "object", "properties": {"a b": {"anyOf": [keywords, False]}}, "required": ["a b"]})
    assert [path(one.place) for one in found.unenforced] == [f'properties["a b"].anyOf[0].{place}']
    assert (found.schema["type"], found.schema["required"]) == ("object", ["a b"])
    assert all(one.reason and "lark" not in one.reason and "\n" not in one.reason for one in found.unenforced)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": STRING}, "unevaluatedProperties": False},
        {"prefixItems": [STRING], "unevaluatedItems": False},
        {"items": [STRING], "additionalItems": False},
        {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 9.0},
        {"type": "string", "minLength": 1.0, "maxLength": 10**15},
        {"type": "string", "nullable": True, "title": "a", "default": "b", "x-order": 1, "discriminator": {}},
        {"uniqueItems": False, "not": False, "propertyNames": True, "if": True, "minContains": 3},
        {"$ref": "#/definitions/a", "definitions": {"a": STRING}, "$defs": {"unused": {"uniqueItems": True}}},
        {"$ref": "#/$defs/a~1b%25/items", "$defs": {"a/b%": {"items": STRING}}},
        {"$ref": "#name", "$defs": {"a": {"$anchor": "name", "type": "string"}}},
        {"$id": "urn:x", "$ref": "b.json", "$defs": {"a": {"$id": "b.json", "type": "string"}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#", "definitions": {}, "type": "any"}
        | {"$ref": "#/definitions/a", "definitions": {"a": STRING}},
        {"oneOf": [STRING, {"type": "null"}]},
        {"properties": []},
        {},
        True,
        {"type": "array", "maxItems": 10**9, "items": STRING},
    ],
    ids=str,
)
def test_what_a_grammar_can_hold_is_held_in_whatever_draft_it_is_written(schema: Any) -> None:
    assert left_out(schema) == []


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (False, "it is false"),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"$ref": "#/$defs/n"}}}, "leads back to itself"),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}},
            "itself",
        ),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "leads back to itself"),
        ({"type": "array", "minItems": 1, "items": {"$ref": "#"}}, "leads back to itself"),
        ({"enum": []}, "no alternative"),
        ({"type": "string", "const": 1}, "different types"),
        ({"type": "string", "minLength": 3, "maxLength": 1}, "minLength"),
        ({"type": "integer", "minimum": 3, "maximum": 1}, "minimum"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "'a'"),
        ({"type": "object", "additionalProperties": False, "required": ["a"]}, "'a'"),
        ({"type": "object", "properties": {"a": {"not": {}}}, "required": ["a"]}, "'a'"),
    ],
    ids=str,
)
def test_a_schema_without_an_instance_is_refused_in_plain_words(schema: Any, reason: str) -> None:
    with pytest.raises(StructuredOutputError, match="no text satisfies the schema") as refusal:
        enforceable(schema)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"$ref": "#"}, STRING]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "array", "items": {"$ref": "#"}},
        {"type": "object", "properties": {"a": {"type": ["object", "null"], "required": ["b"]}}, "required": ["a"]},
    ],
    ids=str,
)
def test_recursion_that_can_end_is_no_contradiction(schema: Any) -> None:
    assert left_out(schema) == []


@pytest.mark.parametrize("given", [None, 5, "x", [STRING]])
def test_what_is_no_schema_is_refused(given: Any) -> None:
    with pytest.raises(StructuredOutputError, match="a schema is an object"):
        enforceable(given)


def test_without_its_patterns_an_object_takes_the_values_of_all_of_them() -> None:
    schema = {"patternProperties": {"(?=a)": STRING}, "additionalProperties": {"type": "integer"}}
    found = enforceable(schema)
    assert [path(one.place) for one in found.unenforced] == ["patternProperties"]
    assert found.schema["additionalProperties"] == {"anyOf": [STRING, {"type": "integer"}]}


def test_a_fault_in_a_definition_is_told_once_and_by_the_place_of_the_definition() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "tags": {"uniqueItems": True}}}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/node"}, "b": {"$ref": "#/$defs/node"}}}
    assert left_out({**schema, "$defs": {"node": node}}) == ["$defs.node.properties.tags.uniqueItems"]


def test_a_schema_of_any_depth_and_breadth_gets_an_answer() -> None:
    deep: Any = {"uniqueItems": True}
    for _ in range(400):
        deep = {"properties": {"a": deep}}
    assert [place.count("properties") for place in left_out(deep)] == [51]
    wide = {"type": "object", "properties": {f"p{i}": {"type": "string", "pattern": "(?=a)"} for i in range(120)}}
    assert len(left_out(wide)) == 120


def test_nothing_of_a_clients_own_reaches_the_grammar_engine_unread() -> None:
    found = enforceable({"x-guidance": {"lenient": True}, "$schema": "http://evil", "type": "string", "a": "b"})
    assert json.dumps(found.schema) == '{"type": "string"}'
