"""The pick on a processor, one row after the other: the same tokens as `device_picking`, several times as fast there.

On the token's path where the logits lie in main memory: `sampler` has applied masks and penalties. A row and what is
computed of it stay in the processor's cache, numpy's operations take a microsecond to start, and a row pays for what it
asks only: candidates are found among the logits as they are, and the weights of a whole vocabulary, which take longest,
are computed where top-p alone cuts, or nothing does. There float32 comes first, at a third of the time: what it leaves
open within its error, float64 decides, so that every token is float64's. A token's weight is its probability over that
of the likeliest. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pagoda.engine.sampling.rows import SampleRow
from pagoda.engine.sampling.seeds import uniform
from pagoda.sampling_params import SamplingParams

_NUM_LEADING = ((128, 1024), (1024, 4096))
"""Candidates that top-k and min-p look at before they resort to sorting the whole vocabulary, and in how many groups of
tokens these are looked for; top-p alone looks at the first of them. Constants, so that the token depends on the row
alone."""
_BLOCK = 64
"""Tokens whose weights are summed before they are added up one by one: only one block needs that."""
_MANY = 512
"""Values from which on it pays to make whole numbers of them to sort them."""
_PLACE_SHIFT = 20
"""What is left of a float32's bits: its exponent and three bits of its mantissa."""
_ROUGH = 1e-5
"""By which share of all weights a sum of rough ones is off at most. An exponent x is off by 3 roundings of it, which is
3 * 2**-24 * |x| of its weight, and the mean |x| is at most the vocabulary's logarithm, 14 for a million tokens: 2.5e-6.
The exponential adds 2.5e-7, a sum of 64 at most 63 roundings or 3.8e-6; numpy's sum by pairs has fewer, sums of blocks
are added in float64."""


def pick(logits: np.ndarray, rows: Sequence[SampleRow]) -> list[int]:
    """One token id per row of float32 logits [num_rows, vocab_size]."""
    if all(row.params.is_greedy for row in rows):
        return _greedy(logits)
    return [_pick_one(of_row, row) for of_row, row in zip(logits, rows, strict=True)]


def _greedy(logits: np.ndarray) -> list[int]:
    """argmax takes the lowest id among equals."""
    token_ids: list[int] = logits.argmax(axis=-1).tolist()
    return token_ids


def _pick_one(logits: np.ndarray, row: SampleRow) -> int:
    """Of one row, [vocab_size]."""
    params = row.params
    if params.is_greedy:
        return int(logits.argmax())
    chance = uniform(row.seed, row.position)
    if params.top_k or params.top_p < 1.0 or params.min_p:
        return _draw_filtered(logits, params, chance)
    return _draw_plain(logits, params.temperature, chance)


def _draw_plain(logits: np.ndarray, temperature: float, chance: float) -> int:
    """From the tempered distribution as it is; no order is needed, so ids stay in place."""
    best = logits.max()
    token_id = _draw_roughly(_rough_weights(logits, best, temperature), chance)
    return _draw_exactly(_weights(logits, best, temperature), chance) if token_id is None else token_id


def _draw_roughly(weights: np.ndarray, chance: float) -> int | None:
    """The token of `_draw_exactly`; None where the chance falls too close to its edges to be sure. weights: float32."""
    cumulative = _block_sums(weights).cumsum(dtype=np.float64)
    threshold, slack = chance * cumulative[-1], 3 * _ROUGH * cumulative[-1]
    block = min(int(cumulative.searchsorted(threshold, "right")), len(cumulative) - 1)
    sums = np.empty(_BLOCK + 1)  # before each token of the block, and behind the last
    sums[0] = cumulative[block - 1] if block else 0.0
    within = weights[block * _BLOCK : (block + 1) * _BLOCK].cumsum(dtype=np.float64)
    sums[1 : len(within) + 1] = within + sums[0]
    place = min(int(sums[1 : len(within) + 1].searchsorted(threshold, "right")), len(within) - 1)
    is_sure = sums[place] + slack <= threshold < sums[place + 1] - slack  # never where something is no number
    return block * _BLOCK + place if is_sure else None


def _draw_exactly(weights: np.ndarray, chance: float) -> int:
    """The token in whose share of the summed weights, float64 [vocab_size], the chance falls."""
    cumulative = _block_sums(weights).cumsum()
    threshold = chance * cumulative[-1]
    block = min(int(cumulative.searchsorted(threshold, "right")), len(cumulative) - 1)
    within = weights[block * _BLOCK : (block + 1) * _BLOCK].cumsum()
    rest = threshold - (cumulative[block - 1] if block else 0.0)
    # Rounding may leave none above the rest: then it is the last that added anything.
    return block * _BLOCK + min(int(within.searchsorted(rest, "right")), int(within.argmax()))


def _block_sums(weights: np.ndarray) -> np.ndarray:
    return np.add.reduceat(weights, np.arange(0, len(weights), _BLOCK))


def _draw_filtered(logits: np.ndarray, params: SamplingParams, chance: float) -> int:
    """After min-p, top-k and top-p.

    Each of them keeps a prefix of the tokens ordered by probability, so a few leading candidates nearly always decide.
    """
    mass = None if params.min_p or params.top_k else _Mass(logits, params.temperature)
    for ids in _candidates(logits, params.top_p, mass):
        token_id = _draw_among(ids, logits, params, chance, mass)
        if token_id is not None:
            return token_id
    raise AssertionError("all tokens decide")


