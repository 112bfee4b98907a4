"""One chat through every door: over HTTP, offline and behind the ChatModel seam it is the same prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

import pagoda
from pagoda.chat.model import Message
from pagoda.engine.chat_model import EngineChatModel
from pagoda.errors import InvalidRequestError
from pagoda.llm import LLM
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import SamplingParams

Serve = Callable[..., Any]
HI = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"b": 1, "a": [2]}'}}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"parameters": {"type": "object"}, "name": "f", "description": "F."}}
]
CHATS: list[list[dict[str, Any]]] = [
    [{"role": "developer", "content": "Be brief."}, HI],
    [{"role": "system", "content": "A."}, {"role": "developer", "content": "B."}, HI],
    [{"role": "user", "content": [{"type": "text", "text": "你好"}, {"type": "text", "text": "🦊"}]}],
    [
        HI,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
    ],
    [
        HI,
        {"role": "assistant", "content": None, "function_call": CALL["function"]},
        {"role": "function", "name": "f", "content": "x"},
    ],
    [HI, {"role": "assistant", "content": None, "refusal": "No."}, HI],
]
WRONG: list[tuple[list[Any], str]] = [
    ([HI, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "messages[1].content[0]"),
    ([HI, {"role": "system", "content": "late"}], "messages[1]"),
    (
        [
            HI,
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c9", "content": "x"},
        ],
        "messages[2].tool_call_id",
    ),
    ([], "messages"),
]


@pytest.fixture(scope="module")
def llm() -> LLM:
    """The built-in model."""
    return LLM(
        Path(pagoda.__file__).parent / "builtin", device="cpu", num_gpu_blocks_override=64, disable_log_stats=True
    )


@pytest.mark.parametrize("tools", [None, TOOLS], ids=["", "tools"])
@pytest.mark.parametrize("chat", CHATS)
def test_a_chat_offline_is_the_chat_over_http(
    serve: Serve, llm: LLM, chat: list[dict[str, Any]], tools: list[dict[str, Any]] | None
) -> None:
    async def over_http() -> list[int]:
        async with serve(max_model_len=1024) as server:
            answer = await server.post("/v1/chat/completions/render", {"messages": chat, "tools": tools})
            ids: list[int] = answer.json()["prompts"][0]["prompt_token_ids"]
            return ids

    (output,) = llm.chat(chat, SamplingParams(max_tokens=1), tools=tools, use_tqdm=False)
    assert list(output.prompt_token_ids) == asyncio.run(over_http())


@pytest.mark.parametrize(("chat", "param"), WRONG)
def test_what_cannot_be_read_is_refused_alike(serve: Serve, llm: LLM, chat: list[Any], param: str) -> None:
    async def over_http() -> dict[str, Any]:
        async with serve(max_model_len=1024) as server:
            error: dict[str, Any] = (await server.post("/v1/chat/completions", {"messages": chat})).json()["error"]
            return error

    error = asyncio.run(over_http())
    with pytest.raises(InvalidRequestError) as refusal:
        llm.chat(chat, SamplingParams(max_tokens=1), use_tqdm=False)
    assert error["param"] == refusal.value.param == param


def test_variables_that_mean_something_else_are_refused_offline_too(llm: LLM) -> None:
    with pytest.raises(InvalidRequestError, match="no variable of a template"):
        llm.chat([HI], chat_template_kwargs={"messages": []})
    one = SamplingParams(max_tokens=1)
    (closed,) = llm.chat([HI], one, chat_template_kwargs={"add_generation_prompt": False}, use_tqdm=False)
    assert not llm.get_tokenizer().decode(closed.prompt_token_ids, skip_special_tokens=False).endswith("<|assistant|>")


def test_a_chat_model_reads_messages_at_the_same_place(fake_engine: Any, tokenizer: Tokenizer) -> None:
    messages = [Message("system", "Be brief."), Message("user", "hi")]
    count = asyncio.run(EngineChatModel.shared(fake_engine).count_tokens(messages))
    assert count == len(tokenizer.encode_chat([message.as_dict() for message in messages]))
    with pytest.raises(InvalidRequestError, match="leaves it out"):
        asyncio.run(EngineChatModel.shared(fake_engine).count_tokens(messages[::-1]))


def test_a_client_of_the_old_functions_is_understood(engine: Any, client: openai.AsyncOpenAI) -> None:
    """openai-python before tools: the call and its answer are messages of another form."""
    old: Any = [
        HI,
        {"role": "assistant", "content": None, "function_call": CALL["function"]},
        {"role": "function", "name": "f", "content": "22 degrees"},
    ]
    asyncio.run(client.chat.completions.create(model="scripted", messages=old))
    (prompt,) = engine.prompts
    assert prompt.index("hi") < prompt.index('"name": "f"') < prompt.index("22 degrees")
