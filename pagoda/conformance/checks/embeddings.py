"""/v1/embeddings: vectors as numbers and as base64, which openai-python asks for unless told otherwise."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

from pagoda.conformance.check import CHINESE, Context, answered, check, equal, expect, refused
from pagoda.conformance.client import JSON_BODY

_PATH = "/v1/embeddings"


async def _embed(server: Context, given: Any, **fields: Any) -> list[Any]:
    """The vectors, in order."""
    body = {"model": server.facts.model, "input": given, **fields}
    answer = answered(await server.client.post(_PATH, body))
    equal(answer["object"], "list", "object")
    equal([item["index"] for item in answer["data"]], list(range(len(answer["data"]))), "indices")
    expect(answer["usage"]["prompt_tokens"] > 0, "prompt_tokens in usage", answer["usage"])
    return [item["embedding"] for item in answer["data"]]


def _same(a: list[float], b: list[float]) -> bool:
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-2, abs_tol=1e-3) for x, y in zip(a, b, strict=True))


@check("openai-python, LangChain, vector stores")
async def several_texts(server: Context) -> None:
    """Several texts give vectors of one length in the texts' order, each equal to that of its text alone."""
    given = ["a fox", CHINESE, "a fox"]
    vectors = await _embed(server, given)
    equal(len({len(vector) for vector in vectors}), 1, "lengths")
    expect(all(math.isfinite(x) for vector in vectors for x in vector), "finite numbers", vectors[0][:4])
    expect(_same(vectors[0], vectors[2]), "equal vectors for equal texts", (vectors[0][:3], vectors[2][:3]))
    expect(not _same(vectors[0], vectors[1]), "other vectors for other texts", vectors[1][:3])
    (alone,) = await _embed(server, CHINESE)
    expect(_same(alone, vectors[1]), "the vector of the text alone", (alone[:3], vectors[1][:3]))


@check("openai-python's default")
async def base64_is_the_same(server: Context) -> None:
    """encoding_format base64 is the same vector as little-endian 32-bit numbers."""
    (numbers,) = await _embed(server, "a fox", encoding_format="float")
    (text,) = await _embed(server, "a fox", encoding_format="base64")
    expect(isinstance(text, str), "base64 text", str(text)[:60])
    data = base64.b64decode(text)
    equal(len(data), 4 * len(numbers), "bytes")
    expect(_same(list(struct.unpack(f"<{len(numbers)}f", data)), numbers), "the same numbers", numbers[:3])


@check("LangChain's OpenAIEmbeddings sends token ids")
async def token_ids_are_taken(server: Context) -> None:
    """The input may be token ids, or a list of lists of them."""
    (one,) = await _embed(server, [40, 41, 42])
    both = await _embed(server, [[40, 41, 42], [50, 51]])
    expect(len(both) == 2 and _same(both[0], one), "the same vector in a list", (one[:3], both[0][:3]))


@check("openai-python: dimensions")
async def dimensions_are_cut_or_refused(server: Context) -> None:
    """dimensions gives vectors of that length, or is refused by its name; 0 is always refused."""
    body = {"model": server.facts.model, "input": "a fox", "dimensions": 2}
    reply = await server.client.post(_PATH, body)
    if reply.status == 200:
        equal(len(reply.json()["data"][0]["embedding"]), 2, "length")
    else:
        refused(reply, param="dimensions")
    refused(await server.client.post(_PATH, {**body, "dimensions": 0}), param="dimensions")


@check("openai-python")
async def mistakes_are_refused(server: Context) -> None:
    """Malformed JSON, an empty or missing input and an unknown encoding_format are 400."""
    refused(await server.client.request("POST", _PATH, b'{"input": ', JSON_BODY))
    model = {"model": server.facts.model}
    for body in (model, {**model, "input": []}, {**model, "input": {"text": "a"}}):
        error = refused(await server.client.post(_PATH, body))
        expect(str(error["param"]).startswith("input"), "param input", error)
    odd = {**model, "input": "a fox", "encoding_format": "runes"}
    refused(await server.client.post(_PATH, odd), param="encoding_format")
