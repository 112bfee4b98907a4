"""A chat's answer under way: the engine's outputs become chunks of a stream, or the whole of it.

On the token's path: after `server.generation`, before the events. Tool calls are read out of the text here. A whole
answer is put together from the same deltas that a stream sends, so the two cannot differ. Order and form of the chunks
are OpenAI's: the role first, then deltas, then an empty delta with the reason of the end, each choice for itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any

from pagoda.chat.openai_types import ChatCompletionRequest, NamedToolChoice
from pagoda.engine.outputs import CompletionOutput, RequestOutput
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import SamplingParams
from pagoda.server.aside.answers import is_long
from pagoda.server.generation import Caller, Generation, Job
from pagoda.server.openai.chat_prompt import form_of
from pagoda.server.openai.reporting import Usage, chat_logprobs, head, prompt_logprobs, timings
from pagoda.server.state import ServerState
from pagoda.server.streaming import event
from pagoda.server.tools.calls import ArgumentsDelta, CallStart, ContentDelta, ToolCallParser, ToolDelta
from pagoda.server.tools.formats import chosen_tools, is_forced


class ChoiceReader:
    """Reads one choice: its text comes in, content and calls go out."""

    def __init__(self, body: ChatCompletionRequest, params: SamplingParams, state: ServerState) -> None:
        self._named = isinstance(body.tool_choice, NamedToolChoice)
        self._parser: ToolCallParser | None = None
        self._hidden_end: Tokenizer | None = None
        if not body.tools or body.tool_choice == "none":
            return
        names = [tool.function.name for tool in chosen_tools(body.tools, body.tool_choice)]
        self._parser = ToolCallParser(form_of(state), names, forced=is_forced(body.tool_choice))
        if not params.skip_special_tokens and body.skip_special_tokens is not False:
            self._hidden_end = state.tokenizer

    def pieces(self, completion: CompletionOutput) -> list[ToolDelta]:
        """What is new."""
        text = self._without_end_token(completion)
        if self._parser is None:
            return [ContentDelta(text)] if text else []
        return self._parser.push(text, finished=completion.finished(), cut=completion.finish_reason == "length")

    def finish_reason(self, reason: str | None) -> str | None:
        """OpenAI's word: a call ends with tool_calls, one that the client named with stop."""
        called = self._parser is not None and self._parser.num_calls > 0
        return "tool_calls" if reason == "stop" and called and not self._named else reason

    def _without_end_token(self, completion: CompletionOutput) -> str:
        """Special tokens are shown to the parser alone, so the one that ends the answer is taken away again."""
        stopped_by_token = completion.finish_reason == "stop" and not isinstance(completion.stop_reason, str)
        if self._hidden_end is None or not stopped_by_token or not completion.token_ids:
            return completion.text
        return completion.text.removesuffix(self._hidden_end.token_text(completion.token_ids[-1]))


def message_delta(pieces: Iterable[ToolDelta]) -> dict[str, Any]:
    """Pieces as OpenAI's delta; empty where there are none."""
    delta: dict[str, Any] = {}
    for piece in pieces:
        if isinstance(piece, ContentDelta):
            delta["content"] = delta.get("content", "") + piece.text
        elif isinstance(piece, CallStart):
            function = {"name": piece.name, "arguments": ""}
            call = {"index": piece.index, "id": piece.id, "type": "function", "function": function}
            delta.setdefault("tool_calls", []).append(call)
        else:
            _add_arguments(delta.setdefault("tool_calls", []), piece)
    return delta


def _add_arguments(calls: list[dict[str, Any]], piece: ArgumentsDelta) -> None:
    """To the call's entry of this delta, which has neither id nor name where an earlier delta had them."""
    if not calls or calls[-1]["index"] != piece.index:
        calls.append({"index": piece.index, "function": {"arguments": ""}})
    calls[-1]["function"]["arguments"] += piece.text


