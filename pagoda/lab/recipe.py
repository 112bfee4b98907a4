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
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pagoda.errors import ConfigError, nearest
from pagoda.lab.tasks import TASKS, VOCAB_SIZE
from pagoda.train.config import Recipe

Record = TypeVar("Record")
TEXTS = Path(str(files("pagoda.lab") / "texts"))
"""Texts that ship with pagoda; recipes find them by their names alone."""
_SHIPPED = Path(str(files("pagoda.lab") / "recipes"))
_TRAINED = ("model", "tokenizer", "train", "task")


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
        lab = _record(LabConfig, "lab", raw.get("lab", {}))
        timing = _record(TimingConfig, "timing", raw["timing"]) if "timing" in raw else None
        recipe = cls(name, lab, raw.get("axes", {}), raw, timing, bases)
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
            raw = _merged(raw, changes)
        raw = _merged(raw, {"train": {"seed": seed}})
        given = raw.pop("task", None)
        task = None if given is None else _record(TaskConfig, "task", given)
        if task is not None:
            raw = _merged(raw, _settings_of(task))
        return Recipe.from_dict(raw, *self.bases, has_corpora=task is None), task

    def fingerprint(self) -> str:
        """Of all that results depend on."""
        return hashlib.sha256(json.dumps(self.raw, sort_keys=True).encode()).hexdigest()[:16]

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
        for arm in self.arms():
            _, task = self.training(arm, lab.seeds[0])
            metrics = ("loss",) if task is None else ("loss", "accuracy", "accuracy_within")
            if lab.metric not in metrics:
                raise ConfigError(f"lab.metric={lab.metric!r}, but one of {', '.join(metrics)} is expected here")


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
    _known_keys(name, raw, [field.name for field in dataclasses.fields(cls)])  # type: ignore[arg-type]
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})


def _known_keys(section: str, raw: Mapping[str, Any], known: Any) -> None:
    for key in raw:
        if key not in known:
            raise ConfigError(f"[{section}] has an unknown key {key!r}: {nearest(key, known)}")
