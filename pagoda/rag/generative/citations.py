"""The model's text against its sources: what is borne gets a citation, what is not is marked.

Last but one station of a question's path: question -> Hits -> prompt -> model -> *checked* Answer. A number that the
model wrote counts only where that source bears the sentence; where another source does, the citation is put right;
where none does, the sentence is marked; and where its source says the contrary, the source's words stand in its place.
An answer without one borne sentence is no answer: it becomes the statement that the documents do not hold one. What is
checked is described in `support` and `denial`; the aim is that of Gao et al. 2023, "Enabling Large Language Models to
Generate Text with Citations" (arXiv 2305.14627).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pagoda.rag.answer import Citation
from pagoda.rag.directives import is_directive
from pagoda.rag.generative.denial import contradicts
from pagoda.rag.generative.links import with_own_links
from pagoda.rag.generative.prompt import PackedPrompt
from pagoda.rag.generative.source import Source
from pagoda.rag.generative.support import Support, SupportCheck, says_nothing
from pagoda.rag.words import words_in

_MARK = re.compile(r"\s*[\[【（(]\s*(\d{1,3}(?:\s*[,，、;；]\s*\d{1,3})*)\s*[\]】）)]")
_SQUARE = re.compile(r"\s*[\[【]\s*(\d{1,3}(?:\s*[,，、;；]\s*\d{1,3})*)\s*[\]】]")
# A sentence with the marks behind its end. A full stop between digits, or behind one letter, ends none.
_SENTENCE = re.compile(
    r"\S(?:[^\n。！？!?.…]|\.(?=\S)(?!\s*[\[【]\d)|(?<=\b[A-Za-z])\.)*(?:[。！？!?…]+|\.+|(?=\n)|$)[”’\"'）)]*"
    r"(?:\s*[\[【]\s*\d{1,3}(?:\s*[,，、;；]\s*\d{1,3})*\s*[\]】][。.]?)*",
)
_OF_THE_PROMPT = re.compile(
    r"^(?:according to the (?:\w+ )?text,?|the (?:\w+ )?text (?:states|says|mentions)(?: that)?"
    r"|根据(?:材料|文中|原文)的?(?:内容)?[，,]?)\s*",
    re.IGNORECASE,
)
"""Words about a text that only the model was shown."""
_THINKING = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class CheckedText:
    """What is left of a model's text. score: mean share of words borne by sources over all sentences, 0 to 1."""

    text: str
    citations: tuple[Citation, ...] = ()
    unsupported: tuple[str, ...] = ()
    abstained: bool = False
    score: float = 0.0


@dataclass(frozen=True)
class CitedSpan:
    """A sentence of a text, characters from `start` to `end` with its marks, and the place that bears it.

    citation: its number is the source's
    """

    start: int
    end: int
    citation: Citation


@dataclass
class _Numbering:
    """Citations in the order of their first use; the same place is cited once."""

    found: dict[tuple[str, int, int], Citation] = field(default_factory=dict)

    def number(self, source: Source, support: Support) -> int:
        key = (source.file, support.start, support.end)
        if key not in self.found:
            self.found[key] = _citation(len(self.found) + 1, source, support)
        return self.found[key].number


def checked(text: str, question: str, prompt: PackedPrompt, check: SupportCheck) -> CheckedText:
    """The text with citations that hold, numbered from 1."""
    words = words_in(prompt.language)
    text = _without_preamble(with_own_links(_THINKING.sub("", text), prompt.sources).strip())
    if is_abstention(text):
        return CheckedText(words.abstention, abstained=True)
    numbering, unsupported, scores, parts = _Numbering(), list[str](), list[float](), list[str]()
    for gap, sentence in _sentences(text):
        plain = _SQUARE.sub("", sentence).strip()
        found = _borne(sentence, plain, question, prompt.sources, check)
        told = _told(plain, question, [_citation(0, *pair).quote for pair in found])
        parts.append(gap + told + "".join(f" [{n}]" for n in _numbers(found, numbering)))
        scores.append(max((support.score for _, support in found), default=0.0))
        if not found and not says_nothing(plain) and not is_abstention(plain):
            unsupported.append(plain)
            parts[-1] += words.unsupported_mark
    if not numbering.found:
        return CheckedText(words.abstention, unsupported=tuple(unsupported), abstained=True)
    score = sum(scores) / len(scores)
    return CheckedText("".join(parts).strip(), tuple(numbering.found.values()), tuple(unsupported), score=score)


