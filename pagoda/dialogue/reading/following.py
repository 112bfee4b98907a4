"""Names and understanding that follow the graph: what was added while an agent runs is known a few seconds later.

Stands beside *understanding* on the turn's path. Once in `every_s` seconds the nodes of each label are counted, in one
statement (some milliseconds); labels whose count has changed are read anew, and so are all of them after
`renewed_every_s`, since a renamed node leaves the counts as they were. A thread of its own looks, and a turn waits for
it for `patience_s` at most: a graph that does not answer leaves the names as they are and costs no more than that.
Staleness in return for speed, as in any cache with a time to live.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pagoda.dialogue.errors import DomainError
from pagoda.dialogue.reading.linking import Link, Linker, Named
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.graph.errors import GraphError
from pagoda.graph.schema import quoted
from pagoda.nlu.understanding import TurnContext, Understander, Understanding

if TYPE_CHECKING:
    from pagoda.graph.graph import Graph

EVERY_S, RENEWED_EVERY_S, PATIENCE_S = 5.0, 600.0, 0.25
ReadNames = Callable[[str], Iterable[Named]]
"""From a label to its nodes with their spellings, as the graph has them now."""
logger = logging.getLogger(__name__)


class FollowingLinker(Linker):
    """A Linker that asks the one of the moment."""

    def __init__(self, current: Linker) -> None:
        self.current = current

    def __getattr__(self, name: str) -> Any:
        # Only for what an instance has and a class has not: tables of the current one.
        return getattr(self.current, name)

    def link(self, surface: str, labels: Sequence[str]) -> Link:
        """See `Linker.link`."""
        return self.current.link(surface, labels)

    def names(self, labels: Iterable[str]) -> list[str]:
        """See `Linker.names`."""
        return self.current.names(labels)

    def has_part(self, words: str, labels: Iterable[str]) -> bool:
        """See `Linker.has_part`."""
        return self.current.has_part(words, labels)

    def find(self, text: str, labels: Sequence[str]) -> list[tuple[int, int, NodeValue]]:
        """See `Linker.find`."""
        return self.current.find(text, labels)


class FollowingUnderstanding:
    """An Understander that asks the one of the moment."""

    def __init__(self, current: Understander) -> None:
        self.current = current

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """See `Understander.parse`."""
        return self.current.parse(text, context)


class Names:
    """The names of some labels, kept up to date. Threads may share it; one of them at a time looks into the graph.

    on_change: called with the new Linker after names have changed
    """

    def __init__(
        self,
        graph: Graph,
        labels: Iterable[str],
        read: ReadNames,
        *,
        every_s: float = EVERY_S,
        renewed_every_s: float = RENEWED_EVERY_S,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._graph, self._labels, self._read = graph, tuple(dict.fromkeys(labels)), read
        self._every_s, self._renewed_every_s, self._patience_s = every_s, renewed_every_s, patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._counts = self._counted()
        self._named = {label: tuple(read(label)) for label in self._labels}
        self._looked = self._renewed = clock()
        self.linker = FollowingLinker(self._linker())

    def follow(self, on_change: Callable[[Linker], None]) -> None:
        """Look whether names have come or gone, if that is due. A graph that does not answer is told to the log."""
        now = self._clock()
        if now - self._looked < self._every_s or not self._labels or not self._lock.acquire(blocking=False):
            return
        self._looked = now
        looking = threading.Thread(target=self._look, args=(now, on_change), name="pagoda-names", daemon=True)
        looking.start()
        looking.join(self._patience_s)

    def _look(self, now: float, on_change: Callable[[Linker], None]) -> None:
        """In its own thread, which gives the lock back."""
        try:
            changed = self._changed(now)
            if changed:
                self.linker.current = self._linker()
                on_change(self.linker)
        except (GraphError, DomainError) as error:
            logger.warning("the names are those of before: %s", error)
        finally:
            self._lock.release()

    def _changed(self, now: float) -> bool:
        """Reads what is due; whether any name is another."""
        counts = self._counted()
        is_renewal = now - self._renewed >= self._renewed_every_s
        due = [label for label in self._labels if is_renewal or counts.get(label) != self._counts.get(label)]
        found = {label: tuple(self._read(label)) for label in due}
        self._counts = counts
        if is_renewal:
            self._renewed = now
        changed = any(self._named[label] != named for label, named in found.items())
        self._named.update(found)
        return changed

    def _counted(self) -> Mapping[str, int]:
        """How many nodes each label has."""
        if not self._labels:
            return {}
        counts = [
            f"MATCH (n:{quoted(label)}) RETURN {row} AS label, count(n) AS num"
            for row, label in enumerate(self._labels)
        ]
        rows = self._graph.read(" UNION ALL ".join(counts), statement_id="names.counts")
        return {self._labels[row["label"]]: row["num"] for row in rows}

    def _linker(self) -> Linker:
        return Linker(named for label in self._labels for named in self._named[label])
