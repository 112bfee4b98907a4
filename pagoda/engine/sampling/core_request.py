"""A request with what sampling it takes beyond its tokens.

On the token's path: the door makes it, `core` holds it while the scheduler decides when it runs. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pagoda.engine.sampling.rows import SampleRow
from pagoda.engine.sampling.structured import GrammarMatcher
from pagoda.engine.sampling.token_lists import TokenLists
from pagoda.engine.scheduling.request import Request
from pagoda.errors import StructuredOutputError
from pagoda.sampling_params import PoolingParams


@dataclass(eq=False)
class CoreRequest:
    """One of the n completions of a caller's request, or an embedding.

    seed: fixes its random numbers; lists: of tokens that are allowed, forbidden or biased, shared by all n;
    matcher: its place in a grammar, or None; pooling_params: of an embedding, which samples nothing; pooling: how its
    hidden states become one vector, "last", "mean" or "cls".
    """

    request: Request
    seed: int = 0
    lists: TokenLists = field(default_factory=TokenLists)
    matcher: GrammarMatcher | None = None
    pooling_params: PoolingParams | None = None
    pooling: str = "last"
    first_scheduled_time: float | None = field(default=None, init=False)
    """Seconds of the core's clock at its first step."""
    pooled_so_far: tuple[float, ...] = field(default=(), init=False)
    """What the steps before have pooled, where the text takes several."""
    num_prompt_logprobs: int = field(default=0, init=False)
    """Prompt tokens whose log-probabilities are out already: recomputation must not tell them twice."""
    num_broken_steps: int = field(default=0, init=False)
    """Steps with it in which ranks ended since it got its last token."""
    _broken_at: int = field(default=0, init=False)

    def note_broken_step(self) -> None:
        """Ranks have ended in a step with it."""
        length = self.request.num_tokens
        self.num_broken_steps = self.num_broken_steps + 1 if self._broken_at == length else 1
        self._broken_at = length
        self.request.is_suspect = True


def sample_row(core_request: CoreRequest) -> SampleRow:
    """Of a request that wants tokens and whose last known token is fed in this step.

    Raises StructuredOutputError where its grammar cannot go on.
    """
    request = core_request.request
    assert request.sampling_params is not None, "a pooling request samples nothing"
    return SampleRow(
        request_id=request.request_id,
        params=request.sampling_params,
        seed=core_request.seed,
        position=len(request.output_token_ids),
        output_token_ids=request.output_token_ids,
        lists=core_request.lists,
        stop_token_ids=request.stop_token_ids,
        token_bitmask=None if core_request.matcher is None else core_request.matcher.bitmask(),
    )


def sample_rows(core_request: CoreRequest, proposed: Sequence[int]) -> list[SampleRow]:
    """The same, and one row more after each proposed token, as if those before it had been sampled.

    They end at a token that the grammar does not allow: it will not be sampled, whatever comes behind it.
    """
    rows = [sample_row(core_request)]
    if not proposed:
        return rows
    matcher = None if core_request.matcher is None else core_request.matcher.copy()
    tokens = [*core_request.request.output_token_ids, *proposed]
    bitmask = None
    for position in range(rows[0].position + 1, len(tokens) + 1):
        if matcher is not None:
            try:
                matcher.advance(tokens[position - 1])
                bitmask = matcher.bitmask()
            except StructuredOutputError:
                break
        rows.append(rows[0]._replace(position=position, output_token_ids=tokens[:position], token_bitmask=bitmask))
    return rows
