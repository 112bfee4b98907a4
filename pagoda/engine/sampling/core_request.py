"""A request with what sampling it takes beyond its tokens.

On the token's path: the door makes it, `core` holds it while the scheduler decides when it runs. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pagoda.engine.sampling.structured import GrammarMatcher
from pagoda.engine.sampling.token_lists import TokenLists
from pagoda.engine.scheduling.request import Request
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
