"""A response of the Responses API under way: content and calls become items, and every change becomes an event.

On the token's path: where `chat_stream` stands for chats; `rounds.response` grows one of several generations. One
builder makes the events of a stream and the whole response, so the last event of a stream holds exactly what a client
gets that does not stream. Source: OpenAI's API reference (2025), "Responses" and "Streaming events".
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from pagoda.chat.openai_responses import FOUND, ResponsesChat, ResponsesRequest
from pagoda.chat.responses_tools import OfferedTool, ResponsesTool, custom_text
from pagoda.errors import InvalidRequestError, PagodaError
from pagoda.sampling_params import SamplingParams
from pagoda.server.generation import Caller, Generation, Job
from pagoda.server.openai.chat_stream import ChoiceReader
from pagoda.server.openai.reporting import Usage
from pagoda.server.state import ServerState
from pagoda.server.streaming import event
from pagoda.server.tools.calls import ArgumentsDelta, CallStart, ContentDelta, ToolDelta

Event = dict[str, Any]


class ItemBuilder:
    """Output items, grown piece by piece; each method gives the events of what it did, without sequence numbers."""

    def __init__(
        self, response_id: str, tools: Mapping[str, OfferedTool] | None = None, *, shows_found: bool = False
    ) -> None:
        self.items: list[dict[str, Any]] = []
        self._response_id = response_id
        self._tools = tools or {}
        self._shows_found = shows_found
        self._arguments = ""  # of the open call of a custom tool, whose text they hold
        self._open: dict[str, Any] | None = None

    def add(self, piece: ToolDelta) -> Iterator[Event]:
        """Take the next piece of the answer."""
        if isinstance(piece, ContentDelta):
            if self._open is None or self._open["type"] != "message":
                yield from self._open_message()
            self._part["text"] += piece.text
            yield {"type": "response.output_text.delta", **self._text_place, "delta": piece.text, "logprobs": []}
        elif isinstance(piece, CallStart):
            yield from self._open_call(piece)
        else:
            yield from self._add_arguments(piece)

    def add_search(self, call: Mapping[str, Any]) -> Iterator[Event]:
        """A search of the server's own, which has been made. call: the item; the passages are for who asked for them"""
        item = {**call, "results": call["results"] if self._shows_found else None}
        yield from self._begin({**item, "queries": [], "results": None})
        for name in ("in_progress", "searching", *(["completed"] if call["status"] == "completed" else [])):
            yield {"type": f"response.file_search_call.{name}", **self._place}
        self._open, self.items[-1] = None, item
        yield {"type": "response.output_item.done", "output_index": len(self.items) - 1, "item": item}

    def annotate(self, annotation: Mapping[str, Any]) -> Event:
        """A citation in the last message, which a call behind it may have closed. Places are counted in its text."""
        place = max(index for index, item in enumerate(self.items) if item["type"] == "message")
        annotations = self.items[place]["content"][0]["annotations"]
        annotations.append(dict(annotation))
        return {
            "type": "response.output_text.annotation.added",
            "item_id": self.items[place]["id"],
            "output_index": place,
            "content_index": 0,
            "annotation_index": len(annotations) - 1,
            "annotation": annotations[-1],
        }

    def finish(self, status: str) -> Iterator[Event]:
        """Close what is open; an answer of nothing is a message without text."""
        if not self.items:
            yield from self._open_message()
        yield from self._close(status)

    def _open_message(self) -> Iterator[Event]:
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        yield from self._begin({"id": self._item_id("msg"), "type": "message", "role": "assistant", "content": []})
        yield {"type": "response.content_part.added", **self._text_place, "part": dict(part)}
        assert self._open is not None, "it has just begun"
        self._open["content"].append(part)

    def _open_call(self, start: CallStart) -> Iterator[Event]:
        tool = self._tools.get(start.name)
        names = {"call_id": start.id, "name": start.name if tool is None else tool.name}
        if tool is not None and tool.namespace is not None:
            names["namespace"] = tool.namespace
        if tool is not None and tool.kind == "custom":
            self._arguments = ""
            yield from self._begin({"id": self._item_id("ctc"), "type": "custom_tool_call", **names, "input": ""})
        else:
            yield from self._begin({"id": self._item_id("fc"), "type": "function_call", **names, "arguments": ""})

    def _add_arguments(self, piece: ArgumentsDelta) -> Iterator[Event]:
        """A custom tool's text comes in one piece, at the call's end: until then it is a JSON string cut anywhere."""
        assert self._open is not None, "arguments follow the start of their call"
        if self._open["type"] == "custom_tool_call":
            self._arguments += piece.text
            return
        self._open["arguments"] += piece.text
        yield {"type": "response.function_call_arguments.delta", **self._place, "delta": piece.text}

    def _begin(self, item: dict[str, Any]) -> Iterator[Event]:
        yield from self._close("completed")
        self._open = {**item, "status": "in_progress"}
        self.items.append(self._open)
        copied = {**self._open, "content": []} if item["type"] == "message" else dict(self._open)
        yield {"type": "response.output_item.added", "output_index": len(self.items) - 1, "item": copied}

    def _close(self, status: str) -> Iterator[Event]:
        if self._open is None:
            return
        if self._open["type"] == "message":
            part = self._part
            yield {"type": "response.output_text.done", **self._text_place, "text": part["text"], "logprobs": []}
            yield {"type": "response.content_part.done", **self._text_place, "part": dict(part)}
        elif self._open["type"] == "custom_tool_call":
            text = self._open["input"] = custom_text(self._arguments)
            yield {"type": "response.custom_tool_call_input.delta", **self._place, "delta": text}
            yield {"type": "response.custom_tool_call_input.done", **self._place, "input": text}
        else:
            done = {"name": self._open["name"], "arguments": self._open["arguments"]}
            yield {"type": "response.function_call_arguments.done", **self._place, **done}
        self._open["status"] = status
        yield {"type": "response.output_item.done", "output_index": len(self.items) - 1, "item": self._open}
        self._open = None

    @property
    def _part(self) -> dict[str, Any]:
        assert self._open is not None, "a message is open"
        part: dict[str, Any] = self._open["content"][0]
        return part

    @property
    def _place(self) -> Event:
        return {"item_id": self.items[-1]["id"], "output_index": len(self.items) - 1}

    @property
    def _text_place(self) -> Event:
        return {**self._place, "content_index": 0}

    def _item_id(self, kind: str) -> str:
        return f"{kind}_{self._response_id}_{len(self.items)}"


