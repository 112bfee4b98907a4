"""A request with what sampling it takes beyond its tokens, and the rows that it asks of a step.

On the token's path: the door makes it, `core` holds it while the scheduler decides when it runs. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pagoda.engine.sampling.rows import SampleRow, ScoreRow
from pagoda.engine.sampling.structured import GrammarMatcher
from pagoda.engine.scheduling.plan import ScheduledRequest
from pagoda.engine.scheduling.request import Request
from pagoda.sampling_params import PoolingParams


@dataclass(eq=False)
class CoreRequest:
    """One of the n completions of a caller's request, or an embedding.

    seed: fixes its random numbers; bad_words_ids: token sequences whose last token is forbidden after the others;
    matcher: its place in a grammar, or None; pooling_params: of an embedding, which samples nothing.
    """

    request: Request
    seed: int = 0
    bad_words_ids: Sequence[Sequence[int]] = ()
    matcher: GrammarMatcher | None = None
    pooling_params: PoolingParams | None = None
    first_scheduled_time: float | None = field(default=None, init=False)
    """Seconds of the core's clock at its first step."""
    num_prompt_logprobs: int = field(default=0, init=False)
    """Prompt tokens whose log-probabilities are out already: recomputation must not tell them twice."""

    def sample_row(self) -> SampleRow:
        """Of a request that wants tokens, once its last known token is fed."""
        request = self.request
        assert request.sampling_params is not None, "a pooling request samples nothing"
        return SampleRow(
            request_id=request.request_id,
            params=request.sampling_params,
            seed=self.seed,
            position=len(request.output_token_ids),
            prompt_token_ids=request.prompt_token_ids,
            output_token_ids=request.output_token_ids,
            stop_token_ids=request.stop_token_ids,
            token_bitmask=None if self.matcher is None else self.matcher.bitmask(),
            bad_words_ids=self.bad_words_ids,
        )

    def score_row(self, entry: ScheduledRequest) -> ScoreRow | None:
        """The prompt tokens that this step's logits predict and that were not told before, if there are any."""
        wanted = None if self.request.sampling_params is None else self.request.sampling_params.prompt_logprobs
        if wanted is None or entry.num_logits < len(entry.token_ids):
            return None
        # Row i, at position p, predicts the token at p + 1; the first prompt token has no prediction.
        start = entry.num_computed_tokens
        first = max(start, self.num_prompt_logprobs)
        last = min(start + len(entry.token_ids), self.request.num_prompt_tokens - 1)
        if first >= last:
            return None
        targets = self.request.prompt_token_ids[first + 1 : last + 1]
        return ScoreRow(self.request.request_id, first - start, targets, wanted)
