"""How right an answer is: exact match and F1 as SQuAD and CMRC count them, and how well abstaining is decided.

Beside a question's path: question -> Hits -> answer -> *score*. English follows SQuAD's official script (Rajpurkar et
al. 2016, arXiv 1606.05250): case, punctuation and articles do not count, F1 over a bag of words. Chinese follows CMRC's
(Cui et al. 2019, arXiv 1810.07366): characters and Latin words, F1 over the longest common contiguous sequence.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MIXED = re.compile(r"[一-龥㐀-䶿]|[^\W一-龥㐀-䶿]+")


def normalize_english(text: str) -> str:
    """Lower case without punctuation, articles and extra blanks.

    >>> normalize_english("The  Denver-Broncos!")
    'denverbroncos'
    """
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def segment_chinese(text: str) -> list[str]:
    """Chinese characters one by one, everything else by the word; punctuation is dropped.

    >>> segment_chinese("共有3,000人，NBA")
    ['共', '有', '3000', '人', 'nba']
    """
    letters = (character for character in text.lower() if unicodedata.category(character)[0] not in "PS")
    return _MIXED.findall("".join(letters))


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 where an answer equals the prediction after SQuAD's normalisation, else 0."""
    return float(any(normalize_english(prediction) == normalize_english(answer) for answer in answers))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The best word F1 over the answers, 0 to 1; without answers, 1 for an empty prediction.

    >>> round(f1("in October 1973", ["October 1973", "1973"]), 2)
    0.8
    """
    predicted = normalize_english(prediction).split()
    return max((_bag_f1(predicted, normalize_english(answer).split()) for answer in answers or [""]), default=0.0)


def chinese_exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 where an answer equals the prediction after CMRC's segmentation, else 0."""
    return float(any(segment_chinese(prediction) == segment_chinese(answer) for answer in answers))


def chinese_f1(prediction: str, answers: Sequence[str]) -> float:
    """The best F1 over the answers, counting the longest stretch that both have.

    >>> round(chinese_f1("在北京市", ["北京"]), 2)
    0.67
    """
    predicted = segment_chinese(prediction)
    return max((_stretch_f1(predicted, segment_chinese(answer)) for answer in answers or [""]), default=0.0)


def scores(prediction: str, answers: Sequence[str], *, chinese: bool) -> tuple[float, float]:
    """Exact match and F1, as the language has them."""
    if chinese:
        return chinese_exact_match(prediction, answers), chinese_f1(prediction, answers)
    return exact_match(prediction, answers), f1(prediction, answers)


def balanced_accuracy(truth: Sequence[bool], decided: Sequence[bool]) -> float:
    """The mean of the two recalls; .5 for whoever always decides the same.

    >>> balanced_accuracy([True, True, False], [True, False, False])
    0.75
    """
    recalls = []
    for kind in (True, False):
        cases = [d == t for t, d in zip(truth, decided, strict=True) if t == kind]
        if cases:
            recalls.append(sum(cases) / len(cases))
    return sum(recalls) / len(recalls) if recalls else 0.0


def _bag_f1(predicted: list[str], gold: list[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    return _harmonic(sum((Counter(predicted) & Counter(gold)).values()), len(predicted), len(gold))


def _stretch_f1(predicted: list[str], gold: list[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    return _harmonic(_longest_common_stretch(predicted, gold), len(predicted), len(gold))


def _longest_common_stretch(left: list[str], right: list[str]) -> int:
    best, previous = 0, [0] * (len(right) + 1)
    for item in left:
        row = [0] * (len(right) + 1)
        for position, other in enumerate(right):
            if item == other:
                row[position + 1] = previous[position] + 1
                best = max(best, row[position + 1])
        previous = row
    return best


def _harmonic(common: int, predicted: int, gold: int) -> float:
    return 2 * common / (predicted + gold)
