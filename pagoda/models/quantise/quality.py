"""What quantisation costs: perplexity, Kullback-Leibler divergence and agreement, of the source and its copy.

Beside the token's path, at the end of a pass: two streams of hidden states, of the source and of the quantised network,
meet two heads. Logits of a vocabulary are many, so they live for a few tokens at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

_TOKENS_AT_ONCE = 256
Logits = Callable[[torch.Tensor], torch.Tensor]
"""Hidden states `[T, hidden_size]` after the last layer -> logits `[T, vocab_size]`."""


@dataclass(frozen=True)
class Quality:
    """Of texts, every token but the first of each predicted from those before it.

    source_perplexity, perplexity: exp of the mean negative log-likelihood
    kl: mean of KL(source || quantised) over tokens, in nats
    top1_agreement: share of tokens at which both hold the same one for likeliest
    """

    num_tokens: int
    source_perplexity: float
    perplexity: float
    kl: float
    top1_agreement: float

    @property
    def perplexity_change(self) -> float:
        """As a share of the source's: .01 is one per cent more."""
        return self.perplexity / self.source_perplexity - 1


def compare(
    texts: torch.Tensor, source: torch.Tensor, quantised: torch.Tensor, source_head: Logits, quantised_head: Logits
) -> Quality:
    """`texts [n, length]`, hidden states `[n, length, hidden_size]` of both networks after the last layer."""
    sums = torch.zeros(4, dtype=torch.float64)  # -log p of both, KL, agreement
    targets = texts[:, 1:].flatten()
    for rows, ours, theirs in _chunks(source[:, :-1].flatten(0, 1), quantised[:, :-1].flatten(0, 1)):
        expected, found = (
            head(part).float().log_softmax(-1) for head, part in ((source_head, ours), (quantised_head, theirs))
        )
        wanted = targets[rows, None]
        sums[0] -= expected.gather(1, wanted).sum(dtype=torch.float64)
        sums[1] -= found.gather(1, wanted).sum(dtype=torch.float64)
        sums[2] += divergence(expected, found).sum(dtype=torch.float64)
        sums[3] += (expected.argmax(-1) == found.argmax(-1)).sum()
    of_source, of_quantised, kl, agreeing = (sums / len(targets)).tolist()
    return Quality(len(targets), math.exp(of_source), math.exp(of_quantised), max(0.0, kl), agreeing)


def divergence(expected: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """KL of each row of log-probabilities, `[T, vocab_size]` each -> `[T]`."""
    return (expected.exp() * (expected - found)).sum(-1)


def _chunks(first: torch.Tensor, second: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    for start in range(0, len(first), _TOKENS_AT_ONCE):
        rows = slice(start, start + _TOKENS_AT_ONCE)
        yield rows, first[rows], second[rows]
