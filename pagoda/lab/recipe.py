"""A recipe of the laboratory: one training recipe, the axes along which it is varied, and how often it is repeated.

First station of an experiment. `[model]`, `[tokenizer]`, `[train]` and `[[sources]]` are those of `pagoda train`; a
`[task]` may stand in the place of sources. Each `[axes.NAME.CHOICE]` holds what a choice changes in them. An arm is
one choice from every axis; every arm is trained with every seed, and a seed gives all arms the same first weights and
the same data.

Imports no torch: a recipe that cannot work is refused at once.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pagoda.errors import ConfigError, nearest
from pagoda.lab.tasks import TASKS, VOCAB_SIZE
from pagoda.train.config import Recipe, TokenizerConfig, TrainConfig
from pagoda.train.positions import STREAM

Record = TypeVar("Record")
TEXTS = Path(str(files("pagoda.lab") / "texts"))
"""Texts that ship with pagoda; recipes find them by their names alone."""
_SHIPPED = Path(str(files("pagoda.lab") / "recipes"))
_TRAINED = ("model", "tokenizer", "train", "task")
_HEAD_DIM, _FEWEST_ROUNDS = 64, 6
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number above 0", lambda value: _is_whole(value) and value > 0),
    "float": ("a number of 0 or more", lambda value: _is_number(value) and value >= 0),
    "str": ("a text", lambda value: isinstance(value, str)),
    "tuple[int, ...]": ("a list of different whole numbers of 0 or more", lambda value: _are_different(value)),
}
"""What a field of some annotation may hold, in words and as a test."""
_MAY_BE_ZERO = ("warmup_steps", "seed")


@dataclass(frozen=True)
class LabConfig:
    """How arms are compared.

    seeds:   each arm is trained once with each
    compare: the axis whose choices are held against one another
    against: the choice that all others of that axis are held against
    best_of: an axis of which each arm takes its own best choice: learning rates, say; "" is none
    metric:  "loss" (held back, nats a token: less is better), "accuracy" (strings longer than in training) or
             "accuracy_within" (strings as long as in training): percent, more is better
    seconds: a run ends after so much time in its steps, or after its tokens, whichever comes first; 0: its tokens
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    compare: str = ""
    against: str = ""
    best_of: str = ""
    metric: str = "loss"
    seconds: float = 0.0

    @property
    def less_is_better(self) -> bool:
        return self.metric == "loss"


@dataclass(frozen=True)
class TaskConfig:
    """A task in the place of corpora: see `tasks`.

    sequences: strings a step
    longest:   letters of the longest string in training
    test_to:   accuracy is measured on strings from `longest` + 1 to so many letters
    lengths:   how many different lengths are tried there, evenly spaced
    strings:   of each length
    """

    name: str = "reverse_string"
    sequences: int = 64
    longest: int = 40
    test_to: int = 200
    lengths: int = 9
    strings: int = 64

    def __post_init__(self) -> None:
        if self.name not in TASKS:
            raise ConfigError(f"task.name={self.name!r} is not known: {nearest(self.name, TASKS)}")
        if self.test_to <= self.longest:
            raise ConfigError(f"task.test_to={self.test_to}, but more than longest={self.longest} is expected")


@dataclass(frozen=True)
class TimingConfig:
    """What norms cost, at each of `widths`: `rows` rows at a time, `rounds` rounds of `repeats` turns each."""

    widths: tuple[int, ...] = (256, 1024, 2048)
    rows: int = 512
    rounds: int = 30
    repeats: int = 5
    step_rounds: int = 6

    def __post_init__(self) -> None:
        if not self.widths:
            raise ConfigError("timing.widths is empty: name at least one")
        for width in self.widths:
            if width <= 0 or width % _HEAD_DIM:
                raise ConfigError(f"timing.widths has {width}, but multiples of {_HEAD_DIM} are expected")
        for name in ("rounds", "step_rounds"):
            if (rounds := getattr(self, name)) < _FEWEST_ROUNDS:
                raise ConfigError(
                    f"timing.{name}={rounds}, but at least {_FEWEST_ROUNDS} are needed for a 95 % interval of a median"
                )


Arm = dict[str, str]
"""Axis -> choice."""


