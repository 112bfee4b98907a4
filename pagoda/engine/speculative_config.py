"""What an operator says about speculative decoding: `speculative_config`, in vLLM's words.

Read once at start: EngineArgs hold the mapping against these rules, `build` makes proposers of it. A key or a method
that is not known is refused by name, as it would change what is computed and not what is said. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from pagoda.errors import ConfigError, nearest

METHODS = ("ngram", "draft_model")
MAX_TOKENS = 64
"""Proposed at once, at most: as long as a draft is right all the way."""
_LOOKUP = (2, 4)
"""Least and most tokens of what is looked up, where nothing is said."""


@dataclass(frozen=True, kw_only=True)
class SpeculativeConfig:
    """How tokens are proposed. Raises ConfigError for what cannot work.

    num_speculative_tokens: most tokens proposed for a request in a step; fewer where more would not pay
    method: "ngram" looks the last tokens up in prompt and answer, "draft_model" asks a smaller model; told by `model`
        where it is not given
    model: of a draft model: directory, GGUF file, hub id or short name
    revision: of its branch, tag or commit on the hub
    prompt_lookup_max, prompt_lookup_min: of "ngram", most and least tokens at the end of a text that are looked up
    """

    num_speculative_tokens: int
    method: str | None = None
    model: str | Path | None = None
    revision: str | None = None
    prompt_lookup_max: int | None = None
    prompt_lookup_min: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From the mapping that an operator wrote."""
        if not isinstance(given, Mapping):
            raise ConfigError(
                f"speculative_config={given!r}, but a mapping is expected, such as "
                '{"method": "ngram", "num_speculative_tokens": 5}'
            )
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise ConfigError(f"speculative_config has no key {name!r}: {nearest(str(name), known)}")
        if given.get("num_speculative_tokens") is None:
            raise ConfigError(f"speculative_config needs num_speculative_tokens, a whole number in [1, {MAX_TOKENS}]")
        return cls(**given)

    def __post_init__(self) -> None:
        _check_whole("num_speculative_tokens", self.num_speculative_tokens, MAX_TOKENS)
        if self.method is None:
            object.__setattr__(self, "method", "ngram" if self.model in (None, "ngram") else "draft_model")
        if self.method not in METHODS:
            raise ConfigError(f"speculative_config's method is {self.method!r}: {nearest(str(self.method), METHODS)}")
        if self.method == "draft_model":
            self._check_draft_model()
        else:
            self._check_ngram()

    def _check_draft_model(self) -> None:
        if not isinstance(self.model, (str, Path)) or not str(self.model):
            raise ConfigError(
                f"speculative_config's model is {self.model!r}, but method draft_model needs one: name a smaller model "
                "with the same tokenizer"
            )
        given = [name for name in ("prompt_lookup_max", "prompt_lookup_min") if getattr(self, name) is not None]
        if given:
            raise ConfigError(f"speculative_config has {given[0]}, which only method ngram reads: leave it out")

    def _check_ngram(self) -> None:
        if self.model not in (None, "ngram"):
            raise ConfigError(
                f"speculative_config has model={str(self.model)!r}, which method ngram does not run: leave it out, or "
                "give method draft_model"
            )
        least, most = self.prompt_lookup_min, self.prompt_lookup_max
        if least is None and most is None:
            least, most = _LOOKUP
        # As in vLLM: one that is given stands for both.
        object.__setattr__(self, "prompt_lookup_min", most if least is None else least)
        object.__setattr__(self, "prompt_lookup_max", least if most is None else most)
        _check_whole("prompt_lookup_min", self.prompt_lookup_min, None)
        _check_whole("prompt_lookup_max", self.prompt_lookup_max, None)
        if self.lookup[0] > self.lookup[1]:
            raise ConfigError(
                f"speculative_config has prompt_lookup_min={self.prompt_lookup_min} above "
                f"prompt_lookup_max={self.prompt_lookup_max}: lower the first"
            )

    @property
    def lookup(self) -> tuple[int, int]:
        """(prompt_lookup_min, prompt_lookup_max) of "ngram"."""
        least, most = self.prompt_lookup_min, self.prompt_lookup_max
        assert least is not None, "of ngram alone"
        assert most is not None, "of ngram alone"
        return least, most


def _check_whole(name: str, value: object, most: int | None) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 and (most is None or value <= most):
        return
    expected = "of at least 1" if most is None else f"in [1, {most}]"
    raise ConfigError(f"speculative_config's {name} is {value!r}, but a whole number {expected} is expected")