class GrowingResponse:
    """One response and its events, which are numbered as they are sent; the last one holds all of it."""

    def __init__(
        self, body: ResponsesRequest, offered: Mapping[str, OfferedTool], params: SamplingParams, name: str, own_id: str
    ) -> None:
        self._builder = ItemBuilder(own_id, offered, shows_found=FOUND in (body.include or ()))
        self._head = {"id": f"resp_{own_id}", "object": "response", "created_at": int(time.time())}
        self._settings = {**_settings(body, params), "model": name}
        self._num_events = 0

    def begun(self) -> Iterator[Event]:
        """What stands before the first item."""
        yield {"type": "response.created", "response": self._response("in_progress")}
        yield {"type": "response.in_progress", "response": self._response("in_progress")}

    def take(self, piece: ToolDelta) -> Iterator[Event]:
        """The next piece of the answer."""
        return self._builder.add(piece)

    def searched(self, calls: Iterable[Mapping[str, Any]]) -> Iterator[Event]:
        """Searches that the server made."""
        for call in calls:
            yield from self._builder.add_search(call)

    def cited(self, annotations: Iterable[Mapping[str, Any]]) -> Iterator[Event]:
        """What stands in the documents of the last message."""
        for annotation in annotations:
            yield self._builder.annotate(annotation)

    def ended(self, finish_reason: str | None, usage: Usage) -> Iterator[Event]:
        """The end, with the whole response."""
        status = "incomplete" if finish_reason == "length" else "completed"
        yield from self._builder.finish(status)
        yield {"type": f"response.{status}", "response": self._response(status, usage=_usage(usage))}

    async def sent(self, changes: AsyncGenerator[Event]) -> AsyncGenerator[bytes]:
        """Events as they go out; where the answer cannot be finished, the last of them says why."""
        try:
            async with aclosing(changes):
                async for change in changes:
                    yield self._numbered(change)
        except PagodaError as error:
            # Of OpenAI's codes, the one that says that the request itself is to blame.
            code = "invalid_prompt" if isinstance(error, InvalidRequestError) else "server_error"
            failure = {"code": code, "message": str(error)}
            yield self._numbered({"type": "response.failed", "response": self._response("failed", error=failure)})

    def _numbered(self, change: Event) -> bytes:
        numbered = {**change, "sequence_number": self._num_events}
        self._num_events += 1
        return event(numbered, name=change["type"])

    def _response(
        self, status: str, *, error: dict[str, Any] | None = None, usage: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            **self._head,
            **self._settings,
            "status": status,
            "error": error,
            "incomplete_details": cut,
            "output": [] if status == "in_progress" else self._builder.items,
            "usage": usage,
        }


