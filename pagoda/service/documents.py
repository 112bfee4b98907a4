"""Documents as the dialogue asks them: a cited answer, or nothing where they hold none or are not sure enough.

Between the dialogue and retrieval: *question -> Answer -> Answered with its places*. What a page needs to show a
citation is kept with the turn.
"""

from __future__ import annotations

from pagoda.dialogue.turn.elsewhere import Answered, Documents
from pagoda.rag.answer import Answer
from pagoda.rag.pipeline import RAG


def documents_of(rag: RAG) -> Documents:
    """Questions to an index, for an agent. What is sure enough is the answerer's to say, whose threshold is fitted."""

    def ask(question: str) -> Answered | None:
        found = rag.query(question)
        if found.abstained or not found.citations:
            return None
        return Answered(found.text, "documents", _places(found))

    return ask


def _places(found: Answer) -> dict[str, object]:
    """The citations, in JSON's types."""
    cited = [
        {
            "number": each.number,
            "source": each.source,
            "line": each.marked_line or each.line,
            "page": each.marked_page or each.page,
            "quote": each.quote,
        }
        for each in found.citations
    ]
    return {"confidence": round(found.confidence, 4), "citations": cited}
