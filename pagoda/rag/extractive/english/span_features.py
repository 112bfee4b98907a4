"""Numbers that say how well a span fits a question: where the question's words stand, and what the span looks like.

On a question's path: question -> Hits -> candidate spans -> *features* -> ranker -> answer. After the logistic reader
of Rajpurkar et al. 2016 (arXiv 1606.05250, section 5) and DrQA's aligned features (Chen et al. 2017, arXiv 1704.00051),
without a parser: hashed words at the span's edges stand in for it.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections import Counter

import numpy as np

from pagoda.rag.extractive.english.question_type import QuestionType, question_type
from pagoda.rag.extractive.english.spans import candidate_spans
from pagoda.rag.extractive.english.words import RANKER_STOP_WORDS, ranker_stem
from pagoda.rag.extractive.passage import Passage
from pagoda.rag.extractive.spans import Token, sentence_bounds, tokenize_spans

NUM_BUCKETS = 1 << 18
NUM_EDGE_FEATURES = 12
NUM_DENSE = 40
_RATES = (0.6, 0.85, 0.95)
"""How a match fades with each token between it and a span."""


def read_english(question: str, text: str, sentences: list[tuple[int, int]] | None = None) -> Passage:
    """Candidates and features; `sentences` are (start, end) in `text`, found here where none are given."""
    kind = question_type(question)
    sentences = sentences or sentence_bounds(text)
    tokens: list[Token] = []
    owner: list[int] = []
    pairs: list[tuple[int, int]] = []
    for index, (start, end) in enumerate(sentences):
        found = [Token(t.text, t.start + start, t.end + start) for t in tokenize_spans(text[start:end])]
        pairs += [(a + len(tokens), b + len(tokens)) for a, b in candidate_spans(found)]
        tokens += found
        owner += [index] * len(found)
    spans = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    sentence_of_token = np.array(owner, dtype=np.int32)
    weights, covered, coverage = _match(question, tokens, sentence_of_token, len(sentences))
    sentence_of = sentence_of_token[spans[:, 0]] if len(spans) else np.zeros(0, np.int32)
    dense = np.zeros((0, NUM_DENSE), dtype=np.float32)
    if len(spans):
        dense = _Columns(kind, tokens, spans, sentence_of_token, weights, covered).table()
    starts, ends = _edges(kind, tokens, weights)
    return Passage(tokens, sentences, spans, sentence_of, dense, starts, ends, coverage)


def _terms(tokens: list[str]) -> list[str]:
    """What is compared between question and text, one a token; "" for what says nothing."""
    return ["" if t.lower() in RANKER_STOP_WORDS or not t[0].isalnum() else ranker_stem(t) for t in tokens]


def _match(
    question: str, tokens: list[Token], sentence_of: np.ndarray, num_sentences: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[num_tokens] weight of each token that the question holds, [num_sentences, 3] coverage, [6] of the passage."""
    words = [token.text for token in tokenize_spans(question)]
    asked, terms = _terms(words), _terms([t.text for t in tokens])
    pairs = {(a, b) for a, b in itertools.pairwise(asked) if a and b}
    seen_in = Counter(term for term, _ in set(zip(terms, sentence_of.tolist(), strict=True)))
    rarity = {term: math.log(1 + (num_sentences + 1) / (seen_in[term] + 0.5)) for term in asked if term}
    weights = np.array([rarity.get(term, 0.0) for term in terms], dtype=np.float32)
    joined = np.zeros(len(tokens), dtype=bool)
    for i in range(len(terms) - 1):
        if (terms[i], terms[i + 1]) in pairs:
            joined[i] = joined[i + 1] = True
    covered = np.zeros((num_sentences, 3), dtype=np.float32)
    total = sum(rarity.values()) or 1.0
    hits: list[set[str]] = [set() for _ in range(num_sentences)]
    bigrams: list[set[tuple[str, str]]] = [set() for _ in range(num_sentences)]
    for i, term in enumerate(terms):
        if term in rarity:
            hits[sentence_of[i]].add(term)
        if joined[i] and i + 1 < len(terms) and (term, terms[i + 1]) in pairs:
            bigrams[sentence_of[i]].add((term, terms[i + 1]))
    for index in range(num_sentences):
        covered[index, 0] = sum(rarity[term] for term in hits[index]) / total
        covered[index, 1] = len(bigrams[index]) / max(1, len(pairs))
    covered[:, 2] = covered[:, 0] + covered[:, 1]
    names = {a for a, w in zip(asked[1:], words[1:], strict=False) if a and (w[0].isupper() or w[0].isdigit())}
    all_terms = set(terms)
    best = covered[covered[:, 2].argmax()] if num_sentences else np.zeros(3)
    in_passage = sum(rarity[t] for t in rarity if t in all_terms) / total
    missing = len(names - all_terms)
    in_best = hits[int(covered[:, 2].argmax())] if num_sentences else set()
    coverage = [best[0], best[1], in_passage, missing, len(names - in_best), len(rarity)]
    return weights, covered, np.array(coverage, dtype=np.float32)


