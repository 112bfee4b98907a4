"""Hidden states of a text to its one vector: the last token's, the first one's, or the mean of all.

Beside the token's path: where a step would sample, an embedding is pooled. A long text takes several steps, and the
worker keeps nothing between two of them: what has been pooled so far goes out with one step and comes back with the
next. Numbers are added token by token, in fp64 and in the order of the text, so that a mean has the same bits in
whatever chunks the text was computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pagoda.engine.sampling.rows import PoolRow
from pagoda.engine.scheduling.plan import SchedulerOutput

Vectors = dict[str, tuple[float, ...]]


def pool(plan: SchedulerOutput, hidden_states: torch.Tensor, rows: Sequence[PoolRow]) -> tuple[Vectors, Vectors]:
    """By request id: the embeddings that are complete, and what is pooled so far of the others.

    hidden_states: [total_num_scheduled_tokens, hidden_size], requests in the order of the plan.
    """
    counts = plan.num_scheduled_tokens
    of_request = dict(zip(counts, hidden_states.split([*counts.values()]), strict=True))
    complete: Vectors = {}
    so_far: Vectors = {}
    for row in rows:
        pooled = _add(row, of_request[row.request_id])
        if row.num_tokens is None:
            so_far[row.request_id] = tuple(pooled.tolist())
        else:
            complete[row.request_id] = tuple(_finish(row, pooled, row.num_tokens).tolist())
    return complete, so_far


def _add(row: PoolRow, states: torch.Tensor) -> torch.Tensor:
    """The states [n, hidden_size] of this step on top of those before, `[hidden_size]`: a token's own, or a sum."""
    if row.pooling == "last":
        return states[-1].float()
    before = torch.tensor([row.so_far], dtype=torch.float64, device=states.device) if row.so_far else None
    if row.pooling == "cls":
        return states[0].float() if before is None else before[0].float()
    # cumsum goes from row to row, where sum would group them by how many there are.
    terms = states.double() if before is None else torch.cat((before, states.double()))
    return terms.cumsum(0)[-1]


def _finish(row: PoolRow, pooled: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """Divided, cut and scaled as pooling and parameters say, in fp32."""
    vector = (pooled / num_tokens if row.pooling == "mean" else pooled).float()[: row.params.dimensions]
    return torch.nn.functional.normalize(vector, dim=0) if row.params.normalize else vector
