"""A schema that was widened for the grammar engine takes whatever the client's own takes, in some order of fields."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pagoda.engine.sampling.structured import GrammarCompiler
from pagoda.engine.schemas.enforceable import enforceable
from pagoda.errors import StructuredOutputError
from pagoda.sampling_params import StructuredOutputsParams

jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema as the judge")

EOS = 256
NAMES = ("a", "b", "x1")


class ByteTokenizer:
    """A token per byte, and an end."""

    num_tokens, bos_token_id, eos_token_id, all_special_ids = 257, None, EOS, (EOS,)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return list(text.encode())

    def token_bytes(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < EOS else b""

    def token_text(self, token_id: int) -> str:
        return "</s>" if token_id == EOS else chr(token_id)


COMPILER = GrammarCompiler(ByteTokenizer())
LEAVES: list[Any] = [
    True,
    False,
    {},
    {"type": "integer", "minimum": 1},
    {"type": "number", "exclusiveMaximum": 4, "multipleOf": 0.5},
    {"type": "string", "maxLength": 1},
    {"type": "string", "pattern": "^(?!a)"},
    {"type": "string", "pattern": "^[ab]+$", "format": "binary"},
    {"type": ["string", "null"]},
    {"type": "boolean"},
    {"enum": ["a", 1, None, [1], {"a": "b"}]},
    {"const": "b"},
    {"$ref": "#/$defs/tree"},
    {"not": {"type": "string"}},
    {"$ref": "http://example.com/elsewhere"},
]


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = {
        "type": st.just("object"),
        "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        "required": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        "additionalProperties": inner,
        "patternProperties": st.dictionaries(st.sampled_from(["^x", "a|b", "1$", "(?=a)a"]), inner, max_size=2),
        "minProperties": st.integers(0, 2),
        "maxProperties": st.integers(1, 3),
        "propertyNames": st.just({"maxLength": 1}),
        "dependentRequired": st.just({"a": ["b"]}),
        "dependentSchemas": st.fixed_dictionaries({"a": inner}),
        "unevaluatedProperties": inner,
    }
    return _some_of(fields)


def _arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = {
        "type": st.just("array"),
        "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=2),
        "minItems": st.integers(0, 2),
        "maxItems": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "contains": inner,
        "unevaluatedItems": inner,
    }
    return _some_of(fields)


def _logic(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    fields = {"anyOf": several, "oneOf": several, "allOf": several, "not": inner}
    return _some_of({**fields, "if": inner, "then": inner, "else": inner, "$ref": st.just("#/$defs/tree")})


def _some_of(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    chosen = st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))


SCHEMAS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        _objects(inner),
        _arrays(inner),
        _logic(inner),
        st.tuples(_objects(inner), _logic(inner)).map(lambda both: {**both[0], **both[1]}),
    ),
    max_leaves=6,
)
PLAIN = st.sampled_from([None, True, False, 0, 1, 2, 3.5, "", "a", "b", "ab"])
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "b", "x1", "q"]), inner, max_size=3)
    ),
    max_leaves=4,
)
TREE = {"type": "object", "properties": {"a": {"$ref": "#/$defs/tree"}}, "additionalProperties": {"type": "integer"}}


def _spellings(value: Any) -> Iterator[str]:
    """JSON texts of a value, with its fields in any order."""
    if isinstance(value, dict):
        for items in itertools.permutations(value.items()):
            for texts in itertools.product(*(tuple(_spellings(item)) for _, item in items)):
                pairs = [f"{json.dumps(key)}:{text}" for (key, _), text in zip(items, texts, strict=True)]
                yield "{" + ",".join(pairs) + "}"
    elif isinstance(value, list):
        for texts in itertools.product(*(tuple(_spellings(item)) for item in value)):
            yield "[" + ",".join(texts) + "]"
    else:
        yield json.dumps(value)


def _accepts(compiled: Any, text: str) -> bool:
    matcher = compiled.copy()
    try:
        for byte in text.encode():
            matcher.advance(byte)
        return bool(matcher.bitmask()[EOS // 32] >> EOS % 32 & 1)
    except StructuredOutputError:
        return False


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(SCHEMAS, st.lists(VALUES, min_size=1, max_size=8))
def test_what_satisfies_a_schema_satisfies_what_the_grammar_engine_gets_of_it(schema: Any, values: list[Any]) -> None:
    document = {**schema, "$defs": {"tree": TREE}} if isinstance(schema, dict) else schema
    validator = jsonschema.Draft202012Validator(document)
    valid = [value for value in values if _is_valid(validator, value)]
    try:
        found = enforceable(document)
    except StructuredOutputError:
        assert not valid
        return
    assert not enforceable(found.schema).unenforced, "what comes out is enforced as a whole"
    compiled = COMPILER.compile(StructuredOutputsParams(json=found.schema, disable_any_whitespace=True))
    for value in valid:
        assert any(_accepts(compiled, text) for text in _spellings(value)), (value, found.schema)


def _is_valid(validator: Any, value: Any) -> bool:
    """False too where the judge cannot tell: it fetches no references either, and follows some round in circles."""
    try:
        return bool(validator.is_valid(value))
    except Exception:
        return False
