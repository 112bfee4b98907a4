"""The documents as a tool that a chat model may call: what it asks comes back as numbered sources.

Beside a question's path: a model of any server decides that it has to look something up -> *question -> Hits -> text of
a tool message* -> it goes on. The texts are data of others, so they are neutralised and their orders left out, as in a
prompt of ours. What the model then says is not checked here: `RAG.query` does that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pagoda.errors import InvalidRequestError
from pagoda.language import language_of
from pagoda.rag.directives import without_directives
from pagoda.rag.documents.document import Hit
from pagoda.rag.generative.neutralise import neutralised, neutralised_name
from pagoda.rag.pipeline import RAG
from pagoda.rag.query import Where
from pagoda.rag.words import words_in

_QUESTION = "What to look for, as a whole question that can be understood alone, in the words of the user."


class DocumentsTool:
    """Searches an index for a chat model. Threads may share it.

    name: as the model calls it; k: hits of each call; where: what their metadata must be, whatever the model asks for
    """

    def __init__(self, rag: RAG, name: str = "search_documents", *, k: int = 5, where: Where | None = None) -> None:
        self.name = name
        self._rag = rag
        self._k = k
        self._where = where

    @property
    def definition(self) -> dict[str, Any]:
        """As `tools` of a chat request takes it (OpenAI's API)."""
        parameters = {
            "type": "object",
            "properties": {"question": {"type": "string", "description": _QUESTION}},
            "required": ["question"],
            "additionalProperties": False,
        }
        told = "Look something up in the user's documents. Gives numbered passages with their places; cite them as [1]."
        return {"type": "function", "function": {"name": self.name, "description": told, "parameters": parameters}}

    def run(self, arguments: str | Mapping[str, Any]) -> str:
        """What a call gives, for the model: numbered passages, or what is wrong with its arguments.

        arguments: an object, or the JSON of one, as models write it. Raises RagError where the index fails.
        """
        try:
            question = _question(arguments)
            hits = self._rag.retrieve(question, self._k, self._where)
        except InvalidRequestError as error:
            return f"error: {error}"
        kept, _ = without_directives(hits, question)
        told = [f"[{number}] {_place(hit)}\n{neutralised(hit.text)}" for number, hit in enumerate(kept, start=1)]
        return "\n\n".join(told) or words_in(language_of(question)).abstention

    def messages(self, tool_calls: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
        """The tool messages that answer the `tool_calls` of an assistant's message; one for each call."""
        return [
            {"role": "tool", "tool_call_id": str(call["id"]), "content": self._answer(call["function"])}
            for call in tool_calls
        ]

    def _answer(self, function: Mapping[str, Any]) -> str:
        if function["name"] != self.name:
            return f"error: there is no tool {function['name']!r}, only {self.name!r}"
        return self.run(function["arguments"])


def _question(arguments: str | Mapping[str, Any]) -> str:
    """Raises InvalidRequestError for what no call of this tool looks like."""
    try:
        fields = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the arguments are no JSON ({error})") from error
    question = fields.get("question") if isinstance(fields, Mapping) else None
    if not isinstance(question, str):
        raise InvalidRequestError('the arguments are expected to be {"question": "..."}', param="question")
    return question


def _place(hit: Hit) -> str:
    """The file, and where in it, as a person writes it."""
    chunk = hit.chunk
    place = f"page {chunk.page}" if chunk.page is not None else f"line {chunk.line}"
    section = f" ({chunk.section})" if chunk.section else ""
    return neutralised_name(f"{chunk.source}, {place}{section}")
