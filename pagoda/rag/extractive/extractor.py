"""Answers in the documents' own words, with no model to believe: what is shown of the best passage, or nothing.

Last station of a question's path without a generating model: question -> Hits -> spans -> *extraction*. English is read
by the neural reader on the packaged MiniLM (`english/reader`), Chinese by trees (`chinese/tree_ranker`), for MiniLM has
no words for it: the question decides which, or the passage where it has hardly a word of the question's language. The
readers find words; `showing` decides whether to answer and how much must be shown. Offline, deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.language import Language, language_of, share_of
from pagoda.rag.answerer import LOOKED_THROUGH
from pagoda.rag.content_words import content
from pagoda.rag.documents.document import ANSWERS, Chunk, Hit
from pagoda.rag.extractive.chinese import second_look as second_look_zh
from pagoda.rag.extractive.chinese.features import read_chinese
from pagoda.rag.extractive.chinese.second_look import ChineseFirstLook, chinese_confidence
from pagoda.rag.extractive.english import second_look as second_look_en
from pagoda.rag.extractive.english.alignment import load_alignment
from pagoda.rag.extractive.english.joint_reader import WEIGHTS as JOINT_WEIGHTS
from pagoda.rag.extractive.english.joint_reader import load_joint_reader
from pagoda.rag.extractive.english.reader import load_reader
from pagoda.rag.extractive.english.second_look import FirstLook, load_second_look, look_at
from pagoda.rag.extractive.extraction import NOTHING, Extraction, Place, distinct_places, part_of, place_of, whole_place
from pagoda.rag.extractive.ranker import FOLDER, decision_features
from pagoda.rag.extractive.rankers import load_ranker
from pagoda.rag.extractive.showing.attributes import lacks_value
from pagoda.rag.extractive.showing.blocks import Beside
from pagoda.rag.extractive.showing.coverage import FIRST_HITS, Coverage, prose_share
from pagoda.rag.extractive.showing.decision import (
    PROSE_SHARE,
    Group,
    Signs,
    group_of,
    load_decision,
    log_odds,
    reader_sign,
    signs_of,
    words_are_likely,
)
from pagoda.rag.extractive.showing.question_form import Form, form_of
from pagoda.rag.extractive.showing.records import is_one_of_several, looked_up, row_asked_for, rules_itself_out
from pagoda.rag.extractive.showing.second_look import is_of_few
from pagoda.rag.extractive.showing.station import (
    Candidate,
    Span,
    asked_about,
    passage,
    sentence_of,
    shown,
)
from pagoda.rag.extractive.spans import sentence_bounds

NAMES_SHARE = 0.2
"""A text with a smaller share of words of a language has its names in it, but nothing to cut an answer from."""
ALIGNED, LOOKED_AT_AGAIN, LOOKED_AT_IN_CHINESE = "en-prose", "en-manual", "zh-manual"
"""Where alignment and the second looks were fitted; the English one also to prose of a few passages."""
CHINESE_HITS = 5
"""Of a Chinese manual, whose weights were fitted so."""
ENOUGH, TOO_LITTLE = 0.9, 0.05
"""No more passages are shown once one of them answers with this probability, and none that answers with less."""
UNKNOWN_ENOUGH = 0.3
"""Share of what the words of a question are worth that is too much to be in no document, where yes or no is asked."""


@dataclass(frozen=True)
class ExtractiveSettings:
    """min_confidence: below it the answerer abstains; None is what the calibration asks for.

    max_hits: how many hits are read, best first: of an English manual, whose joint reader finds the one that answers
        further down; of a Chinese one no more than five, of prose three, where the first is nearly always the one
    max_passages: how many may be shown where none of them surely answers
    """

    min_confidence: float | None = None
    max_hits: int = LOOKED_THROUGH
    max_passages: int = 3

    def __post_init__(self) -> None:
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise ConfigError(f"min_confidence is {self.min_confidence}, but a probability is expected: give 0 to 1")
        for name in ("max_hits", "max_passages"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, but at least one hit must be read: give 1 or more")


@dataclass(frozen=True)
class SpanReading:
    """What a reader found in one hit: characters of the chunk, and log-odds that the hit holds an answer.

    by_margin: those of the English reader's network alone
    is_read: no for the key sentence of a hit that no reader has looked at
    """

    hit_index: int
    language: Language
    start: int
    end: int
    log_odds: float
    by_margin: float = 0.0
    is_read: bool = True


@dataclass(frozen=True)
class Examined:
    """A reading with what may be shown of it, what is known of it, and whose weights decide.

    is_looked_up: whether it is the row of a table, or the labelled line, that the question asks for by all of its words
    is_contrary: whether its row says the contrary of what is asked for
    joint: log-odds that it answers by the reader of question and passage: of English manuals, of any few English
        passages, and of Chinese manuals whose passages were read when they were found; else None
    of_few: whether it was found among so few passages that none stands out, see showing.second_look
    """

    reading: SpanReading
    candidate: Candidate
    signs: Signs
    group: Group
    is_looked_up: bool = False
    is_contrary: bool = False
    joint: float | None = None
    of_few: bool = False

    @cached_property
    def first(self) -> float:
        """That it answers, by the first look alone."""
        return load_decision().probability(self.group, self.signs)

    @property
    def is_looked_at_again(self) -> bool:
        """Whether an English second look weighs it: of prose among many passages it would know no more."""
        return self.group == LOOKED_AT_AGAIN or (self.group == ALIGNED and self.of_few)

    @cached_property
    def probability(self) -> float:
        """That it answers."""
        told = self.first
        if self.joint is not None and self.is_looked_at_again:
            told = second_look_en.passage_probability(told, self.joint, self.of_few)
        elif self.joint is not None:
            told = second_look_zh.passage_probability(told, self.joint)
        return max(told, ENOUGH) if self.is_looked_up else told

    @cached_property
    def certainty(self) -> float:
        """That its sentence is enough, if it answers."""
        return load_decision().certainty(self.group, self.signs)


class ExtractiveAnswerer:
    """Finds the answer to a question in its hits. Weights are read with the first question of a language.

    rankers, joint: folder of the Chinese ranker and file of the joint reader, to measure some that saw no question
    """

    def __init__(
        self, settings: ExtractiveSettings | None = None, rankers: Path = FOLDER, joint: Path = JOINT_WEIGHTS
    ) -> None:
        self.settings = settings or ExtractiveSettings()
        self._rankers, self._joint = rankers, joint

    def answer(self, question: str, hits: Sequence[Hit], beside: Beside | None = None, focus: str = "") -> Extraction:
        """What answers best in the hits (best first); abstained where none seems to hold an answer.

        beside: knows the chunks around a hit's, for a list or a table that goes on over its edges
        focus: what a follow-up question newly asks about, which the answer has to speak of where any sentence does

        Raises InvalidRequestError for a question without words, MissingExtraError for an English passage where the
        packaged MiniLM is not installed.
        """
        coverage = coverage_of(question, self.read_hits(question, hits), focus)
        readings = self.readings(question, hits, coverage)
        if focus:
            readings = self._of_focus(question, readings, coverage)
        return self.extraction(question, hits, readings, beside, coverage)

    def answer_batch(self, questions: Sequence[str], hits: Sequence[Sequence[Hit]]) -> list[Extraction]:
        """One extraction a question: the same as one by one."""
        return [self.answer(question, found) for question, found in zip(questions, hits, strict=True)]

    def readings(self, question: str, hits: Sequence[Hit], coverage: Coverage | None = None) -> list[SpanReading]:
        """What the readers find in the first hits: the dear half of an answer. Raises as `answer` does.

        Where the decision does not ask a reader, hits are skimmed: `extraction` has the one read that it shows.
        coverage: of both, where it is known already
        """
        if not question.strip():
            raise InvalidRequestError("the question is empty: give one with words", param="question")
        coverage, decision = coverage or coverage_of(question, self.read_hits(question, hits)), load_decision()
        found: list[SpanReading] = []
        for index, hit in enumerate(coverage.hits):
            asks = decision.asks_reader(group_of(_language(question, hit.text), coverage))
            own = self.read(question, index, hit.chunk) if asks else skimmed(question, coverage, index)
            if own is not None:
                found.append(own)
        return found

    def read_hits(self, question: str, hits: Sequence[Hit]) -> Sequence[Hit]:
        """Those of the hits that are read."""
        most = self.settings.max_hits
        first = hits[: min(FIRST_HITS, most)]
        is_prose = prose_share([(hit.text, sentences_of(hit.chunk)) for hit in first]) >= PROSE_SHARE
        return first if is_prose else hits[: most if language_of(question) == "en" else min(CHINESE_HITS, most)]

    def extraction(
        self,
        question: str,
        hits: Sequence[Hit],
        readings: Sequence[SpanReading],
        beside: Beside | None = None,
        coverage: Coverage | None = None,
    ) -> Extraction:
        """What is shown of what was read: the cheap half. coverage: of both, where it is known already."""
        if not readings:
            return NOTHING
        form, coverage = form_of(question), coverage or coverage_of(question, self.read_hits(question, hits))
        found = self.ranked(question, readings, coverage)
        found[0] = self._read_closely(question, found[0], coverage)
        best, thresholds = found[0].reading, load_decision().thresholds[found[0].group]
        probability, usual = confidence(question, found, hits)
        least = usual if self.settings.min_confidence is None else self.settings.min_confidence
        # Of manuals, whether less than the passage is enough has weights of its own.
        sure = found[0].certainty if found[0].group in load_decision().alone else probability
        showing = shown(
            form,
            found[0].candidate,
            span_is_sure=sure >= thresholds.span and not found[0].is_looked_up,
            sentence_is_sure=sure >= thresholds.sentence,
            words_are_likely=words_are_likely(found[0].group),
        )
        chunk = hits[best.hit_index].chunk
        places = [place_of(best.hit_index, chunk, showing)]
        if showing.kind == "passage":
            places = distinct_places(
                [whole_place(place, beside) for place in (*places, *self._also(form, found, hits))]
            )
        return Extraction(
            text=chunk.text[best.start : best.end],
            start=chunk.start + best.start,
            end=chunk.start + best.end,
            hit_index=best.hit_index,
            kind=showing.kind,
            places=tuple(places),
            confidence=probability,
            abstained=probability < least
            or _asks_of_unknown(form, found[0], coverage)
            or lacks_value(question, [place.chunk.heading + place.chunk.text for place in places]),
        )

    def ranked(self, question: str, readings: Sequence[SpanReading], coverage: Coverage) -> list[Examined]:
        """What was read in the order in which it would be shown. coverage: of the question and the hits that are read.

        The likeliest first, of equals the earlier hit; a row that says the contrary behind all others.
        """
        found = self.read_jointly(question, coverage.hits, examined(question, coverage.hits, readings, coverage))
        return sorted(found, key=lambda each: (each.is_contrary, -each.probability))

    def read_jointly(self, question: str, hits: Sequence[Hit], found: Sequence[Examined]) -> list[Examined]:
        """Those that are looked at again with what the joint reader says; a row that is looked up answers anyway."""
        return [
            replace(each, joint=load_joint_reader(self._joint).log_odds(question, hits[each.reading.hit_index].chunk))
            if each.is_looked_at_again and not each.is_looked_up
            else each
            for each in found
        ]

    def _read_closely(self, question: str, best: Examined, coverage: Coverage) -> Examined:
        """The best passage, read where it was only skimmed; the row of a table that is looked up needs no reader."""
        at, hits = best.reading.hit_index, coverage.hits
        if best.reading.is_read or best.is_looked_up or not (read := self.read(question, at, hits[at].chunk)):
            return best
        readings = self._of_focus(question, [read], coverage) if coverage.focus else [read]
        return replace(examined(question, hits, readings, coverage)[0], joint=best.joint)

    def _also(self, form: Form, found: Sequence[Examined], hits: Sequence[Hit]) -> list[Place]:
        """The passages to show beside the best: as many as it takes until one of them likely answers."""
        missed, also = 1 - found[0].probability, []
        # A passage in another language than the best one's is no further reading for whoever asked.
        same = [each for each in found[1:] if each.reading.language == found[0].reading.language]
        for other in same[: self.settings.max_passages - 1]:
            if 1 - missed >= ENOUGH or other.probability < TOO_LITTLE:
                break
            missed *= 1 - other.probability
            at = other.reading.hit_index
            showing = passage(form, other.candidate, words_are_likely=words_are_likely(other.group))
            also.append(place_of(at, hits[at].chunk, showing))
        return also

    def _of_focus(self, question: str, readings: Sequence[SpanReading], coverage: Coverage) -> list[SpanReading]:
        """Those whose words stand in a sentence that speaks of the focus; others of such a hit are read anew there."""
        found: list[SpanReading] = []
        for read in readings:
            index, speaking = read.hit_index, coverage.speaking[read.hit_index]
            sentences, key = coverage.sentences[index], coverage.key_sentence(index)
            if not speaking:
                continue
            if sentence_of(sentences, (read.start, read.end)) not in speaking:
                start, end = sentences[key]
                again = self.read(question, index, part_of(coverage.hits[index].chunk, start, end))
                words = (again.start + start, again.end + start) if again else (start, end)
                read = replace(again or read, start=words[0], end=words[1])
            found.append(read)
        return found or list(readings)

    def read(self, question: str, index: int, chunk: Chunk) -> SpanReading | None:
        """What the reader of its language finds in the hit at `index`; None where there is nothing to cut out."""
        is_chinese = _language(question, chunk.text) == "zh"
        return (self._read_chinese if is_chinese else self._read_english)(question, index, chunk)

    def _read_english(self, question: str, index: int, chunk: Chunk) -> SpanReading | None:
        if (own := load_reader().read(question, chunk.text, sentences_of(chunk))) is None:
            return None
        return SpanReading(index, "en", own.start, own.end, own.log_odds, own.by_margin)

    def _read_chinese(self, question: str, index: int, chunk: Chunk) -> SpanReading | None:
        ranker = load_ranker("zh", self._rankers)
        passage = read_chinese(question, chunk.text, sentences_of(chunk) or None)
        if not len(passage.spans):
            return None
        scores = ranker.scores(passage)
        first, last = passage.spans[ranker.best(passage, scores)]
        odds = log_odds(ranker.probability(decision_features(passage, scores, ranker.deciding(passage, scores))))
        return SpanReading(index, "zh", passage.tokens[first].start, passage.tokens[last].end, odds)


def examined(
    question: str, hits: Sequence[Hit], readings: Sequence[SpanReading], coverage: Coverage | None = None
) -> list[Examined]:
    """Each reading beside the question and the other hits. coverage: of both, where it is known already."""
    form, coverage = form_of(question), coverage or coverage_of(question, hits)
    found = []
    for read in readings:
        read = _of_row_asked_for(question, hits, coverage, read)
        at, span = read.hit_index, (read.start, read.end)
        chunk, sentences = hits[at].chunk, coverage.sentences[at]
        place = sentences[sentence_of(sentences, span)] if sentences else (0, 0)
        is_contrary = rules_itself_out(question, chunk.text[slice(*place)])
        row = looked_up(question, chunk.text, sentences, place, chunk.heading)
        if row is not None:
            # All of the row or the line: a reader of prose cuts anything out of it.
            read, span = replace(read, start=row[0], end=row[1]), row
        candidate = Candidate(
            chunk.text,
            sentences,
            span,
            row_asked_for(question, chunk.text, sentences, coverage.key_sentence(at)),
            chunk.heading,
            coverage.is_contested(at),
            is_contrary or is_one_of_several(question, chunk.text, sentences, sentence_of(sentences, span)),
            content(question),
            question,
            chunk.places.in_code(chunk.start),
        )
        signs = signs_of(coverage, at, asked_about(form, candidate), read.log_odds, form)
        group = group_of(read.language, coverage)
        joint = hits[at].parts.get(ANSWERS) if group == LOOKED_AT_IN_CHINESE else None
        of_few = is_of_few(hits[at])
        found.append(Examined(read, candidate, signs, group, row is not None, is_contrary, joint, of_few))
    return found


def confidence(question: str, found: Sequence[Examined], hits: Sequence[Hit]) -> tuple[float, float]:
    """That the passage to be shown, the first of `found`, answers, and from where on; of that one alone."""
    best = found[0]
    least = load_decision().thresholds[best.group].answer
    read, hit = best.reading, hits[best.reading.hit_index]
    sentences = sentences_of(hit.chunk)
    if best.is_looked_at_again and best.joint is not None:
        look = look_at(question, hit, sentences, first_look(question, found, hits))
        return load_second_look().probability(look), load_second_look().least
    if best.group == LOOKED_AT_IN_CHINESE and read.is_read and not best.is_looked_up:
        others = [hits[each.reading.hit_index] for each in found[1:]]
        known_zh = ChineseFirstLook(best.first, read.log_odds, best.signs.names_missing, others)
        return chinese_confidence(question, hit, sentences, known_zh)
    return (_aligned(question, best, hit) if best.group == ALIGNED else best).probability, least


def _aligned(question: str, best: Examined, hit: Hit) -> Examined:
    """A passage of prose by the first look, with how near each word of the question comes to it."""
    aligned = load_alignment().log_odds(question, hit.text, sentences_of(hit.chunk), best.reading.by_margin)
    return replace(best, signs=replace(best.signs, reader=reader_sign(aligned)))


def first_look(question: str, found: Sequence[Examined], hits: Sequence[Hit]) -> FirstLook:
    """What is known of the passage that is to be shown and looked at again, the first of `found`."""
    best = found[0]
    if best.joint is None:
        raise ValueError("the passage was not read by the joint reader: English manuals are, and any few passages")
    second = max((each.joint for each in found[1:] if each.joint is not None), default=None)
    unknown = best.signs.unknown if form_of(question) == "polar" else 0.0
    weighed = _aligned(question, best, hits[best.reading.hit_index]) if best.group == ALIGNED else best
    return FirstLook(weighed.first, best.joint, second, unknown)


def skimmed(question: str, coverage: Coverage, index: int) -> SpanReading | None:
    """The key sentence of a hit, as if a reader had found it and knew nothing of it; None where it has no words."""
    text, key = coverage.hits[index].text, coverage.key_sentence(index)
    start, end = coverage.sentences[index][key] if key >= 0 else (0, 0)
    if not any(map(str.isalnum, text[start:end])):
        return None
    return SpanReading(index, _language(question, text), start, end, 0.0, is_read=False)


def coverage_of(question: str, hits: Sequence[Hit], focus: str = "") -> Coverage:
    """A question beside the hits that are read."""
    return Coverage(question, hits, [sentences_of(hit.chunk) for hit in hits], focus)


def _asks_of_unknown(form: Form, best: Examined, coverage: Coverage) -> bool:
    """Whether an option or a variable is asked about that nothing read has, or yes or no of what no document names.

    Nothing affirms or denies then. The second looks weigh it where they are taken: 掏钱 is unknown, and says 收费.
    """
    is_unknown = form == "polar" and best.signs.unknown >= UNKNOWN_ENOUGH and not best.is_looked_at_again
    return coverage.lacks_identifier() or (is_unknown and best.group != LOOKED_AT_IN_CHINESE)


def _of_row_asked_for(question: str, hits: Sequence[Hit], coverage: Coverage, read: SpanReading) -> SpanReading:
    """A reading whose row of a table says that it is not what is asked for, as one of the row beside it that is."""
    text, sentences = hits[read.hit_index].text, coverage.sentences[read.hit_index]
    own = sentence_of(sentences, (read.start, read.end))
    other = row_asked_for(question, text, sentences, own)
    return read if other == own else replace(read, start=sentences[other][0], end=sentences[other][1])


def sentences_of(chunk: Chunk) -> list[Span]:
    """The chunk's sentences in its own characters."""
    known = [(start - chunk.start, end - chunk.start) for start, end in chunk.sentences]
    return known or sentence_bounds(chunk.text)


def _language(question: str, text: str) -> Language:
    """Whose reader takes the text: the question's, unless hardly more than names in the text are of its language."""
    asked = language_of(question)
    other: Language = "en" if asked == "zh" else "zh"
    return other if share_of(text, asked) < NAMES_SHARE and share_of(text, other) else asked
