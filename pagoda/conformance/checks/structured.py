"""Answers of a given shape: JSON, JSON by a schema, a choice, a regular expression, a grammar.

`response_format` is OpenAI's; `structured_outputs` is vLLM's, with its older names `guided_*`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pagoda.conformance.check import CHAT, COMPLETIONS, Context, check, equal, expect, refused
from pagoda.conformance.evidence import NotApplicableError
from pagoda.conformance.shapes import contents, parsed, texts

if TYPE_CHECKING:
    from pagoda.conformance.client import Reply

_SCHEMA = {
    "type": "object",
    "properties": {
        "animal": {"type": "string", "enum": ["狐狸🦊", "owl"]},
        "count": {"type": "integer", "enum": [1, 2, 3]},
        "happy": {"type": "boolean"},
    },
    "required": ["animal", "count", "happy"],
    "additionalProperties": False,
}
_SMALL = {"type": "array", "items": {"type": "string", "enum": ["fox", "owl"]}, "maxItems": 2}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "animal", "strict": True, "schema": _SCHEMA}}


async def _shaped(server: Context, **constraint: Any) -> str:
    """A completion under vLLM's constraint, by its present name or by its older one."""
    reply = await server.send(COMPLETIONS, structured_outputs=constraint, max_tokens=24)
    if reply.status != 200:
        older = {f"guided_{name}": value for name, value in constraint.items()}
        return texts(await server.complete(**older, max_tokens=24))[0]
    return texts(reply.json())[0]


@check("openai-python, LangChain's JSON mode")
async def json_object(server: Context) -> None:
    """response_format json_object gives a JSON object."""
    answer = await server.chat(response_format={"type": "json_object"}, max_tokens=200)
    (content,) = contents(answer)
    if answer["choices"][0]["finish_reason"] == "length":
        # Cut JSON is a beginning of some object all the same.
        expect(content.lstrip().startswith("{"), "a text that begins with {", content)
        raise NotApplicableError("the model did not end its object within 200 tokens")
    expect(isinstance(json.loads(content), dict), "a JSON object", content)


@check("openai-python's parse(), instructor, LangChain's with_structured_output")
async def json_schema(server: Context) -> None:
    """response_format json_schema gives JSON after the schema, Chinese and emoji included, at any temperature."""
    for fields in ({}, {"temperature": 1.5, "seed": 3}):
        answer = await server.chat(response_format=_FORMAT, max_tokens=200, **fields)
        parsed(contents(answer)[0], _SCHEMA)
        equal(answer["choices"][0]["finish_reason"], "stop", "finish_reason")


@check("openai-python's stream helpers")
async def json_schema_streamed(server: Context) -> None:
    """A streamed answer by a schema is the whole answer's JSON."""
    whole = await server.chat(response_format=_FORMAT, max_tokens=200)
    stream = await server.stream(CHAT, response_format=_FORMAT, max_tokens=200)
    parsed(stream.content_text(), _SCHEMA)
    equal(stream.content_text(), contents(whole)[0], "the whole answer's text")


@check("openai-python")
async def schema_that_is_none(server: Context) -> None:
    """With strict, a schema that is none is refused with its name, and never a 5xx."""
    none = {"type": "no_such_type"}
    form = {"type": "json_schema", "json_schema": {"name": "odd", "strict": True, "schema": none}}
    error = refused(await server.send(CHAT, response_format=form))
    expect(str(error["param"]).startswith("response_format"), "a param that begins with response_format", error)


@check("openai-python")
async def schema_that_is_missing(server: Context) -> None:
    """response_format json_schema without a schema is refused with its name."""
    error = refused(await server.send(CHAT, response_format={"type": "json_schema"}))
    expect(str(error["param"]).startswith("response_format"), "a param that begins with response_format", error)


@check("vLLM's clients, classifiers")
async def choice(server: Context) -> None:
    """structured_outputs choice gives one of the choices and nothing else."""
    options = ["a fox", "月亮🌕", "an owl"]
    text = await _shaped(server, choice=options)
    expect(text in options, f"one of {options}", repr(text))


@check("vLLM's clients, extraction")
async def regex(server: Context) -> None:
    """structured_outputs regex gives a text that matches as a whole."""
    text = await _shaped(server, regex="[0-9]{3}-(fox|owl)")
    expect(re.fullmatch("[0-9]{3}-(fox|owl)", text), "a text that matches [0-9]{3}-(fox|owl)", repr(text))


@check("vLLM's clients, lm-format users")
async def json_in_a_completion(server: Context) -> None:
    """structured_outputs json holds for completions, too."""
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    parsed(await _shaped(server, json=schema, disable_any_whitespace=True), schema)


