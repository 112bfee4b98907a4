"""What a text says: a model trained on labelled texts, and what it says of one company in a text.

On the path *item -> opinion of a company*. Texts are read by a tuned network beside groups of characters and words:
multilingual-e5-small where it is installed, else MiniLM for English, groups alone for Chinese, which that cannot read;
`SentimentModel` chooses by the language of each text. Its probabilities are scaled by one temperature (Guo et al. 2017,
arXiv 1706.04599).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from pagoda.errors import CheckpointError, InvalidParameterError
from pagoda.language import Language, language_of
from pagoda.nlu.joint_training import OnProgress
from pagoda.opinions.reading import model_files
from pagoda.opinions.reading.confidence import Confidence
from pagoda.opinions.reading.lexicon import VERSION as LEXICON_VERSION
from pagoda.opinions.reading.lexicon import Lexicon
from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.reading.mixed_model import FEWEST_WEIGHED, MixedModel, train_mixed
from pagoda.opinions.reading.networks.of_multilingual import is_installed
from pagoda.opinions.reading.text_model import TextModel
from pagoda.opinions.story import LABELS, Encoder, EncoderName, Mention, Sentiment

Name = str | int
"""A label as the rows have it."""
_FEWEST_OF_A_LANGUAGE = 40
_MOST_LABELS = 200


@dataclass(frozen=True, slots=True)
class Prediction:
    """label: as it was trained on; probability: of it, calibrated; probabilities: of all labels."""

    label: Name
    probability: float
    probabilities: dict[Name, float]


@dataclass(frozen=True)
class LanguagePart:
    """What reads one language."""

    model: TextModel
    confidence: Confidence
    version: str


class SentimentModel:
    """Labels texts; what it was trained on decides what labels there are. Threads may share it."""

    def __init__(self, labels: Sequence[Name], parts: Mapping[Language, LanguagePart]) -> None:
        self.labels, self.parts = tuple(labels), dict(parts)

    @classmethod
    def train(
        cls,
        rows: Iterable[Mapping[str, Any]],
        *,
        encoder: Encoder = "auto",
        seed: int = 0,
        on_progress: OnProgress | None = None,
    ) -> SentimentModel:
        """A model from rows {"text", "label"}; minutes for thousands of texts, seconds without a network.

        rows: may also have "target", a name in the text of which the label is said, and "others", names of others
        encoder: the network that is tuned. "multilingual" reads both languages and needs the extra `bilingual`;
            "minilm" reads English alone; "none": groups of characters and words, for both; "auto": MiniLM for English,
            for 300 Chinese texts and more the multilingual one where it is installed: fewer hold none out on which
            its share could be fitted. The model's file names what it was
        seed: of all that is drawn. Raises InvalidParameterError with the row that is to blame, MissingExtraError
        """
        if encoder not in get_args(Encoder):
            raise InvalidParameterError(
                f"encoder is {encoder!r}, expected one of {', '.join(get_args(Encoder))}", param="encoder"
            )
        texts, names = _checked(rows)
        labels = tuple(sorted(set(names), key=lambda name: (str(type(name)), name)))
        if len(labels) < 2 or len(labels) > _MOST_LABELS:
            raise InvalidParameterError(
                f"the rows have {len(labels)} different labels; expected 2 to {_MOST_LABELS}", param="label"
            )
        truth = np.array([labels.index(name) for name in names])
        parts: dict[Language, LanguagePart] = {}
        for language, chosen in _by_language(texts).items():
            some, right = [texts[index] for index in chosen], truth[chosen]
            network = _encoder_for(language, encoder, len(some))
            model, confidence = train_mixed(some, right, labels, network, seed, on_progress)
            parts[language] = LanguagePart(model, confidence, _version(language, network, some, right))
        return cls(labels, parts)

    def predict(self, texts: Sequence[str | Marked]) -> list[Prediction]:
        """One prediction for each text."""
        return [_prediction(self.labels, row) for row in self.probabilities(texts)]

    def probabilities(self, texts: Sequence[str | Marked]) -> np.ndarray:
        """float [n, num_labels], in the order of `labels`."""
        marked = [Marked(text) if isinstance(text, str) else text for text in texts]
        found = np.zeros((len(marked), len(self.labels)))
        for language, chosen in self._shared_out(marked).items():
            part = self.parts[language]
            found[chosen] = part.confidence.probabilities(part.model.scores([marked[index] for index in chosen]))
        return found

    def part_for(self, text: Marked) -> LanguagePart:
        """What reads a text: its language's part, or the only one there is."""
        language = language_of(text.text)
        return self.parts.get(language) or next(iter(self.parts.values()))

    def _shared_out(self, texts: Sequence[Marked]) -> dict[Language, list[int]]:
        shares: dict[Language, list[int]] = {}
        only = next(iter(self.parts))
        for index, text in enumerate(texts):
            language = language_of(text.text)
            shares.setdefault(language if language in self.parts else only, []).append(index)
        return shares

    def save(self, folder: str | Path) -> None:
        """Write safetensors and JSON; what was there is replaced at once, or not at all. Raises ConfigError."""
        described: dict[str, dict[str, Any]] = {}
        tensors: dict[str, model_files.Tensors] = {}
        for language, part in self.parts.items():
            assert isinstance(part.model, MixedModel)
            kinds, arrays = part.model.stored()
            tensors[language] = arrays
            described[language] = {
                **kinds, "temperature": part.confidence.temperature, "version": part.version,
            }  # fmt: skip
        model_files.write(folder, {"labels": list(self.labels), "parts": described}, tensors)

    @classmethod
    def load(cls, folder: str | Path) -> SentimentModel:
        """Read what `save` wrote. Raises CheckpointError where it is missing or damaged, MissingExtraError."""
        described, tensors = model_files.read(folder)
        try:
            parts = {
                language: LanguagePart(
                    MixedModel.restored(fields, tensors[language]),
                    Confidence(float(fields["temperature"])),
                    str(fields["version"]),
                )
                for language, fields in described["parts"].items()
            }
            return cls(described["labels"], parts)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{folder} holds a damaged model ({type(error).__name__}): train it again") from error


