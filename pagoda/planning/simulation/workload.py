"""Requests to simulate: their sizes, times of arrival, and which blocks of their prompts are the same.

Beside the token's path, before `simulator`. Nothing has text: a prompt is a number of tokens, and where a trace tells
which parts of prompts are equal, names of them. Synthetic loads have the distributions of `loadtest`. Imports no torch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pagoda.loadtest.arrivals import arrival_times
from pagoda.loadtest.workload import Lengths


class SimulatedRequest(NamedTuple):
    """One request. `prefix`: names of the parts that its prompt is made of, each with all before it; () is unlike any.

    part_tokens: of a prompt that each name stands for; the last part may be shorter
    """

    arrival_s: float
    num_prompt_tokens: int
    num_output_tokens: int
    prefix: Sequence[int] = ()
    part_tokens: int = 0

    def block_hashes(self, block_size: int) -> list[bytes]:
        """Names of the full blocks of the prompt, as the prefix cache has them; [] for a prompt without parts."""
        if not self.prefix:
            return []
        names, part = self.prefix, self.part_tokens
        ends = range(block_size, self.num_prompt_tokens + 1, block_size)
        # A block is named by the part that its last token is in: that part's name tells of all before it.
        return [b"%d/%d" % (names[(end - 1) // part], end) for end in ends]


def synthetic(
    num_requests: int, rate: float, input_len: Lengths, output_len: Lengths, *, burstiness: float = 1.0, seed: int = 0
) -> Iterator[SimulatedRequest]:
    """The same for the same seed. rate: requests a second; burstiness: of `loadtest.arrivals.arrival_times`."""
    source = random.Random(seed)
    for arrival_s in arrival_times(num_requests, rate, burstiness=burstiness, seed=seed + 1):
        yield SimulatedRequest(arrival_s, input_len.draw(source), output_len.draw(source))