@check("vLLM's clients")
async def constraint_that_cannot_be_compiled(server: Context) -> None:
    """A regular expression that cannot be compiled is refused, and never a 5xx."""
    refused(await server.send(COMPLETIONS, structured_outputs={"regex": "(fox"}))


@check("every client that shares a server")
async def neighbours_are_free(server: Context) -> None:
    """A constraint binds its own request only."""
    (free,) = texts(await server.complete())
    await _shaped(server, choice=["fox"])
    equal(texts(await server.complete()), [free], "the unconstrained text")


async def _held_to_the_rest(server: Context, part: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> None:
    """Raise CheckFailedError unless an answer comes that has one field `a` of a schema, of which `part` is a part."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"a": {**_SMALL, **part}},
        "required": ["a"],
        "additionalProperties": False,
        **(more or {}),
    }
    form = {"type": "json_schema", "json_schema": {"name": "rest", "schema": schema}}
    answer = await server.chat(response_format=form, max_tokens=200)
    if answer["choices"][0]["finish_reason"] == "length":
        raise NotApplicableError("the model did not end its object within 200 tokens")
    value = parsed(contents(answer)[0], {"type": "object", "required": ["a"], "properties": {"a": _SMALL}})
    equal(list(value), ["a"], "the fields")


@check("pydantic-ai, jcode and other agents with set[str]")
async def keywords_of_arrays_are_taken(server: Context) -> None:
    """A keyword that few grammars have (uniqueItems, contains) is obeyed or left to the model; the rest holds."""
    await _held_to_the_rest(server, {"uniqueItems": True})
    await _held_to_the_rest(server, {"contains": {"const": "owl"}, "minContains": 0})


@check("MCP servers, zod-to-json-schema")
async def keywords_of_logic_are_taken(server: Context) -> None:
    """So are not, if and then, and alternatives of oneOf that overlap."""
    await _held_to_the_rest(server, {}, {"not": {"required": ["b"]}})
    await _held_to_the_rest(server, {}, {"if": {"required": ["b"]}, "then": {"required": ["c"]}})
    await _held_to_the_rest(server, {"oneOf": [{"type": "array"}, {"type": "array", "maxItems": 1}]})


@check("MCP servers, OpenAPI tools")
async def keywords_of_objects_are_taken(server: Context) -> None:
    """So are propertyNames, dependentRequired and unevaluatedProperties."""
    await _held_to_the_rest(server, {}, {"propertyNames": {"maxLength": 9}})
    await _held_to_the_rest(server, {}, {"dependentRequired": {"b": ["c"]}, "unevaluatedProperties": False})


@check("OpenAPI tools, pydantic's SecretStr and Decimal")
async def odd_formats_and_patterns_are_taken(server: Context) -> None:
    """So are formats of no standard (int64, password) and patterns with a look-ahead."""
    for part in ({"format": "password"}, {"format": "int64"}, {"pattern": "^(?!cat)(fox|owl)$"}):
        await _held_to_the_rest(server, {"items": {"type": "string", "enum": ["fox", "owl"], **part}})


@check("pydantic, zod-to-json-schema")
async def references_are_followed(server: Context) -> None:
    """References to $defs and definitions are followed, a schema that holds itself among them."""
    for place in ("$defs", "definitions"):
        node = {
            "type": "object",
            "properties": {
                "name": {"enum": ["fox", "owl"]},
                "next": {"anyOf": [{"type": "null"}, {"$ref": f"#/{place}/n"}]},
            },
            "required": ["name", "next"],
            "additionalProperties": False,
        }
        schema = {"$ref": f"#/{place}/n", place: {"n": node}}
        form = {"type": "json_schema", "json_schema": {"name": "chain", "schema": schema}}
        choice = (await server.chat(response_format=form, max_tokens=50))["choices"][0]
        if choice["finish_reason"] == "length":  # it may go on for ever
            expect(choice["message"]["content"].startswith("{"), "a beginning of an object", choice)
        else:
            parsed(choice["message"]["content"], node | {"properties": {"name": {"enum": ["fox", "owl"]}}})


@check("agents that show their users what is wrong")
async def strict_names_the_keyword(server: Context) -> None:
    """With strict, a keyword is obeyed, or refused by its own name and place, without the grammar's inside."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
    }
    form = {"type": "json_schema", "json_schema": {"name": "odd", "strict": True, "schema": schema}}
    reply = await server.send(CHAT, response_format=form)
    if reply.status == 200:
        return
    error = refused(reply)
    expect("uniqueItems" in error["message"], "a message that names uniqueItems", error)
    expect(str(error["param"]).startswith("response_format"), "a param that begins with response_format", error)
    expect(not {"%json", "start:", "lark"} & set(error["message"].split()), "no words of a grammar", error)


