"""A step in parts, so that the stages of a pipeline work at once: while one has a part, the next has the part before.

On the token's path, in a pipeline alone (micro-batches: GPipe, Huang et al. 2018, arXiv 1811.06965). Parts are cut
between tokens, also within a prompt: what a token gets does not depend on which others are computed beside it, and its
own past lies in the cache since the part before. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from pagoda.engine.scheduling.plan import ScheduledRequest

_FEWEST = 64
"""Tokens of a part. With fewer, a stage reads its weights for little: few parts are then as slow as one, each."""
_PARTS_OF_STAGE = 2


def micro_batches(scheduled: Sequence[ScheduledRequest], num_stages: int) -> list[tuple[ScheduledRequest, ...]]:
    """The requests of a plan in parts of nearly as many tokens, back to back; a request may go on in the next part."""
    num_tokens = sum(len(entry.token_ids) for entry in scheduled)
    count = min(_PARTS_OF_STAGE * num_stages, max(1, num_tokens // _FEWEST))
    if num_stages == 1 or count == 1:
        return [tuple(scheduled)]
    parts: list[list[ScheduledRequest]] = [[]]
    left = num_tokens // count
    for entry in scheduled:
        while len(entry.token_ids) > left and len(parts) < count:
            if left:
                parts[-1].append(entry._replace(token_ids=entry.token_ids[:left]))
                entry = entry._replace(
                    token_ids=entry.token_ids[left:], num_computed_tokens=entry.num_computed_tokens + left
                )
            parts.append([])
            left = num_tokens * len(parts) // count - num_tokens * (len(parts) - 1) // count
        parts[-1].append(entry)
        left -= len(entry.token_ids)
    return [tuple(part) for part in parts if part]