@dataclass(frozen=True)
class LabRecipe:
    """A whole recipe. `raw` is the TOML as it is trained, quick or not; `bases` are where corpora are looked for."""

    name: str
    lab: LabConfig
    axes: Mapping[str, Mapping[str, Any]]
    raw: Mapping[str, Any]
    timing: TimingConfig | None
    bases: tuple[Path, ...]

    @classmethod
    def open(cls, name: str, *, quick: bool = False, data_dir: Path | None = None) -> LabRecipe:
        """A file, or a shipped recipe by its name; `quick` makes the changes of its table `[quick]`.

        Raises ConfigError.
        """
        path = Path(name)
        if not path.is_file() and name in shipped():
            path = _SHIPPED / f"{name}.toml"
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            known = f"; recipes that ship with pagoda: {', '.join(shipped())}" if path.suffix != ".toml" else ""
            raise ConfigError(f"cannot read the recipe {name}: {error.strerror}{known}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
        bases = (*([data_dir] if data_dir else []), path.parent, TEXTS)
        return cls.from_dict(raw, path.stem, bases, quick=quick)

    @classmethod
    def from_dict(cls, raw: dict[str, Any], name: str, bases: tuple[Path, ...], *, quick: bool = False) -> LabRecipe:
        """Build from parsed TOML; every arm is checked."""
        known = ("lab", "axes", "quick", "timing", "sources", *_TRAINED)
        _known_keys("recipe", raw, known)
        changes = raw.get("quick", {})
        _known_keys("quick", changes, known)
        raw = _merged({key: value for key, value in raw.items() if key != "quick"}, changes if quick else {})
        _check_tables("", raw)
        lab = _record(LabConfig, "lab", raw.get("lab", {}))
        timing = _record(TimingConfig, "timing", raw["timing"]) if "timing" in raw else None
        recipe = cls(name, lab, _axes_of(raw), raw, timing, bases)
        recipe._check()
        return recipe

    def arms(self) -> list[Arm]:
        """One choice from every axis, the last axis turning fastest; none where nothing is trained."""
        if not self.axes:
            return []
        return [dict(zip(self.axes, chosen, strict=True)) for chosen in itertools.product(*self.axes.values())]

    def training(self, arm: Arm, seed: int) -> tuple[Recipe, TaskConfig | None]:
        """What the trainer is given for one run."""
        raw = {key: value for key, value in self.raw.items() if key in (*_TRAINED, "sources")}
        for axis, choice in arm.items():
            changes = self.axes[axis][choice]
            _known_keys(f"axes.{axis}.{choice}", changes, _TRAINED)
            _check_tables(f"axes.{axis}.{choice}.", changes)
            raw = _merged(raw, changes)
        raw = _merged(raw, {"train": {"seed": seed}})
        given = raw.pop("task", None)
        _check_numbers(raw)
        task = None if given is None else _record(TaskConfig, "task", given)
        if task is not None:
            raw = _merged(raw, _settings_of(task))
        return Recipe.from_dict(raw, *self.bases, has_corpora=task is None), task

    def fingerprint(self) -> str:
        """Of all that results depend on: the recipe, its texts, and how positions are drawn. Raises ConfigError."""
        told = {"recipe": self.raw, "texts": self._texts(), "positions": STREAM}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def _texts(self) -> dict[str, str]:
        """SHA-256 of every text that an arm reads."""
        found = {}
        for arm in self.arms():
            recipe, task = self.training(arm, self.lab.seeds[0])
            for source in recipe.sources if task is None else ():
                if source.path not in found:
                    found[source.path] = hashlib.sha256(recipe.locate(source).read_bytes()).hexdigest()
        return found

    def _check(self) -> None:
        """Every arm, before any is trained."""
        if not self.axes and self.timing is None:
            raise ConfigError(f"the recipe {self.name} varies nothing: add tables [axes.NAME.CHOICE], or [timing]")
        if not self.axes:
            return
        lab = self.lab
        if lab.compare not in self.axes:
            raise ConfigError(f"lab.compare={lab.compare!r} is no axis: {nearest(lab.compare, self.axes)}")
        choices = self.axes[lab.compare]
        if lab.against not in choices:
            raise ConfigError(
                f"lab.against={lab.against!r} is no choice of {lab.compare}: {nearest(lab.against, choices)}"
            )
        if lab.best_of and lab.best_of not in self.axes:
            raise ConfigError(f"lab.best_of={lab.best_of!r} is no axis: {nearest(lab.best_of, self.axes)}")
        if not lab.seeds:
            raise ConfigError("lab.seeds is empty: name at least one")
        _check_keys(self.raw, self.axes)
        _check_numbers(self.raw)
        for arm in self.arms():
            recipe, task = self.training(arm, lab.seeds[0])
            metrics = ("loss",) if task is None else ("loss", "accuracy", "accuracy_within")
            if lab.metric not in metrics:
                raise ConfigError(f"lab.metric={lab.metric!r}, but one of {', '.join(metrics)} is expected here")
            reach = recipe.train.position_range_at(recipe.train.num_steps)
            longest = 0 if task is None else 2 * task.test_to
            if recipe.train.positions != "ordinary" and reach < longest:
                raise ConfigError(
                    f"train.position_range={reach}, but the longest string of the test and its answer need {longest}: "
                    f"with fewer there would be nothing to draw"
                )


def shipped() -> list[str]:
    """Names of the recipes that ship with pagoda."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def arm_name(arm: Arm) -> str:
    """As it is shown: "adamw, 1e-3"."""
    return ", ".join(arm.values())


def _settings_of(task: TaskConfig) -> dict[str, Any]:
    """A string and its answer are at most twice the longest string."""
    longest = 2 * task.longest
    tokens = task.sequences * longest
    return {
        "model": {"vocab_size": VOCAB_SIZE},
        "train": {
            "tokens_per_step": tokens,
            "micro_batch_tokens": tokens,
            "length_schedule": [[0.0, longest]],
        },
    }


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with tables of `changes` put into its own; a list or value takes the place of the old one."""
    merged = copy.deepcopy(dict(base))
    for key, value in changes.items():
        is_table = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if is_table else copy.deepcopy(value)
    return merged


def _record(cls: type[Record], name: str, raw: Mapping[str, Any]) -> Record:
    kinds = {field.name: str(field.type) for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    _known_keys(name, raw, kinds)
    for key, value in raw.items():
        _check_kind(f"{name}.{key}", value, kinds[key])
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})


