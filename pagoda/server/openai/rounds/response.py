"""A response of the Responses API whose model may search: the rounds' pieces as items and events.

On the token's path: where `responses_stream.ResponseAnswer` stands for responses of one generation. The text of each
round is a message of its own, the searches stand between them. Source: OpenAI's API reference (2025), "File search".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from pagoda.server.generation import Job
from pagoda.server.openai.responses_stream import Event, GrowingResponse, whole_response
from pagoda.server.openai.rounds.rounds import ChatRounds, Cited, Searched
from pagoda.server.tools.calls import ToolDelta

Pieces = AsyncGenerator[list[ToolDelta] | Searched | Cited]


class ResponseInRounds:
    """The answer to one request: a `RoundsAnswer`.

    begin: the response, once the first job tells its settings; named: a job in the names of the client's request
    """

    def __init__(
        self, rounds: ChatRounds, begin: Callable[[Job], GrowingResponse], named: Callable[[Job], Job]
    ) -> None:
        self._rounds, self._begin, self._named = rounds, begin, named

    async def first_job(self) -> Job:
        """The job of the first round. Raises InvalidRequestError."""
        job = await self._rounds.first_job()
        self._response = self._begin(job)
        return self._named(job)

    async def whole(self) -> dict[str, Any]:
        """The response in one piece."""
        return await whole_response(self._changes(self._rounds.pieces()))

    async def events(self) -> AsyncGenerator[bytes]:
        """The response as events; what the engine refuses of the first round is raised and is none of them."""
        async with aclosing(self._rounds.pieces()) as pieces:
            await anext(pieces)
            async with aclosing(self._response.sent(self._changes(pieces))) as events:
                async for each in events:
                    yield each

    async def _changes(self, pieces: Pieces) -> AsyncGenerator[Event]:
        for change in self._response.begun():
            yield change
        async with aclosing(pieces):
            async for told in pieces:
                for change in self._of(told):
                    yield change
        for change in self._response.ended(self._rounds.finish_reason, self._rounds.usage):
            yield change

    def _of(self, told: list[ToolDelta] | Searched | Cited) -> Iterator[Event]:
        if isinstance(told, Searched):
            yield from self._response.searched(told.calls)
        elif isinstance(told, Cited):
            yield from self._response.cited(map(_annotation, told.annotations))
        else:
            for piece in told:
                yield from self._response.take(piece)


def _annotation(chats: Mapping[str, Any]) -> dict[str, Any]:
    """A chat's annotation in the form of this API, which has one level and one place, the end of what it is of."""
    places = {"index": chats["end_index"], "start_index": chats["start_index"], "end_index": chats["end_index"]}
    return {"type": chats["type"], **chats["file_citation"], **places}
