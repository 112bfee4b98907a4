"""A training recipe: one TOML file that says what is trained, on what, and how.

First station of training: `pagoda train recipe.toml` reads it here, and everything after works on these
frozen records. Unknown keys are refused with the nearest known name, before any work starts.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pagoda.errors import CheckpointError, ConfigError, nearest
from pagoda.models.config import ModelConfig
from pagoda.models.families.own import PAGODA
from pagoda.train.positions import POSITION_SCHEMES

Section = TypeVar("Section")
OPTIMIZERS = ("adamw", "rmsprop", "sgd")
_MODEL_KEYS = {field.name for field in dataclasses.fields(ModelConfig)} - {"coded", "source"}
"""What a recipe may say of its model; its weights are dense."""


@dataclass(frozen=True)
class SourceConfig:
    """One corpus: a text file (`.gz` or plain) of documents separated by a line `<|endoftext|>`.

    epochs:       how often the corpus is seen, fractions allowed
    share:        the part of the corpus that is read at all, from its beginning; the rest is not tokenised
    start, stop:  the part of training, 0 to 1, over which the corpus is spread
    kind:         "text" (whole documents) or "dialogue" (lines `User: ...` and `Assistant: ...`)
    script:       "as-is" or "simplified" (traditional Chinese characters converted)
    chat_prompts: what a user says to get the document; `{first_sentence}` and `{title}` are taken from it
    chat_share:   the part of the documents that is presented as an answer to one of `chat_prompts`
    """

    path: str
    epochs: float = 1.0
    share: float = 1.0
    start: float = 0.0
    stop: float = 1.0
    kind: str = "text"
    script: str = "as-is"
    chat_prompts: tuple[str, ...] = ()
    chat_share: float = 0.0

    def __post_init__(self) -> None:
        _one_of("sources.kind", self.kind, ("text", "dialogue"))
        _one_of("sources.script", self.script, ("as-is", "simplified"))
        _in_range("sources.share", self.share, 0.0, 1.0)
        _in_range("sources.chat_share", self.chat_share, 0.0, 1.0)
        if not 0.0 <= self.start < self.stop <= 1.0:
            raise ConfigError(
                f"source {self.path}: start={self.start} and stop={self.stop} must lie in order in [0, 1]"
            )

    @property
    def name(self) -> str:
        """The file's name without its endings."""
        return Path(self.path).name.split(".")[0]


