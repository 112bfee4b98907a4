"""Names in a sentence become nodes of the graph: exact, by alias, by what they share; close ones are asked about.

Stands between *understanding* and *events* on the turn's path. Overlap is Dice's coefficient over character bigrams
(Dice 1945; for names Kondrak 2005), which needs no words and so serves Chinese and English alike; single letters typed
wrong are caught by the ratio of Ratcliff and Obershelp on the best few.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pagoda.dialogue.cypher.queries import NAMES_AT_ONCE, compile_names, node_of
from pagoda.dialogue.reading.places import longest
from pagoda.dialogue.slots.kinds import NodeValue, texts_of
from pagoda.dialogue.slots.said import folded
from pagoda.graph.statement import KEY, NAME

if TYPE_CHECKING:
    from pagoda.dialogue.domain.domain import Domain
    from pagoda.graph.graph import Graph

How = Literal["exact", "alias", "overlap", "close", "unknown"]
SURE, POSSIBLE, MARGIN, LEAST_RATIO = 0.75, 0.45, 0.12, 0.6
_Table = Mapping[str, Mapping[str, Sequence[NodeValue]]]
MAX_CANDIDATES, _SHORTLIST = 5, 40
# Words around a name that are not the name.
_AROUND = re.compile(
    r"^(?:在|去|到|离|靠近|靠|想吃|吃|来点|来个|the |a |an |some |near(?:by)? (?:the )?|in |at |around |close to |by )"
    r"|(?:附近|旁边|周边|周围|那边|这边|一带|那儿|那里|里面|边上|吧|呢|的|一点"
    r"| area| district| food| cuisine| please| one)$",
    re.IGNORECASE,
)
_NO_LETTER = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Named:
    """A node with all its spellings; the first ones are its names, the others aliases."""

    node: NodeValue
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """What a name may mean, best first. how: "close" asks the person which of the nodes; "unknown" has none."""

    how: How
    nodes: tuple[NodeValue, ...] = ()

    @property
    def node(self) -> NodeValue | None:
        """The one that is meant, None where nobody can tell."""
        return self.nodes[0] if self.how in ("exact", "alias", "overlap") else None


class Linker:
    """Finds nodes by what people call them. Made once from the graph; never changed."""

    def __init__(self, named: Iterable[Named]) -> None:
        self._exact: dict[str, dict[str, list[NodeValue]]] = defaultdict(lambda: defaultdict(list))
        self._alias: dict[str, dict[str, list[NodeValue]]] = defaultdict(lambda: defaultdict(list))
        self._spellings: dict[str, list[tuple[str, NodeValue]]] = defaultdict(list)
        self._by_bigram: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        self._surfaces: dict[str, list[str]] = defaultdict(list)
        self._by_key: dict[str, dict[str, NodeValue]] = defaultdict(dict)
        self._tables: tuple[tuple[_Table, How], ...] = ((self._exact, "exact"), (self._alias, "alias"))
        for each in named:
            self._add(each)
        self._spelled = {label: "\n".join(surfaces).lower() for label, surfaces in self._surfaces.items()}

    @classmethod
    def from_graph(cls, domain: Domain, graph: Graph) -> Linker:
        """Reads the names of every label that a slot looks in or a query looks for. Raises what the graph does."""
        return cls(named for label in linked_labels(domain) for named in named_nodes(domain, graph, label))

    def link(self, surface: str, labels: Sequence[str]) -> Link:
        """The nodes of these labels that a name means."""
        for form in _forms(surface):
            for table, how in self._tables:
                found = _unique(node for label in labels for node in table.get(label, {}).get(form, ()))
                if found:
                    return Link(how if len(found) == 1 else "close", found[:MAX_CANDIDATES])
        return self._by_overlap(surface, labels)

    def names(self, labels: Iterable[str]) -> list[str]:
        """All spellings of these labels' nodes, as a lexicon for understanding."""
        return [surface for label in labels for surface in self._surfaces[label]]

    def by_key(self, label: str) -> Mapping[str, NodeValue]:
        """A label's nodes by their keys, as strings."""
        return self._by_key.get(label, {})

    def has_part(self, words: str, labels: Iterable[str]) -> bool:
        """Whether words stand in some spelling of these labels' nodes, however written."""
        return any(words.lower() in self._spelled.get(label, "") for label in labels)

    def has_end(self, words: str, labels: Iterable[str]) -> bool:
        """Whether some spelling of these labels' nodes ends with words, however written: a Chinese name's own noun."""
        return any(f"{words.lower()}\n" in f"{self._spelled.get(label, '')}\n" for label in labels)

    def find(self, text: str, labels: Sequence[str]) -> list[tuple[int, int, NodeValue]]:
        """(start, end, node) of names that stand in a text, the longest first of those that overlap.

        text: folded, in lower case. English spellings stand as whole words.
        """
        hits = []
        for label in labels:
            for surface, node in zip(self._surfaces[label], self._nodes(label), strict=True):
                hits += [(start, start + len(surface), node) for start in _places(surface.lower(), text)]
        return longest(hits, lambda hit: hit[:2])

    def _nodes(self, label: str) -> list[NodeValue]:
        return [node for _, node in self._spellings[label]]

    def _add(self, named: Named) -> None:
        label = named.node.label
        self._by_key[label][str(named.node.key)] = named.node
        for number, surface in enumerate((named.node.zh, named.node.en, *named.aliases)):
            form = _form(folded(surface))
            if not form:
                continue
            (self._exact if number < 2 else self._alias)[label][form].append(named.node)
            for bigram in _bigrams(form):
                self._by_bigram[label][bigram].add(len(self._spellings[label]))
            self._spellings[label].append((form, named.node))
            self._surfaces[label].append(surface)

    def _by_overlap(self, surface: str, labels: Sequence[str]) -> Link:
        best: dict[NodeValue, float] = {}
        for form in _forms(surface):
            for label in labels:
                for row in self._shortlist(form, label):
                    spelling, node = self._spellings[label][row]
                    best[node] = max(best.get(node, 0.0), similarity(form, spelling))
        ranked = sorted(best.items(), key=lambda pair: (-pair[1], str(pair[0].key)))
        possible = [(node, score) for node, score in ranked if score >= POSSIBLE]
        if not possible:
            return Link("unknown")
        second = possible[1][1] if len(possible) > 1 else 0.0
        if possible[0][1] >= SURE and possible[0][1] - second >= MARGIN:
            return Link("overlap", (possible[0][0],))
        return Link("close", tuple(node for node, _ in possible[:MAX_CANDIDATES]))

    def _shortlist(self, form: str, label: str) -> list[int]:
        shared: Counter[int] = Counter()
        for bigram in _bigrams(form):
            shared.update(self._by_bigram[label].get(bigram, ()))
        return [row for row, _ in shared.most_common(_SHORTLIST)]


