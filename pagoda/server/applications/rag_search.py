"""A collection as the tool `file_search` of a chat: rights, filters and passages in OpenAI's terms.

Between `openai.rounds` and `rag.tool`. Searching and the check of sentences run in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Request

from pagoda.chat.openai_types import FileSearchTool
from pagoda.errors import InvalidParameterError, InvalidRequestError
from pagoda.server.applications.application import service_of
from pagoda.server.applications.rag_collections import RagCollections
from pagoda.server.errors import ModelNotFoundError
from pagoda.server.tools.hosted import FoundText

if TYPE_CHECKING:
    from pagoda.rag.generative.citations import CitedSpan
    from pagoda.rag.generative.source import Source
    from pagoda.rag.tool import LookedUp, Lookups

_DEFAULT_RESULTS = 5
_COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
_COMPOUNDS = ("and", "or")
_MAX_DEPTH = 8


async def open_search(request: Request, tool: FileSearchTool) -> RagSearch:
    """The search of the collection that a tool names. Raises InvalidRequestError, and what `RagCollections` does."""
    names = tool.vector_store_ids or [""]
    if len(names) > 1:
        raise InvalidParameterError(
            f"vector_store_ids names {len(names)} collections, but one is searched: name one", param="vector_store_ids"
        )
    try:
        service = service_of(request.app, RagCollections).opened(request, names[0], "read")
    except ModelNotFoundError as error:
        raise ModelNotFoundError(str(error), param="vector_store_ids") from error
    k = _DEFAULT_RESULTS if tool.max_num_results is None else tool.max_num_results
    found = await service.tool(k, None if tool.filters is None else where_of(tool.filters))
    try:
        found.check()
    except InvalidRequestError as error:
        field = "max_num_results" if error.param == "k" else "filters"
        raise InvalidParameterError(f"{field} of file_search: {error}", param=field) from error
    return RagSearch(found.lookups())


def where_of(filters: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """OpenAI's filters as those of `/v1/rag`. Raises InvalidParameterError.

    >>> where_of({"type": "and", "filters": [{"type": "gte", "key": "version", "value": "1.9"}]})
    {'$and': [{'version': {'$gte': '1.9'}}]}
    """
    kind, key, parts = filters.get("type"), filters.get("key"), filters.get("filters")
    if kind in _COMPARISONS and isinstance(key, str) and not key.startswith("$") and "value" in filters:
        return {key: {f"${kind}": filters["value"]}}
    is_list = isinstance(parts, list) and all(isinstance(part, Mapping) for part in parts)
    if kind in _COMPOUNDS and is_list and depth < _MAX_DEPTH:
        return {f"${kind}": [where_of(part, depth + 1) for part in parts or []]}
    raise InvalidParameterError(
        f'filters holds {dict(filters)!r:.80}, expected {{"type": "eq", "key": ..., "value": ...}} with one of '
        f'{", ".join(_COMPARISONS)}, or {{"type": "and" or "or", "filters": [...]}} of at most {_MAX_DEPTH} levels',
        param="filters",
    )


@dataclass(frozen=True)
class Passages:
    """What one search found, as the client is told of it."""

    found: LookedUp

    @property
    def text(self) -> str:
        """For the model."""
        return self.found.text

    @property
    def questions(self) -> tuple[str, ...]:
        """What was asked."""
        return self.found.questions

    @property
    def results(self) -> list[dict[str, Any]]:
        """The passages, by number."""
        return [_result(source) for source, _ in self.found.passages]


class RagSearch:
    """The searches of one conversation in one collection: a `HostedSearch`."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    async def run(self, arguments: str, said: Sequence[str]) -> Passages:
        """What the model's arguments find. Raises RagError where the index fails."""
        return Passages(await asyncio.to_thread(self._lookups.run, arguments, said))

    def shortened(self, found: FoundText) -> Passages | None:
        """The same without its weakest passage; None where there is none."""
        assert isinstance(found, Passages), "made by `run`"
        return Passages(self._lookups.shortened(found.found)) if found.found.passages else None

    async def annotations(self, text: str, question: str) -> list[dict[str, Any]]:
        """Which sentences of the answer which passages bear."""
        spans = await asyncio.to_thread(self._lookups.cited, text, question)
        return [_annotation(span) for span in spans]


def _result(source: Source) -> dict[str, Any]:
    chunk = source.chunks[0]
    place = {"line": chunk.line, "page": chunk.page, "section": chunk.section}
    names = {"number": source.number, "file_id": chunk.source, "filename": chunk.source, "score": source.score}
    return {**names, "text": chunk.text, **place}


def _annotation(span: CitedSpan) -> dict[str, Any]:
    """As OpenAI's chats carry what was cited, with the place in the document that /v1/rag/documents shows."""
    cited = span.citation
    place = {name: getattr(cited, name) for name in ("number", "quote", "start", "end", "line", "page", "section")}
    citation = {"file_id": cited.source, "filename": cited.source, **place}
    return {
        "type": "file_citation",
        "start_index": span.start,
        "end_index": span.end,
        "file_citation": citation,
    }
