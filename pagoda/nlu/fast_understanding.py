"""Understanding in milliseconds, trained from a domain's examples: one reader for each language that they hold.

The path *sentence -> Understanding*, whole. English goes through MiniLM (`english_reader`), Chinese through character
n-grams (`chinese_reader`); whichever it was, the scores become calibrated probabilities and a sentence that fits
nothing is called out of scope.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.errors import InvalidRequestError
from pagoda.language import Language, language_of
from pagoda.nlu import files
from pagoda.nlu.calibration import Calibration, softmax
from pagoda.nlu.chinese_reader import ChineseReader
from pagoda.nlu.chinese_training import train_chinese
from pagoda.nlu.english_reader import EnglishReader
from pagoda.nlu.english_training import train_english
from pagoda.nlu.gazetteer import Gazetteer, phrase_of
from pagoda.nlu.joint_training import OnProgress
from pagoda.nlu.known_sentences import key_of, known_sentences, ranked_with
from pagoda.nlu.labelled import Labelled, read_examples
from pagoda.nlu.reading import Reading
from pagoda.nlu.tagging import split_words
from pagoda.nlu.training_settings import Effort, TrainingSettings
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue, TurnContext, Understanding

_NUM_CANDIDATES = 5
_Trainer = Callable[
    [Sequence[Labelled], Mapping[str, Iterable[str]], TrainingSettings, OnProgress | None],
    tuple[EnglishReader | ChineseReader, Calibration | None],
]
_TRAINERS: dict[Language, _Trainer] = {"en": train_english, "zh": train_chinese}


@dataclass(frozen=True)
class TrainedReader:
    """A language's reader. calibration: None where the examples had no intents; known: intents of short sentences."""

    reader: EnglishReader | ChineseReader
    calibration: Calibration | None
    known: Mapping[str, str]


class FastUnderstanding:
    """Reads sentences of the languages it was trained on; threads may share it.

    >>> understanding = FastUnderstanding.train(examples)  # doctest: +SKIP
    >>> understanding.parse("find a cheap Sichuan place").intent  # doctest: +SKIP
    'find_restaurant'
    """

    def __init__(self, readers: Mapping[Language, TrainedReader]) -> None:
        self._readers = dict(readers)

    @classmethod
    def train(
        cls,
        examples: Sequence[Mapping[str, Any]],
        *,
        lexicon: Mapping[str, Iterable[str]] | None = None,
        effort: Effort = "auto",
        false_rejects: float | None = None,
        epochs: int | None = None,
        seed: int = 0,
        on_progress: OnProgress | None = None,
    ) -> FastUnderstanding:
        """Train on {"text", "intent", "slots": [{"slot", "start", "end", "value"}], "requested": [slot]}.

        intent, slots and requested (what had just been asked for) may be left out; the intent "out_of_scope" (or
        "oos") marks what is none of the others. lexicon: {slot: values} that are known beside the examples'.
        effort: "heads" takes seconds, "tuned" minutes, "auto" tunes from 1,500 English examples on.
        false_rejects: share of the sentences in scope that may be called out of scope (`TrainingSettings`).
        on_progress: called with what is done, steps done and steps in all. Interrupting it leaves nothing behind.
        Raises ConfigError for malformed examples, MissingExtraError.
        """
        settings = TrainingSettings(effort, seed, false_rejects, epochs)
        labelled = read_examples(examples)
        values = {slot: list(names) for slot, names in (lexicon or {}).items()}
        readers: dict[Language, TrainedReader] = {}
        for language, trainer in _TRAINERS.items():
            part = [example for example in labelled if example.language == language]
            # A language of which no intent is known is better read by the other's reader than by one that knows none.
            if any(map(_in_scope, part)) or (part and not any(map(_in_scope, labelled))):
                reader, calibration = trainer(part, _of(values, language), settings, on_progress)
                readers[language] = TrainedReader(reader, calibration, known_sentences(part))
        return cls(readers)

    @property
    def languages(self) -> tuple[Language, ...]:
        """That it was trained on."""
        return tuple(self._readers)

    @property
    def intents(self) -> tuple[str, ...]:
        """All that it may answer, sorted, without out_of_scope."""
        return tuple(sorted({name for one in self._readers.values() for name in one.reader.labels.in_scope}))

    @property
    def slots(self) -> tuple[str, ...]:
        """All that it may find, sorted."""
        tags = {tag for one in self._readers.values() for tag in one.reader.labels.tags}
        return tuple(sorted({tag[2:] for tag in tags if "-" in tag}))

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """Read one sentence. An answer to a question binds to `context.requested_slot` first.

        intent: "" where the examples had none; candidates: the five likeliest, out_of_scope among them.
        Raises InvalidRequestError for a text without a word.
        """
        if not split_words(text):
            raise InvalidRequestError(f"the text {text!r} has no word: expected a sentence", param="text")
        language = language_of(text)
        trained = self._readers.get(language) or next(iter(self._readers.values()))
        requested = (context.requested_slot,) if context is not None and context.requested_slot else ()
        reading = trained.reader.read(text, requested)
        slots = _bound(reading.slots, text, requested, trained.reader)
        candidates = _candidates(reading, trained)
        if (known := trained.known.get(key_of(text))) is not None:
            candidates = ranked_with(known, candidates)
        intent, confidence = candidates[0] if candidates else ("", 1.0)
        return Understanding(text, language, intent, confidence, slots, (), candidates, "fast")

    def with_lexicon(self, lexicon: Mapping[str, Iterable[str]]) -> FastUnderstanding:
        """The same weights with other known values {slot: values} than those it was trained with: no new training.

        What is shared is not copied, so this takes milliseconds for thousands of names.
        """
        values = {slot: list(names) for slot, names in lexicon.items()}
        return FastUnderstanding(
            {
                language: TrainedReader(one.reader.with_lexicon(_of(values, language)), one.calibration, one.known)
                for language, one in self._readers.items()
            }
        )

    def with_examples(self, examples: Sequence[Mapping[str, Any]]) -> FastUnderstanding:
        """The same weights, and of these examples the values and the short sentences, which a light file leaves out."""
        labelled = read_examples(examples)
        readers = {}
        for language, one in self._readers.items():
            part = [example for example in labelled if example.language == language]
            reader = one.reader.with_gazetteer(Gazetteer.of(part))
            readers[language] = TrainedReader(reader, one.calibration, known_sentences(part))
        return FastUnderstanding(readers)

    def without_examples(self) -> FastUnderstanding:
        """The weights alone: what `with_examples` and `with_lexicon` put back, for those who have both at hand."""
        return FastUnderstanding(
            {
                language: TrainedReader(one.reader.with_gazetteer(Gazetteer({})), one.calibration, {})
                for language, one in self._readers.items()
            }
        )

    def save(self, folder: str | Path) -> None:
        """Write safetensors and JSON; what was in the folder is replaced at once, or not at all.

        Raises ConfigError where it cannot be written.
        """
        files.save(
            {language: (one.reader, one.calibration, one.known) for language, one in self._readers.items()}, folder
        )

    @classmethod
    def load(cls, folder: str | Path) -> FastUnderstanding:
        """Read what `save` wrote. Raises CheckpointError where it is missing or damaged."""
        return cls({language: TrainedReader(*parts) for language, parts in files.load(folder).items()})


