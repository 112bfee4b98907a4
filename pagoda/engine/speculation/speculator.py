"""Speculative decoding (Leviathan et al. 2023, arXiv 2211.17192): what to feed along with answers, step by step.

On the token's path: `core.step` asks before the plan is made and tells afterwards what came of it. Several tokens
proposed and verified in one step cost less than a step each where rows are cheap and guesses good; both are known here,
and where they do not pay nothing is proposed. The text is the same in any case, see `sampling/verifying`. Imports no
torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.engine.speculation.gain import FIRST_RATE, AcceptanceRate, share
from pagoda.engine.speculation.proposer import Proposer
from pagoda.engine.speculation.step_costs import StepCosts

_FADING, _WEIGHT = 0.98, 4.0
"""Of one request: what it showed 35 tokens ago counts half."""
_FADING_OF_ALL, _WEIGHT_OF_ALL = 0.998, 8.0
"""Of all requests together, with which a new one begins."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What proposals cost.

    step: seconds of a step by its rows; draft: of a draft model's, where there is one; most: tokens proposed for a
    request in a step
    """

    step: StepCosts
    draft: StepCosts | None = None
    most: int

    def drafting_s(self, num_requests: int) -> float:
        """Seconds that a proposed token costs before the step; what is looked up costs next to nothing."""
        return 0.0 if self.draft is None else self.draft.of(num_requests) / num_requests


class Speculator:
    """Proposes for the requests of a core as long as it pays."""

    def __init__(self, proposer: Proposer, prices: Prices) -> None:
        self._proposer = proposer
        self._prices = prices
        self._rates: dict[str, AcceptanceRate] = {}
        self._rate_of_all = AcceptanceRate(_FADING_OF_ALL, _WEIGHT_OF_ALL)

    def propose(self, core_requests: Sequence[CoreRequest]) -> Mapping[str, Sequence[int]]:
        """By request id, tokens that may come next. core_requests: all whose answers the next step goes on with."""
        reached = [
            (core_request, reach)
            for core_request in core_requests
            if (reach := self._proposer.reach(core_request, self._most_for(core_request))) > 0
        ]
        if not reached:
            return {}
        prior = self._rate_of_all.of(FIRST_RATE)
        rates = [self._rate(core_request.request.request_id).of(prior) for core_request, _ in reached]
        reaches = [reach for _, reach in reached]
        drafting_s = self._prices.drafting_s(len(reached))
        counts = share(rates, reaches, len(core_requests), self._prices.step, drafting_s)
        wanted = [(core_request, count) for (core_request, _), count in zip(reached, counts, strict=True) if count]
        return self._proposer.propose(wanted) if wanted else {}

    def _most_for(self, core_request: CoreRequest) -> int:
        """Behind the proposed tokens comes one that is sampled, and its answer may be near its end."""
        request = core_request.request
        return min(self._prices.most, request.max_tokens - len(request.output_token_ids) - 1)

    def _rate(self, request_id: str) -> AcceptanceRate:
        return self._rates.setdefault(request_id, AcceptanceRate(_FADING, _WEIGHT))

    def observe(self, plan: SchedulerOutput, output: StepOutput) -> None:
        """Learn from a step that was run."""
        for entry in plan.scheduled:
            num_written = len(output.tokens.get(entry.request_id, ()))
            if num_written and (entry.num_proposed or entry.request_id in self._rates):
                told = entry.num_proposed, num_written - 1, num_written
                self._rate(entry.request_id).observe(*told)
                self._rate_of_all.observe(*told)

    def forget(self, request_id: str) -> None:
        """A request has ended; its id may come again."""
        self._rates.pop(request_id, None)
        self._proposer.forget(request_id)
