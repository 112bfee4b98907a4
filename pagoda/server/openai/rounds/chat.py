"""A chat completion whose model may search: the rounds' pieces as deltas, chunks and one message.

On the token's path: where `chat_stream` stands for chats without searches. A whole answer is put together from the same
deltas that a stream sends.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pagoda.chat.openai_types import ChatCompletionRequest, StreamOptions
from pagoda.server.generation import Caller, Job
from pagoda.server.openai.answering import answered_in_rounds
from pagoda.server.openai.chat_stream import chunk, message_delta
from pagoda.server.openai.reporting import head
from pagoda.server.openai.rounds.rounds import ChatRounds, Cited, Searched, opened_rounds
from pagoda.server.streaming import event
from pagoda.server.tools.calls import ToolDelta

_APART = "\n\n"
"""Between the texts of two rounds."""


async def answered_with_searches(body: ChatCompletionRequest, request: Request, name: str, caller: Caller) -> Response:
    """The response to a chat with `file_search`. Raises InvalidParameterError where it cannot be searched."""
    rounds = await opened_rounds(body, request, caller)
    beginning = head(f"chatcmpl-{caller.request_id}", "chat.completion.chunk", name)
    answer = ChatInRounds(rounds, beginning, body.stream_options)
    return await answered_in_rounds(request, caller, answer, stream=body.stream)


class ChatInRounds:
    """The answer to one request: a `RoundsAnswer`. beginning: of every chunk."""

    def __init__(self, rounds: ChatRounds, beginning: Mapping[str, Any], options: StreamOptions | None) -> None:
        self._rounds, self._head, self._options = rounds, beginning, options
        self._said = ""
        self._begin = 0  # of this round's text in all that was said

    async def first_job(self) -> Job:
        """The job of the first round. Raises InvalidRequestError."""
        return await self._rounds.first_job()

    async def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        async with aclosing(self._deltas()) as deltas:
            async for delta in deltas:
                _merge(message, delta)
        message["content"] = message["content"] or (None if "tool_calls" in message else "")
        choice = {"index": 0, "message": message, "logprobs": None, **self._end()}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self._rounds.usage.as_dict(),
        }

    async def events(self) -> AsyncGenerator[bytes]:
        """The answer as events."""
        async with aclosing(self._deltas()) as deltas:
            async for delta in deltas:
                yield self._event(chunk(0, delta))
        yield self._event(chunk(0, {}) | self._end())
        if self._options is not None and self._options.include_usage:
            yield event({**self._head, "choices": [], "usage": self._rounds.usage.as_dict()})

    async def _deltas(self) -> AsyncGenerator[dict[str, Any]]:
        async with aclosing(self._rounds.pieces()) as pieces:
            async for told in pieces:
                if isinstance(told, Searched):
                    self._begin = len(self._said)
                    yield {"file_search_calls": told.calls}
                elif isinstance(told, Cited):
                    yield {"annotations": [_further(each, self._begin) for each in told.annotations]}
                else:
                    yield self._text_delta(told) if told else {"role": "assistant", "content": ""}

    def _text_delta(self, told: list[ToolDelta]) -> dict[str, Any]:
        """The text of another round stands apart from what was said before."""
        delta = message_delta(told)
        if text := delta.get("content"):
            if self._said and self._begin == len(self._said):
                delta["content"] = _APART + text
                self._begin += len(_APART)
            self._said += delta["content"]
        return delta

    def _event(self, choice: dict[str, Any]) -> bytes:
        return event({**self._head, "choices": [choice], **self._rounds.usage.beside_chunk(self._options)})

    def _end(self) -> dict[str, Any]:
        return {"finish_reason": self._rounds.finish_reason, "stop_reason": self._rounds.stop_reason}


def _further(annotation: Mapping[str, Any], begin: int) -> dict[str, Any]:
    """Counted from the beginning of all that was said."""
    places = {name: annotation[name] + begin for name in ("start_index", "end_index")}
    return {**annotation, **places}


def _merge(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """A delta into the message that it is of."""
    message["content"] = (message["content"] or "") + (delta.get("content") or "")
    for name in ("file_search_calls", "annotations"):
        if name in delta:
            message.setdefault(name, []).extend(delta[name])
    for part in delta.get("tool_calls", ()):
        calls = message.setdefault("tool_calls", [])
        if "id" in part:
            calls.append({name: value for name, value in part.items() if name != "index"})
        else:
            calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
