"""Networks that no published family is: trained here, with norms of any kind, and read back as such.

A `config.json` of Llama's cannot say that its norms are others, and programs that read it would compute something else
without a word. So what is trained with another norm is of this family: others refuse its name, and pagoda reads two
keys of its own beside Llama's: `norm` (one of `layers/norm_kinds`) and `norm_placement`. Both must be there: a network
whose norms are not told has none that could be guessed. In a `config.json` of another family they may say what that
family computes, and nothing else (`refusals.check_own_keys`).
"""

from __future__ import annotations

from typing import Any

from pagoda.models.families.family import Facts, Family

OWN_KEYS = ("norm", "norm_placement")


def _own(facts: Facts) -> dict[str, Any]:
    return {key: facts[key] for key in OWN_KEYS}


PAGODA = Family(
    "PagodaForCausalLM",
    "pagoda",
    differs="any of our norms, before or behind the blocks: keys `norm` and `norm_placement`",
    computes=frozenset(OWN_KEYS),
    switches=_own,
)