class TargetSentiment:
    """What texts say of companies in them. Threads may share it.

    model: its labels are LABELS; a language that it was not trained on is read by word lists, as `model_version` says
    """

    def __init__(self, model: SentimentModel | None = None) -> None:
        if model is not None and not set(model.labels) <= set(LABELS):
            raise InvalidParameterError(
                f"a model of companies' sentiment has labels among {', '.join(LABELS)}; this one has "
                f"{', '.join(map(str, model.labels))}",
                param="model",
            )
        self._labels = model.labels if model is not None else LABELS
        self._parts = dict(model.parts) if model is not None else {}
        self._words = LanguagePart(Lexicon(), Confidence(), LEXICON_VERSION)

    @classmethod
    def shipped(cls) -> TargetSentiment:
        """The English model that comes with pagoda, and word lists for Chinese."""
        return cls(SentimentModel.load(model_files.SHIPPED))

    def predict(
        self, about: Sequence[tuple[str, Sequence[Mention]]], others: Sequence[Sequence[Mention]] = ()
    ) -> list[Sentiment]:
        """One sentiment for each (text, mentions of the company in it); others: mentions of other companies there."""
        texts = [
            Marked.of(text, mentions, others[row] if row < len(others) else ())
            for row, (text, mentions) in enumerate(about)
        ]
        found: list[Sentiment | None] = [None] * len(texts)
        for part, labels, chosen in self._shared_out(texts):
            reading = part.model.read([texts[index] for index in chosen])
            for place, row in enumerate(part.confidence.probabilities(reading.scores)):
                best = int(row.argmax())
                label = LABELS[LABELS.index(labels[best])]
                words = reading.carried(place, best)
                found[chosen[place]] = Sentiment(label, round(float(row[best]), 4), words, part.version)
        return [each for each in found if each is not None]

    def probabilities(self, texts: Sequence[Marked]) -> np.ndarray:
        """float [n, 3], in the order of LABELS."""
        found = np.zeros((len(texts), len(LABELS)))
        for part, labels, chosen in self._shared_out(texts):
            places = [LABELS.index(label) for label in labels]
            chances = part.confidence.probabilities(part.model.scores([texts[index] for index in chosen]))
            found[np.ix_(chosen, places)] = chances
        return found

    def _shared_out(self, texts: Sequence[Marked]) -> Iterable[tuple[LanguagePart, Sequence[Name], list[int]]]:
        shares: dict[Language, list[int]] = {}
        for index, text in enumerate(texts):
            shares.setdefault(language_of(text.text), []).append(index)
        for language, chosen in shares.items():
            part = self._parts.get(language)
            yield (part, self._labels, chosen) if part else (self._words, LABELS, chosen)


