"""Our own Llama network as a sequence recommender: things are its vocabulary, the trainer is everybody's.

Second station of the sequence model: curriculum -> *training* -> checkpoint -> engine. SASRec (Kang & McAuley 2018,
arXiv 1808.09781) with what Llama has since brought: RMSNorm in front of the blocks, rotary positions, a gated MLP, one
matrix for the things that go in and come out, and the softmax over all of them. What is written is a checkpoint like
any other, so the engine serves it; `items.json` beside it says which thing is which token.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.errors import CheckpointError, ConfigError
from pagoda.recommend.data.interactions import InteractionLog
from pagoda.recommend.sequence.curriculum import START, History, HistoryCurriculum

if TYPE_CHECKING:
    from pagoda.models.llama import LlamaForCausalLM
    from pagoda.train.config import Recipe
    from pagoda.train.trainer import StepReport, Trainer

_ROUND = 16
"""Rows of the vocabulary come in multiples of this, as the kernels like them."""
_SHORTEST, _LONGEST = 16, 200
"""Things of a history that are looked at, at least and at most."""
_STEPS = 64
"""Of an epoch, at least, where the log has so many windows."""
_CATALOGUE = "items.json"
OF_TRAINING = ("optimizer.safetensors", "trainer.json")
"""Files of a checkpoint that only a training reads."""


OnSteps = Callable[[int, int], None]
"""Hears how many steps are done, of how many."""


@dataclass(frozen=True)
class SequenceSettings:
    """length: things that are looked at; epochs: how often each event is taught; tokens: of a step, padding included

    pass_tokens: of a step, computed at once: bounds the memory of a softmax over many items; 0 is all
    widths:    of a step's windows are multiples of this: fewer shapes, fewer kernels that torch makes and keeps
    rivals:    items drawn for each step that the softmax is over, beside what is asked; 0 is all
    norm:      "rms_norm", "layer_norm" or another of `layers/norm_kinds`
    positions: "ordinary", or "times": where a thing stands is when it was taken, in `time_unit` seconds
    """

    width: int = 64
    layers: int = 2
    heads: int = 2
    length: int = 50
    epochs: float = 20.0
    tokens: int = 2048
    pass_tokens: int = 0
    widths: int = 1
    dropout: float = 0.3
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    warmup_steps: int = 100
    rivals: int = 0
    norm: str = "rms_norm"
    positions: str = "ordinary"
    time_unit: float = 86400.0
    precision: str = "auto"
    save_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ConfigError(f"width={self.width} must be an even number for each of heads={self.heads}")
        if self.positions not in ("ordinary", "times"):
            raise ConfigError(f"positions={self.positions!r}, but 'ordinary' or 'times' is expected")
        if not 1 <= self.widths <= self.length:
            raise ConfigError(
                f"widths={self.widths}, but 1 to length={self.length} is expected: there are no more places"
            )
        if not 0 <= self.pass_tokens <= self.tokens:
            raise ConfigError(f"pass_tokens={self.pass_tokens}, but 0 to tokens={self.tokens} is expected")


@dataclass(frozen=True)
class SequenceModel:
    """The trained network. catalogue: ids in the order of tokens, the first being token 1."""

    network: LlamaForCausalLM
    catalogue: tuple[str, ...]
    settings: SequenceSettings

    def scores(self, histories: Sequence[History]) -> np.ndarray:
        """Logarithms of chances `[histories, items]` fp32 of what comes next, from the last things of each."""
        import torch

        from pagoda.layers.attention import DenseAttention

        rows = [recent(history, self.settings.length) for history in histories]
        width = max(len(ids) for ids, _ in rows)
        ids, places = np.zeros((len(rows), width), dtype=np.int64), np.zeros((len(rows), width), dtype=np.float32)
        for row, (own, placed) in enumerate(rows):
            ids[row, : len(own)], places[row, : len(own)] = own, placed
        positions = torch.from_numpy(places if self.settings.positions == "times" else places.astype(np.int64))
        attention = DenseAttention(len(rows), self.network.config.layer_windows)
        with torch.no_grad():
            hidden = self.network(torch.from_numpy(ids).flatten(), positions.flatten(), attention)
            last = hidden.unflatten(0, ids.shape)[range(len(rows)), [len(own) - 1 for own, _ in rows]]
            logits = self.network.compute_logits(last).float()[:, 1 : len(self.catalogue) + 1]
        return log_chances(logits.numpy())

    def __call__(self, history: np.ndarray) -> np.ndarray:
        """`history [n]` of numbers -> `[items]` fp64: `scores` as a model among others gives them."""
        return centred(self.scores([History(history)])[0])

    def write(self, directory: Path) -> None:
        """A checkpoint that `load` and the engine read."""
        from pagoda.models.checkpoint.saving import save_checkpoint

        directory.mkdir(parents=True, exist_ok=True)
        save_checkpoint(self.network, self.network.config, directory)
        _write_catalogue(directory, self.catalogue, self.settings)

    def close(self) -> None:
        """Nothing is held but memory."""

    @classmethod
    def load(cls, folder: Path) -> SequenceModel:
        """From the newest checkpoint of a training. Raises CheckpointError."""
        import torch

        from pagoda.kernels.reference.operations import ReferenceKernels
        from pagoda.models.checkpoint.loading import load_config, load_weights
        from pagoda.models.llama import LlamaForCausalLM

        directory = newest_checkpoint(folder)
        network = LlamaForCausalLM(load_config(directory), ReferenceKernels())
        load_weights(network, directory, dtype=torch.float32)
        return cls(network, read_catalogue(directory), read_settings(directory))


def log_chances(logits: np.ndarray) -> np.ndarray:
    """`logits [histories, items]` -> logarithms of chances, of the same shape and dtype."""
    above = logits - logits.max(-1, keepdims=True)
    return np.asarray(above - np.log(np.exp(above).sum(-1, keepdims=True)))


def centred(scores: np.ndarray) -> np.ndarray:
    """`[items]` fp64 less their mean, so that 0 is usual, as popularity has it."""
    found = scores.astype(np.float64)
    return np.asarray(found - found.mean())


def settings_for(log: InteractionLog) -> SequenceSettings:
    """What was chosen for Beauty, for a log of another size: a small one is read in smaller steps, as often."""
    lengths = [len(history) for history in log.histories]
    length = int(np.clip(np.quantile(lengths, 0.9), _SHORTEST, _LONGEST)) if lengths else _SHORTEST
    tokens = int(np.clip(log.num_events // _STEPS, 4 * length, 2048))
    return SequenceSettings(layers=1, length=length, tokens=tokens, epochs=40.0, dropout=0.5, rivals=512)


def newest_checkpoint(folder: Path) -> Path:
    """The last `step-N` of a training, or the folder itself where it is a checkpoint. Raises CheckpointError."""
    if (folder / "config.json").is_file():
        return folder
    found = sorted(folder.glob("step-*"))
    if not found:
        raise CheckpointError(f"{folder} holds no checkpoint: train the sequence model first")
    return found[-1]


def read_catalogue(directory: Path) -> tuple[str, ...]:
    """Ids of a checkpoint's things. Raises CheckpointError where they are not told."""
    path = directory / _CATALOGUE
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: a sequence model needs the ids of its things")
    told = json.loads(path.read_text(encoding="utf-8"))
    return tuple(told["items"] if isinstance(told, dict) else told)


