"""Which proposed tokens were right: the end of speculative decoding (Leviathan et al. 2023, arXiv 2211.17192).

On the token's path: `worker` has sampled after the last known token of each request and after each token proposed
behind it. Rejection sampling, theirs, keeps the target's distribution, but not the one text that a seed stands for.
Here the token at each position is drawn with the random number of that position, as it would be without proposals, and
a proposal is right where it is that token: the text is the same to the last token, greedy or sampled, whatever was
proposed. A token that was looked up is accepted with the probability that the target gives it, as by their rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pagoda.engine.outputs import SampledToken
from pagoda.engine.sampling.rows import SampleRow
from pagoda.engine.sampling.sampler import NO_TOKEN


def verified(
    rows: Sequence[SampleRow], sampled: Sequence[SampledToken], proposed: Mapping[str, Sequence[int]]
) -> dict[str, tuple[SampledToken, ...]]:
    """By request id: what was sampled, up to the first token that is not the proposed one, that one included.

    sampled: of each row; proposed: by id, the tokens behind which a request's second and further rows are.
    NO_TOKEN stands only alone: behind others it is left to the next step, which finds it first.
    """
    if not proposed:
        return {row.request_id: (token,) for row, token in zip(rows, sampled, strict=True)}
    kept: dict[str, list[SampledToken]] = {}
    for row, token in zip(rows, sampled, strict=True):
        so_far = kept.setdefault(row.request_id, [])
        # Where a proposal was wrong, all later rows of its request find that again.
        if not so_far or so_far[-1].token_id == proposed[row.request_id][len(so_far) - 1]:
            so_far.append(token)
    return {request_id: tuple(_without_trailing_gap(tokens)) for request_id, tokens in kept.items()}


def _without_trailing_gap(tokens: list[SampledToken]) -> list[SampledToken]:
    return tokens[:-1] if len(tokens) > 1 and tokens[-1].token_id == NO_TOKEN else tokens
