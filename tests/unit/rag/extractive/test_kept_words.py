"""The invariant of what is shown, over sentences that others wrote: whatever governs a span is shown with it.

Every sentence of a few hundred paragraphs that holds a word of a short list of its own is asked about with many of its
spans, as if its reader had been sure of each; the word must be shown, too.
"""

import json
import random
import re
from pathlib import Path

import pytest

from pagoda.rag.extractive.showing.station import Candidate, shown
from pagoda.rag.splitting.sentences import sentence_spans

GOVERNING = re.compile(
    r"\b(?:not|no|never|cannot|nor|neither|without|unless|except|only|if|until|although|despite|hardly|rarely|failed"
    r"|refused|unable|provided that|other than|rather than|before|after|when|may|might|allegedly|but|however)\b|\?"
    "|不|没有|未|无法|除了|除非|仅|只有|如果|若|但|然而|虽然|直到|禁止|否则|可能|必须|一旦|吗|？",
    re.IGNORECASE,
)
SETS = ("squad20", "cmrc2018", "drcd_zh")
SPANS_PER_SENTENCE, PARAGRAPHS = 4, 150


def paragraphs(folder: Path, name: str) -> list[str]:
    lines = (folder / "dev" / f"{name}.jsonl").read_text("utf-8").split("\n")
    return [json.loads(line)["context"] for line in lines if line.strip()][:PARAGRAPHS]


@pytest.mark.shared_data
@pytest.mark.parametrize("name", SETS)
def test_what_governs_a_span_is_shown_with_it(name: str, shared_data: Path) -> None:
    rng, asked, lost = random.Random(0), 0, []
    for text in paragraphs(shared_data, name):
        sentences = sentence_spans(text)
        for at, (left, right) in enumerate(sentences):
            for word in list(GOVERNING.finditer(text, left, right))[:2]:
                for start, end in spans_beside(word.span(), (left, right), rng):
                    found = Candidate(text, sentences, (start, end), at)
                    showing = shown("words", found, span_is_sure=True, sentence_is_sure=True)
                    place = showing.marked if showing.kind == "span" else showing.place
                    asked += 1
                    if not place[0] <= word.start() < word.end() <= place[1]:
                        lost.append((word[0], text[start:end], text[left:right]))
    assert asked > 500
    assert not lost, f"{len(lost)} of {asked}, the first: {lost[0]}"


def spans_beside(word: tuple[int, int], sentence: tuple[int, int], rng: random.Random) -> list[tuple[int, int]]:
    """Some spans of a sentence on either side of a word."""
    found = []
    for left, right in ((sentence[0], word[0]), (word[1], sentence[1])):
        for _ in range(SPANS_PER_SENTENCE // 2):
            if right - left > 3:
                start = rng.randrange(left, right - 2)
                found.append((start, rng.randrange(start + 1, min(right, start + 40))))
    return found
