"""What a family of models is: one record for each architecture of `config.json`.

First station of loading, under `config`, which turns a family and a `config.json` into a ModelConfig. A family names
no layer and holds no tensor: it says which switches of the one network it sets, what transformers means by a key that
its `config.json` leaves out, and what its checkpoints call the weights. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pagoda.models.families.special_ids import special_ids
from pagoda.models.families.weight_names import AS_NAMED, WeightNames

Facts = Mapping[str, Any]
"""A `config.json` under the network's own names for keys, with the family's defaults where it is silent."""
Windows = tuple[int | None, tuple[str, ...]]
"""`sliding_window` and `layer_types` of ModelConfig; `(None, ())` where no layer slides."""

_DEFAULTS: dict[str, Any] = {
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "initializer_range": 0.02,
}


def no_switches(_: Facts) -> dict[str, Any]:
    return {}


def no_windows(_: Facts) -> Windows:
    return None, ()


def same_rope(settings: dict[str, Any], _: Facts) -> dict[str, Any]:
    return settings


@dataclass(frozen=True)
class Family:
    """One architecture.

    architecture:  its name in `architectures`; `also_named` are names that other publishers of it use
    base_named:    what transformers calls it without its output head, where that is not "Model" for "ForCausalLM"
    differs:       what differs from Llama, in words, for the table of docs/network.md
    defaults:      what transformers' config class has for keys that `config.json` leaves out, where Llama's differs
    aliases:       keys of this family's `config.json` -> the key that says the same here
    computes:      keys whose values this family honours; for all others they are refused unless they change nothing
    switches:      fields of ModelConfig that this family sets, from its facts
    windows:       which layers slide, and how far they see
    adapt_rope:    the settings of RoPE, with what this family means by them
    rope_by_layer: whether layers that slide have RoPE settings of their own
    weights:       what its checkpoints call tensors, and how they lay them out; `also_stored` are other ways, in which
                   some are published
    """

    architecture: str
    model_type: str
    differs: str = ""
    also_named: tuple[str, ...] = ()
    base_named: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    computes: frozenset[str] = frozenset()
    switches: Callable[[Facts], dict[str, Any]] = no_switches
    windows: Callable[[Facts], Windows] = no_windows
    adapt_rope: Callable[[dict[str, Any], Facts], dict[str, Any]] = same_rope
    rope_by_layer: bool = False
    weights: WeightNames = AS_NAMED
    also_stored: tuple[WeightNames, ...] = ()

    @property
    def base_architecture(self) -> str:
        """What transformers calls the network without its output head: embedders are published so."""
        return self.base_named or f"{self.architecture.removesuffix('ForCausalLM')}Model"

    @property
    def layouts(self) -> tuple[WeightNames, ...]:
        """All ways in which a checkpoint may be stored, the usual one first."""
        whole = (self.weights, *self.also_stored)
        return (*whole, *(replace(names, has_prefix=False) for names in whole))

    def facts(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """`config.json` under our names; what it leaves out is the family's default."""
        aliased = {self.aliases[key]: value for key, value in raw.items() if key in self.aliases}
        return {**_DEFAULTS, **special_ids(self.model_type), **self.defaults, **raw, **aliased}

    def spelling(self, key: str, raw: Mapping[str, Any]) -> str:
        """What `config.json` calls our `key`, for messages."""
        return next((theirs for theirs, ours in self.aliases.items() if ours == key and theirs in raw), key)