@dataclass(frozen=True)
class TokenizerConfig:
    """A byte-level BPE to train, on at most `train_mb` megabytes drawn evenly from the sources."""

    vocab_size: int = 8192
    train_mb: float = 40.0


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    tokens:            length of training; the corpora's epochs are scaled to it when they fall short
    tokens_per_step:   tokens of one optimiser step
    micro_batch_tokens: tokens of one forward pass; gradients add up over the passes of a step
    length_schedule:   (from this part of training, sequence length) pairs; short sequences first cost less
                       and are steadier (Li et al. 2022, arXiv 2108.06084)
    optimizer:         "adamw" (Loshchilov & Hutter 2019, arXiv 1711.05101), "rmsprop" (Hinton 2012) or "sgd", with
                       beta1 for its momentum
    positions:         "ordinary", "random_integers" (Ruoss et al. 2023) or "random_floats", see `positions`
    position_range:    below what random positions are drawn
    position_range_schedule: (from this part of training, range) pairs in its place: with a RoPE of the type "yarn" in
                       the model, a range that grows is Randomized YaRN (Mehta et al. 2026, arXiv 2606.23687)
    dropout:           part of what embedding, attention and MLPs give out that is dropped, see `dropout`
    precision:         "auto", "fp32" or "bf16" (autocast over fp32 weights; auto takes it where hardware has it)
    held_back:         one document in so many is kept for evaluation
    """

    tokens: int = 1_000_000
    tokens_per_step: int = 8192
    micro_batch_tokens: int = 8192
    length_schedule: tuple[tuple[float, int], ...] = ((0.0, 512),)
    optimizer: str = "adamw"
    positions: str = "ordinary"
    position_range: int = 2048
    position_range_schedule: tuple[tuple[float, int], ...] = ()
    learning_rate: float = 1e-3
    min_learning_rate: float = 0.0
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    gradient_clip: float = 1.0
    dropout: float = 0.0
    precision: str = "auto"
    compile: bool = False
    seed: int = 0
    held_back: int = 200
    eval_every: int = 250
    eval_tokens: int = 65536
    save_every: int = 250
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        _check_schedule("train.length_schedule", self.length_schedule)
        if self.position_range_schedule:
            _check_schedule("train.position_range_schedule", self.position_range_schedule)
        _one_of("train.optimizer", self.optimizer, OPTIMIZERS)
        _one_of("train.positions", self.positions, tuple(POSITION_SCHEMES))
        _one_of("train.precision", self.precision, ("auto", "fp32", "bf16"))
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"train.dropout={self.dropout}, but a number from 0 to below 1 is expected")
        for _, length in self.length_schedule:
            if self.micro_batch_tokens % length or self.max_length % length:
                raise ConfigError(
                    f"train.length_schedule has {length}, which must divide both micro_batch_tokens="
                    f"{self.micro_batch_tokens} and the longest length {self.max_length}"
                )
        for reach in (self.position_range, *(reach for _, reach in self.position_range_schedule)):
            if reach < self.max_length:
                raise ConfigError(
                    f"train.position_range={reach}, but sequences have up to {self.max_length} tokens: make it larger "
                    f"than the longest sequence that the model shall read"
                )
        if self.tokens_per_step % self.micro_batch_tokens:
            raise ConfigError(
                f"train.tokens_per_step={self.tokens_per_step} must be a multiple of "
                f"micro_batch_tokens={self.micro_batch_tokens}"
            )

    @property
    def max_length(self) -> int:
        """The longest training sequence; data is packed into pieces of this length."""
        return max(length for _, length in self.length_schedule)

    @property
    def num_steps(self) -> int:
        return max(1, self.tokens // self.tokens_per_step)

    def length_at(self, step: int) -> int:
        """Sequence length of optimiser step `step`."""
        return self._at(self.length_schedule, step)

    def position_range_at(self, step: int) -> int:
        """Below what positions of optimiser step `step` are drawn; behind the last step, as in it."""
        return self._at(self.position_range_schedule or ((0.0, self.position_range),), step)

    def _at(self, schedule: tuple[tuple[float, int], ...], step: int) -> int:
        progress = step / self.num_steps
        return [value for start, value in schedule if start <= progress][-1]


@dataclass(frozen=True)
class Recipe:
    """A whole recipe; `bases` are the directories where corpora are looked for, in order."""

    model: ModelConfig
    tokenizer: TokenizerConfig
    sources: tuple[SourceConfig, ...]
    train: TrainConfig
    bases: tuple[Path, ...]

    @classmethod
    def from_file(cls, path: str | Path, data_dir: str | Path | None = None) -> Recipe:
        """Read a TOML recipe; corpora lie in `data_dir` or beside the recipe. Raises ConfigError."""
        path = Path(path)
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the recipe {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
        return cls.from_dict(raw, *([Path(data_dir)] if data_dir else []), path.parent)

    @classmethod
    def from_dict(cls, raw: dict[str, Any], *bases: Path, has_corpora: bool = True) -> Recipe:
        """Build from parsed TOML: tables `model`, `tokenizer`, `train`, and an array of tables `sources`.

        has_corpora: whether there have to be sources; not where the trainer is given a curriculum
        """
        _known_keys("recipe", raw, ("model", "tokenizer", "train", "sources"))
        tokenizer = _section(TokenizerConfig, "tokenizer", raw.get("tokenizer", {}))
        train = _section(TrainConfig, "train", raw.get("train", {}))
        model_raw = {"vocab_size": tokenizer.vocab_size, "max_position_embeddings": train.max_length}
        _known_keys("model", raw.get("model", {}), _MODEL_KEYS)
        model = _of_a_family(_section(ModelConfig, "model", model_raw | raw.get("model", {})), raw.get("model", {}))
        sources = tuple(_section(SourceConfig, "sources", source) for source in raw.get("sources", []))
        if has_corpora and not sources:
            raise ConfigError("the recipe names no corpus: add a [[sources]] table with a path")
        return cls(model, tokenizer, sources, train, bases)

    def locate(self, source: SourceConfig) -> Path:
        """The corpus's file. Raises ConfigError where none of the directories has it."""
        for base in self.bases:
            if (path := base / source.path).is_file():
                return path
        searched = ", ".join(str(base) for base in self.bases)
        raise ConfigError(f"corpus {source.path} does not exist in {searched}: correct sources.path or give --data-dir")


def _of_a_family(model: ModelConfig, said: dict[str, Any]) -> ModelConfig:
    """The model as one that a `config.json` can tell: what could not be saved in the end is not trained.

    Where none is named and Llama's cannot, it is of our own family. Raises ConfigError.
    """
    try:
        model.to_dict()
    except CheckpointError as error:
        own = replace(model, architecture=PAGODA.architecture, model_type=PAGODA.model_type)
        if {"architecture", "model_type"} & said.keys() or not _can_be_saved(own):
            raise ConfigError(f"[model]: {error}") from error
        return own
    return model


def _can_be_saved(model: ModelConfig) -> bool:
    try:
        model.to_dict()
    except CheckpointError:
        return False
    return True


def _section(cls: type[Section], name: str, raw: dict[str, Any]) -> Section:
    fields = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    _known_keys(name, raw, fields)
    values = {key: _frozen(value) for key, value in raw.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"[{name}]: {error}") from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _known_keys(section: str, raw: dict[str, Any], known: Any) -> None:
    for key in raw:
        if key not in known:
            raise ConfigError(f"[{section}] has an unknown key {key!r}: {nearest(key, known)}")


def _check_schedule(name: str, schedule: tuple[tuple[float, int], ...]) -> None:
    """Pairs of a part of training and a number; the first pair from the beginning on, the others in order."""
    starts = [pair[0] for pair in schedule if isinstance(pair, tuple) and len(pair) == 2]
    if not schedule or len(starts) < len(schedule) or starts[0] != 0 or sorted(starts) != starts or starts[-1] > 1:
        raise ConfigError(
            f"{name}={schedule!r}, but pairs (from this part of training, number) are expected, the first from 0.0 on "
            f"and the others in order"
        )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value!r}, but one of {', '.join(allowed)} is expected")


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name}={value!r}, but a number from {low} to {high} is expected")
