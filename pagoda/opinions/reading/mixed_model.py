"""MiniLM and groups of characters and words together, and how the two are trained, weighed and calibrated.

On the path *item -> opinion of a company*. They err on different texts: MiniLM knows what it was tuned for, groups know
the very words of the rows. How much the groups count, and the temperature, are fitted on rows that neither has seen.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pagoda.language import Language
from pagoda.minilm.encoder import Encoder
from pagoda.minilm.package import read_weights
from pagoda.nlu.calibration import log_sum_exp
from pagoda.nlu.joint_training import OnProgress
from pagoda.opinions.reading import model_files
from pagoda.opinions.reading.adapter import applied, changes
from pagoda.opinions.reading.confidence import Confidence
from pagoda.opinions.reading.gram_model import GramModel, grams_of, train_grams
from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.reading.minilm_model import MinilmModel, minilm_folder, new_head, train_minilm
from pagoda.opinions.reading.text_model import TextReading
from pagoda.opinions.story import LABELS

_HELD, _MOST_HELD, _FEWEST_HELD = 0.1, 400, 30
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
_SHARE_UNTRIED = 0.2
_NUM_FOLDS = 4
_RARE_GROUPS_COUNT_BELOW = 300_000
"""Groups of characters in all texts: of more, those that stand in one text only are left out."""


class MixedModel:
    """Scores are logarithms of probabilities. share: of the groups, 0 to 1."""

    def __init__(self, minilm: MinilmModel | None, grams: GramModel | None, share: float) -> None:
        self.minilm, self.grams, self.share = minilm, grams, share

    def read(self, texts: Sequence[Marked]) -> TextReading:
        """Words are those of the model that counts more."""
        told = [(model.read(texts), share) for model, share in self._models() if share > 0]
        scores = sum(share * log_probabilities(reading.scores) for reading, share in told)
        heavier, _ = max(told, key=lambda pair: pair[1])
        return TextReading(np.asarray(scores, np.float32), heavier.carried)

    def scores(self, texts: Sequence[Marked]) -> np.ndarray:
        """float32 [n, num_labels]."""
        return self.read(texts).scores

    def _models(self) -> list[tuple[MinilmModel | GramModel, float]]:
        pairs = ((self.minilm, 1 - self.share), (self.grams, self.share))
        return [(model, share) for model, share in pairs if model is not None]

    def stored(self, rank: int = 0) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(for the JSON, tensors). rank: of what tuning changed of MiniLM's matrices, 0: all of it."""
        tensors: dict[str, np.ndarray] = {}
        if self.grams is not None:
            tensors |= {f"grams:{name}": array for name, array in self.grams.tensors().items()}
        if self.minilm is not None:
            base = read_weights(minilm_folder())
            tensors |= {
                f"minilm:{key}": array for key, array in changes(self.minilm.encoder.weights, base, rank).items()
            }
            tensors |= {f"head:{place}": tensor.numpy() for place, tensor in enumerate(self.minilm.head)}
        return {"share": self.share, "grams": self.grams is not None, "minilm": self.minilm is not None}, tensors

    @classmethod
    def restored(cls, fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> MixedModel:
        """The inverse of `stored`."""
        import torch

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        minilm = None
        if fields["minilm"]:
            head = tuple(torch.from_numpy(value.copy()) for _, value in sorted(part("head:").items()))
            encoder = Encoder(applied(read_weights(minilm_folder()), part("minilm:")))
            minilm = MinilmModel(encoder, (head[0], head[1]))
        grams = GramModel.from_tensors(part("grams:")) if fields["grams"] else None
        return cls(minilm, grams, float(fields["share"]))


def log_probabilities(scores: np.ndarray) -> np.ndarray:
    """[n, num_labels] of scores [n, num_labels]."""
    return scores - log_sum_exp(scores)[:, None]


def train_mixed(
    texts: Sequence[Marked],
    truth: np.ndarray,
    labels: Sequence[str | int],
    language: Language,
    seed: int,
    on_progress: OnProgress | None,
) -> tuple[MixedModel, Confidence]:
    """A model of one language's texts and their labels [n], rows of `labels`; and its temperature."""
    grams = [grams_of(text) for text in texts]
    fewest = 1 + (sum(map(len, grams)) > _RARE_GROUPS_COUNT_BELOW)
    if language == "zh":
        held = _cross_validated(grams, truth, len(labels), fewest, seed)
        model = MixedModel(None, train_grams(grams, truth, len(labels), fewest), 1.0)
        return model, Confidence.fitted(log_probabilities(held), truth)
    inside, outside = _split(len(texts), seed)
    start = starting_model(labels, seed)
    tuned = train_minilm([texts[i] for i in inside], truth[inside], start, seed=seed, on_progress=on_progress)
    part = train_grams([grams[i] for i in inside], truth[inside], len(labels), fewest)
    # What groups know is the words of the rows: in the end they see all of them, it takes them seconds.
    whole = train_grams(grams, truth, len(labels), fewest)
    if len(outside) < _FEWEST_HELD:
        return MixedModel(tuned, whole, _SHARE_UNTRIED), Confidence()
    held_texts = [texts[i] for i in outside]
    share, confidence = _weighed(tuned.scores(held_texts), part.scores(held_texts), truth[outside])
    return MixedModel(tuned, whole, share), confidence


def _split(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Rows to learn from, and rows to weigh and calibrate with; none of these where there are too few."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    num_held = min(_MOST_HELD, round(count * _HELD))
    return (order[num_held:], order[:num_held]) if num_held >= _FEWEST_HELD else (order, [])


def _weighed(tuned: np.ndarray, grams: np.ndarray, truth: np.ndarray) -> tuple[float, Confidence]:
    """The share of the groups, and the temperature of the mixture, under which the right labels are likeliest."""
    rows, found = np.arange(len(truth)), []
    for share in _SHARES:
        mixed = (1 - share) * log_probabilities(tuned) + share * log_probabilities(grams)
        confidence = Confidence.fitted(mixed, truth)
        likely = np.log(confidence.probabilities(mixed)[rows, truth] + 1e-12).mean()
        found.append((float(likely), share, confidence))
    _, share, confidence = max(found, key=lambda each: each[0])
    return share, confidence


def _cross_validated(
    grams: Sequence[np.ndarray], truth: np.ndarray, num_labels: int, fewest: int, seed: int
) -> np.ndarray:
    """[n, num_labels] scores of each text by groups that were trained without its fold."""
    fold = np.random.default_rng(seed).permutation(len(grams)) % _NUM_FOLDS
    scores = np.zeros((len(grams), num_labels), np.float32)
    for number in range(_NUM_FOLDS):
        inside, outside = (np.flatnonzero(part).tolist() for part in (fold != number, fold == number))
        if inside and outside:
            part = train_grams([grams[i] for i in inside], truth[inside], num_labels, fewest)
            scores[outside] = part.bags([grams[i] for i in outside]).sums(part.table) + part.constants
    return scores


def starting_model(labels: Sequence[str | int], seed: int) -> MinilmModel:
    """Where tuning begins: the shipped model, with its head where the labels are its own; else the packaged MiniLM."""
    start = packaged_model(len(labels), seed)
    encoder, head = start.encoder, start.head
    if (model_files.SHIPPED / model_files.NAME).is_file():
        described, tensors = model_files.read(model_files.SHIPPED)
        known = MixedModel.restored(described["parts"]["en"], tensors["en"]).minilm
        assert known is not None
        encoder = known.encoder
        if set(labels) <= set(LABELS):
            rows = [described["labels"].index(label) for label in labels]
            head = (known.head[0][rows], known.head[1][rows])
    return MinilmModel(encoder, head)


def packaged_model(num_labels: int, seed: int) -> MinilmModel:
    """The packaged MiniLM, and a head that knows nothing."""
    return MinilmModel(Encoder(read_weights(minilm_folder())), new_head(num_labels, seed))
