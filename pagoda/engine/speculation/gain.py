"""How many tokens to propose for whom: what is likely to be accepted, against what its rows cost.

Beside the token's path: `speculator` asks before each step. The aim is goodput, accepted tokens a second over all
requests of the step (Liu et al. 2024, arXiv 2406.14066), out of two figures: how often proposals for a request were
right, which is counted, and what rows cost, which `step_costs` measured. A request whose proposals do not pay gets
none; what it has shown fades with the tokens it writes, and so it is tried again, rarely. Imports no torch.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from pagoda.engine.speculation.step_costs import StepCosts

FIRST_RATE = 0.6
"""Of proposals that are right, before anything is known."""
LEAST_GAIN = 1.03
"""More tokens a second than without proposals: less is not worth the risk that the estimate is."""


@dataclass
class AcceptanceRate:
    """The share of proposed tokens that were right, of those whose predecessors were; older ones count for less.

    fading: what is left of a count after each token written; weight: proposals that the prior is worth
    """

    fading: float
    weight: float
    _num_tried: float = 0.0
    _num_right: float = 0.0

    def observe(self, num_proposed: int, num_accepted: int, num_written: int) -> None:
        """A step proposed so many tokens, of which the first so many were right, and wrote so many in all."""
        left = self.fading**num_written
        # Behind a wrong one, nothing was tried.
        self._num_tried = left * self._num_tried + min(num_accepted + 1, num_proposed)
        self._num_right = left * self._num_right + num_accepted

    def of(self, prior: float) -> float:
        """In (0, 1); `prior` where nothing was tried lately."""
        return (self._num_right + self.weight * prior) / (self._num_tried + self.weight)


def share(
    rates: Sequence[float], reaches: Sequence[int], num_requests: int, costs: StepCosts, drafting_s: float = 0.0
) -> list[int]:
    """Tokens to propose for each request, so that the step brings most tokens a second.

    rates: of each request that may be proposed for; reaches: most tokens for each; num_requests: that write in the
    step, each of them one token at least; drafting_s: seconds that each proposal costs before the step.
    The likeliest tokens come first, and the best number of them in all is taken: one more may pay where the next alone
    would not, as rows come in blocks.
    """
    counts = [0] * len(rates)
    best = list(counts)
    tokens, seconds = float(num_requests), costs.of(num_requests)
    best_goodput = LEAST_GAIN * tokens / seconds
    candidates = [(-rate, index) for index, rate in enumerate(rates) if reaches[index] > 0]
    heapq.heapify(candidates)
    num_proposed = 0
    while candidates:
        likelihood, index = candidates[0]
        counts[index] += 1
        num_proposed += 1
        tokens -= likelihood
        goodput = tokens / (costs.of(num_requests + num_proposed) + num_proposed * drafting_s)
        if goodput > best_goodput:
            best_goodput, best = goodput, list(counts)
        if counts[index] < reaches[index]:
            heapq.heapreplace(candidates, (likelihood * rates[index], index))
        else:
            heapq.heappop(candidates)
    return best
