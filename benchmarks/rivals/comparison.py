"""The measuring itself: all engines on one model, in alternation, with the machine's limits measured beside each.

What the machine gives drifts by the quarter of an hour. So every round asks every engine once, in an order that
rotates; ratios are formed within a round, and their median counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rivals.measures import WARM_UP, Measure
from rivals.process import PeerFailedError, PeerProcess


@dataclass(frozen=True)
class Limits:
    """Of the machine, just now: bytes that it reads and operations of matrix products, each a second."""

    bandwidth: float
    peak: float


@dataclass(frozen=True)
class Sample:
    """One answer, in tokens a second. told: what else the engine said of its seconds"""

    rate: float
    limits: Limits
    told: dict[str, float] = field(default_factory=dict)


Samples = Mapping[str, Sequence[Sample]]


class Comparison:
    """Asks engines that are running.

    probe: measures the limits of the machine
    say: hears of an engine that failed; it is not asked again
    """

    def __init__(
        self, peers: Sequence[PeerProcess], rounds: int, probe: Callable[[], Limits], say: Callable[[str], None]
    ):
        self.peers = list(peers)
        self._rounds, self._probe, self._say = rounds, probe, say

    def measure(self, measure: Measure) -> Samples:
        """By engine, a sample of every round."""
        rounds = min(self._rounds, measure.most_rounds)
        self._prepare(measure, rounds)
        samples: dict[str, list[Sample]] = {peer.name: [] for peer in self.peers}
        for turn in range(rounds):
            for peer in self._in_turn(turn):
                limits = self._probe()
                for answer in self._asked(peer, measure.question):
                    samples[peer.name].append(_sample(measure, answer, limits))
        return {name: found for name, found in samples.items() if len(found) == rounds}

    def _prepare(self, measure: Measure, rounds: int) -> None:
        """Fill the caches, and let everything run once: not a list of requests, which takes long and warms itself."""
        for peer in list(self.peers):
            setup = measure.setup(rounds)
            questions = ([] if setup is None else [setup]) + [measure.question] * (WARM_UP if measure.rows else 0)
            for question in questions:
                for _ in self._asked(peer, question):
                    pass

    def _in_turn(self, turn: int) -> list[PeerProcess]:
        first = turn % max(1, len(self.peers))
        return self.peers[first:] + self.peers[:first]

    def _asked(self, peer: PeerProcess, question: str) -> Iterator[dict[str, Any]]:
        """The answer, or nothing of an engine that failed."""
        if peer not in self.peers:
            return
        try:
            yield peer.ask(question)
        except PeerFailedError as error:
            self._say(f"{error}, asked '{question[:40]}'")
            self.peers.remove(peer)


def _sample(measure: Measure, answer: dict[str, Any], limits: Limits) -> Sample:
    told = {name: value for name, value in answer.items() if name != "seconds"}
    return Sample(measure.tokens / answer["seconds"], limits, told)


def median_rate(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.rate for sample in samples)


def median_ratio(ours: Sequence[Sample], theirs: Sequence[Sample]) -> float:
    """How many times faster we are, of rounds in which both ran."""
    return statistics.median(own.rate / peer.rate for own, peer in zip(ours, theirs, strict=True))