def read_head(directory: Path, num_items: int) -> np.ndarray:
    """`[items, width]` fp32, of each thing what a hidden state is multiplied with. Raises CheckpointError."""
    from safetensors import SafetensorError, safe_open

    from pagoda.models.checkpoint.reading import SINGLE_FILE

    try:
        with safe_open(directory / SINGLE_FILE, "np") as file:
            whole: np.ndarray = file.get_tensor("model.embed_tokens.weight")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{directory} holds no weights of a sequence model ({error}): train it again") from error
    return whole[1 : num_items + 1]


def read_settings(directory: Path) -> SequenceSettings:
    """What a checkpoint was trained with. Raises CheckpointError where it does not tell."""
    path = directory / _CATALOGUE
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if not isinstance(told, dict):
        raise CheckpointError(f"{path} does not tell what the model was trained with: train it again")
    return SequenceSettings(**told["settings"])


def dropped(count: int, length: int) -> int:
    """Of `count` tokens, how many of the oldest are left out: half a length at once, again and again.

    So the prefix of a history changes once in as many events, and the engine's cache holds; whoever measures a model
    looks at the same tokens.
    """
    half = max(1, length // 2)
    return -(-max(0, count - length) // half) * half


def recent(history: History, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens `[n]` of the last things that `dropped` leaves, the start among them where all fit; where they stand."""
    tokens = np.concatenate(([START], history.items + 1))
    if history.times is None:
        places = np.arange(len(tokens), dtype=np.float64)
    else:
        places = np.concatenate((history.times[:1], history.times)) if len(history.times) else np.zeros(1)
    first = dropped(len(tokens), length)
    tokens, places = tokens[first:], places[first:]
    return tokens, places - places[0]


def histories_of(log: InteractionLog, settings: SequenceSettings) -> list[History]:
    """Of each person, in the units in which positions are told."""
    timed = settings.positions == "times"
    return [
        History(items, times / settings.time_unit if timed else None)
        for items, times in zip(log.histories, log.times, strict=True)
    ]


class _Taught(HistoryCurriculum):
    """Histories of a log, whose checkpoints say which thing is which token, and how they were trained."""

    def __init__(self, log: InteractionLog, settings: SequenceSettings) -> None:
        super().__init__(
            histories_of(log, settings), [], settings.length, settings.tokens, settings.seed, settings.rivals,
            len(log.items), settings.widths,
        )  # fmt: skip
        self._told = log.items, settings

    def save(self, directory: Path) -> None:
        """The catalogue and the settings."""
        _write_catalogue(directory, *self._told)


def _write_catalogue(directory: Path, items: Sequence[str], settings: SequenceSettings) -> None:
    told = {"items": items, "settings": asdict(settings)}
    (directory / _CATALOGUE).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


def make_trainer(log: InteractionLog, settings: SequenceSettings, folder: Path, device: str = "cpu") -> Trainer:
    """The trainer of a log's histories; it goes on from the newest checkpoint in `folder`."""
    from pagoda.train.trainer import Trainer

    taught = _Taught(log, settings)
    steps = max(1, int(settings.epochs * taught.steps_per_epoch))
    return Trainer(recipe_of(len(log.items), settings, steps), folder, device, taught)


def recipe_of(num_items: int, settings: SequenceSettings, steps: int) -> Recipe:
    """What the trainer is given."""
    from pagoda.train.config import Recipe

    model = {
        "vocab_size": -(-(num_items + 1) // _ROUND) * _ROUND,
        "hidden_size": settings.width,
        "intermediate_size": 2 * settings.width,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "num_key_value_heads": settings.heads,
        "head_dim": settings.width // settings.heads,
        "tie_word_embeddings": True,
        "max_position_embeddings": 2 * settings.length,
        "norm": settings.norm,
    }
    at_once = settings.pass_tokens or settings.tokens
    train = {
        "tokens": steps * settings.tokens,
        "tokens_per_step": settings.tokens,
        "micro_batch_tokens": at_once,
        "length_schedule": [[0.0, at_once]],
        "position_range": settings.tokens,
        "learning_rate": settings.learning_rate,
        "warmup_steps": settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "beta2": 0.98,
        "dropout": settings.dropout,
        "precision": settings.precision,
        "eval_every": steps,
        "save_every": settings.save_every,
        "seed": settings.seed,
    }
    return Recipe.from_dict({"model": model, "train": train}, has_corpora=False)


def trained_network(
    log: InteractionLog, settings: SequenceSettings, tell: OnSteps = lambda done, total: None
) -> SequenceModel:
    """Train on a log and keep nothing but the model, whose items are the log's."""
    with tempfile.TemporaryDirectory(prefix="pagoda-network-") as folder:
        return train_sequence_model(log, settings, Path(folder), lambda report: tell(report.step, report.num_steps))


def train_sequence_model(
    log: InteractionLog,
    settings: SequenceSettings,
    folder: Path,
    on_step: Callable[[StepReport], None] = lambda report: None,
) -> SequenceModel:
    """Train on a log, or go on where that was broken off; a finished training is read back."""
    trainer = make_trainer(log, settings, folder)
    for report in trainer.run():
        on_step(report)
    return SequenceModel(trainer.model, log.items, settings)
