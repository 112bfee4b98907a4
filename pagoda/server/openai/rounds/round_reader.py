"""What a model says in one round: the client's text and calls apart from the searches.

On the token's path: between `chat_stream.ChoiceReader` and `rounds`.
"""

from __future__ import annotations

from dataclasses import replace

from pagoda.chat.file_search import SEARCH_NAME
from pagoda.chat.openai_types import ChatCompletionRequest
from pagoda.engine.outputs import CompletionOutput
from pagoda.server.generation import Job
from pagoda.server.openai.chat_stream import ChoiceReader
from pagoda.server.state import ServerState
from pagoda.server.tools.calls import CallStart, ContentDelta, JoinedCall, ToolDelta


class RoundReader:
    """What the model says in one round.

    opens: whether nothing was said before; the blanks before its text belong to it then
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
            text = piece.text if self._opens or self.content else piece.text.lstrip()
            self.content += text
            return [ContentDelta(text)] if text else []
        if isinstance(piece, CallStart) and piece.name == SEARCH_NAME:
            self.searches.append(JoinedCall(piece.id, piece.name, ""))
            return []
        if isinstance(piece, CallStart):
            self._own[piece.index] = len(self._own)
        elif piece.index not in self._own:
            self.searches[-1] = self.searches[-1]._replace(arguments=self.searches[-1].arguments + piece.text)
            return []
        return [replace(piece, index=self._own[piece.index])]
