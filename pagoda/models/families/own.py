"""Networks that no published family is: trained here, with norms of any kind, and read back as such.

A `config.json` of Llama's cannot say that its norms are others, and programs that read it would compute something else
without a word. So what is trained with another norm is of this family: others refuse its name, and pagoda reads two
keys of its own beside Llama's: `norm` (one of `layers/norm_kinds`) and `norm_placement`. Both must be there: a network
whose norms are not told has none that could be guessed. In a `config.json` of another family they may say what that
family computes, and nothing else (`refusals.check_own_keys`). What a layer sees may be any kind of `windows`, by
`sliding_window`, `attention_chunk_size` and `layer_types`.
"""

from __future__ import annotations

from typing import Any

from pagoda.models.families.family import Facts, Family
from pagoda.models.families.windows import as_told

OWN_KEYS = ("norm", "norm_placement")


def _own(facts: Facts) -> dict[str, Any]:
    return {"attention_chunk_size": facts.get("attention_chunk_size"), **{key: facts[key] for key in OWN_KEYS}}


PAGODA = Family(
    "PagodaForCausalLM",
    "pagoda",
    differs="any of our norms, before or behind the blocks: keys `norm` and `norm_placement`; windows and chunks",
    computes=frozenset((*OWN_KEYS, "attention_chunk_size", "layer_types")),
    switches=_own,
    windows=as_told,
)
