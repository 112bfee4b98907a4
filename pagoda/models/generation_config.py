"""`generation_config.json`: how a checkpoint's authors want it sampled, and which tokens end a text.

Read once at start, beside `models/config`; the doors merge it under what a request says. The fields taken over are
those that vLLM takes over under generation_config="auto".
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import CheckpointError, ConfigError, InvalidParameterError, nearest
from pagoda.sampling_params import SamplingParams

_NUMBERS = ("temperature", "top_p", "min_p", "repetition_penalty")
_INTEGERS = ("top_k", "max_new_tokens")
_SAMPLING = (*_NUMBERS, "top_k")


@dataclass(frozen=True)
class GenerationDefaults:
    """Sampling defaults of a checkpoint; None where it says nothing and the engine's own default stands.

    eos_token_ids: every token that ends a text (Llama 3 has several).
    max_new_tokens: the limit that SamplingParams calls max_tokens.
    """

    eos_token_ids: tuple[int, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    max_new_tokens: int | None = None

    @classmethod
    def from_directory(cls, directory: str | Path) -> GenerationDefaults:
        """Reads `generation_config.json`; all defaults where the checkpoint has none.

        Raises CheckpointError when the file is not JSON, or a field is of the wrong type or out of its range.
        """
        path = Path(directory) / "generation_config.json"
        if not path.is_file():
            return cls()
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} is not valid JSON ({error}): download it again or delete it") from error
        if not isinstance(raw, dict):
            raise CheckpointError(f"{path} holds a {type(raw).__name__}, expected a JSON object")
        return cls.from_dict(raw, path)

    @classmethod
    def from_dict(cls, raw: dict[str, Any], path: Path) -> GenerationDefaults:
        """The content of such a file; path: where it comes from, for messages. Raises CheckpointError."""
        eos = raw.get("eos_token_id")
        ids = [] if eos is None else eos if isinstance(eos, list) else [eos]
        for token_id in ids:
            _check_type(path, "eos_token_id", token_id, int)
            _check(token_id >= 0, path, "eos_token_id", token_id, "a token id")
        values = {name: raw[name] for name in (*_NUMBERS, *_INTEGERS) if raw.get(name) is not None}
        for name, value in values.items():
            _check_type(path, name, value, int if name in _INTEGERS else (int, float))
        defaults = cls(eos_token_ids=tuple(ids), **values)
        defaults._check_values(path)
        return defaults

    def _check_values(self, path: Path) -> None:
        """What no request may say, the file may not say for all of them, or each would be refused for it."""
        for name, value in self.sampling_params().items():
            try:
                SamplingParams(**{name: value})
            except InvalidParameterError as error:
                expected = str(error).rpartition("expected ")[2]
                _check(False, path, "max_new_tokens" if name == "max_tokens" else name, value, expected)

    def overridden(self, values: dict[str, Any]) -> GenerationDefaults:
        """With values under the file's names in place of its own. Raises ConfigError for an unknown or wrong one."""
        if not values:
            return self
        known = {*_SAMPLING, "max_new_tokens", "eos_token_id"}
        for name in values:
            if name not in known:
                raise ConfigError(f"override_generation_config has no key {name!r}: {nearest(name, known)}")
        try:
            return self.from_dict({**self.to_dict(), **values}, Path("override_generation_config"))
        except CheckpointError as error:
            raise ConfigError(str(error)) from None

    def sampling_params(self) -> dict[str, Any]:
        """What is set, under the names of SamplingParams' fields."""
        given = {name: value for name in _SAMPLING if (value := getattr(self, name)) is not None}
        return given if self.max_new_tokens is None else {**given, "max_tokens": self.max_new_tokens}

    def to_dict(self) -> dict[str, Any]:
        """The file's content, in transformers' names, without what is not set."""
        raw = {name: value for name, value in asdict(self).items() if value is not None}
        ids = list(raw.pop("eos_token_ids"))
        return {**raw, "eos_token_id": ids[0] if len(ids) == 1 else ids} if ids else raw


def _check_type(path: Path, name: str, value: Any, expected: type | tuple[type, ...]) -> None:
    is_right = isinstance(value, expected) and not isinstance(value, bool)
    _check(is_right, path, name, value, "an integer" if expected is int else "a number")


def _check(accepted: bool, path: Path, name: str, value: Any, expected: str) -> None:
    if not accepted:
        raise CheckpointError(f"{path} has {name}={value!r}, expected {expected}: correct the file or delete it")
