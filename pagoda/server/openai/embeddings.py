"""POST /v1/embeddings: texts in, vectors out.

Beside the token's path: nothing is generated; each vector is made of a text's final hidden states as the checkpoint
says (`models/embedder`), of the last token's where it says nothing.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pagoda.chat.openai_types import EmbeddingRequest
from pagoda.engine.outputs import EmbeddingRequestOutput
from pagoda.engine.text.prompt import Prompt, prompt_to_embed
from pagoda.sampling_params import PoolingParams
from pagoda.server.aside.answers import json_response
from pagoda.server.aside.threads import LIGHT
from pagoda.server.fields import check_fields
from pagoda.server.generation import caller_of
from pagoda.server.openai.completions import prompts_of
from pagoda.server.routing import POSTING, JsonRoute, prepared
from pagoda.server.state import ServerState, state_of
from pagoda.server.streaming import unless_client_leaves

router = APIRouter(route_class=JsonRoute)


@router.post("/v1/embeddings", responses=POSTING)
async def create_embeddings(body: EmbeddingRequest, request: Request) -> Response:
    """Embed one text or several."""
    state, caller = state_of(request), caller_of(request)
    name = state.check_model(body.model)
    prompts = await prepared(request, _prompts, body, state)
    params = PoolingParams(dimensions=body.dimensions)
    outputs = await unless_client_leaves(request, state.embed(caller, prompts, params))
    is_long = len(outputs) * outputs[0].outputs.hidden_size > LIGHT
    answer = await state.aside.run_if(is_long, _answer, outputs, name, body.encoding_format)
    return await json_response(answer, state.aside)


def _prompts(body: EmbeddingRequest, state: ServerState) -> list[Prompt]:
    """Raises InvalidRequestError."""
    check_fields(body, strict=state.config.strict)
    prompts: list[Prompt] = []
    for given in prompts_of(body.input, "input"):
        prompt = prompt_to_embed(given, state.engine.info.embedder, body.prompt_name)
        _, token_ids = state.encode(prompt, add_special_tokens=body.add_special_tokens, param="input")
        state.check_token_ids(token_ids, "input")
        state.check_length(len(token_ids), 0, "input")
        prompts.append({"prompt_token_ids": token_ids})
    return prompts


def _answer(outputs: Sequence[EmbeddingRequestOutput], name: str, encoding: str) -> dict[str, Any]:
    num_tokens = sum(len(output.prompt_token_ids) for output in outputs)
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(output.outputs.embedding, encoding)}
        for index, output in enumerate(outputs)
    ]
    return {
        "object": "list",
        "data": data,
        "model": name,
        "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens},
    }


def _encoded(vector: Sequence[float], encoding: str) -> list[float] | str:
    """As numbers, or as base64 of little-endian fp32, which OpenAI's client asks for."""
    if encoding == "float":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
