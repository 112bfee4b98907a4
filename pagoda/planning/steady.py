"""What users of a layout see when so many of them are served at once: time to first token, time per token, throughput.

Beside the token's path, above `costs`: a closed form for plans that compare hundreds of layouts; `simulation` gives
whole distributions. In a steady state each request's prompt is computed once in the time that every other request's
is, so while a request writes its answer it pays for the prompts of all the others (continuous batching: Orca, Yu et
al., OSDI 2022; chunked prefill: Sarathi-Serve, Agrawal et al. 2024, arXiv 2403.02310). Imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pagoda.planning.costs import StepCost, StepLoad, decode_load, prompt_load
from pagoda.planning.devices import Overheads


@dataclass(frozen=True)
class RequestMix:
    """Requests of one size, `concurrency` of them under way at any time."""

    input_len: int
    output_len: int
    concurrency: float


@dataclass(frozen=True)
class Expected:
    """Means. `num_running`: of the requests under way, those that the KV cache holds; the others wait."""

    ttft_s: float
    tpot_s: float
    output_tokens_per_s: float
    num_running: float


def expected(
    cost: StepCost, overheads: Overheads, usage: RequestMix, kv_tokens: float, max_num_batched_tokens: int
) -> Expected:
    """kv_tokens: that the KV cache holds; at least one request's. max_num_batched_tokens: of a step."""
    held = max(kv_tokens / (usage.input_len + 0.5 * usage.output_len), 1.0)
    running = min(usage.concurrency, held)
    decode = decode_load(running, usage.input_len + usage.output_len / 2)
    decode_s = cost.seconds(decode)
    chunks = math.ceil(usage.input_len / max_num_batched_tokens)
    prompt = prompt_load(usage.input_len / chunks, usage.input_len * (1 - 1 / chunks) / 2)
    alone_s = chunks * cost.seconds(prompt)
    beside_s = chunks * (cost.seconds(StepLoad(*map(sum, zip(decode, prompt, strict=True)))) - decode_s)
    beside_s *= overheads.mixing
    tpot_s = decode_s + (running - 1) * beside_s / usage.output_len
    ttft_s = (
        overheads.request + alone_s + (1 - 1 / running) * decode_s / 2 + overheads.crowding * (running - 1) * beside_s
    )
    ttft_s += overheads.request_beside * usage.concurrency
    ttft_s += max(usage.concurrency - running, 0.0) / running * (usage.output_len * tpot_s + alone_s)
    per_request = ttft_s + (usage.output_len - 1) * tpot_s
    return Expected(ttft_s, tpot_s, usage.concurrency * usage.output_len / per_request, running)