def _checked(rows: Iterable[Mapping[str, Any]]) -> tuple[list[Marked], list[Name]]:
    texts, names = [], []
    for number, row in enumerate(rows):
        try:
            text, name = row["text"], row["label"]
        except (KeyError, TypeError) as error:
            raise InvalidParameterError(f'row {number} is no {{"text", "label"}}: {row!r:.80}', param="rows") from error
        if not isinstance(text, str) or not text.strip() or isinstance(name, bool) or not isinstance(name, str | int):
            raise InvalidParameterError(
                f"row {number} has text {text!r:.40} and label {name!r:.40}; expected words and a string or number",
                param="rows",
            )
        texts.append(_marked(number, text, row))
        names.append(name)
    return texts, names


def _marked(number: int, text: str, row: Mapping[str, Any]) -> Marked:
    target, others = row.get("target"), row.get("others") or ()
    for name in (*((target,) if target else ()), *others):
        if not isinstance(name, str) or name not in text:
            raise InvalidParameterError(f"row {number}: {name!r:.40} does not stand in its text", param="rows")
    return Marked(
        text, _places(text, target) if target else (), tuple(s for name in others for s in _places(text, name))
    )


def _places(text: str, name: str) -> tuple[tuple[int, int], ...]:
    found, at = [], text.find(name)
    while at >= 0:
        found.append((at, at + len(name)))
        at = text.find(name, at + len(name))
    return tuple(found)


def _by_language(texts: Sequence[Marked]) -> dict[Language, list[int]]:
    """Rows of each language; one with few rows goes to the other's part."""
    shares: dict[Language, list[int]] = {}
    for index, text in enumerate(texts):
        shares.setdefault(language_of(text.text), []).append(index)
    main = max(shares, key=lambda language: len(shares[language]))
    for language in [each for each, chosen in shares.items() if each != main and len(chosen) < _FEWEST_OF_A_LANGUAGE]:
        shares[main] += shares.pop(language)
    return shares


def _encoder_for(language: Language, encoder: Encoder, num_texts: int) -> EncoderName | None:
    """The network that is tuned for texts of a language; None: no one."""
    if encoder in ("auto", "minilm") and language == "en":
        return "minilm"
    if encoder == "multilingual" or (encoder == "auto" and num_texts >= FEWEST_WEIGHED and is_installed()):
        return "multilingual"
    return None


def _version(language: Language, encoder: EncoderName | None, texts: Sequence[Marked], truth: np.ndarray) -> str:
    """What tells one training from another: its kind, and what it saw."""
    seen = hashlib.sha256("\0".join(text.text for text in texts).encode() + truth.astype(np.int64).tobytes())
    return f"{encoder or 'grams'}-{language}-{seen.hexdigest()[:8]}"


def _prediction(labels: Sequence[Name], row: np.ndarray) -> Prediction:
    best = int(row.argmax())
    chances = {label: round(float(chance), 6) for label, chance in zip(labels, row, strict=True)}
    return Prediction(labels[best], float(row[best]), chances)
