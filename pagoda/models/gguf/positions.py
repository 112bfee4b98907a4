"""What a GGUF file says about RoPE: in metadata, and in tensors that hold one factor for each pair of dimensions.

Under `architectures`. Kinds are those of `layers/rope_scaling`, keys those of llama.cpp (`src/llama-arch.cpp`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pagoda.errors import CheckpointError
from pagoda.models.gguf.facts import GGUFFacts
from pagoda.models.gguf.tensor_names import LONG_FACTORS, ROPE_FACTORS, SHORT_FACTORS

_ORIGINAL = "original_max_position_embeddings"
_LLAMA_3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, _ORIGINAL: 8192}
"""Of every Llama 3.1 and later, and all that were made from them."""


def rope_of(facts: GGUFFacts, head_dim: int) -> dict[str, Any]:
    """The keys of config.json that say the same. Raises CheckpointError."""
    theta = facts.number("rope.freq_base", 10000.0)
    rotary_dim = facts.whole("rope.dimension_count", head_dim)
    said: dict[str, Any] = {"rope_theta": theta, "partial_rotary_factor": share_of(rotary_dim, head_dim)}
    scaling = _scaling(facts, theta, rotary_dim)
    # LongRoPE's length stands at the top, where all programs look for it.
    if scaling is not None and scaling["rope_type"] == "longrope" and _ORIGINAL in scaling:
        said[_ORIGINAL] = scaling[_ORIGINAL]
    return said if scaling is None else {**said, "rope_scaling": scaling}


def share_of(count: int, of: int) -> float:
    """`count / of`, or the next number where the product of that with `of` would fall short of `count`."""
    share = count / of
    return share if int(of * share) == count else math.nextafter(share, 1.0)


def _scaling(facts: GGUFFacts, theta: float, rotary_dim: int) -> dict[str, Any] | None:
    kind = facts.get("rope.scaling.type", "linear")
    factor = facts.number("rope.scaling.factor", facts.number("rope.scale_linear", 0.0)) or 1.0
    attention_factor = facts.number("rope.scaling.attn_factor", 1.0) or 1.0
    original = facts.whole("rope.scaling.original_context_length", 0)
    length = {_ORIGINAL: original} if original else {}
    by_pair, long = facts.floats(ROPE_FACTORS), facts.floats(LONG_FACTORS)
    if long is not None:
        return {**_longrope(facts, long, attention_factor), **length}
    if attention_factor != 1:
        raise facts.error("rope.scaling.attn_factor", attention_factor, "1 for a RoPE that is not longrope")
    if by_pair is not None:
        if kind not in ("linear", "none") or factor != 1:
            raise facts.error("rope.scaling.type", kind, f"none beside the tensor {ROPE_FACTORS}")
        return _by_pair(by_pair, theta, rotary_dim)
    if kind == "none" or (kind == "linear" and factor == 1):
        return None
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    if kind == "yarn":
        return {**_yarn(facts, factor), **length}
    expected = f"the tensor {LONG_FACTORS} beside it" if kind == "longrope" else "none, linear, yarn or longrope"
    raise facts.error("rope.scaling.type", kind, expected)


def _longrope(facts: GGUFFacts, long: list[float], attention_factor: float) -> dict[str, Any]:
    if (short := facts.floats(SHORT_FACTORS)) is None:
        raise CheckpointError(f"{facts.file.path} has {LONG_FACTORS} without {SHORT_FACTORS}: take another file")
    said = {"rope_type": "longrope", "short_factor": short, "long_factor": long}
    return said if attention_factor == 1 else {**said, "attention_factor": attention_factor}


def _yarn(facts: GGUFFacts, factor: float) -> dict[str, Any]:
    said = {"rope_type": "yarn", "factor": factor}
    if (share := facts.number("rope.scaling.yarn_ext_factor", 1.0)) not in (1, -1):  # -1: not said
        raise facts.error("rope.scaling.yarn_ext_factor", share, "1")
    for theirs, ours in (("beta_fast", "beta_fast"), ("beta_slow", "beta_slow"), ("attn_factor", "attention_factor")):
        if value := facts.number(f"rope.scaling.yarn_{theirs}", 0.0):
            said[ours] = value
    if share := facts.number("rope.scaling.yarn_log_multiplier", 0.0):
        said |= {"mscale": 1.0, "mscale_all_dim": share}
    return said


def _by_pair(factors: list[float], theta: float, rotary_dim: int) -> dict[str, Any] | None:
    """What divides the frequency of each pair. Llama 3's formula, which files store so, is told as what it was."""
    if {*factors} == {1.0}:
        return None
    factor = max(factors)
    if len(factors) == rotary_dim // 2 and np.allclose(factors, _llama3_factors(theta, rotary_dim, factor), rtol=1e-5):
        return {"rope_type": "llama3", "factor": factor, **_LLAMA_3}
    return {"rope_type": "frequency_factors", "frequency_factors": factors}


def factors_of_pairs(scaling: Mapping[str, Any], theta: float, rotary_dim: int) -> list[float]:
    """What divides the frequency of each pair under settings of Llama 3's formula, or that say so themselves."""
    if scaling["rope_type"] == "frequency_factors":
        return list(scaling["frequency_factors"])
    return _llama3_factors(theta, rotary_dim, scaling["factor"], scaling).tolist()


def _llama3_factors(theta: float, rotary_dim: int, factor: float, settings: Mapping[str, Any] = _LLAMA_3) -> np.ndarray:
    """Of a wavelength that turns often within the trained length 1, of one that does not turn once `factor`."""
    frequencies = theta ** -(np.arange(0, rotary_dim, 2) / rotary_dim)
    num_turns = settings[_ORIGINAL] * frequencies / (2 * np.pi)
    low, high = settings["low_freq_factor"], settings["high_freq_factor"]
    kept = np.clip((num_turns - low) / (high - low), 0, 1)
    return np.asarray(1 / (kept + (1 - kept) / factor))