class ChatCompletionAnswer:
    """The answer to one request."""

    def __init__(self, body: ChatCompletionRequest, job: Job, state: ServerState, name: str, caller: Caller) -> None:
        self._body, self._job, self._state, self._caller = body, job, state, caller
        self._head = head(f"chatcmpl-{caller.request_id}", "chat.completion.chunk", name)
        self._readers = [ChoiceReader(body, job.params, state) for _ in range(job.params.n)]
        self._opening = _final_text(body) if body.echo else ""

    async def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        choices: dict[int, dict[str, Any]] = {}
        beside: dict[str, Any] = {}
        async with self._state.generate(self._caller, [self._job]) as generation:
            usage = Usage(generation.num_prompt_tokens)
            async for job, output in generation.outputs():
                usage.add(job, output)
                run = self._state.aside.run_if
                told, extra = await run(self._is_long(output), self._told, output, generation)
                choices |= told
                beside |= extra
        ordered = [choices[index] for index in sorted(choices)]
        return {**self._head, "object": "chat.completion", "choices": ordered, "usage": usage.as_dict(), **beside}

    async def events(self, generation: Generation) -> AsyncGenerator[bytes]:
        """The answer as events."""
        options, usage = self._body.stream_options, Usage(generation.num_prompt_tokens)
        for index in range(len(self._readers)):
            yield self._event(chunk(index, {"role": "assistant", "content": self._opening}), usage)
        async for job, output in generation.outputs():
            usage.add(job, output)
            long = self._is_long(output)
            if data := await self._state.aside.run_if(long, self._data, output, generation, usage, long):
                yield data
        if options is not None and options.include_usage:
            yield event({**self._head, "choices": [], "usage": usage.as_dict()})

    def _is_long(self, output: RequestOutput) -> bool:
        return is_long(output, with_prompt=self._body.return_token_ids)

    def _told(self, output: RequestOutput, generation: Generation) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
        """Choices by index, and what stands beside them."""
        choices = {completion.index: self._whole_choice(completion) for completion in output.outputs}
        return choices, self._beside(output, generation)

    def _data(self, output: RequestOutput, generation: Generation, usage: Usage, long: bool) -> bytes:
        """The events of an output, perhaps none."""
        extra = self._beside(output, generation)
        return b"".join(self._event(chunk, usage, long=long, **extra) for chunk in self._chunks(output))

    def _event(self, chunk: dict[str, Any], usage: Usage, *, long: bool = False, **extra: Any) -> bytes:
        """One event for each choice, since clients read choices[0]."""
        beside = usage.beside_chunk(self._body.stream_options)
        return event({**self._head, "choices": [chunk], **extra, **beside}, long=long)

    def _chunks(self, output: RequestOutput) -> Iterator[dict[str, Any]]:
        for completion in output.outputs:
            reader = self._readers[completion.index]
            delta = message_delta(reader.pieces(completion))
            logprobs = self._logprobs(completion) if completion.token_ids else None
            if delta or logprobs or (self._body.return_token_ids and completion.token_ids):
                yield chunk(completion.index, delta, logprobs) | self._ids(completion)
            if completion.finished():
                reason = reader.finish_reason(completion.finish_reason)
                last = chunk(completion.index, {}, finish_reason=reason)
                yield {**last, "stop_reason": completion.stop_reason}

    def _whole_choice(self, completion: CompletionOutput) -> dict[str, Any]:
        reader = self._readers[completion.index]
        delta = message_delta(reader.pieces(completion))
        calls = delta.get("tool_calls")
        content = self._opening + delta.get("content", "")
        message: dict[str, Any] = {"role": "assistant", "content": content or (None if calls else ""), "refusal": None}
        if calls:
            message["tool_calls"] = [{k: v for k, v in call.items() if k != "index"} for call in calls]
        return {
            "index": completion.index,
            "message": message,
            "logprobs": self._logprobs(completion),
            "finish_reason": reader.finish_reason(completion.finish_reason),
            "stop_reason": completion.stop_reason,
        } | self._ids(completion)

    def _logprobs(self, completion: CompletionOutput) -> dict[str, Any] | None:
        if completion.logprobs is None:
            return None
        count = self._body.top_logprobs or 0
        content = chat_logprobs(self._state.tokenizer, completion.token_ids, completion.logprobs, count)
        return {"content": content, "refusal": None}

    def _ids(self, completion: CompletionOutput) -> dict[str, Any]:
        return {"token_ids": list(completion.token_ids)} if self._body.return_token_ids else {}

    def _beside(self, output: RequestOutput, generation: Generation) -> dict[str, Any]:
        """What a client may ask for beside the choices."""
        found: dict[str, Any] = {}
        if output.prompt_logprobs is not None:
            found["prompt_logprobs"] = prompt_logprobs(output.prompt_logprobs)
        if output.finished and self._body.return_token_ids:
            found["prompt_token_ids"] = generation.streams[0].prompt_token_ids
        if output.finished and self._body.return_timings:
            found["timings"] = timings(output.metrics, output.num_cached_tokens)
        return found


def _final_text(body: ChatCompletionRequest) -> str:
    """What an answer that echoes begins with: the last message, where the model goes on with it."""
    last = body.messages[-1]
    if last.role != "assistant" or last.content is None:
        return ""
    return last.content if isinstance(last.content, str) else "\n".join(part.text or "" for part in last.content)


def chunk(
    index: int, delta: dict[str, Any], logprobs: dict[str, Any] | None = None, finish_reason: str | None = None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
