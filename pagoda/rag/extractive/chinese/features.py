"""Numbers that say how well a Chinese span fits a question, and names of what it looks like.

On a question's path: question -> Hits -> words -> candidate spans -> *features* -> ranker -> answer. The numbers come
from common stretches and from the span's shape; the names (characters, words and parts of speech at its edges, with the
question's kind, and the words beside the question word with those beside the span) are buckets for which the ranker
knows how often answers had them. After Rajpurkar et al. 2016 (arXiv 1606.05250, section 5), with boosted trees where
they had a linear model.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection

import numpy as np

from pagoda.rag.extractive.chinese.match import Match, fading, match, nearest, nearest_after, slots
from pagoda.rag.extractive.chinese.spans import CLAUSE_ENDS, chinese_candidates
from pagoda.rag.extractive.chinese.words import ChineseQuestion, ChineseText, read_question, read_text
from pagoda.rag.extractive.passage import Passage

NUM_CHINESE_BUCKETS = 1 << 20
NUM_EDGE_NAMES, NUM_SPAN_NAMES = 28, 15
KINDS = ("why", "time", "number", "person", "place", "how", "list", "name", "what", "none")
_OPENING, _CLOSING = frozenset("《“「『（("), frozenset("》”」』）)")
_MARKS = ("、", "《", "》", '“「『"', "年月日时代期", "的", CLAUSE_ENDS)
_NUMBERS = frozenset("数數多半双雙两兩元初末年代朝世")
"""Counts as a number besides the numerals: 数百, 元年, 光绪年间, 明朝."""
_SALT_END, _SALT_SPAN = 32, 64
_EDGES, _SPANS = 20, 12
"""Names by characters; those by whole words have the numbers behind them."""
_TAGS_IN_ROW = 4


def read_chinese(question: str, text: str, sentences: list[tuple[int, int]] | None = None) -> Passage:
    """Candidates, features and names of one passage for one question."""
    asked = read_question(question)
    passage = read_text(text, tuple(sentences) if sentences else None)
    spans = chinese_candidates(passage) if passage.tokens else np.zeros((0, 2), np.int64)
    if not len(spans):
        return _empty(passage)
    found = match(asked, passage)
    starts, ends, names = _names(asked, passage, found, spans)
    return Passage(
        tokens=passage.tokens,
        sentences=passage.sentences,
        spans=spans.astype(np.int32),
        sentence_of=passage.sentence_of[spans[:, 0]],
        dense=_Columns(asked, passage, found, spans).table(),
        starts=starts,
        ends=ends,
        coverage=found.coverage,
        names=names,
        content=_is_content(passage.words),
        numberless=_is_numberless(passage.words, spans) if asked.wants_number else None,
    )


def _empty(text: ChineseText) -> Passage:
    nothing = np.zeros((0, 2), np.int32)
    return Passage(
        text.tokens, text.sentences, nothing, nothing[:, 0], np.zeros((0, 1), np.float32), nothing, nothing, np.zeros(6)
    )


def _is_content(words: list[str]) -> np.ndarray:
    return np.array([word[0].isalnum() for word in words], dtype=bool)


def _is_numberless(words: list[str], spans: np.ndarray) -> np.ndarray:
    """[num_candidates] bool: nothing of a number, or of an age that is called by its name, stands in the span."""
    numbers = _sums(np.array([word[0].isnumeric() or word in _NUMBERS for word in words], dtype=np.int64))
    return np.asarray(numbers[spans[:, 1] + 1] == numbers[spans[:, 0]])


def _sums(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values)])


class _Columns:
    """The dense features of all candidates of a passage, in groups; the first 20 serve the decision to answer too."""

    def __init__(self, question: ChineseQuestion, text: ChineseText, found: Match, spans: np.ndarray) -> None:
        self.question, self.text, self.found = question, text, found
        self.first, self.last = spans[:, 0], spans[:, 1]
        self.sentence = text.sentence_of[self.first]
        self.bounds = np.searchsorted(text.sentence_of, np.arange(len(text.sentences) + 1))
        self.length = (self.last - self.first + 1).astype(np.float64)
        self.matched = self.inside(found.weight)
        self.begin_clause, self.end_clause = found.clause_of[self.first], found.clause_of[self.last]

    def table(self) -> np.ndarray:
        """[num_candidates, num_features] float32."""
        groups = (self._sentences, self._matches, self._shape, self._kinds, self._nearness, self._head, self._borders)
        columns = [column for group in groups for column in group()]
        wide = [np.broadcast_to(np.asarray(column, dtype=np.float32), len(self.first)) for column in columns]
        return np.stack(wide, axis=1)

    def inside(self, values: np.ndarray) -> np.ndarray:
        """The sum of a token's value over each span."""
        sums = _sums(values)
        return np.asarray(sums[self.last + 1] - sums[self.first])

    def is_in(self, words: Collection[str]) -> np.ndarray:
        """[num_tokens] 1.0 for each of these words."""
        return np.array([word in words for word in self.text.words], dtype=np.float64)

    def tagged(self, *prefixes: str) -> np.ndarray:
        """[num_tokens] 1.0 for each token in a word of such a part of speech."""
        return np.array([tag.startswith(prefixes) for tag in self.text.tags], dtype=np.float64)

    def token(self, test: Callable[[str], bool]) -> np.ndarray:
        """[num_tokens] 1.0 where the token's text passes."""
        return np.array([test(word) for word in self.text.words], dtype=np.float64)

    def left(self, values: np.ndarray, edge: float = 0.0) -> np.ndarray:
        """The value of the token before each span; `edge` where there is none."""
        return np.where(self.first > 0, np.asarray(values, np.float64)[self.first - 1], edge)

    def right(self, values: np.ndarray, edge: float = 0.0) -> np.ndarray:
        """The value of the token behind each span."""
        return np.append(np.asarray(values, np.float64), edge)[self.last + 1]

    def _sentences(self) -> list[np.ndarray]:
        """How much of the question each span's sentence holds, and which sentence it is."""
        covered, at = self.found.covered, self.sentence
        score = covered[:, 0] + 0.5 * covered[:, 1]
        rank = (-score).argsort(kind="stable").argsort(kind="stable")
        before, after = np.append(0.0, score[:-1])[at], np.append(score[1:], 0.0)[at]
        second = np.sort(score)[-2] if len(score) > 1 else 0.0
        size = (self.bounds[1:] - self.bounds[:-1])[at]
        num = len(score)
        sums = _sums(self.found.weight)
        outside = (sums[self.bounds[1:]] - sums[self.bounds[:-1]])[at] - self.matched
        return [
            score[at], score[at] / (score.max() + 1e-6), covered[at, 0], covered[at, 1], covered[at, 2],
            covered[at, 3], 1 / (1 + rank[at]), before, after, at / num, score[at] - second, size,
            np.array(num), np.array(len(self.question.words)), np.array(len(self.text.words)), outside,
        ]  # fmt: skip

    def _matches(self) -> list[np.ndarray]:
        """What of the question the span itself and its clauses repeat: an answer seldom does."""
        found, first, last = self.found, self.first, self.last
        strong, clause = found.strong.astype(np.float64), found.in_clause
        common, sums, padded = self.inside(strong), _sums(clause), np.concatenate([[0.0], clause, [0.0]])
        return [
            common, common / self.length, self.matched, (self.matched > 0).astype(np.float64),
            found.weight[first], found.weight[last], strong[first], strong[last], self.left(strong),
            self.right(strong), clause[self.begin_clause], clause[self.end_clause],
            sums[self.end_clause + 1] - sums[self.begin_clause], padded[self.begin_clause],
            padded[self.end_clause + 2], clause[self.begin_clause] - self.matched,
        ]  # fmt: skip

    def _shape(self) -> list[np.ndarray]:
        """Length, digits, Latin letters, marks and parts of speech inside the span."""
        words, length = self.text.words, self.length
        followed = [*words[1:], ""]
        year = np.array([len(a) == 4 and a.isdigit() and b == "年" for a, b in zip(words, followed, strict=True)])
        digits = self.inside(self.token(lambda word: word[0].isdigit()))
        groups = [("nr",), ("ns",), ("nt", "nz"), ("v",), ("n",), ("t", "m"), ("a",), ("p", "c")]
        return [
            length, self.inside(_is_content(words)), digits, digits / length,
            self.inside(self.token(lambda word: word[0].isascii() and word[0].isalpha())),
            *(self.inside(self.is_in(marks)) for marks in _MARKS),
            self.inside(self.is_in("（(") - self.is_in("）)")), self.inside(year),
            self.inside(self.is_in(_OPENING) - self.is_in(_CLOSING)), self.inside(self.text.begins),
            *(self.inside(self.tagged(*group)) / length for group in groups),
        ]  # fmt: skip

    def _kinds(self) -> list[np.ndarray]:
        return [np.array(float(self.question.kind == kind)) for kind in KINDS]

    def _nearness(self) -> list[np.ndarray]:
        """How near the question's words stand on both sides, and whether the span fills the question word's slot."""
        found, owner = self.found, self.text.sentence_of
        before, after = nearest(found, owner)[self.first], nearest_after(found, owner)[self.last]
        left, right = slots(self.question, found)
        columns = [*before.T, *after.T, left[self.first], right[self.last], left[self.first] + right[self.last]]
        for values in (found.before, found.weight - found.before):
            for rate in (0.6, 0.9):
                columns.append(fading(values, owner, rate)[self.first])
                columns.append(fading(values[::-1], owner[::-1], rate)[::-1][self.last])
        return columns

    def _head(self) -> list[np.ndarray]:
        """Where the noun that the question asks a kind of stands: in the span, at its end, near it."""
        begins, ends = self._places_of_head()
        owner = self.text.sentence_of
        ahead = [fading(ends, owner, rate)[self.first] for rate in (0.7, 0.9)]
        behind = [fading(begins[::-1], owner[::-1], rate)[::-1][self.last] for rate in (0.7, 0.9)]
        last = self.is_in(self.question.head[-1:])
        return [
            ends[self.last], last[self.last], self.right(begins), self.left(ends), self.inside(ends),
            begins[self.first], *ahead, *behind,
        ]  # fmt: skip

    def _places_of_head(self) -> tuple[np.ndarray, np.ndarray]:
        head, words = list(self.question.head), self.text.words
        begins, ends = np.zeros(len(words)), np.zeros(len(words))
        for at in range(len(words) - len(head) + 1 if head else 0):
            if words[at : at + len(head)] == head:
                begins[at] = ends[at + len(head) - 1] = 1.0
        return begins, ends

    def _borders(self) -> list[np.ndarray]:
        """What stands at the span's edges: clause ends, marks, digits, "是", "的", "等"."""
        clauses, first, last = self.found.clauses, self.first, self.last
        from_clause, to_clause = first - clauses[self.begin_clause], clauses[self.end_clause + 1] - 1 - last
        ends, pause = self.is_in(CLAUSE_ENDS), self.is_in("、")
        digits = self.token(lambda word: word[0].isdigit())
        stops = (to_clause == 0) | ((to_clause == 1) & (self.right(ends) > 0))
        lefts = [self.is_in(words) for words in ("、", "《", '“「『"', "是为叫", "的", "在于至到")]
        rights = [self.is_in(words) for words in ("、", "》", "的", "等")]
        return [
            from_clause == 0, stops, (from_clause == 0) & stops, from_clause, to_clause,
            first - self.bounds[self.sentence], self.bounds[self.sentence + 1] - 1 - last,
            self.left(ends, 1.0), self.right(ends, 1.0),
            *(self.left(x) for x in lefts), *(self.right(x) for x in rights),
            self.is_in("《")[first], digits[first], digits[last], self.left(digits), self.right(digits),
            self.is_in("等")[last], pause[last], self.text.begins[first], self.text.ends[last],
        ]  # fmt: skip


