"""A customer service desk: tasks go to the graph, questions to the documents, the rest to a person.

    python examples/customer_service/desk.py                  talk to it
    python examples/customer_service/desk.py --hand-offs      what waits for a person

Joins two halves that do not know each other: `DialogueAgent` takes a callable for questions that are none of its tasks,
and `RAG` answers them with its sources or says that the documents hold no answer. Then the conversation is handed over,
with what was said and understood so far.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pagoda.dialogue import DialogueAgent
from pagoda.rag import RAG

HANDBOOK = Path(__file__).resolve().parents[1] / "handbook"
# Below it a quotation is more likely beside the point than an answer.
LEAST_CONFIDENCE = 0.5


def documents_of(rag: RAG) -> Callable[[str], str | None]:
    """Questions to documents: the answer with its sources, or None where they hold none."""

    def answer(question: str) -> str | None:
        found = rag.query(question)
        if found.abstained or found.confidence < LEAST_CONFIDENCE:
            return None
        sources = ", ".join(dict.fromkeys(citation.source for citation in found.citations))
        return f"{found.text} ({sources})" if sources else found.text

    return answer


def desk(folder: Path) -> tuple[RAG, DialogueAgent]:
    """Both halves, everything that they keep in one folder. Close both."""
    rag = RAG(folder / "documents")
    rag.add([HANDBOOK])
    return rag, DialogueAgent(folder=folder, documents=documents_of(rag))


def main() -> None:
    """Talk until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("customer-service"))
    parser.add_argument("--session", default="counter-1")
    parser.add_argument("--hand-offs", action="store_true", help="print conversations that wait for a person")
    options = parser.parse_args()
    rag, agent = desk(options.folder)
    with rag, agent:
        if options.hand_offs:
            for waiting in agent.sessions.hand_offs():
                print(json.dumps(asdict(waiting), ensure_ascii=False))
            return
        while True:
            try:
                print(agent.reply(options.session, input("> ")).text)
            except EOFError:
                return


if __name__ == "__main__":
    main()
