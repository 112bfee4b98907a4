"""What is known of each person while the recommender runs: things taken, things and kinds blocked.

Beside the models, which know items only. So a person can be forgotten at once and wholly: nothing of theirs stands
anywhere else in the recommender but in sums over everybody.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

from pagoda.recommend.data.interactions import Interaction, InteractionLog


@dataclass
class Person:
    """items and times in the order of time; blocked: items; blocked_kinds: names of `Recommender.describe`."""

    items: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)
    blocked_kinds: set[str] = field(default_factory=set)


class Audience:
    """By id. Somebody unknown has an empty history, and no place here until a welcome, or until something is told."""

    def __init__(self) -> None:
        self._known: dict[str, Person] = {}

    @classmethod
    def of(cls, log: InteractionLog) -> Audience:
        """The people of a log."""
        found = cls()
        for user, history, times in zip(log.users, log.histories, log.times, strict=True):
            found._known[user] = Person([log.items[item] for item in history], [float(when) for when in times])
        return found

    def __contains__(self, user: str) -> bool:
        return user in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def get(self, user: str) -> Person:
        """What is known; of somebody unknown, nothing."""
        return self._known.get(user) or Person()

    def copy_of(self, user: str) -> Person:
        """What is known now: what is told of them later does not change it."""
        person = self.get(user)
        return Person(list(person.items), list(person.times), set(person.blocked), set(person.blocked_kinds))

    def welcome(self, user: str) -> None:
        """Somebody who is here now is known, though nothing is known of them yet."""
        self._person(user)

    def add(self, event: Interaction) -> None:
        """An event, in its place in time: behind those of the same moment."""
        person = self._person(event.user)
        place = bisect.bisect_right(person.times, event.timestamp)
        person.times.insert(place, event.timestamp)
        person.items.insert(place, event.item)

    def block(self, user: str, *, item: str = "", kind: str = "") -> None:
        """Never show this person an item, or any item of a kind."""
        person = self._person(user)
        person.blocked |= {item} - {""}
        person.blocked_kinds |= {kind} - {""}

    def unblock(self, user: str, *, item: str = "", kind: str = "") -> None:
        """Take a block back; of somebody unknown there is none, and they stay unknown."""
        person = self.get(user)
        person.blocked -= {item}
        person.blocked_kinds -= {kind}

    def unblock_all(self) -> None:
        """Nothing is blocked for anybody."""
        for person in self._known.values():
            person.blocked.clear()
            person.blocked_kinds.clear()

    def forget(self, user: str) -> bool:
        """Everything of a person; whether there was anything."""
        return self._known.pop(user, None) is not None

    def _person(self, user: str) -> Person:
        return self._known.setdefault(user, Person())
