"""How long a step takes on some devices: a closed formula of what it reads, computes and sends.

Beside the token's path: `steady` asks for a typical step, `simulation` for every step. A roofline (Williams et al.,
CACM 2009) with what a real one adds, as Vidur (Agrawal et al. 2024, arXiv 2405.05465) and LLMServingSim (Cho et al.
2024, arXiv 2408.05499) have it from profiles; here a handful of fitted constants stands for those. Weights in codes are
opened once a step, whatever its rows, which a single row waits for on a processor. Reading weights and multiplying
overlap, but not perfectly where both take long: the root of the sum of their squares is between the larger and the sum.
Everything that depends on the step alone is linear, so that a step costs a microsecond. Imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pagoda.planning.devices import Device, Overheads
from pagoda.planning.shapes import ModelShape


class StepLoad(NamedTuple):
    """What a step does.

    num_tokens: fed, of prompts and answers; num_logits: rows of them; num_seqs: requests
    keys_read: keys that one-token requests see, summed; prompt_pairs: of queries and keys in prompts
    """

    num_tokens: float
    num_logits: float
    num_seqs: float
    keys_read: float
    prompt_pairs: float


@dataclass(frozen=True)
class Parallel:
    """How one copy of a model lies over devices, by vLLM's names."""

    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1

    @property
    def num_devices(self) -> int:
        return self.tensor_parallel_size * self.pipeline_parallel_size

    def stage_share(self, num_layers: int) -> float:
        """Of the layers, what the stage with most of them has: all others wait for it."""
        return math.ceil(num_layers / self.pipeline_parallel_size) / num_layers


class CostModel(Protocol):
    """How long steps take. Of a decode step it must be linear in `keys_read`: the simulator adds steps up by that."""

    def seconds(self, load: StepLoad) -> float:
        """Of one step."""
        ...


class StepCost:
    """Seconds of steps of one model in one format on one layout.

    Of a pipeline a step is cut into as many parts as there are stages, or requests if those are fewer, and is done when
    the last part has gone through the last stage, which has the head besides its layers.
    """

    def __init__(self, device: Device, shape: ModelShape, parallel: Parallel, overheads: Overheads) -> None:
        tp, self._stages = parallel.tensor_parallel_size, parallel.pipeline_parallel_size
        stage_share = parallel.stage_share(shape.num_layers)
        share = stage_share / tp
        read = device.bandwidth * device.efficiency.bandwidth
        peak, peak16 = (device.peak(dtype) * overheads.products for dtype in (shape.products, "bfloat16"))
        layers = shape.num_layers * stage_share
        self._shape = shape
        self._layers_s = share * shape.layer_bytes / read
        self._head_s = shape.head_bytes / tp / read
        self._experts_s = share * shape.expert_bytes / read
        opened = (1 / device.opening) if shape.products == "codes" else 0.0
        self._layers_opened_s = share * shape.layer_weights * opened
        self._head_opened_s = shape.head_weights / tp * opened
        self._experts_opened_s = share * shape.expert_weights * opened
        active = float(shape.layer_weights)
        if shape.num_experts:
            active += shape.expert_weights * shape.num_experts_per_tok / shape.num_experts
        self._token_s = share * 2 * active / peak
        self._logits_s = 2 * shape.head_weights / tp / peak16
        # Ranks beyond the number of KV heads hold copies of them.
        kv_share = stage_share / min(tp, shape.num_kv_heads)
        self._key_s = kv_share * shape.kv_bytes_per_token / (read * device.efficiency.kv)
        raw16 = device.peaks["bfloat16"] * device.efficiency.attention
        self._pair_s = share * 4 * shape.num_layers * shape.num_heads * shape.head_dim / raw16
        self._sequence_s = overheads.sequence
        self._fixed_s = overheads.step / self._stages + layers * overheads.layer
        row_bytes = 2 * shape.hidden_size
        self._sent_s = 0.0
        if tp > 1:
            self._fixed_s += 2 * layers * device.all_reduce * math.log2(tp)
            self._sent_s = 2 * layers * 2 * (tp - 1) / tp * row_bytes / (device.link * device.link_share)
        if self._stages > 1:
            self._fixed_s += device.all_reduce
            self._sent_s += row_bytes / (device.link * device.link_share)

    def seconds(self, load: StepLoad) -> float:
        """Of one step."""
        if self._stages == 1:
            return self._stage(load, has_head=True)
        parts = max(1.0, min(self._stages, load.num_seqs))
        part = StepLoad(*(amount / parts for amount in load))
        # The first part passes all stages; behind it each of the others keeps the last one, the longest, busy.
        before_s = (self._stages - 1) * self._stage(part, has_head=False)
        return before_s + parts * self._stage(part, has_head=True)

    def _stage(self, load: StepLoad, has_head: bool) -> float:
        """Of one stage: its layers, and the head where it is the last."""
        num_tokens, num_logits, num_seqs, keys_read, prompt_pairs = load
        reading, computing = self._layers_s, self._layers_opened_s + self._token_s * num_tokens
        if has_head:
            reading += self._head_s
            computing += self._head_opened_s + self._logits_s * num_logits
        if self._experts_s:
            touched = self._shape.experts_touched(num_tokens)
            reading += self._experts_s * touched
            computing += self._experts_opened_s * touched
        return (
            math.sqrt(reading * reading + computing * computing)
            + self._key_s * keys_read
            + self._pair_s * prompt_pairs
            + self._sent_s * num_tokens
            + self._sequence_s * num_seqs
            + self._fixed_s
        )


def decode_load(num_seqs: float, length: float) -> StepLoad:
    """A step in which each of so many answers, `length` tokens long, gets one token."""
    return StepLoad(num_seqs, num_seqs, num_seqs, num_seqs * length, 0.0)


def prompt_load(num_tokens: float, num_computed: float = 0.0) -> StepLoad:
    """A step that computes `num_tokens` of one prompt behind those that are computed."""
    return StepLoad(num_tokens, 1.0, 1.0, 0.0, num_tokens * (num_computed + num_tokens / 2))
