"""What a step is to do with the logits that it computes, beyond the plan: plain values, one row a request.

On the token's path: `core` fills these from its requests and sends them along with the plan; `execution/worker` does
what they say. A row holds all that it takes, so that the worker remembers nothing of a request between two steps, and
a recorded pair of plan and rows replays a step. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pagoda.engine.sampling.token_lists import TokenLists
from pagoda.sampling_params import PoolingParams, SamplingParams


class SampleRow(NamedTuple):
    """Sample after the last known token of a request, or after one of the tokens proposed behind it.

    The rows of one request stand together, in the order of their positions.
    """

    request_id: str
    params: SamplingParams
    seed: int
    """The request's seed, or one drawn for it on arrival."""
    position: int
    """Number of output tokens so far, proposed ones included; with `seed` it fixes the random number."""
    output_token_ids: Sequence[int] = ()
    lists: TokenLists = TokenLists()
    """The lists of `params`, and the tokens of the prompt where they count."""
    stop_token_ids: frozenset[int] = frozenset()
    """End of sequence and the caller's; masked before `min_tokens`."""
    token_bitmask: np.ndarray | None = None
    """int32 [ceil(vocab_size / 32)], bit set = allowed; from structured outputs. Ids beyond it are not allowed."""


class ScoreRow(NamedTuple):
    """Tell log-probabilities of a prompt: row `first_row + i` of the request's logits predicts `targets[i]`."""

    request_id: str
    first_row: int
    targets: Sequence[int]
    num_logprobs: int
    """Of the likeliest tokens beside each target; -1 for the whole vocabulary."""


class PoolRow(NamedTuple):
    """Pool the hidden states of the request's tokens in this step, on top of those of the steps before."""

    request_id: str
    params: PoolingParams
    pooling: str
    """"last", "mean" or "cls"."""
    so_far: tuple[float, ...]
    """What the steps before left; () in the first."""
    num_tokens: int | None
    """Tokens of the whole text where this step has the last of them; None where more are to come."""


class StepRows(NamedTuple):
    """Each in the order of the plan."""

    samples: Sequence[SampleRow] = ()
    scores: Sequence[ScoreRow] = ()
    pools: Sequence[PoolRow] = ()