def _code(name: str) -> np.uint64:
    return np.uint64(zlib.crc32(name.encode()) + 1)


def _codes(names: list[str]) -> np.ndarray:
    known = {name: _code(name) for name in set(names)}
    return np.array([known[name] for name in names], dtype=np.uint64)


def _bucket(salt: int, *parts: np.ndarray | np.uint64) -> np.ndarray:
    """[n] int32: one bucket for each row of the parts, the same on every machine."""
    mixed = np.array([salt + 1], dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for part in parts:
        mixed = (mixed ^ part) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = mixed ^ (mixed >> np.uint64(29))
    return ((mixed >> np.uint64(40)) % np.uint64(NUM_CHINESE_BUCKETS)).astype(np.int32)


def _names(
    question: ChineseQuestion, text: ChineseText, found: Match, spans: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Buckets of each token as a first and as a last one, [num_tokens, NUM_EDGE_NAMES]; of spans, NUM_SPAN_NAMES."""
    words, tags = _codes(["<2>", "<1>", *_shown(text.words), "<1>", "<2>"]), _codes(["<", "<", *text.tags, ">", ">"])
    whole = _codes(["<", *_shown(text.whole), ">"])
    asked = tuple(_code(part) for part in (question.kind, question.fine, question.head, question.word))
    starts = _edge(0, -1, asked, words, tags, found.strong)
    ends = _edge(_SALT_END, 1, asked, words, tags, found.strong)
    starts = np.concatenate([starts, _word_edge(0, -1, asked, _code(question.before), whole)], axis=1)
    ends = np.concatenate([ends, _word_edge(_SALT_END, 1, asked, _code(question.after), whole)], axis=1)
    names = _whole(asked, text, found, spans, words, tags)
    return starts, ends, np.concatenate([names, _whole_words(asked, spans, whole)], axis=1)


def _shown(words: list[str]) -> list[str]:
    """A number by how many digits it has."""
    return ["0" * min(len(word), 5) if word[0].isdigit() else word for word in words]


def _edge(
    salt: int, out: int, asked: tuple[np.uint64, ...], words: np.ndarray, tags: np.ndarray, strong: np.ndarray
) -> np.ndarray:
    kind, fine, head, word = asked
    at = np.arange(2, len(words) - 2)
    here, outer, outer2, inner = words[at], words[at + out], words[at + 2 * out], words[at - out]
    tag, tag_out, tag_in = tags[at], tags[at + out], tags[at - out]
    matched = np.pad(strong, 1).astype(np.uint64)[at - 1 + out]
    parts = [
        (here,), (outer,), (outer2, outer), (here, inner), (outer, here), (kind, here), (kind, outer), (fine, here),
        (fine, outer), (head, here), (head, outer), (kind, tag), (kind, tag_out), (kind, tag_out, tag), (fine, tag),
        (fine, tag_out), (fine, tag_out, tag), (tag, tag_in, tag_out), (matched, kind, outer), (word, outer, here),
    ]  # fmt: skip
    return np.stack([_bucket(salt + index, *part) for index, part in enumerate(parts)], axis=1)


def _word_edge(salt: int, out: int, asked: tuple[np.uint64, ...], beside: np.uint64, whole: np.ndarray) -> np.ndarray:
    """[num_tokens, 8]: by whole words what `_edge` has by characters. beside: the word beside the question word."""
    kind, fine, head, _ = asked
    at = np.arange(1, len(whole) - 1)
    here, outer = whole[at], whole[at + out]
    parts = [
        (here,), (outer,), (kind, here), (kind, outer), (fine, outer), (head, here), (beside, outer), (beside, here),
    ]  # fmt: skip
    return np.stack([_bucket(salt + _EDGES + index, *part) for index, part in enumerate(parts)], axis=1)


def _whole_words(asked: tuple[np.uint64, ...], spans: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """[num_spans, 3]: both edges together, by whole words."""
    kind, head = asked[0], asked[2]
    first, last = spans[:, 0], spans[:, 1]
    outer, inner = (whole[first], whole[last + 2]), (whole[first + 1], whole[last + 1])
    parts = [outer, (kind, *inner), (head, whole[first], whole[last + 1])]
    return np.stack([_bucket(_SALT_SPAN + _SPANS + index, *part) for index, part in enumerate(parts)], axis=1)


def _whole(
    asked: tuple[np.uint64, ...],
    text: ChineseText,
    found: Match,
    spans: np.ndarray,
    words: np.ndarray,
    tags: np.ndarray,
) -> np.ndarray:
    """Names of whole spans: length, tags in a row, both edges together, each with what the question asks."""
    kind, fine, head, word = asked
    first, last = spans[:, 0], spans[:, 1]
    size = _sums(_is_content(text.words))
    steps = np.array([*range(1, 13), 17, 23, 31, 46])
    length = np.searchsorted(steps, size[last + 1] - size[first], side="right").astype(np.uint64)
    row, count = _tag_row(text, tags[2:-2], first, last)
    clauses = found.clauses
    clause = (clauses[found.clause_of[first]] == first) * 2 + (clauses[found.clause_of[last] + 1] - last <= 2)
    outer = (words[first + 1], words[last + 3])
    inner = (words[first + 2], words[last + 2])
    parts = [
        (kind, length), (fine, length), (head, length), (kind, row), (fine, row), (word, row), outer, (kind, *outer),
        (kind, clause.astype(np.uint64), length), (kind, *inner), (fine, *inner),
        (kind, count, tags[last + 2], tags[last + 3]),
    ]  # fmt: skip
    return np.stack([_bucket(_SALT_SPAN + index, *part) for index, part in enumerate(parts)], axis=1)


def _tag_row(text: ChineseText, tags: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One number for the parts of speech of a short span in order, of a long one's ends; and how many words it has."""
    num = len(tags)
    begins = np.append(np.where(text.begins, np.arange(num), num), num)
    following = np.append(np.minimum.accumulate(begins[::-1])[::-1][1:], num)
    row, at, padded = tags[first], first, np.append(tags, np.uint64(0))
    for _ in range(_TAGS_IN_ROW - 1):
        at = following[at]
        row = np.where(at <= last, row * np.uint64(1000003) + padded[at], row)
    sums = _sums(text.begins)
    count = sums[last + 1] - sums[first]
    ends = tags[first] * np.uint64(77) + tags[last] + np.uint64(9)
    return np.where(count <= _TAGS_IN_ROW, row, ends), count.astype(np.uint64)