def similarity(one: str, other: str) -> float:
    """0 to 1: shared bigrams, shared runs, and at least .8 where one of two letters or more begins the other.

    >>> similarity("sichaun", "sichuan") > 0.75, similarity("青瓦", "青瓦小馆"), similarity("川菜", "粤菜") < 0.6
    (True, 0.8, True)
    """
    first, second = _bigrams(one), _bigrams(other)
    shared = sum((first & second).values())
    dice = 2 * shared / max(1, sum(first.values()) + sum(second.values()))
    ratio = difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() if len(one) > 3 else 0.0
    # Letters that happen to stand in the same order are no name typed wrong.
    ratio = ratio if ratio >= LEAST_RATIO else 0.0
    short, long = sorted((one, other), key=len)
    is_part = len(short) >= 2 and long.startswith(short) and (not short.isascii() or len(short) >= 4)
    return max(dice, ratio, 0.8 if is_part else 0.0)


def linked_labels(domain: Domain) -> tuple[str, ...]:
    """The labels that some slot looks in or some query looks for."""
    wanted = dict.fromkeys(label for slot in domain.slots.values() for label in slot.labels)
    wanted |= dict.fromkeys(intent.query.label for intent in domain.intents.values() if intent.query is not None)
    return tuple(wanted)


def named_nodes(domain: Domain, graph: Graph, label: str) -> Iterator[Named]:
    """A label's nodes with their spellings; one without a key can be no slot's value. Raises what the graph does."""
    schema, passed = graph.schema(), 0
    while True:
        statement = compile_names(domain, label, schema, passed)
        rows = graph.read(statement.text, statement.parameters, statement_id=statement.statement_id)
        yield from (Named(node_of(row, label), _aliases(row)) for row in rows if row[KEY] is not None)
        passed += len(rows)
        if len(rows) < NAMES_AT_ONCE:
            return


def _aliases(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Aliases, and what a list of names has beside its first."""
    names = [spelling for held in (row.get(f"{NAME}_zh"), row.get(f"{NAME}_en")) for spelling in texts_of(held)[1:]]
    return (*names, *texts_of(row.get("aliases")))


def _forms(surface: str) -> list[str]:
    """The name as it was said, and without the words around it."""
    surface = folded(surface)
    stripped, before = surface.strip(), ""
    while stripped != before:
        before, stripped = stripped, _AROUND.sub("", stripped).strip()
    forms = [_form(surface), _form(stripped), *(_form(single) for single in _singular(stripped))]
    return list(dict.fromkeys(form for form in forms if form))


def _singular(surface: str) -> list[str]:
    """Comedies are found as comedy, dramas as drama."""
    if surface.isascii() and surface.lower().endswith("ies"):
        return [surface[:-3] + "y"]
    return [surface[:-1]] if surface.isascii() and len(surface) > 3 and surface.lower().endswith("s") else []


def _form(surface: str) -> str:
    """What is compared of a folded name: its letters and digits alone."""
    return _NO_LETTER.sub("", surface.lower())


def _bigrams(form: str) -> Counter[str]:
    return Counter(form[row : row + 2] for row in range(len(form) - 1)) if len(form) > 1 else Counter([form])


def _places(surface: str, text: str) -> list[int]:
    # Most names stand nowhere in the text: a search without a pattern is far cheaper.
    if not surface or surface not in text:
        return []
    pattern = re.escape(surface)
    if surface.isascii():
        pattern = rf"(?<![a-z0-9]){pattern}(?=s?(?![a-z0-9]))"
    elif surface[0].isdigit():
        # 2小时 does not stand in 12小时.
        pattern = rf"(?<![0-9.]){pattern}"
    return [match.start() for match in re.finditer(pattern, text)]


def _unique(nodes: Iterable[NodeValue]) -> tuple[NodeValue, ...]:
    return tuple(dict.fromkeys(nodes))