def _in_scope(example: Labelled) -> bool:
    return example.intent not in ("", OUT_OF_SCOPE)


def _of(lexicon: Mapping[str, Sequence[str]], language: Language) -> dict[str, list[str]]:
    """The values of a lexicon that are in a language."""
    return {slot: [name for name in names if language_of(name) == language] for slot, names in lexicon.items()}


def _candidates(reading: Reading, trained: TrainedReader) -> tuple[tuple[str, float], ...]:
    """(intent, probability), best first; the probabilities of those in scope add up to at most one."""
    calibration = trained.calibration
    if calibration is None:
        return ()
    logits, signs = reading.logits[None], reading.signs[None]
    chances = softmax(logits / calibration.temperature)[0]
    inside, sure = float(calibration.in_scope(signs)[0]), float(calibration.confidence(logits, signs)[0])
    order = np.argsort(-chances, kind="stable")[:_NUM_CANDIDATES]
    best = float(chances[order[0]])
    names = trained.reader.labels.in_scope
    ranked = [(names[row], sure * float(chances[row]) / best) for row in order]
    if len(ranked) > 1 and best < 1:
        left = (1 - sure) / (1 - best)
        ranked[1:] = [(names[row], float(chances[row]) * min(left, sure / best)) for row in order[1:]]
    if inside < 0.5:
        return ((OUT_OF_SCOPE, 1 - inside), *ranked)
    outside = (OUT_OF_SCOPE, (1 - sure) * (1 - inside))
    return (ranked[0], *sorted([*ranked[1:], outside], key=lambda pair: -pair[1]))


def _bound(
    slots: Sequence[SlotValue], text: str, requested: Sequence[str], reader: EnglishReader | ChineseReader
) -> tuple[SlotValue, ...]:
    """Values that the requested slot is known to take are its own; so is a whole answer that nothing else claims."""
    if not requested or any(slot.slot == requested[0] for slot in slots):
        return tuple(slots)
    wanted, known = requested[0], reader.gazetteer
    bound = [
        dataclasses.replace(slot, slot=wanted) if wanted in known.slots_of(phrase_of(slot.value)) else slot
        for slot in slots
    ]
    if not slots and wanted in known.slots_of(phrase_of(text)):
        words = split_words(text)
        start, end = words[0].start, words[-1].end
        bound = [SlotValue(wanted, text[start:end], start, end)]
    return tuple(bound)