def _candidates(logits: np.ndarray, top_p: float, mass: _Mass | None) -> Iterator[np.ndarray]:
    """Ids, ascending, of ever more of the likeliest tokens; in the end of all."""
    for width, num_groups in _NUM_LEADING[: 2 if mass is None else 1]:
        if len(logits) >= 2 * num_groups:
            yield _leading(logits, width, num_groups)
    if mass is not None:
        yield mass.nucleus(top_p)
    yield np.arange(len(logits))


class _Mass:
    """The weights of a vocabulary together: two bounds, as near as float32 comes, or twice the sum in float64."""

    def __init__(self, logits: np.ndarray, temperature: float) -> None:
        self._logits, self._temperature, self._best = logits, temperature, logits.max()
        self._rough = _rough_weights(logits, self._best, temperature)
        sum_of_rough = float(self._rough.sum())
        self.lower, self.upper = (1 - _ROUGH) * sum_of_rough, (1 + _ROUGH) * sum_of_rough
        self._are_numbers = sum_of_rough < np.inf
        if not self._are_numbers:
            self.settle()

    def settle(self) -> None:
        """Make the bounds one."""
        self.lower = self.upper = float(_weights(self._logits, self._best, self._temperature).sum())

    def nucleus(self, top_p: float) -> np.ndarray:
        """Ids, ascending, of the likeliest tokens that surely make up this share, and few more; equals among them all.

        Weights are counted by their first bits, which are exponent and the beginning of the mantissa.
        """
        if not self._are_numbers:
            return np.arange(len(self._logits))
        places = self._rough.view(np.uint32) >> _PLACE_SHIFT
        above = np.bincount(places, weights=self._rough)[::-1].cumsum()
        lowest = len(above) - 1 - int(above.searchsorted((1 + 2 * _ROUGH) * top_p * self.upper))
        return np.flatnonzero(self._logits >= self._logits[places >= max(lowest, 0)].min())


def _leading(logits: np.ndarray, width: int, num_groups: int) -> np.ndarray:
    """Ids, ascending, of the tokens that are as likely as the `width`-th likeliest first of a group, and few more.

    Equals are all among them, or none: where they would straddle the edge, their order would be a matter of chance.
    """
    whole = len(logits) // num_groups * num_groups
    # Groups of tokens far apart: a maximum over columns that lie side by side would be slower.
    firsts = logits[:whole].reshape(-1, num_groups).max(axis=0)
    firsts.partition(num_groups - width)
    return np.flatnonzero(logits >= firsts[num_groups - width])


def _draw_among(
    ids: np.ndarray, logits: np.ndarray, params: SamplingParams, chance: float, mass: _Mass | None
) -> int | None:
    """From the likeliest tokens, `ids` ascending; None where they do not decide.

    mass: of the vocabulary, of which top-p is a share where nothing else cuts; else it is one of what they left.
    """
    values = logits[ids]
    order = _descending(values)
    weights = _weights(values[order], values[order[:1]], params.temperature)
    # Tokens without mass are no candidates: what masks leave of a vocabulary is then decided at the first look.
    likely = int(np.count_nonzero((weights >= params.min_p) & (weights > 0)))
    kept = max(1, min(likely, params.top_k or likely))
    is_cut = len(ids) == len(logits) or likely < len(ids) or 0 < params.top_k <= len(ids)
    cumulative = weights[:kept].cumsum()
    if mass is None:
        if not is_cut:
            return None
        num_nucleus = _num_before(cumulative, params.top_p * cumulative[-1])
    else:
        num_nucleus = _num_in_nucleus(cumulative, params.top_p, mass)
        if not is_cut and num_nucleus > kept:
            return None
    if params.top_p < 1.0:
        kept = min(kept, num_nucleus)
    # A chance is at most 1 - 2**-53, so that the product never rounds up to the last sum. Of logits that are NaN, too,
    # an id comes that there is.
    place = int(cumulative[:kept].searchsorted(chance * cumulative[kept - 1], "right"))
    return int(ids[order[min(place, kept - 1)]])


def _descending(values: np.ndarray) -> np.ndarray:
    """`argsort(-values)` of float32, the lower ids first among equals; many are sorted faster as whole numbers."""
    if len(values) < _MANY or np.isnan(values).any():
        return np.argsort(-values, kind="stable")
    bits = (0.0 - values).view(np.int32)  # of no negative zero
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) << 32
    keys |= np.arange(len(values))
    keys.sort()
    return keys & 0xFFFFFFFF


def _num_in_nucleus(cumulative: np.ndarray, top_p: float, mass: _Mass) -> int:
    """How many of the likeliest make up a share of the mass; one more than there are where all do not."""
    if _num_before(cumulative, top_p * mass.lower) != _num_before(cumulative, top_p * mass.upper):
        mass.settle()
    return _num_before(cumulative, top_p * mass.lower)


def _num_before(cumulative: np.ndarray, share: float) -> int:
    """How many tokens there are before which less than the share has come."""
    return int(cumulative.searchsorted(share, "left")) + 1


def _weights(logits: np.ndarray, best: np.ndarray | np.floating, temperature: float) -> np.ndarray:
    """float64 [n], 1 for the likeliest."""
    weights = np.subtract(logits, best, dtype=np.float64)
    weights /= temperature
    return np.exp(weights, out=weights)


def _rough_weights(logits: np.ndarray, best: np.ndarray | np.floating, temperature: float) -> np.ndarray:
    """float32 [n], the same but for what `_ROUGH` says."""
    weights = np.subtract(logits, best)
    weights *= np.float32(1 / temperature)
    return np.exp(weights, out=weights)