def cited_spans(text: str, question: str, sources: Sequence[Source], check: SupportCheck) -> list[CitedSpan]:
    """What bears each sentence of a text that stays as it is: it was sent already, or is no answer of ours.

    A mark counts only where its source bears the sentence; a sentence that nothing bears has no entry.
    """
    found, start = list[CitedSpan](), 0
    for gap, sentence in _sentences(text):
        start += len(gap)
        plain = _SQUARE.sub("", sentence).strip()
        borne = [] if is_abstention(plain) else _borne(sentence, plain, question, sources, check)
        found += [CitedSpan(start, start + len(sentence), _citation(s.number, s, support)) for s, support in borne]
        start += len(sentence)
    return found


def _without_preamble(text: str) -> str:
    """
    >>> _without_preamble("According to the text, it opens at nine.")
    'It opens at nine.'
    """
    told = _OF_THE_PROMPT.sub("", text)
    return text if told == text else told[:1].upper() + told[1:]


def is_abstention(text: str) -> bool:
    """Whether a text says that the documents hold no answer, in the words that the model was told or nearly so.

    >>> is_abstention("The documents do not hold an answer to this."), is_abstention("It opens at 9 [1].")
    (True, False)
    """
    plain = re.sub(r"[\W_]+", "", _MARK.sub("", text)).lower()
    told = [re.sub(r"[\W_]+", "", words_in(language).abstention).lower() for language in ("en", "zh")]
    return not plain or any(plain.startswith(words) and len(plain) < 2 * len(words) for words in told)


def cited_numbers(sentence: str) -> list[int]:
    """The numbers of sources that a sentence names, in order.

    >>> cited_numbers("Nine to six [2], 周末休息【1，3】。")
    [2, 1, 3]
    """
    return [int(number) for match in _SQUARE.finditer(sentence) for number in re.findall(r"\d+", match[1])]


def _sentences(text: str) -> Iterator[tuple[str, str]]:
    """(what stands before it, sentence with its marks), which joined are the text."""
    end = 0
    for match in _SENTENCE.finditer(text):
        yield text[end : match.start()], match[0]
        end = match.end()
    if text[end:].strip():
        yield "", text[end:]


def _borne(
    sentence: str, plain: str, question: str, sources: Sequence[Source], check: SupportCheck
) -> list[tuple[Source, Support]]:
    """The sources that bear a sentence: those it names which hold, else the best of all."""
    if not plain:
        return []
    named = [source for number in cited_numbers(sentence) for source in sources if source.number == number]
    if says_nothing(plain):
        return check.places(question, named or sources)
    held = [(source, found) for source in named if (found := check.check(plain, question, source)).holds]
    if held:
        return held
    best = check.best(plain, question, sources)
    return [best] if best else []


def _told(plain: str, question: str, quotes: Sequence[str]) -> str:
    """The model's sentence; the words of its source where one of them denies and the other does not."""
    against = next((quote for quote in quotes if contradicts(plain, question, quote)), None)
    # What gives orders is nobody's answer, see `directives`; whoever reads the hits elsewhere may still meet it.
    return plain if against is None or is_directive(against) else " ".join(against.split())


def _numbers(found: Sequence[tuple[Source, Support]], numbering: _Numbering) -> list[int]:
    return list(dict.fromkeys(numbering.number(source, support) for source, support in found))


def _citation(number: int, source: Source, support: Support) -> Citation:
    chunk = next(c for c in source.chunks if c.start <= support.start and support.end <= c.end)
    return Citation.of_span(number, chunk, support.start, support.end, source.score)