def _decayed(weights: np.ndarray, sentence_of: np.ndarray, rate: float) -> np.ndarray:
    """[num_tokens]: weight of the matches before each token, fading with distance, within its sentence."""
    out, carried = np.zeros_like(weights), 0.0
    for i in range(len(weights)):
        if i and sentence_of[i] != sentence_of[i - 1]:
            carried = 0.0
        out[i] = carried
        carried = carried * rate + float(weights[i])
    return out


def _neighbour(values: np.ndarray, where: np.ndarray, fill: float = 0.0) -> np.ndarray:
    inside = (where >= 0) & (where < len(values))
    return np.where(inside, values[np.clip(where, 0, max(0, len(values) - 1))], fill)


def _alignment(kind: QuestionType, tokens: list[Token]) -> tuple[np.ndarray, ...]:
    """How far the text before and after each token repeats what stands before and after the question word."""
    words = [t.text.lower() for t in tokens]
    before, after = kind.before[-8:], kind.after[:8]
    near_left, near_right = set(kind.before[-4:]), set(kind.after[:4])
    num = len(words)
    left, right, loose_left, loose_right = (np.zeros(num, np.float32) for _ in range(4))
    for i in range(num):
        n = 0
        while n < len(before) and n < i and words[i - 1 - n] == before[-1 - n]:
            n += 1
        left[i] = n
        n = 0
        while n < len(after) and i + 1 + n < num and words[i + 1 + n] == after[n]:
            n += 1
        right[i] = n
        loose_left[i] = sum(word in near_left for word in words[max(0, i - 5) : i])
        loose_right[i] = sum(word in near_right for word in words[i + 1 : i + 6])
    return left, right, loose_left, loose_right


class _Columns:
    """The dense features of all candidates of a passage by name; the weights of span_ranker_en hang on their order.

    weights, covered: as `_match` gives them. Every value is [num_candidates].
    """

    def __init__(
        self,
        kind: QuestionType,
        tokens: list[Token],
        spans: np.ndarray,
        sentence_of: np.ndarray,
        weights: np.ndarray,
        covered: np.ndarray,
    ) -> None:
        self.kind, self.tokens, self.texts = kind, tokens, [token.text for token in tokens]
        self.first, self.last = spans[:, 0], spans[:, 1]
        self.sentence_of, self.weights, self.covered = sentence_of, weights, covered
        self.sentence = sentence_of[self.first]
        self.length = (self.last - self.first + 1).astype(np.float32)
        kinds = [
            [
                t[0].isupper(),
                t[0].isdigit(),
                not t[0].isalnum(),
                t.lower() in RANKER_STOP_WORDS,
                _is_year(t),
                t in "、,，",
            ]
            for t in self.texts
        ]
        # [num_tokens, 6]: capital, digit, mark, stop word, year, comma.
        self.flags = np.array(kinds, dtype=np.float32)

    def table(self) -> np.ndarray:
        """[num_candidates, NUM_DENSE] float32."""
        groups = (self._sentences(), self._shape(), self._matches(), self._alignment(), self._head(), self._borders())
        return np.stack([np.asarray(x, dtype=np.float32) for group in groups for x in group.values()], axis=1)

    def _sentences(self) -> dict[str, np.ndarray]:
        """How much of the question each span's sentence holds, and which sentence it is."""
        at, score = self.sentence, self.covered[:, 2]
        rank = (-score).argsort(kind="stable").argsort(kind="stable")
        return {
            "score": score[at],
            "score_of_the_best": score[at] / (score.max() + 1e-6),
            "covered": self.covered[at, 0],
            "covered_pairs": self.covered[at, 1],
            "closeness_to_best": 1.0 / (1 + rank[at]),
            "is_best": rank[at] == 0,
            "score_of_the_one_before": np.concatenate([[0.0], score[:-1]])[at],
            "place": at / max(1, len(self.covered)),
        }

    def _shape(self) -> dict[str, np.ndarray]:
        """Length, and what the tokens of the span are."""
        sums = np.vstack([np.zeros((1, self.flags.shape[1]), np.float32), self.flags.cumsum(0)])
        capitals, digits, marks, stops, years, commas = (sums[self.last + 1] - sums[self.first]).T
        return {
            "log_length": np.log(self.length),
            "length": self.length / 10,
            "share_of_capitals": capitals / self.length,
            "share_of_digits": digits / self.length,
            "has_digit": digits > 0,
            "marks": marks,
            "share_of_stop_words": stops / self.length,
            "has_year": years > 0,
            "commas": commas,
        }

    def _matches(self) -> dict[str, np.ndarray]:
        """What of the question the span itself repeats, which an answer seldom does, and how near the rest stands."""
        matched = np.concatenate([[0.0], self.weights.cumsum()])
        count = np.concatenate([[0.0], (self.weights > 0).cumsum()])
        overlap = matched[self.last + 1] - matched[self.first]
        owner, turned = self.sentence_of, self.sentence_of[::-1]
        before = {rate: _decayed(self.weights, owner, rate) for rate in _RATES}
        after = {rate: _decayed(self.weights[::-1], turned, rate)[::-1] for rate in _RATES}
        return {
            "repeated": overlap,
            "share_repeated": (count[self.last + 1] - count[self.first]) / self.length,
            "repeats": overlap > 0,
            **{f"near_before_{rate}": values[self.first] for rate, values in before.items()},
            **{f"near_after_{rate}": values[self.last] for rate, values in after.items()},
        }

    def _alignment(self) -> dict[str, np.ndarray]:
        """How well the span fills the place of the question word."""
        left, right, loose_left, loose_right = _alignment(self.kind, self.tokens)
        return {
            "same_words_before": np.minimum(left[self.first], 4),
            "same_words_after": np.minimum(right[self.last], 4),
            "words_before_nearby": loose_left[self.first],
            "words_after_nearby": loose_right[self.last],
        }

    def _head(self) -> dict[str, np.ndarray]:
        """Where the words that say what kind of thing is asked for stand: "year" of "In what year"."""
        head = set(self.kind.after[:3])
        is_head = np.array([text.lower() in head for text in self.texts], dtype=np.float32)
        return {
            "ends_with_head": is_head[self.last],
            "begins_with_head": is_head[self.first],
            "head_follows": _neighbour(is_head, self.last + 1),
        }

    def _borders(self) -> dict[str, np.ndarray]:
        """What stands at the span's edges and just outside of them."""
        first, last = self.first, self.last
        capital, digit, mark = self.flags[:, 0], self.flags[:, 1], self.flags[:, 2]
        bounds = np.searchsorted(self.sentence_of, np.arange(len(self.covered) + 1))
        return {
            "begins_sentence": first == bounds[self.sentence],
            "ends_sentence": bounds[self.sentence + 1] - 1 - last <= 1,
            "mark_before": _neighbour(mark, first - 1, 1.0),
            "mark_after": _neighbour(mark, last + 1, 1.0),
            "cuts_name_before": _neighbour(capital, first - 1) * capital[first],
            "cuts_name_after": _neighbour(capital, last + 1) * capital[last],
            "digits_around": _neighbour(digit, last + 1) + _neighbour(digit, first - 1),
        }


