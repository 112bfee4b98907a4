"""The customer service example: what documents say with their sources, and when a person has to."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pagoda.rag.answer import Answer, Citation

DESK = Path(__file__).parents[3] / "examples" / "customer_service" / "desk.py"


class Documents:
    """Gives the answer that the test wrote."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def query(self, question: str) -> Answer:
        return self._answer


@pytest.fixture(scope="module")
def desk() -> ModuleType:
    spec = importlib.util.spec_from_file_location("customer_service_desk", DESK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_answer_names_its_sources_once(desk: ModuleType) -> None:
    cited = tuple(Citation(n, "shop.md", "quote", 0, 5, 1) for n in (1, 2))
    answer = Answer(question="q", text="At nine. [1][2]", citations=cited, confidence=0.9)
    assert desk.documents_of(Documents(answer))("q") == "At nine. [1][2] (shop.md)"


@pytest.mark.parametrize(
    "answer",
    [Answer(question="q", text="not there", abstained=True), Answer(question="q", text="perhaps", confidence=0.2)],
)
def test_no_answer_or_an_unsure_one_is_a_persons_business(desk: ModuleType, answer: Answer) -> None:
    assert desk.documents_of(Documents(answer))("q") is None
