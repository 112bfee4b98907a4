"""Log-probabilities under the model's own distribution, of sampled tokens and of prompts.

Beside the token's path: the sampler asks for the tokens it picked, the model runner for the prompt tokens whose
probability a caller wants to see. Both are taken from the raw logits, before any penalty, mask or temperature.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pagoda.engine.outputs import Logprob

_MAX_LOGPROB_ROWS = 256
"""Prompt positions per log-softmax, which bounds its memory."""


def prompt_logprobs(logits: Tensor, target_ids: Sequence[int], num_logprobs: int) -> list[dict[int, Logprob]]:
    """Log-probabilities of a prompt's own tokens, and of the likeliest ones.

    logits: [n, vocab_size], row i predicts target_ids[i]; num_logprobs: k, or -1 for the whole vocabulary.
    Returns n mappings, the actual token first.
    """
    found: list[dict[int, Logprob]] = []
    for start in range(0, len(target_ids), _MAX_LOGPROB_ROWS):
        end = start + _MAX_LOGPROB_ROWS
        found += gather_logprobs(logits[start:end], target_ids[start:end], num_logprobs)
    return found


def gather_logprobs(logits: Tensor, targets: Sequence[int], num_logprobs: int) -> list[dict[int, Logprob]]:
    """Per row the target, then the k likeliest; a rank is 1 + the number of tokens that are likelier."""
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    width = logprobs.shape[-1] if num_logprobs == -1 else min(num_logprobs, logprobs.shape[-1])
    top_values, top_ids = leading(logprobs, width)
    target = torch.tensor(targets, dtype=torch.int64, device=logits.device).unsqueeze(-1)
    own = logprobs.gather(-1, target)
    ranks = (logprobs > own).sum(dim=-1) + 1
    columns = (targets, own.squeeze(-1).tolist(), ranks.tolist(), top_ids.tolist(), top_values.tolist())
    return [_ranked(*row) for row in zip(*columns, strict=True)]


def _ranked(target: int, own: float, own_rank: int, ids: list[int], values: list[float]) -> dict[int, Logprob]:
    ranked = {target: Logprob(own, own_rank)}
    rank = 1
    for place, (token_id, value) in enumerate(zip(ids, values, strict=True), start=1):
        if place > 1 and value < values[place - 2]:
            rank = place
        ranked.setdefault(token_id, Logprob(value, rank))
    return ranked


def leading(probabilities: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The `width` largest per row and their ids, descending, lower ids first among equals.

    Among equals of which only some fit in, topk chooses; a caller to whom that matters takes more or all.
    """
    if width == probabilities.shape[-1]:
        return torch.sort(probabilities, dim=-1, descending=True, stable=True)
    ids = probabilities.topk(width, dim=-1, sorted=False).indices.sort(dim=-1).values
    values, order = probabilities.gather(-1, ids).sort(dim=-1, descending=True, stable=True)
    return values, ids.gather(-1, order)
