"""Which positions the tokens of a training sequence get: the usual ones, or some drawn at random.

Beside the training loop, which asks once a step. A network that saw distances up to 40 has never met one of 100. Ruoss
et al. 2023 (arXiv 2305.16843) therefore draw as many whole numbers as there are tokens from a far larger range,
sorted; what a token learns is the order then, and any length within the range has been met. Reals do as well, since
RoPE takes any number (random float sampling, arXiv 2602.14050).

The range may grow while training goes on (`position_range_schedule`), and RoPE's frequencies are the model's business:
with those of YaRN that is Randomized YaRN (arXiv 2606.23687).

A draw is a function of seed and step alone: arms of a comparison get the same, and a resumed run goes on as it would
have.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STREAM = 1
"""Third seed of positions: what a step reads is drawn by (seed, step) alone, and the two must not go together."""


def ordinary(_: np.random.Generator, sequences: int, length: int, __: int) -> np.ndarray:
    """0, 1, 2, ..."""
    return np.broadcast_to(np.arange(length), (sequences, length))


def random_integers(rng: np.random.Generator, sequences: int, length: int, reach: int) -> np.ndarray:
    """Different whole numbers below `reach`, ascending: each sequence its own."""
    if length >= reach:
        return ordinary(rng, sequences, length, reach)
    chosen = np.argpartition(rng.random((sequences, reach)), length, axis=1)[:, :length]
    return np.sort(chosen, axis=1)


def random_floats(rng: np.random.Generator, sequences: int, length: int, reach: int) -> np.ndarray:
    """Reals from 0 to `reach`, ascending: each sequence its own."""
    return np.sort(rng.random((sequences, length)).astype(np.float32) * max(reach, length), axis=1)


POSITION_SCHEMES: dict[str, Callable[[np.random.Generator, int, int, int], np.ndarray]] = {
    "ordinary": ordinary,
    "random_integers": random_integers,
    "random_floats": random_floats,
}


def draw_positions(scheme: str, sequences: int, length: int, *, reach: int, seed: int, step: int) -> np.ndarray:
    """`[sequences, length]`, integers or fp32, of optimiser step `step`.

    reach: below what positions are drawn; a longer sequence gets the ordinary ones of its length, or as wide a range
    """
    return POSITION_SCHEMES[scheme](np.random.default_rng((seed, step, STREAM)), sequences, length, reach)
