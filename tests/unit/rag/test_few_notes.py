"""A handful of notes, which is what a person tries first: plain questions are answered and surely, others are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pagoda.rag import RAG

pytest.importorskip("chromadb", reason="needs the rag extra")

NOTES = {
    "repairs.md": "# Repairs\n\nRepairs are guaranteed for six months.\n",
    "handbook.md": (
        "# Leave\n\nEmployees get 25 days of paid leave a year. Unused days expire in March.\n\n"
        "# Expenses\n\nReceipts must be handed in within 30 days. Meals are refunded up to 40 euros a day.\n\n"
        "# Office\n\nThe office opens at 8 and closes at 19. Dogs are allowed on Fridays.\n"
    ),
    "boiler.txt": (
        "The boiler was serviced on 3 March 2024 by Ann Lee.\nThe wifi password is tulip-77.\n"
        "Recycling is collected every second Tuesday.\n"
    ),
}
SURE = 0.5
"""What the service desk asks for."""


def asking(folder: Path, names: list[str]) -> RAG:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(NOTES[name], encoding="utf-8")
    rag = RAG(folder.with_name(f"{folder.name}-index"))
    rag.add([folder])
    return rag


@pytest.fixture(scope="module", params=[["repairs.md"], ["handbook.md"], ["boiler.txt"], [*NOTES]], ids=len)
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RAG, list[str]]]:
    rag = asking(tmp_path_factory.mktemp("few") / "notes", request.param)
    yield rag, request.param
    rag.close()


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("repairs.md", "How long are repairs guaranteed?", "six months"),
        ("handbook.md", "How many days of leave do I get?", "25 days"),
        ("handbook.md", "When do unused days expire?", "in March"),
        ("handbook.md", "How long do I have to hand in receipts?", "within 30 days"),
        ("handbook.md", "When does the office close?", "closes at 19"),
        ("boiler.txt", "What is the wifi password?", "tulip-77"),
        ("boiler.txt", "When was the boiler serviced?", "3 March 2024"),
        ("boiler.txt", "Who serviced the boiler?", "Ann Lee"),
        ("boiler.txt", "How often is recycling collected?", "every second Tuesday"),
    ],
)
def test_what_a_note_says_is_answered_and_surely(
    asked: tuple[RAG, list[str]], name: str, question: str, answer: str
) -> None:
    rag, names = asked
    if name not in names:
        pytest.skip("is not among these notes")
    found = rag.query(question)
    assert answer in found.text
    assert found.citations[0].source.endswith(name)
    assert found.confidence > SURE


@pytest.mark.parametrize(
    "question",
    [
        "Who approves leave?",
        "What is the parking fee?",
        "Who repairs the machines?",
        "Who is the president of France?",
        "how do i install it on windows",
    ],
)
def test_what_no_note_says_is_declined(asked: tuple[RAG, list[str]], question: str) -> None:
    found = asked[0].query(question)
    assert found.abstained
    assert found.confidence < SURE
