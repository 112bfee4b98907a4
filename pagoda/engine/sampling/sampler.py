"""From one row of logits to one token, by the rules its request asked for.

On the token's path: model_runner hands over logits [num_rows, vocab_size] of all requests that sample in this
step, and the scheduler records the tokens that come back. Order of operations, which is vLLM's: raw
log-probabilities are taken first; then allowed_token_ids, structured-output mask, bad_words, min_tokens,
logit_bias, repetition (arXiv:1909.05858), frequency and presence penalty; then the greedy pick, or temperature,
min-p (arXiv:2407.01082), top-k (arXiv:1805.04833), top-p (arXiv:1904.09751) and the draw.

Two invariants. A row's token depends on that row alone: no generator is shared, one uniform number is computed
from (seed, position) and the cumulative distribution is inverted at it, in float64; so batching, preemption and
recomputation cannot change it. And a row pays only for what it asked for: a batch of greedy rows costs one argmax.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from pagoda.engine.outputs import Logprob, SampledToken
from pagoda.engine.sampling.logprobs import gather_logprobs, leading
from pagoda.engine.sampling.rows import SampleRow
from pagoda.engine.sampling.seeds import uniform
from pagoda.engine.sampling.structured import unpack_bitmask
from pagoda.engine.sampling.token_lists import token_array
from pagoda.sampling_params import SamplingParams

NO_TOKEN = -1
"""Sampled when a request's own constraints leave no token; such a request ends with an error."""

_NUM_LEADING = (256, 4096)
"""Candidates that top-k, top-p and min-p look at before they resort to sorting the whole vocabulary.

Constants, not the largest top_k of the batch: the cut must not depend on the other rows."""
_NO_LIMIT = 1 << 62

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
        token_ids = _pick(adjusted, rows)
        for index in impossible:
            token_ids[index] = NO_TOKEN
        logprobs = _sampled_logprobs(logits, rows, token_ids)
        return [SampledToken(token_id, logprobs.get(index)) for index, token_id in enumerate(token_ids)]


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


# --- the pick -----------------------------------------------------------------------------------------------------


def _pick(logits: Tensor, rows: Sequence[SampleRow]) -> list[int]:
    """One token id per row: rows that follow the same rule go together."""
    groups: dict[Callable[[Tensor, Sequence[SampleRow]], Tensor], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[_rule(row.params)].append(index)
    if len(groups) == 1:
        return next(iter(groups))(logits, rows).tolist()
    token_ids = [0] * len(rows)
    for rule, indices in groups.items():
        picked = rule(logits[indices], [rows[index] for index in indices]).tolist()
        for index, token_id in zip(indices, picked, strict=True):
            token_ids[index] = token_id
    return token_ids


def _rule(params: SamplingParams) -> Callable[[Tensor, Sequence[SampleRow]], Tensor]:
    if params.is_greedy:
        return _pick_greedy
    if params.top_k or params.top_p < 1.0 or params.min_p:
        return _pick_filtered
    return _pick_plain


def _pick_greedy(logits: Tensor, rows: Sequence[SampleRow]) -> Tensor:
    """argmax takes the lowest id among equals, on every device."""
    return logits.argmax(dim=-1)


def _pick_plain(logits: Tensor, rows: Sequence[SampleRow]) -> Tensor:
    """Draw from the tempered distribution as it is; no order is needed, so ids stay in place."""
    cumulative = _probabilities(logits, rows).cumsum(dim=-1)
    return _invert(cumulative, cumulative[:, -1:], rows)


def _pick_filtered(logits: Tensor, rows: Sequence[SampleRow]) -> Tensor:
    """Draw after min-p, top-k and top-p.

    Each of them keeps a prefix of the tokens ordered by probability, so a few leading candidates nearly always
    decide; rows they do not decide are done again with more.
    """
    probabilities = _probabilities(logits, rows)
    vocab_size = logits.shape[-1]
    picked, decided = _draw_from_leading(probabilities, rows, min(_NUM_LEADING[0], vocab_size))
    for width in (*_NUM_LEADING[1:], vocab_size):
        again = (~decided).nonzero().flatten()
        if not again.numel():
            break
        undecided = [rows[index] for index in again.tolist()]
        picked[again], decided[again] = _draw_from_leading(probabilities[again], undecided, min(width, vocab_size))
    return picked


def _probabilities(logits: Tensor, rows: Sequence[SampleRow]) -> Tensor:
    """float64 [num_rows, vocab_size] at each row's temperature."""
    temperatures = _column(logits, [row.params.temperature for row in rows])
    return torch.softmax(logits.double() / temperatures, dim=-1)


def _draw_from_leading(probabilities: Tensor, rows: Sequence[SampleRow], width: int) -> tuple[Tensor, Tensor]:
    """Draw from the `width` likeliest tokens; returns token ids and whether these were enough to decide."""
    values, ids = leading(probabilities, width)
    kept, decided = _num_kept(values, rows)
    cumulative = values.cumsum(dim=-1)
    places = _invert(cumulative, cumulative.gather(-1, kept - 1), rows)
    return ids.gather(-1, places.unsqueeze(-1)).squeeze(-1), decided.squeeze(-1)


def _num_kept(values: Tensor, rows: Sequence[SampleRow]) -> tuple[Tensor, Tensor]:
    """How many of the descending probabilities survive min-p, then top-k, then top-p, and whether that is sure.

    values: [num_rows, width]. Returns int64 and bool, both [num_rows, 1]; unsure when the end may lie beyond `width`.
    """
    width = values.shape[-1]
    min_p = _column(values, [row.params.min_p for row in rows])
    top_k = _column(values, [row.params.top_k or _NO_LIMIT for row in rows]).long()
    top_p = _column(values, [row.params.top_p for row in rows])
    # Tokens without mass are no candidates: what masks leave of a vocabulary is then decided at the first look.
    likely = ((values >= min_p * values[:, :1]) & (values > 0)).sum(dim=-1, keepdim=True)
    candidates = torch.minimum(likely, top_k).clamp(1, width)
    cut = (likely < width) | (top_k <= width)
    uncut = (min_p == 0) & (top_k == _NO_LIMIT)
    cumulative = values.cumsum(dim=-1)
    # Top-p is a share of what min-p and top-k left; where they left all, that is 1, seen or not.
    total = torch.where(cut, cumulative.gather(-1, candidates - 1), 1.0)
    before = torch.nn.functional.pad(cumulative[:, :-1], (1, 0))
    reaching = (before < top_p * total).sum(dim=-1, keepdim=True).clamp_(min=1)
    kept = torch.where(top_p < 1.0, torch.minimum(candidates, reaching), candidates)
    # Equals that straddle the edge would leave their order to topk's implementation, so they are not sure either.
    return kept, (cut | uncut) & (values.gather(-1, kept - 1) > values[:, -1:])


def _invert(cumulative: Tensor, total: Tensor, rows: Sequence[SampleRow]) -> Tensor:
    """Index of the first column whose cumulative probability exceeds u * total: int64 [num_rows]."""
    # u is at most 1 - 2**-53, so that u * total never rounds up to the total: a column with mass is always found.
    threshold = _column(cumulative, [uniform(row.seed, row.position) for row in rows]) * total
    places = torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)
    return places.clamp_(max=cumulative.shape[-1] - 1)  # logits that are NaN must not give an id out of range


def _column(like: Tensor, values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device).unsqueeze(-1)


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
