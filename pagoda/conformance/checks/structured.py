"""Answers of a given shape: JSON, JSON by a schema, a choice, a regular expression, a grammar.

`response_format` is OpenAI's; `structured_outputs` is vLLM's, with its older names `guided_*`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pagoda.conformance.check import CHAT, COMPLETIONS, Context, check, equal, expect, refused
from pagoda.conformance.evidence import NotApplicableError
from pagoda.conformance.shapes import contents, parsed, texts

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
    """A schema that cannot be compiled is refused with its name, and never a 5xx."""
    form = {"type": "json_schema", "json_schema": {"name": "odd", "schema": {"type": "no_such_type"}}}
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
