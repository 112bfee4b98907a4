"""A second look at the passage of a Chinese manual that is to be shown: does it tell what is asked, or speak of it?

Beside the decision to answer: question -> Hits -> decision -> *second look at the best* -> what is shown. As
`english/second_look` has it, with fewer numbers: two hundred questions without an answer bear no more. The passages are
chosen by words alone, so that the reader, which is most of an answer's time, has the one that is shown. What the shares
of words in the first look forget is how much there is of them: two common words of two are all of a question, too.
Fitted by
`benchmarks/train_chinese_look.py`. Paper: Zhang et al. 2020, "Retrospective Reader for Machine Reading Comprehension"
(arXiv 2001.09694), whose second reading verifies the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pagoda.rag.content_words import content, content_asked
from pagoda.rag.documents.document import ANSWERS, Hit
from pagoda.rag.extractive.chinese.sought import lacks_count, sought_by
from pagoda.rag.extractive.showing.decision import log_odds
from pagoda.rag.extractive.showing.second_look import (
    NEAR,
    PassageLook,
    SecondLook,
    bounded,
    is_of_few,
    read_passage_weights,
    read_second_look,
)

CHINESE_WEIGHTS = Path(__file__).parents[1] / "data" / "second_look_zh.json"
READ_WEIGHTS = CHINESE_WEIGHTS.with_name("second_look_zh_read.json")
PASSAGE_WEIGHTS = CHINESE_WEIGHTS.with_name("passage_look_zh.json")
_FAR = 8.0
USUALLY_MET, MOST_MET = 17.0, 30.0
"""BM25 where no retriever tells it: the mean of questions to manuals; and beyond what it says nothing more."""
USUALLY_APART = 0.08
"""How far a passage stands out by meaning where no retriever tells it: the mean of questions to manuals."""


@dataclass(frozen=True)
class ChineseFirstLook:
    """What is known of a passage already. probability: that it answers, by the first look, 0 to 1.

    margin: the reader's log-odds that it holds an answer; names_missing: how many names of the question it lacks
    others: the other passages that were read
    """

    probability: float
    margin: float
    names_missing: float
    others: Sequence[Hit] = ()


@dataclass(frozen=True)
class ChineseLook:
    """What is known of a question and the passage that is to be shown.

    first: log-odds of the first look; margin: the reader's log-odds that the passage holds an answer
    told_near: 1 where all that is sought stands in the sentences that speak of the question, or right behind them
    untold: how many kinds of it stand nowhere in the passage
    no_count: nothing of the kind whose number is asked for is counted near
    met: what its words are worth that the question has, by BM25; ahead: how much more that is than of any other passage
    names_missing: how many names of the question it lacks
    """

    first: float
    margin: float
    told_near: float
    untold: float
    no_count: float
    met: float
    ahead: float
    names_missing: float


@dataclass(frozen=True)
class ChineseReadLook(ChineseLook):
    """The same where passages were read with the question (`retrieval/passage_reader`).

    joint: the log-odds by it that the passage answers; beside: those of the likeliest other passage
    stands_out: how much nearer by meaning the passage is than what else was found, in the mean
    few: 1 where it was found among so few that none stands out: a person's first notes, whose words are worth little
        by BM25, and in which what is asked mostly stands
    """

    joint: float
    beside: float
    stands_out: float
    few: float


def passage_probability(first: float, joint: float) -> float:
    """That a passage answers. first: by the first look, 0 to 1; joint: log-odds of whoever read both."""
    return read_passage_weights(PASSAGE_WEIGHTS).probability(passage_look(first, joint))


def passage_look(first: float, joint: float) -> PassageLook:
    """The numbers of `passage_probability`."""
    return PassageLook(bounded(log_odds(first)), bounded(joint))


def chinese_confidence(
    question: str, hit: Hit, sentences: Sequence[tuple[int, int]], known: ChineseFirstLook
) -> tuple[float, float]:
    """That the passage to be shown answers, and from where on it is shown."""
    look = look_at_chinese(question, hit, sentences, known)
    if ANSWERS not in hit.parts:
        return load_chinese_look().probability(look), load_chinese_look().least
    second = read_second_look(READ_WEIGHTS, ChineseReadLook)
    return second.probability(read_look(look, hit, known.others)), second.least


def read_look(look: ChineseLook, hit: Hit, others: Sequence[Hit]) -> ChineseReadLook:
    """With what was read of a passage and of the others."""
    beside = max((other.parts.get(ANSWERS, -_FAR) for other in others), default=-_FAR)
    return ChineseReadLook(
        **asdict(look),
        joint=bounded(hit.parts[ANSWERS]),
        beside=bounded(beside),
        stands_out=hit.parts.get("stands_out", USUALLY_APART),
        few=float(is_of_few(hit)),
    )


def look_at_chinese(
    question: str, hit: Hit, sentences: Sequence[tuple[int, int]], known: ChineseFirstLook
) -> ChineseLook:
    """The numbers of one passage. sentences: (start, end) in its text."""
    text = hit.text
    asked = content_asked(question) or content(question)
    shares = [len(asked & content(text[start:end])) for start, end in sentences]
    least = NEAR * max(shares, default=0)
    speaking = [at for at, share in enumerate(shares) if share >= least]
    near = " ".join(text[sentences[at][0] : sentences[min(len(sentences) - 1, at + 1)][1]] for at in speaking)
    kinds = sought_by(question)
    return ChineseLook(
        first=log_odds(known.probability),
        margin=bounded(known.margin),
        told_near=float(all(kind.told.search(near) for kind in kinds)),
        untold=float(sum(not kind.told.search(text) for kind in kinds)),
        no_count=float(lacks_count(question, near)),
        met=min(MOST_MET, _met(hit)),
        ahead=_met(hit) - max(map(_met, known.others), default=_met(hit)),
        names_missing=known.names_missing,
    )


def _met(hit: Hit) -> float:
    return hit.parts.get("bm25", USUALLY_MET)


def load_chinese_look(path: Path = CHINESE_WEIGHTS) -> SecondLook:
    """The packaged weights. Raises ConfigError where the file is missing, broken, or of other numbers."""
    return read_second_look(path, ChineseLook)
