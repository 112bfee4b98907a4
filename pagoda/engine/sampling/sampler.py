"""From one row of logits to one token, by the rules its request asked for.

On the token's path: model_runner hands over logits [num_rows, vocab_size] of all requests that sample in this
step, and the scheduler records the tokens that come back. Order of operations, which is vLLM's: raw
log-probabilities are taken first; then allowed_token_ids, structured-output mask, bad_words, min_tokens,
logit_bias, repetition (arXiv:1909.05858), frequency and presence penalty; then the greedy pick,
or temperature, min-p (arXiv:2407.01082), top-k (arXiv:1805.04833), top-p (arXiv:1904.09751) and the draw, which are
`host_picking` or `device_picking`.

Two invariants. A row's token depends on that row alone: no generator is shared, one uniform number is computed
from (seed, position) and the cumulative distribution is inverted at it, in float64; so batching, preemption and
recomputation cannot change it. And a row pays only for what it asked for: a batch of greedy rows costs one argmax.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pagoda.engine.outputs import Logprob, SampledToken
from pagoda.engine.sampling import device_picking, host_picking
from pagoda.engine.sampling.logprobs import gather_logprobs
from pagoda.engine.sampling.rows import SampleRow
from pagoda.engine.sampling.structured import unpack_bitmask
from pagoda.engine.sampling.token_lists import token_array

NO_TOKEN = -1
"""Sampled when a request's own constraints leave no token; such a request ends with an error."""

_MINUS_INF = float("-inf")


class Sampler:
    """Picks one token per row. Holds no state: see the module's first invariant."""

    def sample(self, logits: Tensor, rows: Sequence[SampleRow]) -> list[SampledToken]:
        """Pick a token for every row.

        logits: [num_rows, vocab_size], any floating dtype, left unchanged; rows: one per row of logits.
        `token_id` is NO_TOKEN where a row's own constraints contradict each other.
        """
        assert logits.shape[:-1] == (len(rows),), "one SampleRow per row of logits"
        logits = logits.float()
        adjusted, impossible = _adjust(logits, rows)
        on_host = adjusted.device.type == "cpu"
        token_ids = host_picking.pick(adjusted.numpy(), rows) if on_host else device_picking.pick(adjusted, rows)
        for index in impossible:
            token_ids[index] = NO_TOKEN
        logprobs = _sampled_logprobs(logits, rows, token_ids)
        return [SampledToken(token_id, logprobs.get(index)) for index, token_id in enumerate(token_ids)]


def takes_the_best(row: SampleRow) -> bool:
    """Whether the token is that of the largest logit as it comes, and nothing else of the logits is told."""
    return row.params.is_greedy and row.params.logprobs is None and not _is_masked(row) and not _is_shifted(row)


# --- masks and penalties: only the rows that use them -------------------------------------------------------------


def _adjust(logits: Tensor, rows: Sequence[SampleRow]) -> tuple[Tensor, list[int]]:
    """Logits with masks, bias and penalties applied, and the rows for which nothing is left to sample."""
    touched = [index for index, row in enumerate(rows) if _is_masked(row) or _is_shifted(row)]
    if not touched:
        return logits, []
    adjusted = logits.clone()
    for index in touched:
        _mask(adjusted[index], rows[index])
        _shift(adjusted[index], rows[index])
    best = adjusted[touched].amax(dim=-1).tolist()
    impossible = [index for index, value in zip(touched, best, strict=True) if value == _MINUS_INF]
    adjusted[impossible] = 0.0  # keeps the arithmetic finite; what is picked there is thrown away
    return adjusted, impossible


def _is_masked(row: SampleRow) -> bool:
    return (
        row.lists.allowed is not None
        or row.token_bitmask is not None
        or bool(row.lists.bad_words)
        or _below_min_tokens(row)
    )


def _is_shifted(row: SampleRow) -> bool:
    params = row.params
    return bool(
        len(row.lists.biased)
        or params.repetition_penalty != 1.0
        or params.frequency_penalty != 0.0
        or params.presence_penalty != 0.0
    )


def _below_min_tokens(row: SampleRow) -> bool:
    return len(row.output_token_ids) < row.params.min_tokens and bool(row.stop_token_ids)


def _mask(logits: Tensor, row: SampleRow) -> None:
    """Set what may not be sampled to -inf, in place; logits: float32 [vocab_size]."""
    if row.lists.allowed is not None:
        _keep_only(logits, row.lists.allowed)
    if row.token_bitmask is not None:
        allowed = torch.from_numpy(unpack_bitmask(row.token_bitmask, logits.shape[0]))
        logits.masked_fill_(~allowed.to(logits.device), _MINUS_INF)
    if row.lists.bad_words:
        logits[_known(logits, row.lists.bad_words.forbidden(row.output_token_ids))] = _MINUS_INF
    if _below_min_tokens(row):
        _mask_stop_tokens(logits, row)


def _keep_only(logits: Tensor, token_ids: np.ndarray) -> None:
    allowed = _known(logits, token_ids)
    kept = logits[allowed]
    logits.fill_(_MINUS_INF)
    logits[allowed] = kept


def _mask_stop_tokens(logits: Tensor, row: SampleRow) -> None:
    """Mask the stop tokens, unless they are all that a finished grammar allows: then its shape wins."""
    stop = _known(logits, token_array(row.stop_token_ids))
    kept = logits[stop]
    logits[stop] = _MINUS_INF
    if row.token_bitmask is not None and logits.amax().item() == _MINUS_INF:
        logits[stop] = kept


def _shift(logits: Tensor, row: SampleRow) -> None:
    """Add the bias and subtract the penalties, in place; logits: float32 [vocab_size]."""
    params = row.params
    if len(row.lists.biased):
        _add_bias(logits, row.lists.biased, row.lists.bias)
    if params.repetition_penalty != 1.0:
        # One that stands there twice is written twice, with one and the same value.
        seen = _known(logits, np.concatenate([row.lists.prompt, token_array(row.output_token_ids)]))
        values = logits[seen]
        penalty = params.repetition_penalty
        logits[seen] = torch.where(values > 0, values / penalty, values * penalty)
    if params.frequency_penalty or params.presence_penalty:
        generated, counts = _known(logits, token_array(row.output_token_ids)).unique(return_counts=True)
        logits[generated] -= params.frequency_penalty * counts
        logits[generated] -= params.presence_penalty


def _add_bias(logits: Tensor, token_ids: np.ndarray, bias: np.ndarray) -> None:
    values = torch.from_numpy(bias[_is_known(logits, token_ids)])
    logits[_known(logits, token_ids)] += values.to(logits.device)


def _known(logits: Tensor, token_ids: np.ndarray) -> Tensor:
    """As an index; an id outside the vocabulary must not take the whole batch down."""
    return torch.from_numpy(token_ids[_is_known(logits, token_ids)]).to(logits.device)


def _is_known(logits: Tensor, token_ids: np.ndarray) -> np.ndarray:
    return (token_ids >= 0) & (token_ids < logits.shape[-1])


def _sampled_logprobs(
    logits: Tensor, rows: Sequence[SampleRow], token_ids: Sequence[int]
) -> dict[int, dict[int, Logprob]]:
    """By row index, for the rows that asked; rows with the same k go together."""
    groups: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        if row.params.logprobs is not None and token_ids[index] != NO_TOKEN:
            groups[row.params.logprobs].append(index)
    found: dict[int, dict[int, Logprob]] = {}
    for num_logprobs, indices in groups.items():
        targets = [token_ids[index] for index in indices]
        found.update(zip(indices, gather_logprobs(logits[indices], targets, num_logprobs), strict=True))
    return found
