"""The pick on a device with many threads, all rows of a step together: greedy, or a draw from what the filters leave.

On the token's path where the logits lie on an accelerator: `sampler` has applied masks and penalties. It is also what
defines the pick: `host_picking` finds the same tokens, a row at a time, where a processor does it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pagoda.engine.sampling.logprobs import leading
from pagoda.engine.sampling.rows import SampleRow
from pagoda.engine.sampling.seeds import uniform
from pagoda.sampling_params import SamplingParams

_NUM_LEADING = (256, 4096)
"""Candidates that top-k, top-p and min-p look at before they resort to sorting the whole vocabulary.

Constants, not the largest top_k of the batch: the cut must not depend on the other rows."""
_NO_LIMIT = 1 << 62


def pick(logits: Tensor, rows: Sequence[SampleRow]) -> list[int]:
    """One token id per row of float32 logits [num_rows, vocab_size]: rows that follow the same rule go together."""
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
