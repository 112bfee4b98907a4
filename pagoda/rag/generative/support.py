"""Whether a source bears a sentence: its numbers and names stand in what is quoted, and most other words in the source.

On a question's path behind the model: question -> Hits -> prompt -> model -> *checked* Answer. A check of words and not
of logic: it finds what was invented or taken from another source, and lets pass what denies its source in the same
words. Where words differ, the embedder may still vouch for a sentence, but never for a number or a name. The quotation
is the fewest sentences that have them all, so that a reader who looks at it alone finds what the answer says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pagoda.rag.content_words import FUNCTION_WORDS, HAN_RUN, LATIN_WORD, content, words_of
from pagoda.rag.documents.document import Chunk
from pagoda.rag.embedding.vectors import UNREADABLE_SHARE, PassageEmbedder
from pagoda.rag.english import uninflected
from pagoda.rag.generative.source import Source
from pagoda.rag.generative.units import counts_otherwise

if TYPE_CHECKING:
    from pagoda.rag.embedding.vectors import Embedder

_NUMBER = re.compile(r"\d+(?:[.,:：]\d+)*")
_NAME = re.compile(r"(?<![.!?。！？]\s)(?<!^)(?<!\w)[A-Z][\w-]*\w")
_AFFIRMATION_TEXT = "是 不是 对 不对 否 不 有 没有 可以 不可以 能 不能 会 不会 需要 不需要 "
_AFFIRMATION = frozenset(_AFFIRMATION_TEXT.split())
_WANTS_WORDS = re.compile(
    r"\b(?:what|which|who|whom|whose|when|where|why|how)\b|[谁誰哪几幾啥]|什[么麼]|多少|多[长長大久远遠高快]|怎|如何"
    r"|何[时時处處地人]|为何|為何|为什么",
    re.IGNORECASE,
)
# Which value holds where nothing is said: a model calls any value of a list the default where that is asked for.
_DEFAULT = re.compile(r"\bdefault|默认|默認|缺省|预设|預設", re.IGNORECASE)
_IF_NOTHING_IS_SAID = re.compile(
    r"\bdefault|\bunless\b|\bomitted|\botherwise\b|\bunset\b|\b(?:not|no|isn['’]t|without)\b.{0,30}\b(?:set|given|specified|provided"
    r"|present|configured)|默认|默認|缺省|预设|預設|(?:未|没有?|沒有?|不|無|无)(?:指定|设置|設置|配置|写|寫|填|给出|提供|传)",
    re.IGNORECASE,
)
_CHOICE = re.compile(r"\b(?:or|vs|versus)\b|还是|還是|或|哪个更|哪個更", re.IGNORECASE)
_INVENTED_WORDS, _INVENTED_PAIRS = 3, 4
"""So many in a row that the source does not have are no paraphrase: three words, or five Chinese characters."""
_MAX_SENTENCES = 3
_DIGITS = str.maketrans("０１２３４５６７８９：，", "0123456789:,")


@dataclass(frozen=True)
class _Facts:
    """What a sentence says that no paraphrase may change: numbers in one spelling, names uninflected."""

    numbers: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        """Both; no name is spelled as a number."""
        return self.numbers | self.names

    def found_in(self, text: str) -> frozenset[str]:
        """Those that a text has."""
        found = self.numbers & numbers(text) if self.numbers else frozenset[str]()
        return found | (self.names & _folded_words(text)) if self.names else found


@dataclass(frozen=True)
class _Quotation:
    """Sentences in a row. heading: what stands above them, which is read with them, as a title names the subject.

    has_facts: whether they and the heading have all that may not be changed; num_shared: words of what was told
    """

    start: int
    end: int
    text: str
    heading: str
    has_facts: bool
    num_shared: int
    size: int


@dataclass(frozen=True)
class Support:
    """How well a source bears a sentence. score: 0 to 1; start, end: what is quoted of it, in the document."""

    score: float
    start: int
    end: int
    holds: bool


class SupportCheck:
    """Compares sentences with sources.

    threshold: share of a sentence's words that must stand in the source; similarity: cosine that makes up for fewer
    """

    def __init__(self, embedder: Embedder | None = None, *, threshold: float = 0.5, similarity: float = 0.75) -> None:
        self._embedder, self._threshold, self._similarity = embedder, threshold, similarity

    def best(self, sentence: str, question: str, sources: Sequence[Source]) -> tuple[Source, Support] | None:
        """The source that bears the sentence best, or None where none does; the first of equals."""
        held = [(source, found) for source in sources if (found := self.check(sentence, question, source)).holds]
        return max(held, key=lambda pair: pair[1].score) if held else None

    def check(self, sentence: str, question: str, source: Source) -> Support:
        """How well one source bears the sentence. What the question said already proves nothing.

        And a sentence that says nothing else is no answer to a question that wants more than a yes or no.
        """
        told = content(sentence)
        new = told - content(question)
        facts = _Facts(numbers(sentence), frozenset(_names(sentence, question)))
        quote = _quotation(told or content(question), facts, source)
        if _is_echo(sentence, question) or (not told and not facts.numbers):
            return Support(0.0, quote.start, quote.end, holds=False)
        there = content(source.chunks[0].heading + source.text)
        covered, newly = _share(told, there), _share(new, there)
        enough = min(covered, newly) >= self._threshold and not _invented(sentence, there | content(question))
        if quote.has_facts and not enough:
            enough = self._similar(sentence, quote.text)
        read = f"{quote.heading}\n{quote.text}"
        has_facts = quote.has_facts and not counts_otherwise(sentence, quote.text) and not _made_default(sentence, read)
        return Support(covered if has_facts else 0.0, quote.start, quote.end, holds=has_facts and enough)

    def places(self, question: str, sources: Sequence[Source]) -> list[tuple[Source, Support]]:
        """Where the source that speaks most of the question does so, for sentences that say nothing by themselves: Yes.

        None where no source has half of the question's words together.
        """
        asked = content(question)
        found = [(source, _quotation(asked, _Facts(), source)) for source in sources]
        shares = [_share(asked, content(f"{quote.heading}\n{quote.text}")) for _, quote in found]
        most = max(shares, default=0.0)
        if most < self._threshold:
            return []
        source, quote = found[shares.index(most)]
        return [(source, Support(0.0, quote.start, quote.end, holds=True))]

    def _similar(self, sentence: str, quote: str) -> bool:
        """By MiniLM, whose cosines `similarity` was fitted to; what another network reads whole is not judged so."""
        if self._embedder is None or self._embedder.unknown_share(sentence) > UNREADABLE_SHARE:
            return False
        if isinstance(self._embedder, PassageEmbedder) and any(map(self._embedder.wants_whole, (sentence, quote))):
            return False
        one, other = self._embedder.embed([sentence, quote])
        return float(one @ other) >= self._similarity


def numbers(text: str) -> frozenset[str]:
    """Numbers in one spelling: without separators of thousands and trailing zeros.

    >>> sorted(numbers("1,200 units at 9:00, 3.50 each"))
    ['1200', '3.5', '9:00']
    """
    return frozenset(_plain_number(match) for match in _NUMBER.findall(text.translate(_DIGITS)))


def says_nothing(sentence: str) -> bool:
    """Whether a sentence only affirms or denies.

    >>> says_nothing("Yes."), says_nothing("可以。"), says_nothing("Berlin.")
    (True, True, False)
    """
    return not numbers(sentence) and (not content(sentence) or sentence.strip(" 。，！.,!") in _AFFIRMATION)


def _made_default(sentence: str, read: str) -> bool:
    """Whether a sentence tells a default where what it rests on does not speak of one.

    >>> _made_default("The default format is custom.", "Formats are custom and plain.")
    True
    >>> _made_default("The default format is plain.", "Without -F, if no format is given, plain text is written.")
    False
    """
    return _DEFAULT.search(sentence) is not None and _IF_NOTHING_IS_SAID.search(read) is None


def _is_echo(sentence: str, question: str) -> bool:
    """Whether a sentence says no more than a question that wants words and names none to choose from.

    >>> _is_echo("The deposit.", "How much is the deposit?"), _is_echo("Tea.", "Which is cheaper, tea or coffee?")
    (True, False)
    """
    if not _WANTS_WORDS.search(question) or _CHOICE.search(question):
        return False
    return content(sentence) <= content(question) and numbers(sentence) <= numbers(question)


def _plain_number(number: str) -> str:
    number = re.sub(r",(?=\d{3}(?:\D|$))", "", number)
    return number.rstrip("0").rstrip(".") if "." in number and ":" not in number else number


def _names(sentence: str, question: str) -> set[str]:
    """Capitalised words that do not merely begin a sentence, without those of the question."""
    names = {name.lower() for name in _NAME.findall(sentence)} - FUNCTION_WORDS
    return {uninflected(name) for name in names} - _folded_words(question)


def _folded_words(text: str) -> set[str]:
    """All words uninflected, for a name must stand in full; those with a hyphen whole and in parts."""
    lower = text.lower()
    return {uninflected(word) for word in (*re.findall(r"[\w-]*\w", lower), *LATIN_WORD.findall(lower))}


def _invented(sentence: str, known: frozenset[str]) -> bool:
    """Whether words in a row, or characters in a row, stand neither in the source nor in the question."""
    told = [word not in known for word in words_of(sentence)]
    runs = [[run[i : i + 2] not in known for i in range(len(run) - 1)] for run in HAN_RUN.findall(sentence)]
    return _longest(told) >= _INVENTED_WORDS or max(map(_longest, runs), default=0) >= _INVENTED_PAIRS


def _longest(flags: list[bool]) -> int:
    """Length of the longest row of True.

    >>> _longest([True, False, True, True])
    2
    """
    return max((len(list(group)) for is_set, group in itertools.groupby(flags) if is_set), default=0)


def _share(told: frozenset[str], there: frozenset[str]) -> float:
    """1.0 where nothing was told: then nothing was invented."""
    return len(told & there) / len(told) if told else 1.0


def _quotation(told: frozenset[str], facts: _Facts, source: Source) -> _Quotation:
    """The sentences in a row that have all facts, if any do, and share most with what was told; few and short ones."""
    found = [window for chunk in source.chunks for window in _windows(chunk, told, facts)]
    return max(found, key=lambda each: (each.has_facts, each.num_shared - each.size, each.start - each.end))


def _windows(chunk: Chunk, told: frozenset[str], facts: _Facts) -> Iterator[_Quotation]:
    """One sentence, or where there are facts that it may not have, up to three in a row, or all of a chunk."""
    spans, texts = chunk.sentences or ((chunk.start, chunk.end),), chunk.sentence_texts()
    # Each sentence is read once, however many rows it stands in.
    shared, held = [told & content(text) for text in texts], [facts.found_in(text) for text in texts]
    above = facts.found_in(chunk.heading)
    sizes = sorted({*range(1, _MAX_SENTENCES + 1), len(spans)}) if facts.all else [1]
    for size in (size for size in sizes if size <= len(spans)):
        for first in range(len(spans) - size + 1):
            start, end, row = spans[first][0], spans[first + size - 1][1], slice(first, first + size)
            yield _Quotation(
                start,
                end,
                chunk.text[start - chunk.start : end - chunk.start],
                chunk.heading,
                has_facts=facts.all <= above.union(*held[row]),
                num_shared=len(frozenset[str]().union(*shared[row])),
                size=size,
            )
