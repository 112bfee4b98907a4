"""The documents as a tool that a chat model may call: what it asks comes back as numbered sources.

Beside a question's path: a model of any server decides that it has to look something up -> *question -> Hits -> text of
a tool message* -> it goes on. The texts are data of others, so they are neutralised and their orders left out, as in a
prompt of ours. What the model then says is its own; `Lookups.cited` tells which of its sentences the sources bear, and
`RAG.query` answers with nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from pagoda.chat.file_search import SEARCH_NAME, search_function
from pagoda.errors import InvalidRequestError
from pagoda.language import language_of
from pagoda.rag.content_words import content, content_asked
from pagoda.rag.directives import without_directives
from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.generative.citations import CitedSpan, cited_spans
from pagoda.rag.generative.neutralise import neutralised, neutralised_name
from pagoda.rag.generative.source import Source
from pagoda.rag.generative.support import SupportCheck
from pagoda.rag.inputs import check_question
from pagoda.rag.pipeline import RAG, check_k
from pagoda.rag.query import Where
from pagoda.rag.retrieval.filters import filter_of
from pagoda.rag.words import words_in

_AGAIN = "(as above)"
_NO_ROOM = "error: there are passages on this, but no room for them in the conversation"


@dataclass(frozen=True)
class LookedUp:
    """What one call found.

    questions: what was looked for, none where the call was none
    passages: as the model reads them, under the numbers of their sources
    nothing: what the model is told where there are no passages
    """

    questions: tuple[str, ...]
    passages: tuple[tuple[Source, str], ...] = ()
    nothing: str = ""

    @property
    def text(self) -> str:
        """For the model."""
        return "\n\n".join(f"[{source.number}] {told}" for source, told in self.passages) or self.nothing


class DocumentsTool:
    """Searches an index for a chat model. Threads may share it.

    name: as the model calls it; k: hits of each call; where: what their metadata must be, whatever the model asks for
    """

    def __init__(self, rag: RAG, name: str = SEARCH_NAME, *, k: int = 5, where: Where | None = None) -> None:
        self.name = name
        self._rag = rag
        self._k = k
        self._where = where

    @property
    def definition(self) -> dict[str, Any]:
        """As `tools` of a chat request takes it (OpenAI's API)."""
        return search_function(self.name)

    def run(self, arguments: str | Mapping[str, Any]) -> str:
        """What a call gives, for the model: numbered passages, or what is wrong with its arguments.

        arguments: an object, or the JSON of one, as models write it. Raises RagError where the index fails.
        """
        return self.lookups().run(arguments).text

    def lookups(self) -> Lookups:
        """The calls of one conversation, whose passages are numbered through."""
        return Lookups(self)

    def messages(self, tool_calls: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
        """The tool messages that answer the `tool_calls` of an assistant's message; one for each call."""
        return [
            {"role": "tool", "tool_call_id": str(call["id"]), "content": self._answer(call["function"])}
            for call in tool_calls
        ]

    def check(self) -> None:
        """Raises InvalidRequestError for a number of hits or a filter that no call can be answered with."""
        check_k(self._k)
        filter_of(self._where)

    def found(self, question: str) -> list[Hit]:
        """The hits of a question without what gives orders. Raises InvalidRequestError, RagError."""
        return without_directives(self._rag.retrieve(question, self._k, self._where), question)[0]

    @property
    def support(self) -> SupportCheck:
        """The check of sentences that this index's answers go through."""
        return self._rag.support

    def _answer(self, function: Mapping[str, Any]) -> str:
        if function["name"] != self.name:
            return f"error: there is no tool {function['name']!r}, only {self.name!r}"
        return self.run(function["arguments"])


class Lookups:
    """The calls of one conversation: a passage keeps its number from call to call, and is shown once.

    What was asked before is not searched for again: the index may change meanwhile, and an answer rests on one.
    """

    def __init__(self, tool: DocumentsTool) -> None:
        self._tool = tool
        self._numbers: dict[str, int] = {}
        self._found: dict[str, list[Hit]] = {}
        self.sources: list[Source] = []

    def run(self, arguments: str | Mapping[str, Any], said: Sequence[str] = ()) -> LookedUp:
        """What a call gives. Raises RagError where the index fails.

        said: the conversation so far, the user's question last. A model that was made to call writes a question of its
        own invention, or the tool's description; where no word of the conversation is in it, the user's question is
        looked for as well. A translated question is one of these, so that it is not left out.
        """
        try:
            question = _question(arguments)
            asked = (question,) if _speaks_of(question, said) else (question, *_searchable(said[-1:]))
            hits = _in_turn([self._hits(each) for each in asked])
        except InvalidRequestError as error:
            return LookedUp((), nothing=f"error: {error}")
        passages = tuple(self._passage(hit) for hit in hits)
        return LookedUp(asked, passages, words_in(language_of(asked[-1])).abstention)

    def shortened(self, found: LookedUp) -> LookedUp:
        """Without its weakest passage, which no prompt has room for, and which is not known any more."""
        source, told = found.passages[-1]
        if not told.endswith(_AGAIN):
            del self._numbers[source.chunks[0].chunk_id]
        return replace(found, passages=found.passages[:-1], nothing=_NO_ROOM)

    def cited(self, text: str, question: str) -> list[CitedSpan]:
        """The sentences of a text that passages bear which were shown."""
        sources = [self.sources[number - 1] for number in self._numbers.values()]
        return cited_spans(text, question, sources, self._tool.support) if sources else []

    def _hits(self, question: str) -> list[Hit]:
        asked = " ".join(question.split()).casefold()
        if asked not in self._found:
            self._found[asked] = self._tool.found(question)
        return self._found[asked]

    def _passage(self, hit: Hit) -> tuple[Source, str]:
        chunk, known = hit.chunk, self._numbers.get(hit.chunk.chunk_id)
        if known is not None:
            return self.sources[known - 1], f"{_place(chunk)} {_AGAIN}"
        source = Source(len(self.sources) + 1, (chunk,), float(hit.score))
        self._numbers[chunk.chunk_id] = source.number
        self.sources.append(source)
        return source, f"{_place(chunk)}\n{neutralised(chunk.text)}"


def _question(arguments: str | Mapping[str, Any]) -> str:
    """Raises InvalidRequestError for what no call of this tool looks like."""
    try:
        fields = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the arguments are no JSON that can be read ({error})") from error
    question = fields.get("question") if isinstance(fields, Mapping) else None
    if not isinstance(question, str):
        raise InvalidRequestError('the arguments are expected to be {"question": "..."}', param="question")
    return question


def _speaks_of(question: str, said: Sequence[str]) -> bool:
    """Whether it has a word of what was said, if anything was, those that every question asks with aside."""
    return not said or not content_asked(question).isdisjoint(content("\n".join(said)))


def _searchable(said: Sequence[str]) -> list[str]:
    """Those that can be looked for: a pasted page, or a message of nothing but a picture, cannot."""
    found = []
    for each in said:
        with suppress(InvalidRequestError):
            check_question(each)
            found.append(each)
    return found


def _in_turn(found: Sequence[list[Hit]]) -> list[Hit]:
    """The best of each, the second of each and so on, each chunk once, as many as the longest has."""
    in_turn = {hit.chunk.chunk_id: hit for hits in zip_longest(*found) for hit in hits if hit is not None}
    return list(in_turn.values())[: max(map(len, found))]


def _place(chunk: Chunk) -> str:
    """The file, and where in it, as a person writes it."""
    place = f"page {chunk.page}" if chunk.page is not None else f"line {chunk.line}"
    section = f" ({chunk.section})" if chunk.section else ""
    return neutralised_name(f"{chunk.source}, {place}{section}")
