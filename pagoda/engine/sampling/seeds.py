"""Randomness as a function: a number for (seed, position), and the seeds of a request's n completions.

Under the sampler. No generator is kept, so batching, preemption and recomputation cannot change what is drawn.
splitmix64 is Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators". Imports no torch.
"""

from __future__ import annotations

_MASK64 = (1 << 64) - 1


def uniform(seed: int, position: int) -> float:
    """The random number in [0, 1) for one position of one request: splitmix64 over both, 53 bits.

    >>> uniform(7, 0) == uniform(7, 0) != uniform(7, 1)
    True
    """
    return (_splitmix64(_splitmix64(seed & _MASK64) ^ position) >> 11) * 2.0**-53


def child_seed(seed: int, index: int) -> int:
    """The seed of the index-th of n completions; the first keeps the request's own."""
    return seed if index == 0 else _splitmix64(_splitmix64(seed & _MASK64) + index)


def _splitmix64(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)
