"""A chat whose model may search the server's documents: what it asks for is found, and it goes on, until it answers.

On the token's path: beside `chat_stream` and `responses_stream`, for requests with the tool `file_search`. Each round
is a chat of its own, with the searches so far as calls and messages of a tool. `chat` and `response` make of the pieces
what a client of their API sees: one answer, with the text of all rounds, what was searched, and which sentences the
passages bear. Calls of the client's own functions end the answer, as they do without searches. Reasoning and looking up
in turn is ReAct's (Yao et al. 2023, arXiv 2210.03629); the form is that of OpenAI's hosted tools.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request

from pagoda.chat.file_search import SEARCH_NAME
from pagoda.chat.openai_types import ChatCompletionRequest, ChatMessage, FunctionCall, ToolCall
from pagoda.engine.text.prompt import text_or_ids
from pagoda.errors import InvalidParameterError, PromptTooLongError, nearest
from pagoda.server.generation import Caller, Job
from pagoda.server.openai.chat_job import chat_job
from pagoda.server.openai.reporting import Usage
from pagoda.server.openai.rounds.round_reader import RoundReader
from pagoda.server.openai.rounds.searches import Searches
from pagoda.server.state import ServerState, state_of
from pagoda.server.tools.calls import JoinedCall, ToolDelta
from pagoda.server.tools.hosted import HostedSearch, opened_search

DEFAULT_SEARCHES, MAX_SEARCHES = 4, 32
_OF_ONE_ROUND = ("logprobs", "echo", "continue_final_message", "prompt_logprobs", "return_token_ids", "return_timings")


@dataclass(frozen=True)
class Searched:
    """What the searches of a round found, as items of the Responses API; the text behind it is another round's."""

    calls: list[dict[str, Any]]


@dataclass(frozen=True)
class Cited:
    """Which sentences of a round's text the passages bear; places are counted within that text."""

    annotations: list[dict[str, Any]]


async def opened_rounds(body: ChatCompletionRequest, request: Request, caller: Caller) -> ChatRounds:
    """The rounds of a chat with `file_search`. Raises InvalidParameterError where it cannot be searched."""
    _check(body)
    search = await opened_search(request, body.file_search[0])
    return ChatRounds(body, search, state_of(request), caller)


def check_no_searches(body: ChatCompletionRequest) -> None:
    """Raises InvalidParameterError for what only a chat with `file_search` may ask."""
    if body.max_tool_calls is not None:
        raise InvalidParameterError(
            "max_tool_calls counts searches of documents: give a tool of the type file_search, or leave it out",
            param="max_tool_calls",
        )


def _check(body: ChatCompletionRequest) -> None:
    """Raises InvalidParameterError for what makes no sense over several rounds."""
    if len(body.file_search) > 1:
        raise InvalidParameterError("tools holds file_search twice: give it once", param="tools")
    # Elsewhere unknown fields change nothing; one of a search may be a filter that would not hold.
    tool = body.file_search[0]
    if unknown := sorted(set(tool.model_extra or {}) - tool.refused.keys()):
        known = nearest(unknown[0], [*type(tool).model_fields])
        raise InvalidParameterError(f"file_search[0].{unknown[0]} is no field of this tool: {known}", param="tools")
    given = next((name for name in _OF_ONE_ROUND if getattr(body, name) not in (None, False)), None)
    if given is not None or (body.n or 1) > 1:
        name = given or "n"
        raise InvalidParameterError(
            f"{name} is {getattr(body, name)}, which does not go with file_search: an answer takes several rounds then",
            param=name,
        )
    if body.max_tool_calls is not None and not 1 <= body.max_tool_calls <= MAX_SEARCHES:
        raise InvalidParameterError(
            f"max_tool_calls is {body.max_tool_calls}, expected 1 to {MAX_SEARCHES}", param="max_tool_calls"
        )


