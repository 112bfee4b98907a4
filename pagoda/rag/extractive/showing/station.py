"""What is shown of a passage that answers: a span in its sentence, the sentence, or the passage with its key words.

On a question's path: question -> Hits -> spans -> *what is shown* -> Answer. A span stands alone only where its words
were asked for, its reader is sure, and nothing in or behind its sentence may say otherwise; a sentence only where it is
prose that reads by itself. Everything else is shown as the passage it stands in, with what answers marked. So what is
shown never says more, or the contrary, of what the document says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pagoda.rag.content_words import content
from pagoda.rag.extractive.showing.alone import (
    answering_as_well,
    asks_for_several,
    holds_what_is_sought,
    is_in_clause_asked_about,
    whole_words,
)
from pagoda.rag.extractive.showing.governors import denies, goes_on, governs, is_governed, is_hearsay, is_question
from pagoda.rag.extractive.showing.prose import is_prose
from pagoda.rag.extractive.showing.question_form import Form
from pagoda.rag.extractive.showing.readable import is_bare

Span = tuple[int, int]
Kind = Literal["span", "sentence", "passage"]
LONGEST_SPAN = 80
"""Characters. A longer one is a sentence that lost its end."""


@dataclass(frozen=True)
class Showing:
    """Characters of the passage. place: what is quoted; marked: what in it answers."""

    kind: Kind
    place: Span
    marked: Span


@dataclass(frozen=True)
class Candidate:
    """What a reader found in a passage.

    sentences: in order; span: the words; heading: what the passage stands under
    key: the sentence that is asked about; contested: another one may be as well
    is_ruled_out: the words are of a row that says it is not what is asked for
    asked: the question's words that carry meaning; question: itself
    begins_in_code: whether the text begins in a fenced block
    """

    text: str
    sentences: Sequence[Span]
    span: Span
    key: int
    heading: str = ""
    contested: bool = False
    is_ruled_out: bool = False
    asked: frozenset[str] = frozenset()
    question: str = ""
    begins_in_code: bool = False


def shown(
    form: Form, found: Candidate, *, span_is_sure: bool, sentence_is_sure: bool, words_are_likely: bool = True
) -> Showing:
    """How a candidate is shown for a question of some form."""
    at = asked_about(form, found)
    sentence = _sentence(found, at)
    if form == "words" and (others := answering_as_well(found.question, found.text, found.sentences, at)) != [at]:
        return _together(found, others, sentence_is_sure and not found.is_ruled_out)
    undecided = not sentence_is_sure or found.is_ruled_out or (form == "polar" and found.contested)
    if form == "block" or undecided or not _reads_alone(found, sentence):
        return passage(form, found, words_are_likely=words_are_likely or sentence_is_sure)
    marked = _marked(form, found, sentence)
    whole = with_what_goes_on(found, at, found.asked)
    left, right = marked[0] - sentence[0], marked[1] - sentence[0]
    alone = form == "words" and span_is_sure and whole == sentence and marked != sentence
    alone = alone and not asks_for_several(found.question)
    alone = alone and is_in_clause_asked_about(found.question, found.text, sentence, marked)
    governed = governs(found.heading) or is_governed(found.text[slice(*sentence)], left, right)
    if alone and right - left <= LONGEST_SPAN and not governed:
        return Showing("span", sentence, marked)
    return Showing("sentence", whole, marked)


def _together(found: Candidate, places: Sequence[int], are_enough: bool) -> Showing:
    """The sentences that answer with what stands between them; the passage where one of them does not read alone."""
    told = [found.sentences[place] for place in places]
    first, last = told[0][0], told[-1][1]
    if are_enough and all(_reads_alone(found, sentence) for sentence in told):
        last = with_what_goes_on(found, places[-1], found.asked)[1]
        return Showing("sentence", (with_what_goes_on(found, places[0], found.asked)[0], last), (first, told[-1][1]))
    return Showing("passage", (0, len(found.text)), (first, last))


def passage(form: Form, found: Candidate, *, words_are_likely: bool = True) -> Showing:
    """All of a candidate's passage, with what in it answers marked: the reader's words, or the key sentence."""
    at = asked_about(form, found)
    if words_are_likely:
        marked = _marked(form, found, _sentence(found, at))
    else:
        marked = _sentence(found, found.key if found.key >= 0 else at)
    return Showing("passage", (0, len(found.text)), marked)


def asked_about(form: Form, found: Candidate) -> int:
    """The place of the sentence that answers: which words say yes or no is nothing that a reader of spans knows."""
    return found.key if form == "polar" and found.key >= 0 else sentence_of(found.sentences, found.span)


def _sentence(found: Candidate, at: int) -> Span:
    return found.sentences[at] if found.sentences else (0, len(found.text))


def _marked(form: Form, found: Candidate, sentence: Span) -> Span:
    """The reader's words, or the sentence where they say neither yes nor no, or are not of the kind that is sought."""
    span = whole_words(found.question, found.text, sentence, found.span)
    if form == "polar" or not _may_be_marked(found.text, span):
        return sentence
    return span if holds_what_is_sought(found.question, found.text, sentence, span) else sentence


def sentence_of(sentences: Sequence[Span], span: Span) -> int:
    """The place of the sentence that a span begins in; -1 where it is in none."""
    return next((i for i, (left, right) in enumerate(sentences) if left <= span[0] < right), -1)


def with_what_goes_on(found: Candidate, at: int, asked: frozenset[str] = frozenset()) -> Span:
    """A sentence with its neighbours, as far as they take back, limit or condition it, or it does them.

    The one behind it is shown as soon as anything in it denies or ends something ("Not on Sundays."): whether that is
    said of this sentence, a reader sees and a rule does not. What is told as a myth needs it in any case. Clauses on
    both sides of a semicolon are one sentence.
    asked: words that a neighbour is shown for as well, where it alone has them: "free on weekdays. At weekends ..."
    """
    text, sentences = found.text, found.sentences
    own = text[slice(*sentences[at])]
    missed = asked - content(own) - content(found.heading)
    first = last = at
    while first > 0 and _touches(text, sentences[first - 1 : first + 1]):
        before, behind = (text[slice(*sentences[place])] for place in (first - 1, first))
        if not (goes_on(behind) or _is_clause(before) or (first == at and missed & content(before))):
            break
        first -= 1
    while last + 1 < len(sentences) and _touches(text, sentences[last : last + 2]):
        before, behind = (text[slice(*sentences[place])] for place in (last, last + 1))
        is_next_needed = last == at and (_may_take_back(own, behind) or missed & content(behind))
        if not (goes_on(behind) or _is_clause(before) or is_next_needed):
            break
        last += 1
    return sentences[first][0], sentences[last][1]


def _is_clause(sentence: str) -> bool:
    """Whether a semicolon ends it, so that the sentence goes on."""
    return sentence.rstrip().endswith((";", "；"))


def _may_take_back(sentence: str, behind: str) -> bool:
    return denies(behind) or is_hearsay(sentence)


def _touches(text: str, pair: Sequence[Span]) -> bool:
    """Whether two sentences are of one paragraph."""
    return "\n\n" not in text[pair[0][1] : pair[1][0]]


def _may_be_marked(text: str, span: Span) -> bool:
    start, end = span
    return start < end and is_bare(text, start, end)


def _reads_alone(found: Candidate, sentence: Span) -> bool:
    is_whole = is_prose(found.text, *sentence, found.begins_in_code)
    return is_whole and not is_question(found.text[slice(*sentence)])
