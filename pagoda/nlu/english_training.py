"""From labelled English sentences to a calibrated reader: which layers, how long, and on what it is calibrated.

Before the path *sentence -> Understanding*. Heads over a frozen MiniLM are calibrated by cross-validation; a tuned
MiniLM, too slow to train several times, on a held-out part of the examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pagoda.nlu import calibration, joint_training
from pagoda.nlu.calibration import Calibration
from pagoda.nlu.encoder import packaged_encoder
from pagoda.nlu.english_reader import EnglishReader
from pagoda.nlu.gazetteer import Gazetteer
from pagoda.nlu.joint_model import Featured, JointModel, new_heads
from pagoda.nlu.joint_training import OnProgress, Schedule
from pagoda.nlu.labelled import Labelled, folds, hold_out, intents_told
from pagoda.nlu.prototypes import nearest, prototypes
from pagoda.nlu.reading import Labels, signs_of
from pagoda.nlu.substitution import substituted
from pagoda.nlu.training_settings import TrainingSettings

if TYPE_CHECKING:
    import torch

FEW = 1500
"""Below this many examples only the heads are trained."""
NUM_TUNED = 4
_PIECES_PER_TUNING = 700_000
"""Wordpieces that pass through the tuned layers: five minutes on two cores of 2023."""
_HELD_OUT, _MOST_HELD_OUT = 0.05, 1000
_NUM_FOLDS = 4
_SMOOTHING = 0.1
_HEADS = Schedule(epochs=30, batch_size=64, head_rate=6e-3, dropout=0.2)


def train_english(
    examples: Sequence[Labelled],
    lexicon: Mapping[str, Iterable[str]],
    settings: TrainingSettings,
    on_progress: OnProgress | None = None,
) -> tuple[EnglishReader, Calibration | None]:
    """A reader, and its calibration where the examples have intents."""
    tuned = settings.effort == "tuned" or (settings.effort == "auto" and len(examples) >= FEW)
    reader = _new_reader(examples, lexicon, NUM_TUNED if tuned else 0, settings.seed)
    if tuned:
        return reader, _tuned(reader, examples, settings, on_progress)
    more = substituted(examples, lexicon, settings.seed)
    return reader, _heads_only(reader, examples, more, settings, on_progress)


def _new_reader(
    examples: Sequence[Labelled], lexicon: Mapping[str, Iterable[str]], num_tuned: int, seed: int
) -> EnglishReader:
    labels = Labels.of(examples)
    model = JointModel(packaged_encoder(), _new_heads(labels, seed), labels, num_tuned)
    requestable = frozenset(slot for example in examples for slot in example.requested)
    return EnglishReader(model, Gazetteer.of(examples, lexicon), requestable)


def _new_heads(labels: Labels, seed: int) -> dict[str, torch.Tensor]:
    import torch

    return new_heads(labels, torch.Generator().manual_seed(seed))


def _tuned(
    reader: EnglishReader, examples: Sequence[Labelled], settings: TrainingSettings, on_progress: OnProgress | None
) -> Calibration | None:
    train, held = hold_out(examples, _HELD_OUT, _MOST_HELD_OUT, settings.seed)
    sentences = [reader.labelled(example) for example in [*train, *held]]
    kept = joint_training.keep_lower(reader.model, sentences, on_progress)
    num_pieces = sum(len(sentence.pieces) for sentence in sentences)
    epochs = settings.epochs or int(np.clip(round(_PIECES_PER_TUNING / num_pieces), 7, 12))
    schedule = Schedule(epochs=epochs, seed=settings.seed, smoothing=_smoothing(reader.labels))
    joint_training.train(reader.model, sentences[: len(train)], kept, schedule, on_progress)
    if not reader.labels.in_scope:
        return None
    logits, vectors = reader.scores(sentences, kept)
    reader.centres = _centres(vectors[: len(train)], reader.labels, train)
    told = intents_told(held)
    truth = reader.labels.truth(held)[told]
    signs = signs_of(reader.labels, logits, nearest(vectors, reader.centres))[len(train) :][told]
    inside = logits[len(train) :, : len(reader.labels.in_scope)][told]
    return calibration.fit(inside, signs, truth, settings.false_rejects_for(examples))


def _smoothing(labels: Labels) -> float:
    """Of the intents' loss: it helps many similar intents, and blurs the energy that tells what is out of scope."""
    return _SMOOTHING if labels.intents == labels.in_scope and len(labels.tags) == 1 else 0.0


def _heads_only(
    reader: EnglishReader,
    examples: Sequence[Labelled],
    more: Sequence[Labelled],
    settings: TrainingSettings,
    on_progress: OnProgress | None,
) -> Calibration | None:
    sentences = [reader.labelled(example) for example in [*examples, *more]]
    kept = joint_training.keep_lower(reader.model, sentences, on_progress)
    fitted = None
    if reader.labels.in_scope:
        own = sentences[: len(examples)]
        logits, signs = _cross_validated(reader, examples, own, kept, settings.seed, on_progress)
        told = intents_told(examples)
        truth = reader.labels.truth(examples)[told]
        inside = logits[told, : len(reader.labels.in_scope)]
        fitted = calibration.fit(inside, signs[told], truth, settings.false_rejects_for(examples))
    joint_training.train(reader.model, sentences, kept, _HEADS, on_progress)
    joint_training.forget_untouched(reader.model, sentences)
    if fitted is not None:
        _, vectors = reader.scores(sentences[: len(examples)], kept[: len(examples)])
        reader.centres = _centres(vectors, reader.labels, examples)
    return fitted


def _cross_validated(
    reader: EnglishReader,
    examples: Sequence[Labelled],
    sentences: Sequence[Featured],
    kept: Sequence[np.ndarray],
    seed: int,
    on_progress: OnProgress | None,
) -> tuple[np.ndarray, np.ndarray]:
    """([n, num_intents] logits, [n, num_signs]) of each example by heads that were trained without its fold."""
    fold = np.array(folds(examples, _NUM_FOLDS, seed))
    labels = Labels(reader.labels.intents, ("O",))
    logits = np.zeros((len(examples), len(labels.intents)), np.float32)
    cosines = np.zeros(len(examples), np.float32)
    for number in range(_NUM_FOLDS):
        inside, outside = (np.flatnonzero(part).tolist() for part in (fold == number, fold != number))
        if not inside or not outside:
            continue
        model = JointModel(reader.model.encoder, _new_heads(labels, seed), labels, 0)
        part = EnglishReader(model, reader.gazetteer, reader.requestable)
        plain = [_without_tags(sentence) for sentence in sentences]
        joint_training.train(model, [plain[i] for i in outside], [kept[i] for i in outside], _HEADS)
        joint_training.forget_untouched(model, [plain[i] for i in outside])
        if on_progress is not None:
            on_progress("cross-validation", number + 1, _NUM_FOLDS)
        logits[inside], vectors = part.scores([plain[i] for i in inside], [kept[i] for i in inside])
        _, known = part.scores([plain[i] for i in outside], [kept[i] for i in outside])
        cosines[inside] = nearest(vectors, _centres(known, labels, [examples[i] for i in outside]))
    return logits, signs_of(labels, logits, cosines)


def _without_tags(sentence: Featured) -> Featured:
    return Featured(sentence.pieces, sentence.first, sentence.word_rows, sentence.gram_rows, sentence.intent)


def _centres(vectors: np.ndarray, labels: Labels, examples: Sequence[Labelled]) -> np.ndarray:
    truth = labels.truth(examples)
    return prototypes(vectors[truth >= 0], truth[truth >= 0])
