"""A chat whose model may search the server's documents: what it asks for is found, and it goes on, until it answers.

On the token's path: beside `chat_stream`, for requests with the tool `file_search`. Each round is a chat of its own,
with the searches so far as calls and messages of a tool. The client sees one answer: the text of all rounds, what was
searched, and which sentences the passages bear. A whole answer is put together from the same deltas that a stream
sends. Calls of the client's own functions end the answer, as they do without searches. Reasoning and looking up in turn
is ReAct's (Yao et al. 2023, arXiv 2210.03629); the form is that of OpenAI's hosted tools.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pagoda.chat.file_search import SEARCH_NAME
from pagoda.chat.openai_types import ChatCompletionRequest, ChatMessage, FunctionCall, ToolCall
from pagoda.engine.outputs import CompletionOutput
from pagoda.engine.text.prompt import text_or_ids
from pagoda.errors import InvalidParameterError, PromptTooLongError, nearest
from pagoda.language import language_of
from pagoda.server.generation import Caller, Job
from pagoda.server.openai.answering import answered_in_rounds
from pagoda.server.openai.chat_job import chat_job
from pagoda.server.openai.chat_stream import ChoiceReader, chunk, message_delta
from pagoda.server.openai.reporting import Usage, head
from pagoda.server.state import ServerState, state_of
from pagoda.server.streaming import event
from pagoda.server.tools.calls import CallStart, ContentDelta, JoinedCall, ToolDelta
from pagoda.server.tools.hosted import FoundText, HostedSearch, opened_search

DEFAULT_SEARCHES, MAX_SEARCHES = 4, 32
_NO_MORE = "error: no further search is possible: answer with what was found"
_ANSWER_NOW = {
    "en": "Answer the question from these passages now, in a sentence or two.",
    "zh": "现在请根据以上内容用一两句话回答问题。",
}
"""Stands behind what the last search found: small models write another call otherwise, even where none is offered."""
_OF_ONE_ROUND = ("logprobs", "echo", "continue_final_message", "prompt_logprobs", "return_token_ids", "return_timings")


async def answered_with_searches(body: ChatCompletionRequest, request: Request, name: str, caller: Caller) -> Response:
    """The response to a chat with `file_search`. Raises InvalidParameterError where it cannot be searched."""
    _check(body)
    search = await opened_search(request, body.file_search[0])
    answer = ChatInRounds(body, search, state_of(request), name, caller)
    return await answered_in_rounds(request, caller, answer, stream=body.stream)


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


class ChatInRounds:
    """The answer to one request: a `RoundsAnswer`."""

    def __init__(
        self, body: ChatCompletionRequest, search: HostedSearch, state: ServerState, name: str, caller: Caller
    ) -> None:
        self._body, self._search, self._state, self._caller = body, search, state, caller
        self._head = head(f"chatcmpl-{caller.request_id}", "chat.completion.chunk", name)
        self._messages = list(body.messages)
        self._searches = _Searches(DEFAULT_SEARCHES if body.max_tool_calls is None else body.max_tool_calls)
        self._usage = Usage(0)
        self._content = ""
        self._job: Job | None = None

    async def first_job(self) -> Job:
        """The job of the first round. Raises InvalidRequestError."""
        self._job = await self._next_job()
        return self._job

    async def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        end: dict[str, Any] = {}
        async with aclosing(self._deltas()) as deltas:
            async for delta, last in deltas:
                _merge(message, delta)
                end = last
        message["content"] = message["content"] or (None if "tool_calls" in message else "")
        choice = {"index": 0, "message": message, "logprobs": None, **end}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage.as_dict()}

    async def events(self) -> AsyncGenerator[bytes]:
        """The answer as events."""
        options = self._body.stream_options
        async with aclosing(self._deltas()) as deltas:
            async for delta, end in deltas:
                choice = chunk(0, delta) | end
                yield event({**self._head, "choices": [choice], **self._usage.beside_chunk(options)})
        if options is not None and options.include_usage:
            yield event({**self._head, "choices": [], "usage": self._usage.as_dict()})

    async def _deltas(self) -> AsyncGenerator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each delta, and of the last one how the answer ends."""
        job, number = self._job or await self.first_job(), 0
        while True:
            turn = _Turn(self._round_body(), job, self._state, opens=not self._content)
            async with aclosing(self._generated(job, turn, number)) as deltas:
                async for delta in deltas:
                    yield delta, {}
            self._content += turn.content
            if not turn.asks_for_searches:
                break
            if self._tokens_left() == 0:
                turn.finish_reason = "length"
                break
            await self._run(turn)
            try:
                job, number = await self._next_job(), number + 1
            except PromptTooLongError:  # by what was found, which is not the client's to shorten
                turn.finish_reason = "length"
                break
            yield {"file_search_calls": self._searches.told(number)}, {}
        if annotations := await self._search.annotations(self._content, _question(self._body.messages)):
            yield {"annotations": annotations}, {}
        yield {}, {"finish_reason": turn.finish_reason, "stop_reason": turn.stop_reason}

    async def _generated(self, job: Job, turn: _Turn, number: int) -> AsyncGenerator[dict[str, Any]]:
        """The deltas of one round."""
        caller = replace(self._caller, request_id=f"{self._caller.request_id}-{number}")
        async with self._state.queued(caller, [job]) as generation:
            self._usage.num_prompt_tokens += generation.num_prompt_tokens
            if number == 0:
                yield {"role": "assistant", "content": ""}
            async with aclosing(generation.outputs()) as outputs:
                async for _, output in outputs:
                    self._usage.add(number, output)
                    told = [piece for completion in output.outputs for piece in turn.take(completion)]
                    if delta := message_delta(told):
                        yield delta

    async def _run(self, turn: _Turn) -> None:
        """What a round asked for is found, and stands in the conversation."""
        calls = [ToolCall(id=c.id, function=FunctionCall(name=c.name, arguments=c.arguments)) for c in turn.searches]
        said = turn.content.strip() or None
        self._messages += self._searches.messages()
        self._messages.append(ChatMessage(role="assistant", content=said, tool_calls=calls, function_call=None))
        await self._searches.run(self._search, turn.searches)

    async def _next_job(self) -> Job:
        """The job of the next round; passages that it has no room for are left out, the weakest first."""
        limit = self._state.engine.info.max_model_len
        while True:
            try:
                job = await self._state.aside.run(chat_job, self._round_body(), self._state)
            except PromptTooLongError:
                if not self._searches.shorten(self._search):
                    raise
                continue
            _, token_ids = text_or_ids(job.prompt)
            room = limit - len(token_ids or ())
            if room >= min(job.params.max_tokens or limit, limit // 4) or not self._searches.shorten(self._search):
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
        return None if most is None else max(0, most - self._usage.num_completion_tokens)


class _Turn:
    """What the model says in one round.

    opens: whether nothing was said before; what is, stands apart from it
    """

    def __init__(self, body: ChatCompletionRequest, job: Job, state: ServerState, *, opens: bool) -> None:
        self._reader = ChoiceReader(body, job.params, state)
        self._opens = opens
        self._own: dict[int, int] = {}
        self.content = ""
        self.searches: list[JoinedCall] = []
        self.finish_reason: str | None = None
        self.stop_reason: int | str | None = None

    @property
    def asks_for_searches(self) -> bool:
        """Whether it ended with searches and no call that the client has to make."""
        return bool(self.searches) and not self._own and self.finish_reason in ("stop", "tool_calls")

    def take(self, completion: CompletionOutput) -> list[ToolDelta]:
        """What of an output the client sees."""
        told = [seen for piece in self._reader.pieces(completion) for seen in self._seen(piece)]
        if completion.finished():
            self.finish_reason = self._reader.finish_reason(completion.finish_reason)
            self.stop_reason = completion.stop_reason
        return told

    def _seen(self, piece: ToolDelta) -> list[ToolDelta]:
        if isinstance(piece, ContentDelta):
            text = piece.text if self._opens or self.content else f"\n\n{piece.text.lstrip()}"
            self.content += text
            return [ContentDelta(text)]
        if isinstance(piece, CallStart) and piece.name == SEARCH_NAME:
            self.searches.append(JoinedCall(piece.id, piece.name, ""))
            return []
        if isinstance(piece, CallStart):
            self._own[piece.index] = len(self._own)
        elif piece.index not in self._own:
            self.searches[-1] = self.searches[-1]._replace(arguments=self.searches[-1].arguments + piece.text)
            return []
        return [replace(piece, index=self._own[piece.index])]


class _Searches:
    """The searches of a request: how many are left, and what those of the last round found.

    A round that only asks what was asked before is the last: a model that goes in circles finds nothing new.
    """

    def __init__(self, num_left: int) -> None:
        self.num_left = num_left
        self.num_begun = 0
        self._asked: set[str] = set()
        self._last: list[tuple[JoinedCall, FoundText | None]] = []

    async def run(self, search: HostedSearch, calls: Sequence[JoinedCall]) -> None:
        """Make them, as many as are left."""
        self._last = []
        for call in calls:
            found = await search.run(call.arguments) if self.num_left else None
            self.num_left -= found is not None
            self.num_begun += 1
            self._last.append((call, found))
        asked = [found.question for _, found in self._last if found is not None]
        if asked and self._asked.issuperset(asked):
            self.num_left = 0
        self._asked.update(asked)

    def messages(self) -> list[ChatMessage]:
        """What the model is told of the last round's."""
        told = [_NO_MORE if found is None else found.text for _, found in self._last]
        if told and not self.num_left:
            told[-1] += f"\n\n{_ANSWER_NOW[language_of(' '.join(sorted(self._asked)))]}"
        return [
            ChatMessage(role="tool", tool_call_id=call.id, content=text, function_call=None)
            for (call, _), text in zip(self._last, told, strict=True)
        ]

    def shorten(self, search: HostedSearch) -> bool:
        """Leave out one passage of the longest; False where there is none."""
        sizes = [0 if found is None else len(found.results) for _, found in self._last]
        if not any(sizes):
            return False
        place = sizes.index(max(sizes))
        call, found = self._last[place]
        assert found is not None, "it has passages"
        self._last[place] = call, search.shortened(found)
        return True

    def told(self, number: int) -> list[dict[str, Any]]:
        """For the client, as items of the Responses API."""
        return [
            {
                "type": "file_search_call",
                "id": f"fs_{number}_{place}",
                "status": "failed" if found is None or not found.question else "completed",
                "queries": [] if found is None else [found.question],
                "results": [] if found is None else found.results,
            }
            for place, (_, found) in enumerate(self._last)
        ]


def _question(messages: Sequence[ChatMessage]) -> str:
    """What the user said last."""
    content = next((message.content for message in reversed(messages) if message.role == "user"), None) or ""
    return content if isinstance(content, str) else "\n".join(part.text or "" for part in content)


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
