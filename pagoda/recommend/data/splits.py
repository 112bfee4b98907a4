"""What is taught and what is asked: three ways to hold back the later part of a log.

Second station of a measurement. Leaving each person's last event out is what the literature prints, and it trains on
other people's future (Ji et al. 2023, "A critical study on data leakage"; Hidasi & Czapp 2023, arXiv 2307.14951): so
one cut in time for everybody stands beside it. Nothing here is drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pagoda.errors import ConfigError
from pagoda.recommend.data.interactions import Interaction, InteractionLog


@dataclass(frozen=True)
class HeldBack:
    """train: what models may see; asked: by user, the items that came after, in the order of time."""

    train: InteractionLog
    asked: dict[str, tuple[str, ...]]


def leave_last_out(log: InteractionLog, count: int = 1) -> HeldBack:
    """The last `count` events of each person who has more than that."""
    return _split(log, [max(0, len(times) - count) or len(times) for times in log.times])


def last_share(log: InteractionLog, share: float = 0.1) -> HeldBack:
    """The last part of each person's events in time, rounded, one at least; who has a single event keeps it."""
    if not 0.0 < share < 1.0:
        raise ConfigError(f"share={share}, but a number between 0 and 1 is expected")
    return _split(log, [max(1, len(times) - max(1, round(len(times) * share))) for times in log.times])


def global_cut(log: InteractionLog, share: float = 0.1) -> HeldBack:
    """One moment for everybody: the events after it are asked, of people who have some before it."""
    if not 0.0 < share < 1.0:
        raise ConfigError(f"share={share}, but a number between 0 and 1 is expected")
    moment = np.quantile(np.concatenate(log.times), 1.0 - share)
    return _split(log, [int(np.searchsorted(times, moment, side="right")) for times in log.times])


def _split(log: InteractionLog, kept: list[int]) -> HeldBack:
    """The first `kept` events of each person, and what came after."""
    taught: list[Interaction] = []
    asked: dict[str, tuple[str, ...]] = {}
    for user, history, times, count in zip(log.users, log.histories, log.times, kept, strict=True):
        ids = [log.items[item] for item in history]
        taught += [Interaction(user, item, float(when)) for item, when in zip(ids[:count], times[:count], strict=True)]
        if 0 < count < len(ids):
            asked[user] = tuple(ids[count:])
    return HeldBack(InteractionLog.of(taught), asked)
