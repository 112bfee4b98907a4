"""What checkpoints of a family call the network's tensors, and how they lay them out.

Beside loading and saving: the network's modules are named after Llama's keys; `checkpoint/translating` reads and
writes the files of other families by these records. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fused:
    """Modules of the network that a checkpoint stores as one, row under row.

    by_kv_head: rows stand KV head by KV head, each with its query heads, its key and its value (InternLM 2),
        instead of one module after the other
    """

    stored: str
    parts: tuple[str, ...]
    by_kv_head: bool = False


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
    """

    fused: tuple[Fused, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    per_head: Mapping[str, str] = field(default_factory=dict)
    has_neighbouring_pairs: bool = False

    def stored(self, name: str) -> str:
        """The checkpoint's name of one of our tensors; of a part of a fused module, the whole's."""
        for fused in self.fused:
            for part in fused.parts:
                name = name.replace(f".{part}.", f".{fused.stored}.")
        for ours, theirs in self.renamed.items():
            name = name.replace(ours, theirs)
        return name

    def fused_of(self, name: str) -> Fused | None:
        """The fused module that holds our tensor `name`."""
        return next((fused for fused in self.fused if any(f".{part}." in name for part in fused.parts)), None)


AS_NAMED = WeightNames()
"""As the network's modules are called."""
