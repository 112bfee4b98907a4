"""What checkpoints of a family call the network's tensors, and how they lay them out.

Beside loading and saving: the network's modules are named after Llama's keys; `checkpoint/translating` reads and
writes the files of other families by these records. Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Fused:
    """Modules of the network that a checkpoint stores as one, row under row.

    by_kv_head: rows stand KV head by KV head, each with its query heads, its key and its value (InternLM 2),
        instead of one module after the other
    """

    stored: str
    parts: tuple[str, ...]
    by_kv_head: bool = False


@dataclass(frozen=True)
class StackedExperts:
    """How the experts of a layer are stored together, by the tensors' names behind the layer's own.

    gate, up: each [num_experts, intermediate_size, hidden_size], or one tensor of both names, in which an expert's
        gate stands over its up
    down: [num_experts, hidden_size, intermediate_size]
    """

    gate: str
    up: str
    down: str

    def together_with(self, matrix: str) -> list[str]:
        """Of "gate", "up" and "down" those that lie in the tensor that holds `matrix`, from its first row on."""
        return [each for each in ("gate", "up", "down") if getattr(self, each) == getattr(self, matrix)]


class ExpertPlace(NamedTuple):
    """Where a matrix of an expert lies: in the tensor `stored`, at `expert_idx`, as its part of so many."""

    stored: str
    expert_idx: int
    part: int
    num_parts: int


QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
GATE_UP = Fused("mlp.gate_up_proj", ("mlp.gate_proj", "mlp.up_proj"))


@dataclass(frozen=True)
class WeightNames:
    """How to find the network's tensors in a checkpoint.

    fused:    modules that are stored as one
    renamed:  parts of our names -> what stands there in the checkpoint's, applied in this order
    per_head: our tensors whose rows are stored one by one, `{}` being the head's number in the stored name
    has_neighbouring_pairs: RoPE turns neighbours (2i, 2i + 1) of a head instead of halves, so rows of q and k are put
        in another order while they are read
    stacked_experts: the experts of a layer are stored together
    has_whole_gains: of norms with gain 1 + weight that sum is stored
    has_prefix: names of all but the head begin with "model.", or whatever this family has there; a network without a
        head is stored without
    """

    fused: tuple[Fused, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    per_head: Mapping[str, str] = field(default_factory=dict)
    has_neighbouring_pairs: bool = False
    stacked_experts: StackedExperts | None = None
    has_whole_gains: bool = False
    has_prefix: bool = True

    def stored(self, name: str) -> str:
        """The checkpoint's name of one of our tensors; of a part of a fused module, the whole's."""
        stored = self._with_prefix(name)
        return stored if self.has_prefix or not name.startswith("model.") else stored.partition(".")[2]

    def _with_prefix(self, name: str) -> str:
        if (expert := _EXPERT.fullmatch(name)) is not None and self.stacked_experts is not None:
            name = expert["layer"] + getattr(self.stacked_experts, expert["matrix"])
        for fused in self.fused:
            for part in fused.parts:
                name = name.replace(f".{part}.", f".{fused.stored}.")
        for ours, theirs in self.renamed.items():
            name = name.replace(ours, theirs)
        return name

    def place_in_stack(self, name: str) -> ExpertPlace | None:
        """Where our tensor `name` lies in a stack of experts."""
        if self.stacked_experts is None or (expert := _EXPERT.fullmatch(name)) is None:
            return None
        parts = self.stacked_experts.together_with(expert["matrix"])
        return ExpertPlace(self.stored(name), int(expert["index"]), parts.index(expert["matrix"]), len(parts))

    def fused_of(self, name: str) -> Fused | None:
        """The fused module that holds our tensor `name`."""
        return next((fused for fused in self.fused if any(f".{part}." in name for part in fused.parts)), None)


_EXPERT = re.compile(
    r"(?P<layer>model\.layers\.\d+\.)mlp\.experts\.(?P<index>\d+)\.(?P<matrix>gate|up|down)_proj\.weight"
)
AS_NAMED = WeightNames()
"""As the network's modules are called."""