class ResponseAnswer:
    """The answer to one request, of one generation: an `ApiAnswer`."""

    def __init__(
        self, chat: ResponsesChat, job: Job, state: ServerState, caller: Caller, response: GrowingResponse
    ) -> None:
        self._job, self._state, self._caller, self._response = job, state, caller, response
        self._reader = ChoiceReader(chat.request, job.params, state)

    async def whole(self) -> dict[str, Any]:
        """The response in one piece."""
        async with self._state.generate(self._caller, [self._job]) as generation:
            return await whole_response(self._changes(generation))

    def events(self, generation: Generation) -> AsyncGenerator[bytes]:
        """The response as events."""
        return self._response.sent(self._changes(generation))

    async def _changes(self, generation: Generation) -> AsyncGenerator[Event]:
        usage = Usage(generation.num_prompt_tokens)
        for change in self._response.begun():
            yield change
        reason: str | None = None
        async for job, output in generation.outputs():
            usage.add(job, output)
            for completion in output.outputs:
                reason = completion.finish_reason
                for piece in self._reader.pieces(completion):
                    for change in self._response.take(piece):
                        yield change
        for change in self._response.ended(reason, usage):
            yield change


async def whole_response(changes: AsyncGenerator[Event]) -> dict[str, Any]:
    """What the last event holds."""
    async with aclosing(changes):
        *_, last = [change async for change in changes]
    response: dict[str, Any] = last["response"]
    return response


def _settings(body: ResponsesRequest, params: SamplingParams) -> dict[str, Any]:
    """The request's settings, which a response repeats."""
    text = {"type": "text"}
    if body.text is not None and body.text.format is not None:
        text = body.text.format.model_dump(by_alias=True, exclude_none=True)
    return {
        "background": False,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": params.temperature,
        "text": {"format": text},
        "tool_choice": body.tool_choice or "auto",
        "tools": [_tool(tool) for tool in body.tools or []],
        "top_p": params.top_p,
        "truncation": "disabled",
        "user": body.user,
    }


def _tool(tool: ResponsesTool) -> dict[str, Any]:
    """As it came, with the fields that clients expect of a function."""
    expected = {"parameters": None, "strict": None} if tool.type == "function" else {}
    return {**expected, **tool.model_dump(exclude_unset=True)}


def _usage(usage: Usage) -> dict[str, Any]:
    """Token counts under the names of this API."""
    counts = usage.as_dict()
    return {
        "input_tokens": counts["prompt_tokens"],
        "input_tokens_details": counts["prompt_tokens_details"],
        "output_tokens": counts["completion_tokens"],
        "output_tokens_details": counts["completion_tokens_details"],
        "total_tokens": counts["total_tokens"],
    }