def _known_keys(section: str, raw: Any, known: Any) -> None:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{section}={raw!r}, but a table is expected")
    for key in raw:
        if key not in known:
            raise ConfigError(f"[{section}] has an unknown key {key!r}: {nearest(key, known)}")


def _axes_of(raw: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Tables of tables, none of them empty."""
    axes = raw.get("axes", {})
    for axis, choices in axes.items() if isinstance(axes, Mapping) else [("", axes)]:
        name = f"axes.{axis}".rstrip(".")
        if not isinstance(choices, Mapping) or not all(isinstance(choice, Mapping) for choice in choices.values()):
            raise ConfigError(f"[{name}] holds a value, but tables [axes.NAME.CHOICE] are expected")
        if not choices:
            raise ConfigError(f"[{name}] is empty: add at least one table [{name}.CHOICE]")
    return axes


def _check_keys(raw: Mapping[str, Any], axes: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what would be overwritten in silence: by the seed, by the task, or by another axis."""
    by_axis = {axis: {key for choice in choices.values() for key in _leaves(choice)} for axis, choices in axes.items()}
    said = {table: set(_leaves({table: raw.get(table, {})})) for table in ("model", "train")}
    has_task = "task" in raw or any(key.startswith("task.") for keys in by_axis.values() for key in keys)
    of_task = set(_leaves(_settings_of(TaskConfig()))) if has_task else set()
    for where, keys in (said | {f"axes.{axis}": keys for axis, keys in by_axis.items()}).items():
        if "train.seed" in keys:
            raise ConfigError(f"[{where}] sets train.seed, which lab.seeds does: name the seeds there")
        for key in sorted(keys & of_task):
            raise ConfigError(f"[{where}] sets {key}, which a [task] sets itself: leave it out")
    for one, other in itertools.combinations(by_axis, 2):
        for key in sorted(by_axis[one] & by_axis[other]):
            raise ConfigError(f"[axes.{one}] and [axes.{other}] both set {key}: let one axis do so")


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Keys of all values, with those of the tables around them: "train.seed"."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def _check_numbers(raw: Mapping[str, Any]) -> None:
    """How much is trained and measured, and at what rate: numbers, before one of them ends a run in its midst."""
    for name, cls in (("train", TrainConfig), ("tokenizer", TokenizerConfig)):
        table = raw.get(name, {})
        for field in dataclasses.fields(cls):
            if field.name in table and field.type in ("int", "float"):
                kind = "float" if field.name in _MAY_BE_ZERO else str(field.type)
                _check_kind(f"{name}.{field.name}", table[field.name], kind)


def _check_tables(section: str, raw: Mapping[str, Any]) -> None:
    for name in _TRAINED:
        if not isinstance(raw.get(name, {}), Mapping):
            raise ConfigError(f"{section}{name}={raw[name]!r}, but a table is expected")


def _check_kind(name: str, value: Any, kind: str) -> None:
    expected, is_kind = _KINDS[kind]
    if not is_kind(value):
        raise ConfigError(f"{name}={value!r}, but {expected} is expected")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_different(value: Any) -> bool:
    if not isinstance(value, list | tuple) or not all(_is_whole(item) and item >= 0 for item in value):
        return False
    return len(set(value)) == len(value)
