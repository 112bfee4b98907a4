"""Numbers that say how well a span fits a question: where the question's words stand, and what the span looks like.

On a question's path: question -> Hits -> candidate spans -> *features* -> ranker -> answer. After the logistic reader
of Rajpurkar et al. 2016 (arXiv 1606.05250, section 5) and DrQA's aligned features (Chen et al. 2017, arXiv 1704.00051),
without a parser: hashed words at the span's edges stand in for it.
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections import Counter

import numpy as np

from pagoda.rag.extractive.english.question_type import QuestionType, question_type
from pagoda.rag.extractive.english.spans import STOP_ENGLISH, candidate_spans
from pagoda.rag.extractive.passage import Passage
from pagoda.rag.extractive.spans import Token, sentence_bounds, tokenize_spans

NUM_BUCKETS = 1 << 18
NUM_EDGE_FEATURES = 12
NUM_DENSE = 40
_SUFFIX = re.compile(r"(?:ing|ed|es|s|ly|'s|’s)$")


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
    dense = _dense(kind, question, tokens, spans, sentence_of_token, weights, covered)
    starts, ends = _edges(kind, tokens, weights)
    return Passage(tokens, sentences, spans, sentence_of, dense, starts, ends, coverage)


def _stem(word: str) -> str:
    word = word.lower()
    return _SUFFIX.sub("", word) if len(word) > 4 else word


def _terms(tokens: list[str]) -> list[str]:
    """What is compared between question and text, one a token; "" for what says nothing."""
    return ["" if t.lower() in STOP_ENGLISH or not t[0].isalnum() else _stem(t) for t in tokens]


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


def _dense(
    kind: QuestionType,
    question: str,
    tokens: list[Token],
    spans: np.ndarray,
    sentence_of: np.ndarray,
    weights: np.ndarray,
    covered: np.ndarray,
) -> np.ndarray:
    if not len(spans):
        return np.zeros((0, NUM_DENSE), dtype=np.float32)
    first, last = spans[:, 0], spans[:, 1]
    texts = [t.text for t in tokens]
    flags = np.array(
        [
            [t[0].isupper(), t[0].isdigit(), not t[0].isalnum(), t.lower() in STOP_ENGLISH, _is_year(t), t in "、,，"]
            for t in texts
        ],
        dtype=np.float32,
    )
    sums = np.vstack([np.zeros((1, 6), np.float32), flags.cumsum(0)])
    inside = sums[last + 1] - sums[first]
    length = (last - first + 1).astype(np.float32)
    matched = np.concatenate([[0.0], weights.cumsum()])
    count = np.concatenate([[0.0], (weights > 0).cumsum()])
    overlap = matched[last + 1] - matched[first]
    sentence = sentence_of[first]
    score = covered[:, 2]
    order = (-score).argsort(kind="stable").argsort(kind="stable")
    before = np.concatenate([[0.0], score[:-1]])
    decays = [_decayed(weights, sentence_of, rate) for rate in (0.6, 0.85, 0.95)]
    after = [_decayed(weights[::-1], sentence_of[::-1], rate)[::-1] for rate in (0.6, 0.85, 0.95)]
    left, right, loose_left, loose_right = _alignment(kind, tokens)
    bounds = np.searchsorted(sentence_of, np.arange(len(covered) + 1))
    at_start, at_end = first - bounds[sentence], bounds[sentence + 1] - 1 - last
    head = set(kind.after[:3])
    in_head = np.array([t.lower() in head for t in texts], dtype=np.float32)
    columns = [
        score[sentence], score[sentence] / (score.max() + 1e-6), covered[sentence, 0], covered[sentence, 1],
        1.0 / (1 + order[sentence]), (order[sentence] == 0), before[sentence], sentence / max(1, len(covered)),
        np.log(length), length / 10, inside[:, 0] / length, inside[:, 1] / length, inside[:, 1] > 0, inside[:, 2],
        inside[:, 3] / length, inside[:, 4] > 0, inside[:, 5], overlap, (count[last + 1] - count[first]) / length,
        overlap > 0, *(d[first] for d in decays), *(a[last] for a in after),
        np.minimum(left[first], 4), np.minimum(right[last], 4), loose_left[first], loose_right[last],
        in_head[last], in_head[first], _neighbour(in_head, last + 1), at_start == 0, at_end <= 1,
        _neighbour(flags[:, 2], first - 1, 1.0), _neighbour(flags[:, 2], last + 1, 1.0),
        _neighbour(flags[:, 0], first - 1) * flags[first, 0], _neighbour(flags[:, 0], last + 1) * flags[last, 0],
        _neighbour(flags[:, 1], last + 1) + _neighbour(flags[:, 1], first - 1),
    ]  # fmt: skip
    return np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1)


def _is_year(token: str) -> bool:
    return len(token) == 4 and token.isdigit() and token[0] in "12"


def _shape(token: str) -> str:
    if token[0].isdigit():
        return "year" if _is_year(token) else "digit"
    if not token[0].isalnum():
        return token
    return "Upper" if token[0].isupper() else "stop" if token.lower() in STOP_ENGLISH else "lower"


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
