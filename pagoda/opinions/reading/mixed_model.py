"""A tuned network and groups of characters and words together, and how the two are trained, weighed and calibrated.

On the path *item -> opinion of a company*. They err on different texts: a network knows what it was tuned for, groups
know the very words of the rows. How much these count, and the temperature, are fitted on rows that neither has seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pagoda.errors import CheckpointError
from pagoda.nlu.calibration import log_sum_exp
from pagoda.nlu.joint_training import OnProgress
from pagoda.opinions.reading import model_files
from pagoda.opinions.reading.confidence import Confidence
from pagoda.opinions.reading.gram_model import GramModel, grams_of, train_grams
from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.reading.networks.adapter import applied, changes
from pagoda.opinions.reading.networks.network import Network
from pagoda.opinions.reading.networks.of_minilm import minilm
from pagoda.opinions.reading.networks.of_multilingual import multilingual_e5
from pagoda.opinions.reading.networks.tuned_model import TunedModel
from pagoda.opinions.reading.networks.tuning import tune
from pagoda.opinions.reading.text_model import TextReading
from pagoda.opinions.story import LABELS, EncoderName

_HELD, _MOST_HELD, _FEWEST_HELD = 0.1, 400, 30
FEWEST_WEIGHED = 300
"""Texts of which a tenth are enough to fit the groups' share and the temperature on."""
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_SHARE_UNTRIED = 0.2
_NUM_FOLDS = 4
_RARE_GROUPS_COUNT_BELOW = 300_000
"""Groups of characters in all texts: of more, those that stand in one text only are left out."""


class MixedModel:
    """Scores are logarithms of probabilities. share: of the groups, 0 to 1."""

    def __init__(self, tuned: TunedModel | None, grams: GramModel | None, share: float) -> None:
        self.tuned, self.grams, self.share = tuned, grams, share

    def read(self, texts: Sequence[Marked]) -> TextReading:
        """Words are those of the model that counts more."""
        told = [(model.read(texts), share) for model, share in self._models() if share > 0]
        scores = sum(share * log_probabilities(reading.scores) for reading, share in told)
        heavier, _ = max(told, key=lambda pair: pair[1])
        return TextReading(np.asarray(scores, np.float32), heavier.carried)

    def scores(self, texts: Sequence[Marked]) -> np.ndarray:
        """float32 [n, num_labels]."""
        return self.read(texts).scores

    def _models(self) -> list[tuple[TunedModel | GramModel, float]]:
        pairs = ((self.tuned, 1 - self.share), (self.grams, self.share))
        return [(model, share) for model, share in pairs if model is not None]

    def stored(self, rank: int = 0) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(for the JSON, tensors). rank: of what tuning changed of a network's matrices, 0: all of it."""
        tensors: dict[str, np.ndarray] = {}
        if self.grams is not None:
            tensors |= {f"grams:{name}": array for name, array in self.grams.tensors().items()}
        if self.tuned is not None:
            changed = changes(self.tuned.layers, self.tuned.network.layers(), rank)
            tensors |= {f"{self.tuned.network.name}:{key}": array for key, array in changed.items()}
            tensors |= {f"head:{place}": tensor.numpy() for place, tensor in enumerate(self.tuned.head)}
        encoder = self.tuned.network.name if self.tuned is not None else None
        return {"share": self.share, "grams": self.grams is not None, "encoder": encoder}, tensors

    @classmethod
    def restored(cls, fields: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> MixedModel:
        """The inverse of `stored`.

        Raises MissingExtraError where the model's network is not installed, CheckpointError where there are tensors of
        another: a network as it was published, with the head of another, would answer without a sign of it.
        """
        import torch

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        tuned, encoder = None, _encoder_of(fields)
        own = (*(("head:", f"{encoder}:") if encoder else ()), *(("grams:",) if fields["grams"] else ()))
        if strange := [name for name in tensors if not name.startswith(own)]:
            raise CheckpointError(f"the model's file names no network or groups that have a tensor {strange[0]!r}")
        if encoder:
            network = network_called(encoder)
            head = tuple(torch.from_numpy(value.copy()) for _, value in sorted(part("head:").items()))
            tuned = TunedModel(network, applied(network.layers(), part(f"{encoder}:")), (head[0], head[1]))
        grams = GramModel.from_tensors(part("grams:")) if fields["grams"] else None
        return cls(tuned, grams, float(fields["share"]))


def _encoder_of(fields: Mapping[str, Any]) -> EncoderName | None:
    """What a model's file says of its network. Older ones say "minilm": true or false."""
    encoder = fields["encoder"] if "encoder" in fields else "minilm" if fields["minilm"] else None
    if encoder not in (*_NETWORKS, None):
        raise CheckpointError(f"the model's file names an encoder {encoder!r}: expected one of {', '.join(_NETWORKS)}")
    return encoder


def network_called(name: EncoderName) -> Network:
    """Raises MissingExtraError where it is not installed."""
    return _NETWORKS[name]()


def log_probabilities(scores: np.ndarray) -> np.ndarray:
    """[n, num_labels] of scores [n, num_labels]."""
    return scores - log_sum_exp(scores)[:, None]


def train_mixed(
    texts: Sequence[Marked],
    truth: np.ndarray,
    labels: Sequence[str | int],
    encoder: EncoderName | None,
    seed: int,
    on_progress: OnProgress | None,
) -> tuple[MixedModel, Confidence]:
    """A model of one language's texts and their labels [n], rows of `labels`; and its temperature.

    encoder: the network that is tuned beside the groups of characters and words; None: these alone
    """
    grams = [grams_of(text) for text in texts]
    fewest = 1 + (sum(map(len, grams)) > _RARE_GROUPS_COUNT_BELOW)
    if encoder is None:
        held = _cross_validated(grams, truth, len(labels), fewest, seed)
        model = MixedModel(None, train_grams(grams, truth, len(labels), fewest), 1.0)
        return model, Confidence.fitted(log_probabilities(held), truth)
    inside, outside = _split(len(texts), seed)
    start = starting_model(encoder, labels, seed)
    tuned = tune([texts[i] for i in inside], truth[inside], start, seed=seed, on_progress=on_progress)
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


def starting_model(encoder: EncoderName, labels: Sequence[str | int], seed: int) -> TunedModel:
    """Where tuning begins: the network as published; MiniLM as it ships, with its head where the labels are its own."""
    start = TunedModel.untuned(network_called(encoder), len(labels), seed)
    if encoder == "minilm" and (model_files.SHIPPED / model_files.NAME).is_file():
        described, tensors = model_files.read(model_files.SHIPPED)
        known = MixedModel.restored(described["parts"]["en"], tensors["en"]).tuned
        assert known is not None
        head = start.head
        if set(labels) <= set(LABELS):
            rows = [described["labels"].index(label) for label in labels]
            head = (known.head[0][rows], known.head[1][rows])
        return TunedModel(known.network, known.layers, head)
    return start


_NETWORKS: dict[EncoderName, Callable[[], Network]] = {"minilm": minilm, "multilingual": multilingual_e5}
