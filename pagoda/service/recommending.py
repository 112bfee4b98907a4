"""The recommender's errands in a conversation: recommend, say why, and never again this one or this kind.

Between the dialogue and the recommender: *errand -> list or block -> paths of the graph -> sentences*. A reason is said
only where it both adds to the score and is found in the graph at that moment; what was shown is kept with the turn, so
that "why this one?" asks about that list and no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.reading.linking import named_nodes
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.turn.elsewhere import Answered, Errand
from pagoda.graph.graph import Graph
from pagoda.recommend.data.things import CatalogueItem, KindOfThing
from pagoda.recommend.desk import Desk
from pagoda.recommend.diversity import ListLimits
from pagoda.recommend.paths import ReasonPath, RecommendationGraph
from pagoda.recommend.recommendation import Reason, Recommendation
from pagoda.recommend.store import Refusal
from pagoda.service.words import ServiceWords, words_of

RECOMMENDER = "recommender"
NUM_SHOWN = 3
_MOST_REASONS, _MOST_PASTS = 8, 2
Turns = Callable[[str], Sequence[Mapping[str, Any]]]
"""Turns of a session, oldest first."""


class Recommending:
    """Does errands. user_of: whose a session is; turns: what was said in it

    Raises GraphError and RecommendStoreError as graph and store do. The dialogue apologises for the first, in a turn
    that is kept; with the second the turn is not taken, and may be said again.
    """

    def __init__(self, desk: Desk, graph: Graph, domain: Domain, user_of: Callable[[str], str], turns: Turns) -> None:
        self._desk, self._user_of, self._turns = desk, user_of, turns
        self._paths = RecommendationGraph(graph)
        finders = [intent for intent in domain.intents.values() if intent.query is not None]
        self._nodes = {intent.sought: _nodes(graph, domain, intent.sought) for intent in finders}
        self._groups = {intent.sought: _groups(domain, intent) for intent in finders}

    def __call__(self, errand: Errand) -> Answered | None:
        """What the recommender says; None where it has nothing for a search, which the graph then answers."""
        words = words_of(errand.language)
        match errand.intent:
            case "why_recommended":
                return self._why(errand, words)
            case "not_this_one" | "not_this_kind":
                return self._refuse(errand, words)
            case "recommend":
                return self._recommend(errand, words)
        answered = self._recommend(errand, words)
        return answered if answered.offered else None

    # Recommend

    def _recommend(self, errand: Errand, words: ServiceWords, before: str = "") -> Answered:
        """The best of what is talked about, the first kind of thing of the domain where that is nothing."""
        label = errand.label if errand.label in self._nodes else next(iter(self._nodes))
        known = self._nodes[label]
        limits = ListLimits(among=frozenset(known))
        found = self._desk.recommend(self._user_of(errand.session_id), NUM_SHOWN, limits=limits)
        if not found:
            return Answered("\n".join(filter(None, (before, words.none_left))), RECOMMENDER)
        lines = [
            words.item.format(
                place=place,
                name=known[one.item].name(errand.language),
                kinds=words.and_.join(_named(kind, errand.language) for kind in self._kinds(one.item)),
            )
            for place, one in enumerate(found, start=1)
        ]
        text = "\n".join(filter(None, (before, words.recommended, *lines)))
        details = {"model": self._desk.model, "items": [_told(one, known[one.item]) for one in found]}
        return Answered(text, RECOMMENDER, details, tuple(known[one.item] for one in found))

    # Why

    def _why(self, errand: Errand, words: ServiceWords) -> Answered:
        one, node = self._meant(errand)
        if node is None:
            return Answered(words.which, RECOMMENDER)
        name = node.name(errand.language)
        if one is None:
            return Answered(words.not_recommended.format(name=name), RECOMMENDER)
        user = self._user_of(errand.session_id)
        reasons, paths = self._reasons(user, one, errand.language, words)
        details = {"item": one.item, "paths": paths}
        if not reasons:
            return Answered(words.no_reason.format(name=name), RECOMMENDER, details)
        joined = ("；" if errand.language == "zh" else "; ").join(reasons)
        return Answered(words.reason.format(name=name, reasons=joined), RECOMMENDER, details)

    def _reasons(
        self, user: str, one: Recommendation, language: str, words: ServiceWords
    ) -> tuple[list[str], list[dict[str, Any]]]:
        """Sentences, and the paths of the graph that bear them; of popularity only where nothing else is to be said."""
        told, borne = [], []
        for past, paths in list(_by_past(self._paths.paths(user, one), one).items())[:_MOST_PASTS]:
            told.append(self._path_told(past, paths, language, words))
            borne += [{"past": each.past, "kind": each.kind, "people": each.people} for each in paths]
        is_popular = any(reason.kind == "popular" and reason.value > 0 for reason in one.reasons)
        if not told and is_popular and (count := self._paths.num_takers(user, one.item)):
            told.append(words.popular.format(count=count))
            borne.append({"past": "", "kind": "", "people": count})
        return told, borne

    def _path_told(self, past: str, paths: Sequence[ReasonPath], language: str, words: ServiceWords) -> str:
        kinds = {kind.id: kind for kind in self._kinds(past)}
        shared = [_named(kinds[path.kind], language) for path in paths if path.kind in kinds]
        facts = [words.shared.format(kinds=words.and_.join(shared))] if shared else []
        facts += [words.together.format(count=path.people) for path in paths if path.people]
        thing = self._desk.things[past]
        name = thing.name if language == "zh" else thing.name_en
        return words.because.format(past=name, facts=("，" if language == "zh" else ", ").join(facts))

    # Refuse

    def _refuse(self, errand: Errand, words: ServiceWords) -> Answered:
        """A block in the store and the graph, from the next list on, which is this one."""
        _, node = self._meant(errand)
        if node is None:
            return Answered(words.which, RECOMMENDER)
        user, item, name = self._user_of(errand.session_id), str(node.key), node.name(errand.language)
        kind = self._kind_meant(errand, node.label, item) if errand.intent == "not_this_kind" else None
        self._desk.block(Refusal(user, kind=kind.id) if kind is not None else Refusal(user, item=item))
        if kind is not None:
            said = words.block_kind.format(kind=_named(kind, errand.language))
        else:
            template = words.no_kind if errand.intent == "not_this_kind" else words.block_item
            said = template.format(name=name)
        answered = self._recommend(_about(errand, node.label), words, said)
        blocked = {"user": user, "item": "" if kind is not None else item, "kind": kind.id if kind is not None else ""}
        return Answered(answered.text, RECOMMENDER, {**answered.details, "blocked": blocked}, answered.offered)

    def _kind_meant(self, errand: Errand, label: str, item: str) -> KindOfThing | None:
        """The kind that the sentence names, or the item's of what the domain asks for first: a cuisine, a genre.

        A name is looked for among the kinds of the item, then of all that was shown, then of everything there is.
        """
        shown = (*self._last_shown(errand.session_id), *(str(node.key) for node in errand.shown))
        named = (
            kind
            for items in ((item,), shown, tuple(self._desk.things))
            for kind in _longest_first(kind for each in items for kind in self._kinds(each))
            if is_kind_named(kind, errand.text)
        )
        kinds = self._kinds(item)
        asked = [kind for group in self._groups[label] for kind in kinds if kind.id.startswith(f"{group}:")]
        return next(chain(named, asked, kinds), None)

    # What is meant

    def _meant(self, errand: Errand) -> tuple[Recommendation | None, NodeValue | None]:
        """The recommendation that a sentence is about and its node; the first of the last list where it names none."""
        shown = self._last_shown(errand.session_id)
        if errand.node is not None:
            return shown.get(str(errand.node.key)), errand.node
        results = [node for node in errand.shown if str(node.key) in shown] or list(errand.shown)
        if results:
            return shown.get(str(results[0].key)), results[0]
        for item, one in shown.items():
            node = next((nodes[item] for nodes in self._nodes.values() if item in nodes), None)
            return one, node
        return None, None

    def _last_shown(self, session_id: str) -> dict[str, Recommendation]:
        """The last list of a session, by item, as it was kept with its turn."""
        for turn in reversed(self._turns(session_id)):
            items = turn.get("details", {}).get("items") if turn.get("source") == RECOMMENDER else None
            if items:
                return {each["item"]: _read(each) for each in items}
        return {}

    def _kinds(self, item: str) -> tuple[KindOfThing, ...]:
        thing: CatalogueItem | None = self._desk.things.get(item)
        return thing.kinds if thing is not None else ()


def is_kind_named(kind: KindOfThing, text: str) -> bool:
    """Whether a sentence has the name of a kind; an English one in words of its own, "war" not in "towards"."""
    return kind.name in text or re.search(rf"(?<![a-z]){re.escape(kind.name_en)}(?![a-z])", text, re.I) is not None


def _longest_first(kinds: Iterable[KindOfThing]) -> list[KindOfThing]:
    """ "Hot pot" before "pot", each once."""
    return sorted({kind.id: kind for kind in kinds}.values(), key=lambda kind: -len(kind.name_en))


def _about(errand: Errand, label: str) -> Errand:
    """The same, of things of this label."""
    return Errand(errand.session_id, errand.intent, errand.text, errand.language, label, errand.shown, errand.node)


def _by_past(paths: Sequence[ReasonPath], one: Recommendation) -> dict[str, list[ReasonPath]]:
    """Paths by past thing, that of the largest contribution first."""
    grouped = {past: [path for path in paths if path.past == past] for past in one.because}
    return {past: held for past, held in grouped.items() if held}


def _named(kind: KindOfThing, language: str) -> str:
    return kind.name if language == "zh" else kind.name_en


def _told(one: Recommendation, node: NodeValue) -> dict[str, Any]:
    """As a turn keeps it, with the largest reasons."""
    largest = sorted(one.reasons, key=lambda reason: -abs(reason.value))[:_MOST_REASONS]
    reasons = [{"kind": reason.kind, "value": reason.value, "item": reason.item} for reason in largest]
    return {"item": one.item, "score": one.score, "name": node.zh, "name_en": node.en, "reasons": reasons}


def _read(told: Mapping[str, Any]) -> Recommendation:
    reasons = [Reason(each["kind"], each["value"], each["item"]) for each in told["reasons"]]
    return Recommendation(told["item"], told["score"], tuple(sorted(reasons, key=lambda reason: -reason.value)))


def _groups(domain: Domain, intent: Intent) -> list[str]:
    """Beginnings of the ids of kinds, those of the slot that is asked for first at the front."""
    return [label.lower() for slot in intent.slots for label in domain.slots[slot].labels]


def _nodes(graph: Graph, domain: Domain, label: str) -> dict[str, NodeValue]:
    """All nodes of a label by id, as results of the dialogue."""
    return {str(named.node.key): named.node for named in named_nodes(domain, graph, label)}