class ChatRounds:
    """The rounds of one request, whose pieces may be asked for once.

    usage: of all rounds so far; finish_reason, stop_reason: how the last one ended
    """

    def __init__(self, body: ChatCompletionRequest, search: HostedSearch, state: ServerState, caller: Caller) -> None:
        self._body, self._hosted, self._state, self._caller = body, search, state, caller
        self._messages = list(body.messages)
        self._said = [_text(message) for message in _until_the_question(body.messages)]
        self._searches = Searches(
            DEFAULT_SEARCHES if body.max_tool_calls is None else body.max_tool_calls, caller.request_id
        )
        self._job: Job | None = None
        self.usage = Usage(0)
        self.finish_reason: str | None = None
        self.stop_reason: int | str | None = None

    async def first_job(self) -> Job:
        """The job of the first round. Raises InvalidRequestError."""
        if self._job is None:
            self._job = await self._next_job()
        return self._job

    async def pieces(self) -> AsyncGenerator[list[ToolDelta] | Searched | Cited]:
        """What the client sees, as it comes; first an empty list, when the engine has taken the first round."""
        job, number, said = await self.first_job(), 0, False
        while True:
            turn = RoundReader(self._round_body(), job, self._state, opens=not said)
            async with aclosing(self._generated(job, turn, number)) as told:
                async for pieces in told:
                    yield pieces
            said = said or bool(turn.content)
            self.finish_reason, self.stop_reason = turn.finish_reason, turn.stop_reason
            if annotations := await self._annotations(turn.content):
                yield Cited(annotations)
            if not turn.asks_for_searches:
                return
            if self._tokens_left() == 0:
                break
            await self._search(turn)
            number += 1
            yield Searched(self._searches.told(number))
            try:
                job = await self._next_job()
            except PromptTooLongError:  # by what was found, which is not the client's to shorten
                break
        self.finish_reason = "length"

    async def _generated(self, job: Job, turn: RoundReader, number: int) -> AsyncGenerator[list[ToolDelta]]:
        """The pieces of one round."""
        caller = replace(self._caller, request_id=f"{self._caller.request_id}-{number}")
        async with self._state.queued(caller, [job]) as generation:
            self.usage.num_prompt_tokens += generation.num_prompt_tokens
            if number == 0:
                yield []
            async with aclosing(generation.outputs()) as outputs:
                async for _, output in outputs:
                    self.usage.add(number, output)
                    if told := [piece for completion in output.outputs for piece in turn.take(completion)]:
                        yield told

    async def _annotations(self, said: str) -> list[dict[str, Any]]:
        return await self._hosted.annotations(said, self._said[-1] if self._said else "") if said else []

    async def _search(self, turn: RoundReader) -> None:
        """What a round asked for is found, and stands in the conversation."""
        said = turn.content.strip() or None
        self._messages += self._searches.messages()
        await self._searches.run(self._hosted, turn.searches, self._said)
        calls = [_call(each) for each in self._searches.calls()]
        self._messages.append(ChatMessage(role="assistant", content=said, tool_calls=calls, function_call=None))

    async def _next_job(self) -> Job:
        """The job of the next round; passages that it has no room for are left out, the weakest first."""
        limit = self._state.engine.info.max_model_len
        while True:
            try:
                job = await self._state.aside.run(chat_job, self._round_body(), self._state)
            except PromptTooLongError:
                if not self._searches.shorten(self._hosted):
                    raise
                continue
            _, token_ids = text_or_ids(job.prompt)
            room = limit - len(token_ids or ())
            if room >= min(job.params.max_tokens or limit, limit // 4) or not self._searches.shorten(self._hosted):
                return job

    def _round_body(self) -> ChatCompletionRequest:
        """The chat that the next round is. A search that was demanded is demanded once, a last one not offered."""
        choice, tools, together = self._body.tool_choice, self._body.tools, self._body.parallel_tool_calls
        if self._searches.num_begun:
            choice = None
        if not self._searches.num_left:
            tools = [tool for tool in tools or [] if tool.function.name != SEARCH_NAME] or None
            together = together if tools else None
        return self._body.model_copy(
            update={
                "messages": [*self._messages, *self._searches.messages()],
                "tools": tools,
                "tool_choice": choice,
                "parallel_tool_calls": together,
                "max_tokens": None,
                "max_completion_tokens": self._tokens_left(),
            }
        )

    def _tokens_left(self) -> int | None:
        """Of those that the client allows for the whole answer; None for no limit."""
        given = [self._body.max_completion_tokens, self._body.max_tokens]
        most = next((each for each in given if each is not None), None)
        return None if most is None else max(0, most - self.usage.num_completion_tokens)


def _call(made: JoinedCall) -> ToolCall:
    return ToolCall(id=made.id, function=FunctionCall(name=made.name, arguments=made.arguments))


def _until_the_question(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """What the user and the assistant said, up to what the user said last."""
    said = [message for message in messages if message.role in ("user", "assistant")]
    while said and said[-1].role != "user":
        said.pop()
    return said


def _text(message: ChatMessage) -> str:
    content = message.content or ""
    return content if isinstance(content, str) else "\n".join(part.text or "" for part in content)