def _is_year(token: str) -> bool:
    return len(token) == 4 and token.isdigit() and token[0] in "12"


def _shape(token: str) -> str:
    if token[0].isdigit():
        return "year" if _is_year(token) else "digit"
    if not token[0].isalnum():
        return token
    return "Upper" if token[0].isupper() else "stop" if token.lower() in RANKER_STOP_WORDS else "lower"


def _edges(kind: QuestionType, tokens: list[Token], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    words = ["<2>", "<1>", *(_plain(t.text) for t in tokens), "<1>", "<2>"]
    shapes = ["<", "<", *(_shape(t.text) for t in tokens), ">", ">"]
    asked = [False, False, *(weights > 0).tolist(), False, False]
    starts, ends = [], []
    for i in range(2, len(words) - 2):
        starts.append(
            _side("s", kind, words[i], words[i - 1], words[i - 2], words[i + 1], shapes[i - 1 : i + 2], asked[i - 1])
        )
        ends.append(
            _side("e", kind, words[i], words[i + 1], words[i + 2], words[i - 1], shapes[i - 1 : i + 2], asked[i + 1])
        )
    shape = (-1, NUM_EDGE_FEATURES)
    return np.array(starts, np.int32).reshape(shape), np.array(ends, np.int32).reshape(shape)


def _plain(token: str) -> str:
    return "0" * min(len(token), 5) if token[0].isdigit() else token.lower()


def _side(
    side: str, kind: QuestionType, at: str, out: str, out2: str, into: str, shapes: list[str], asked: bool
) -> list[int]:
    """Buckets of one edge: the word on it, those outside and inside of it, alone and with the question's type."""
    shape, q, f = " ".join(shapes), kind.kind, kind.fine
    names = (
        f"a{at}", f"o{out}", f"oo{out2} {out}", f"ai{at} {into}", f"ao{at} {out}", f"qa{q}|{at}", f"qo{q}|{out}",
        f"fa{f}|{at}", f"fo{f}|{out}", f"qs{q}|{shape}", f"fs{f}|{shape}", f"m{asked}|{q}|{out}",
    )  # fmt: skip
    return [zlib.crc32((side + name).encode()) % NUM_BUCKETS for name in names]
