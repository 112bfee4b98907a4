"""A second look at the passage of a Chinese manual that is to be shown: does it tell what is asked, or speak of it?

Beside the decision to answer: question -> Hits -> decision -> *second look at the best* -> what is shown. As
`english/second_look` has it, with fewer numbers: a hundred questions without an answer bear no more. The passages are
chosen by words alone, so that the reader, which is most of an answer's time, has the one that is shown. Fitted by
`benchmarks/train_chinese_look.py`. Paper: Zhang et al. 2020, "Retrospective Reader for Machine Reading Comprehension"
(arXiv 2001.09694), whose second reading verifies the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pagoda.rag.content_words import ASKING, content
from pagoda.rag.extractive.chinese.sought import lacks_count, sought_by
from pagoda.rag.extractive.showing.decision import log_odds
from pagoda.rag.extractive.showing.second_look import NEAR, SecondLook, bounded, read_second_look

CHINESE_WEIGHTS = Path(__file__).parents[1] / "data" / "second_look_zh.json"


@dataclass(frozen=True)
class ChineseLook:
    """What is known of a question and the passage that is to be shown.

    first: log-odds of the first look; margin: the reader's log-odds that the passage holds an answer
    told_near: 1 where all that is sought stands in the sentences that speak of the question, or right behind them
    untold: how many kinds of it stand nowhere in the passage
    no_count: nothing of the kind whose number is asked for is counted near
    """

    first: float
    margin: float
    told_near: float
    untold: float
    no_count: float


def look_at_chinese(
    question: str, text: str, sentences: Sequence[tuple[int, int]], first: float, margin: float
) -> ChineseLook:
    """The numbers of one passage. sentences: (start, end) in it; first: probability of the first look, 0 to 1."""
    asked = content(ASKING.sub(" ", question)) or content(question)
    shares = [len(asked & content(text[start:end])) for start, end in sentences]
    least = NEAR * max(shares, default=0)
    speaking = [at for at, share in enumerate(shares) if share >= least]
    near = " ".join(text[sentences[at][0] : sentences[min(len(sentences) - 1, at + 1)][1]] for at in speaking)
    kinds = sought_by(question)
    return ChineseLook(
        first=log_odds(first),
        margin=bounded(margin),
        told_near=float(all(kind.told.search(near) for kind in kinds)),
        untold=float(sum(not kind.told.search(text) for kind in kinds)),
        no_count=float(lacks_count(question, near)),
    )


def load_chinese_look(path: Path = CHINESE_WEIGHTS) -> SecondLook:
    """The packaged weights. Raises ConfigError where the file is missing, broken, or of other numbers."""
    return read_second_look(path, ChineseLook)
