"""/tokenize, /detokenize, /tokenizer_info and the render endpoints: what a model would see, without running it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from pagoda.chat.openai_types import ChatCompletionRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest
from pagoda.errors import InvalidParameterError
from pagoda.server.aside.answers import json_response
from pagoda.server.fields import check_fields
from pagoda.server.openai.chat_job import offered_tools
from pagoda.server.openai.chat_prompt import encode, render
from pagoda.server.openai.completions import prompts_of
from pagoda.server.routing import POSTING, READING, JsonRoute, prepared
from pagoda.server.state import ServerState, state_of

router = APIRouter(route_class=JsonRoute)


@router.post("/tokenize", responses=POSTING)
async def tokenize(body: TokenizeRequest, request: Request) -> Response:
    """Token ids of a prompt, or of the messages of a chat."""
    state = state_of(request)
    state.check_model(body.model)
    return await json_response(await prepared(request, _tokenized, body, state), state.aside)


@router.post("/detokenize", responses=POSTING)
async def detokenize(body: DetokenizeRequest, request: Request) -> Response:
    """The text of token ids."""
    state = state_of(request)
    state.check_model(body.model)
    return await json_response({"prompt": await prepared(request, _text, body, state)}, state.aside)


@router.get("/tokenizer_info", responses=READING)
async def tokenizer_info(request: Request) -> Response:
    """Facts of the tokenizer."""
    state = state_of(request)
    state.check_ready()
    tokenizer = state.tokenizer
    return JSONResponse(
        {
            "vocab_size": tokenizer.vocab_size,
            "num_tokens": tokenizer.num_tokens,
            "max_model_len": state.engine.info.max_model_len,
            "special_tokens": tokenizer.special_tokens,
            "all_special_ids": tokenizer.all_special_ids,
            "eos_token_ids": list(state.engine.info.eos_token_ids),
            "has_chat_template": tokenizer.has_chat_template,
        }
    )


@router.post("/v1/chat/completions/render", responses=POSTING)
async def render_chat(body: ChatCompletionRequest, request: Request) -> Response:
    """The prompt that a chat becomes: its text and its token ids."""
    state = state_of(request)
    name = state.check_model(body.model)
    return await json_response(await prepared(request, _rendered_chat, body, state, name), state.aside)


@router.post("/v1/completions/render", responses=POSTING)
async def render_completion(body: CompletionRequest, request: Request) -> Response:
    """The token ids of each prompt, special tokens included."""
    state = state_of(request)
    name = state.check_model(body.model)
    return await json_response(await prepared(request, _rendered_prompts, body, state, name), state.aside)


def _tokenized(body: TokenizeRequest, state: ServerState) -> dict[str, Any]:
    check_fields(body, strict=state.config.strict)
    if (body.prompt is None) == (body.messages is None):
        raise InvalidParameterError("give either prompt or messages", param="prompt")
    if body.prompt is None:
        token_ids = encode(render(body, state, tools=body.tools), state)
    else:
        token_ids = _encode_text(body.prompt, body.add_special_tokens, state)
    return {
        "count": len(token_ids),
        "max_model_len": state.engine.info.max_model_len,
        "tokens": token_ids,
        "token_strs": [state.tokenizer.token_text(i) for i in token_ids] if body.return_token_strs else None,
    }


def _text(body: DetokenizeRequest, state: ServerState) -> str:
    state.check_token_ids(body.tokens, "tokens")
    return state.tokenizer.decode(body.tokens, skip_special_tokens=body.skip_special_tokens)


def _rendered_chat(body: ChatCompletionRequest, state: ServerState, name: str) -> dict[str, Any]:
    check_fields(body, strict=state.config.strict)
    text = render(body, state, tools=offered_tools(body))
    return _rendered(name, [text], [encode(text, state)])


def _rendered_prompts(body: CompletionRequest, state: ServerState, name: str) -> dict[str, Any]:
    check_fields(body, strict=state.config.strict)
    encoded = [
        state.engine.encode(prompt, add_special_tokens=body.add_special_tokens)[1]
        for prompt in prompts_of(body.prompt, "prompt")
    ]
    for token_ids in encoded:
        state.check_token_ids(token_ids, "prompt")
    texts = [state.tokenizer.decode(token_ids, skip_special_tokens=False) for token_ids in encoded]
    return _rendered(name, texts, encoded)


def _rendered(name: str, texts: list[str], encoded: list[list[int]]) -> dict[str, Any]:
    prompts = [
        {"prompt": text, "prompt_token_ids": token_ids, "count": len(token_ids)}
        for text, token_ids in zip(texts, encoded, strict=True)
    ]
    return {"object": "render", "model": name, "prompts": prompts}


def _encode_text(text: str, add_special_tokens: bool, state: ServerState) -> list[int]:
    if not text:
        return []
    _, token_ids = state.engine.encode(text, add_special_tokens=add_special_tokens)
    return token_ids
