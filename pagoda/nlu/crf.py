"""Linear-chain conditional random field over tags: its loss in torch, its best path in numpy.

On the path *sentence -> Understanding*: which tags may follow each other, and how likely they do. Paper: Lafferty et
al. 2001, "Conditional Random Fields"; as the last layer of a network, Lample et al. 2016 (arXiv 1603.01360). The sums
run in probability space by matrix products, with the largest score taken out at each step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

FORBIDDEN = -1e4
_SMALLEST = 1e-30


def negative_log_likelihood(
    emissions: torch.Tensor, tags: torch.Tensor, there: torch.Tensor, transitions: torch.Tensor
) -> torch.Tensor:
    """[batch] -log P(tags | sentence).

    emissions: [batch, words, num_tags]; tags: int64 [batch, words]; there: bool [batch, words], true from the left
    transitions: [num_tags + 1, num_tags] scores, the last row for the first word, FORBIDDEN where a tag may not follow
    """
    return _log_sum_of_paths(emissions, there, transitions) - _path_score(emissions, tags, there, transitions)


def _path_score(
    emissions: torch.Tensor, tags: torch.Tensor, there: torch.Tensor, transitions: torch.Tensor
) -> torch.Tensor:
    emitted = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)  # [batch, words]
    moved = transitions[tags[:, :-1], tags[:, 1:]] * there[:, 1:]  # [batch, words - 1], into each word but the first
    return (emitted * there).sum(1) + transitions[-1][tags[:, 0]] + moved.sum(1)


def _log_sum_of_paths(emissions: torch.Tensor, there: torch.Tensor, transitions: torch.Tensor) -> torch.Tensor:
    import torch

    weights = transitions[:-1].exp()  # [num_tags, num_tags]; a forbidden move underflows to 0
    total = emissions[:, 0] + transitions[-1]  # [batch, num_tags]: log-sum of all paths that end in each tag
    for step in range(1, emissions.shape[1]):
        # Any number may be taken out here and added below, so no gradient needs to flow through this one.
        largest = total.max(1, keepdim=True).values.detach()
        # Where no tag may lead to this one the product is 0, and log 0 would spoil every gradient.
        moved = ((total - largest).exp() @ weights).clamp_min(_SMALLEST).log() + largest
        # Past its last word a sentence keeps the sum it had there.
        total = torch.where(there[:, step : step + 1], moved + emissions[:, step], total)
    return total.logsumexp(1)


def best_path(emissions: np.ndarray, transitions: np.ndarray) -> list[int]:
    """The likeliest tags of a sentence (Viterbi 1967). emissions: [words, num_tags]; transitions: as in the loss."""
    score = emissions[0] + transitions[-1]
    came_from = np.zeros(emissions.shape, np.int64)
    moves = transitions[:-1]
    for step in range(1, len(emissions)):
        candidates = score[:, None] + moves  # [tag before, tag here]
        came_from[step] = candidates.argmax(0)
        score = candidates[came_from[step], np.arange(len(score))] + emissions[step]
    path = [int(score.argmax())]
    for step in range(len(emissions) - 1, 0, -1):
        path.append(int(came_from[step, path[-1]]))
    return path[::-1]


def forbidden_moves(allowed: list[list[bool]]) -> np.ndarray:
    """float32 [num_tags + 1, num_tags]: 0 where a tag may follow, FORBIDDEN where not."""
    return np.where(np.array(allowed), 0.0, FORBIDDEN).astype(np.float32)
