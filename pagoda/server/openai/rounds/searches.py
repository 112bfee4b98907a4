"""The searches of one request: what was asked, what was found, and how the model and the client are told of it.

Beside `rounds`, which goes on with what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pagoda.chat.file_search import search_arguments
from pagoda.chat.openai_types import ChatMessage
from pagoda.language import language_of
from pagoda.server.tools.calls import JoinedCall
from pagoda.server.tools.hosted import FoundText, HostedSearch

_NO_MORE = "error: no further search is possible: answer with what was found"
_ANSWER_NOW = {
    "en": "Answer the question from these passages now, in a sentence or two.",
    "zh": "现在请根据以上内容用一两句话回答问题。",
}
"""Stands behind what the last search found: small models write another call otherwise, even where none is offered."""


class Searches:
    """The searches of a request: how many are left, and what those of the last round found.

    A round that only asks what was asked before is the last: a model that goes in circles finds nothing new.
    """

    def __init__(self, num_left: int, request_id: str) -> None:
        self.num_left = num_left
        self._request_id = request_id
        self.num_begun = 0
        self._asked: set[str] = set()
        self._last: list[tuple[JoinedCall, FoundText | None]] = []

    async def run(self, search: HostedSearch, calls: Sequence[JoinedCall], said: Sequence[str]) -> None:
        """Make them, as many as are left. said: what the client's messages say, the user's question last"""
        self._last = []
        for call in calls:
            found = await search.run(call.arguments, said) if self.num_left else None
            self.num_left -= found is not None
            self.num_begun += 1
            self._last.append((call, found))
        asked = [question for _, found in self._last if found is not None for question in found.questions]
        if asked and self._asked.issuperset(asked):
            self.num_left = 0
        self._asked.update(asked)

    def calls(self) -> list[JoinedCall]:
        """The last round's, as the model is told that it made them.

        Where the user's question was looked for as well, it is that one: a small model that reads a question of its own
        invention above the passages answers it instead.
        """
        joined = [() if found is None else found.questions[1:] for _, found in self._last]
        return [
            call._replace(arguments=search_arguments(asked[0])) if asked else call
            for (call, _), asked in zip(self._last, joined, strict=True)
        ]

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
                "id": f"fs_{self._request_id}_{number}_{place}",
                "status": "failed" if found is None or not found.questions else "completed",
                "queries": [] if found is None else list(found.questions),
                "results": [] if found is None else found.results,
            }
            for place, (_, found) in enumerate(self._last)
        ]
