"""The seam between a chat and the searches that the server runs for it.

Beside the token's path: `openai.rounds` goes on with what a search found, an application does the searching, and
neither imports the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from fastapi import Request

from pagoda.chat.openai_types import FileSearchTool
from pagoda.errors import InvalidParameterError


class FoundText(Protocol):
    """What one search found."""

    @property
    def text(self) -> str:
        """For the model."""
        ...

    @property
    def questions(self) -> tuple[str, ...]:
        """What was asked; none where the call was none."""
        ...

    @property
    def results(self) -> list[dict[str, Any]]:
        """The passages for the client, by number."""
        ...


class HostedSearch(Protocol):
    """The searches of one conversation."""

    async def run(self, arguments: str, said: Sequence[str]) -> FoundText:
        """What the model's arguments find. said: so far, the user's question last. Raises RagError: the index fails."""
        ...

    def shortened(self, found: FoundText) -> FoundText | None:
        """The same without its weakest passage, for a prompt without room; None where there is none to leave out."""
        ...

    async def annotations(self, text: str, question: str) -> list[dict[str, Any]]:
        """Which sentences of the answer which passages bear."""
        ...


OpenSearch = Callable[[Request, FileSearchTool], Awaitable[HostedSearch]]
"""Raises InvalidRequestError for a search that cannot be, and what a caller without the right to it gets."""


async def opened_search(request: Request, tool: FileSearchTool) -> HostedSearch:
    """The search that a request's tool asks for. Raises InvalidParameterError where no documents are served."""
    opener: OpenSearch | None = request.app.state.file_search
    if opener is None:
        raise InvalidParameterError(
            "file_search needs documents, and this server has none: start it with --rag DIR or --collection NAME=DIR, "
            "or leave the tool out",
            param="tools",
        )
    return await opener(request, tool)