@check("vLLM's clients, LiteLLM")
async def schema_that_nothing_satisfies(server: Context) -> None:
    """A schema that no text satisfies is refused, and never answered with nothing and `stop`."""
    knot = {"$ref": "#/$defs/n", "$defs": {"n": {"$ref": "#/$defs/n"}}}
    for schema in (knot, {"type": "string", "enum": []}, {"type": "string", "minLength": 3, "maxLength": 1}):
        form = {"type": "json_schema", "json_schema": {"name": "none", "schema": schema}}
        error = refused(await server.send(CHAT, response_format=form))
        expect(str(error["param"]).startswith("response_format"), "a param that begins with response_format", error)


@check("llama.cpp's and Together's clients")
async def schema_beside_json_object(server: Context) -> None:
    """A schema beside json_object is obeyed, or refused by its name: it is not dropped in silence."""
    reply = await server.send(CHAT, response_format={"type": "json_object", "schema": _SCHEMA}, max_tokens=200)
    if reply.status == 200:
        parsed(contents(reply.json())[0], _SCHEMA)
    else:
        expect("response_format" in str(refused(reply)["param"]), "a param that names response_format", reply.summary())


@check("extraction with several candidates")
async def every_choice_is_held(server: Context) -> None:
    """With n, each answer is JSON after the schema."""
    answer = await server.chat(response_format=_FORMAT, max_tokens=200, n=3, temperature=1.2, seed=4)
    for content in contents(answer):
        parsed(content, _SCHEMA)


async def _with_contradiction(server: Context, **extra: Any) -> Reply:
    """The reply to a choice beside what shuts it out. Raises NotApplicableError where the server lacks one of both."""
    for known in ({"structured_outputs": {"choice": ["owl"]}}, extra):
        if (await server.send(COMPLETIONS, **known)).status != 200:
            raise NotApplicableError("the server lacks structured_outputs, or what is to contradict it")
    if texts(await server.complete(structured_outputs={"choice": ["owl"]})) != ["owl"]:
        raise NotApplicableError("the server lacks structured_outputs")
    return await server.send(COMPLETIONS, structured_outputs={"choice": ["owl"]}, **extra)


@check("vLLM's clients")
async def contradiction_is_the_requests_own(server: Context) -> None:
    """A choice that bad_words forbid is a 400 that says so, or is written all the same: nothing is broken."""
    reply = await _with_contradiction(server, bad_words=["o", "ow", "owl"])
    if reply.status == 200:
        expect(texts(reply.json())[0] in ("owl", "o", "ow"), "the choice", reply.summary())
    else:
        refused(reply)
    equal(texts(await server.complete(structured_outputs={"choice": ["owl"]})), ["owl"], "the next answer")


@check("vLLM's clients")
async def contradiction_before_the_stream(server: Context) -> None:
    """Where it is known at the start, it is a plain 400 of a stream, too."""
    if (await _with_contradiction(server, allowed_token_ids=[7])).status != 400:
        raise NotApplicableError("the server does not see the contradiction beforehand")
    refused(await server.send(COMPLETIONS, structured_outputs={"choice": ["owl"]}, allowed_token_ids=[7], stream=True))


@check("vLLM's clients")
async def finished_shape_outlasts_min_tokens(server: Context) -> None:
    """min_tokens beyond the end of a choice is refused, or the choice comes whole and by itself."""
    reply = await _with_contradiction(server, min_tokens=12)
    if reply.status == 200:
        equal(texts(reply.json()), ["owl"], "the text")
    else:
        refused(reply)


@check("every client that trusts finish_reason")
async def stop_means_complete(server: Context) -> None:
    """A shape that is too large to go on with ends in an error, or as cut: `stop` means a whole text."""
    pattern = "([a-z]{1,100}){1,1000}0"
    for seed in range(3):
        fields = {"structured_outputs": {"regex": pattern}, "max_tokens": 60, "temperature": 1.3, "seed": seed}
        reply = await server.send(COMPLETIONS, **fields)
        expect(reply.status < 500, "no status of 500 or more", reply.summary(), reply)
        if reply.status == 200 and reply.json()["choices"][0]["finish_reason"] == "stop":
            text = texts(reply.json())[0]
            if re.fullmatch("[a-z]+0", text) is None and seed == 0:
                whole = texts(await server.complete(structured_outputs={"choice": ["owl"]}))
                if whole != ["owl"]:
                    raise NotApplicableError("the server lacks structured_outputs")
            expect(re.fullmatch("[a-z]+0", text), f"a text that matches {pattern}", repr(text))
