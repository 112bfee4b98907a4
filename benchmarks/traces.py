"""Requests to serve: lengths of chat shape and times of arrival, the same for the same seed.

Lengths are lognormal, so that a few are many times the mean, with the means of a real collection: ShareGPT (as measured
for PagedAttention, Kwon et al. 2023, arXiv 2309.06180, figure 11) or LMSYS-Chat-1M (Zheng et al. 2023, arXiv
2309.11998, table 1). The client sets `max_tokens` to a round cap, as clients do; where the answer really ends is the
trace's secret, which a server learns when it gets there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

MEAN_LENGTHS = {"sharegpt": (161.31, 337.99), "lmsys": (69.5, 214.5)}  # tokens of a prompt and of an answer
SIGMA = 1.0  # of the logarithm: half of the answers are shorter than 0.6 times the mean
MAX_PROMPT = 512
MIN_LENGTH = 4


@dataclass(eq=False)
class Job:
    """One request of a trace, and what became of it.

    num_output_tokens: where its answer ends; max_tokens: what the client asked for, at least that
    arrival_s, finished_s: seconds since the server began
    """

    prompt_token_ids: list[int]
    num_output_tokens: int
    max_tokens: int
    arrival_s: float = 0.0
    output_token_ids: list[int] = field(default_factory=list)
    finished_s: float = 0.0

    @property
    def latency_s(self) -> float:
        """From arrival to the last token."""
        return self.finished_s - self.arrival_s

    @property
    def is_finished(self) -> bool:
        return len(self.output_token_ids) >= self.num_output_tokens

    def take(self, token_id: int, now: float) -> None:
        """Record a token, unless the answer has ended before."""
        if not self.is_finished:
            self.output_token_ids.append(token_id)
            if self.is_finished:
                self.finished_s = now


def make_trace(
    num_requests: int,
    *,
    vocab_size: int,
    max_tokens: int,
    lengths: str = "sharegpt",
    rate: float | None = None,
    seed: int = 1,
) -> list[Job]:
    """Jobs in order of arrival: `rate` a second as a Poisson process, or all at once.

    lengths: a key of MEAN_LENGTHS. Prompts are cut to MAX_PROMPT tokens and answers to `max_tokens`. A seed gives the
    same prompts and lengths at every rate.
    """
    mean_prompt, mean_output = MEAN_LENGTHS[lengths]
    rng = np.random.default_rng(seed)
    prompts = _lognormal(rng, mean_prompt, num_requests).clip(MIN_LENGTH, MAX_PROMPT)
    outputs = _lognormal(rng, mean_output, num_requests).clip(MIN_LENGTH, max_tokens)
    prompt_token_ids = [rng.integers(0, vocab_size, int(length)).tolist() for length in prompts]
    arrivals = np.zeros(num_requests) if rate is None else np.cumsum(rng.exponential(1 / rate, num_requests))
    return [
        Job(ids, int(output), max_tokens, float(arrival))
        for ids, output, arrival in zip(prompt_token_ids, outputs, arrivals, strict=True)
    ]


def _lognormal(rng: np.random.Generator, mean: float, count: int) -> np.ndarray:
    return rng.lognormal(np.log(mean) - SIGMA**2 / 2, SIGMA, count)
