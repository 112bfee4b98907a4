"""What documents say to a desk: an answer with its places, and nothing where they hold none or are not sure."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pagoda.dialogue.turn.elsewhere import Answered
from pagoda.rag.answer import Answer, Citation
from pagoda.service.documents import documents_of

PLACE = Citation(1, "shop.md", "We open at nine.", 0, 16, 3)


class Documents:
    """Gives the answer that the test wrote."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def query(self, question: str) -> Answer:
        return self._answer


def asked(answer: Answer) -> Any:
    return documents_of(cast(Any, Documents(answer)))("when?")


def test_an_answer_brings_its_places() -> None:
    found = asked(Answer(question="q", text="At nine. [1]", citations=(PLACE,), confidence=0.9))
    assert isinstance(found, Answered)
    assert (found.text, found.source) == ("At nine. [1]", "documents")
    assert found.details["citations"] == [
        {"number": 1, "source": "shop.md", "line": 3, "page": None, "quote": "We open at nine."}
    ]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(question="q", text="not there", abstained=True),
        Answer(question="q", text="perhaps", citations=(PLACE,), confidence=0.2, abstained=True),
        Answer(question="q", text="without a place", confidence=0.9),
    ],
)
def test_no_answer_or_an_unsure_one_is_a_persons_business(answer: Answer) -> None:
    assert asked(answer) is None
