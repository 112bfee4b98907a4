"""Where a Chinese passage repeats its question: common stretches, how much they cover, how near they stand to a place.

On a question's path: question -> Hits -> words -> candidate spans -> *matches* -> features -> ranker -> answer. One
common character says little; a stretch of two or more says much, and most next to the question word, where the answer
fills a slot: "X是谁" and "X是鲁迅". After DrQA's aligned features (Chen et al. 2017, arXiv 1704.00051).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from pagoda.rag.extractive.chinese.spans import CLAUSE_ENDS
from pagoda.rag.extractive.chinese.words import ChineseQuestion, ChineseText

FAR = 60.0
_STOP = frozenset("的了是在和与及有为于什么哪谁多少几怎样如何？?，。、中上下个一")
_SLOT_GAP, _GAP_COST = 3, 0.3
_SINGLE, _STOPPED = 0.2, 0.1


@dataclass(frozen=True, eq=False)
class Match:
    """Question against passage.

    ahead, behind: [num_question, num_tokens] length of the common stretch that ends or begins with both tokens
    strong: [num_tokens] part of a stretch of two or more, or a common number or Latin word
    weight: [num_tokens] rarity of what is common, in shares of the question; before: the part left of the question word
    length, slot: [num_tokens] length of the stretch; nearness to the question word, negative right of it
    covered: [num_sentences, 4] share of the question's rarity, of it in strong stretches, longest stretch, left part
    clause_of: [num_tokens]; clauses: [num_clauses + 1] first tokens; in_clause: [num_clauses] share of the question
    """

    ahead: np.ndarray
    behind: np.ndarray
    strong: np.ndarray
    weight: np.ndarray
    before: np.ndarray
    length: np.ndarray
    slot: np.ndarray
    covered: np.ndarray
    clause_of: np.ndarray
    clauses: np.ndarray
    in_clause: np.ndarray
    coverage: np.ndarray


def match(question: ChineseQuestion, text: ChineseText) -> Match:
    """Compare the two; a question of its question word alone matches nothing."""
    ahead, behind = _stretches(question, text.words)
    total = np.where(ahead > 0, ahead + behind - 1, 0)
    plain = np.array([word in _STOP or not word[0].isalnum() for word in text.words])
    latin = np.array([word[0].isascii() and word[0].isalnum() for word in text.words])
    length, where = total.max(0), total.argmax(0)
    strength = np.where((total >= 2) | ((total == 1) & latin), 1.0, np.where(total == 1, _SINGLE, 0.0))
    asked, rarity = _rarities(question, text)
    weight = strength.max(0) * rarity * np.where(plain, _STOPPED, 1.0) / asked.sum()
    slot = np.where(where < question.left, question.left - 1 - where, where - question.right)
    side = np.where(where < question.left, 1.0, -1.0)
    bounds = np.searchsorted(text.sentence_of, np.arange(len(text.sentences) + 1))
    clause_of, clauses = _clauses(text)
    return Match(
        ahead=ahead,
        behind=behind,
        strong=(length >= 2) | ((length == 1) & latin & ~plain),
        weight=weight,
        before=np.where(where < question.left, weight, 0.0),
        length=length,
        slot=side / (1 + np.clip(slot, 0, 10)),
        covered=_sentence_coverage(question, strength, total, asked, bounds),
        clause_of=clause_of,
        clauses=clauses,
        in_clause=np.maximum.reduceat(strength, clauses[:-1], axis=1).T @ asked / asked.sum(),
        coverage=_passage_coverage(strength, asked, bounds),
    )


def _stretches(question: ChineseQuestion, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    num, passage = max(1, len(question.words)), np.array(words, dtype=object)
    same = np.zeros((num, len(words)), dtype=bool)
    for row, word in enumerate(question.words):
        if not question.left <= row < question.right:
            same[row] = passage == word
    ahead, behind = np.zeros((num + 1, len(words) + 1), np.int64), np.zeros((num + 1, len(words) + 1), np.int64)
    for row in range(num):
        ahead[row + 1, 1:] = np.where(same[row], ahead[row, :-1] + 1, 0)
    for row in reversed(range(num)):
        behind[row, :-1] = np.where(same[row], behind[row + 1, 1:] + 1, 0)
    return ahead[1:, 1:], behind[:-1, :-1]


def _rarities(question: ChineseQuestion, text: ChineseText) -> tuple[np.ndarray, np.ndarray]:
    """Of the question's tokens (0 for what is not compared) and of the passage's: rarity among its sentences."""
    num = len(text.sentences)
    seen = Counter(word for word, _ in set(zip(text.words, text.sentence_of.tolist(), strict=True)))
    asked = np.zeros(max(1, len(question.words)))
    for row, word in enumerate(question.words):
        if not (question.left <= row < question.right or word in _STOP or not word[0].isalnum()):
            asked[row] = math.log(1 + (num + 1) / (seen[word] + 0.5))
    asked[0] += 1e-6
    return asked, np.array([math.log(1 + (num + 1) / (seen[word] + 0.5)) for word in text.words])


def _sentence_coverage(
    question: ChineseQuestion, strength: np.ndarray, total: np.ndarray, asked: np.ndarray, bounds: np.ndarray
) -> np.ndarray:
    covered = np.zeros((len(bounds) - 1, 4))
    for index, (start, stop) in enumerate(itertools.pairwise(bounds)):
        if start < stop:
            best = strength[:, start:stop].max(1)
            full = np.where(best >= 1, asked, 0.0)
            covered[index] = best @ asked, full.sum(), 0.0, full[: question.left].sum()
            covered[index, 2] = total[:, start:stop].max() * asked.sum() / len(total)
    return covered / asked.sum()


def _passage_coverage(strength: np.ndarray, asked: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """[6]: share of the question in the best sentence, in strong stretches, anywhere; missing; second best; number."""
    share = asked / asked.sum()
    anywhere = strength.max(1)
    sums = [strength[:, a:b].max(1) @ share for a, b in itertools.pairwise(bounds) if a < b]
    strong = (anywhere >= 1) @ share
    missing = float(((anywhere == 0) & (asked > 0.1)).sum())
    second, known = sorted(sums)[-2:][0], float((asked > 0.1).sum())
    return np.array([max(sums), strong, anywhere @ share, missing, second, known], dtype=np.float32)


def _clauses(text: ChineseText) -> tuple[np.ndarray, np.ndarray]:
    ends = np.array([word in CLAUSE_ENDS for word in text.words])
    begins = np.concatenate([[True], ends[:-1] | (text.sentence_of[1:] != text.sentence_of[:-1])])
    return begins.cumsum() - 1, np.append(np.flatnonzero(begins), len(ends))


def fading(values: np.ndarray, sentence_of: np.ndarray, rate: float) -> np.ndarray:
    """[num_tokens]: the sum of what stands before each token in its sentence, fading by `rate` a token.

    A scan in doubling steps (Hillis and Steele 1986): after the step of `reach` each sum is of so many tokens.
    """
    sums, reach = np.asarray(values, np.float64), 1
    longest = int(np.bincount(sentence_of).max(initial=0))
    while reach < longest:
        same = sentence_of[reach:] == sentence_of[:-reach]
        sums = np.concatenate([sums[:reach], sums[reach:] + rate**reach * np.where(same, sums[:-reach], 0.0)])
        reach *= 2
    is_first = np.concatenate([[True], sentence_of[1:] != sentence_of[:-1]])
    return np.where(is_first, 0.0, np.concatenate([[0.0], sums[:-1]]))


def nearest(found: Match, sentence_of: np.ndarray) -> np.ndarray:
    """[num_tokens, 3]: distance, length and slot of the last strong match before each token in its sentence."""
    return _nearest(found.strong, found.length, found.slot, sentence_of)


def nearest_after(found: Match, sentence_of: np.ndarray) -> np.ndarray:
    """The same of the next strong match behind each token."""
    turned = _nearest(found.strong[::-1], found.length[::-1], found.slot[::-1], sentence_of[::-1])
    return turned[::-1]


def _nearest(strong: np.ndarray, length: np.ndarray, slot: np.ndarray, sentence_of: np.ndarray) -> np.ndarray:
    index = np.arange(len(strong))
    last = np.maximum.accumulate(np.where(strong, index, -1))
    before = np.concatenate([[-1], last[:-1]])
    known = (before >= 0) & (sentence_of[before] == sentence_of)
    columns = [np.minimum(FAR, index - before - 1), length[before], slot[before]]
    return np.stack([np.where(known, column, empty) for column, empty in zip(columns, (FAR, 0, 0), strict=True)], 1)


def slots(question: ChineseQuestion, found: Match) -> tuple[np.ndarray, np.ndarray]:
    """[num_tokens] twice: how far the text left (right) of a token repeats the question left (right) of its word.

    A few tokens may stand between, at a cost each.
    """
    num_question, num = found.ahead.shape
    left, right = np.zeros(num), np.zeros(num)
    for here in range(min(_SLOT_GAP, num - 1)):
        for there in range(_SLOT_GAP):
            cost, row = _GAP_COST * (here + there), question.left - 1 - there
            if row >= 0:
                run = found.ahead[row, : num - 1 - here]
                left[1 + here :] = np.maximum(left[1 + here :], np.where(run > 0, run - cost, 0))
            row = question.right + there
            if row < num_question:
                run = found.behind[row, 1 + here :]
                right[: num - 1 - here] = np.maximum(right[: num - 1 - here], np.where(run > 0, run - cost, 0))
    return left, right
