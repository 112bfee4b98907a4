"""The recommender's errands in a conversation: recommend, say why, and never again this one or this kind.

Between the dialogue and the recommender: *errand -> list or block -> sentences*. Why something was shown, and what is
never to be shown again, are the recommender's to know and the graph's to bear (`recommend.desk`); that it was
recommended in this conversation stands in its turns. Which sentence is about which of it is told here, and how it is
said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import Intent
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.turn.elsewhere import Answered, Errand
from pagoda.nlu.understanding import Understanding
from pagoda.recommend.data.things import CatalogueItem, KindOfThing
from pagoda.recommend.desk import Desk
from pagoda.recommend.diversity import ListLimits
from pagoda.recommend.paths import ReasonPath, Why
from pagoda.recommend.recommendation import Recommendation
from pagoda.recommend.store import Refusal
from pagoda.service.refusals import Refusals, Unwanted, is_asked
from pagoda.service.words import ServiceWords, words_of

RECOMMENDER = "recommender"
NUM_SHOWN = 3
_MOST_REASONS, _MOST_PASTS = 8, 2
_WHY, _NOT_ONE, _NOT_KIND, _RECOMMEND = "why_recommended", "not_this_one", "not_this_kind", "recommend"


class Recommending:
    """Does errands.

    nodes_of: the nodes of a label by their keys, now: what is shown can be talked about in the next sentence
    user_of: whose a session is; turns_of: what was said in it, with the `details` of each turn

    Raises GraphError and RecommendStoreError as graph and store do. The dialogue apologises for the first, in a turn
    that is kept; with the second the turn is not taken, and may be said again.
    """

    def __init__(
        self,
        desk: Desk,
        nodes_of: Callable[[str], Mapping[str, NodeValue]],
        domain: Domain,
        user_of: Callable[[str], str],
        turns_of: Callable[[str], Sequence[Mapping[str, Any]]],
    ) -> None:
        self._desk, self._nodes_of, self._user_of, self._turns_of = desk, nodes_of, user_of, turns_of
        finders = [intent for intent in domain.intents.values() if intent.query is not None]
        self._groups = {intent.sought: _groups(domain, intent) for intent in finders}
        self._last_refusals = _refusals_of(desk.things)

    @property
    def _refusals(self) -> Refusals:
        """Of the kinds that there are now: a training may bring others."""
        things = self._desk.things
        if self._last_refusals[0] is not things:
            self._last_refusals = _refusals_of(things)
        return self._last_refusals[1]

    def __call__(self, errand: Errand) -> Answered | None:
        """What the recommender says; None where it has nothing for a search, which the graph then answers."""
        words = words_of(errand.language)
        if errand.is_beyond and errand.shown and errand.intent != _RECOMMEND:
            return Answered(words.no_such.format(count=len(errand.shown)), RECOMMENDER)
        if errand.intent == _WHY:
            return self._why(errand, words)
        if errand.intent in (_NOT_ONE, _NOT_KIND):
            return self._refuse(errand, words)
        answered = self._recommend(errand, words)
        return answered if answered.offered or errand.intent == _RECOMMEND else None

    def claims(self, errand: Errand, read: Understanding) -> str:
        """The intent of a sentence that refuses by number or kind, whatever it was read as; "" for another sentence.

        A kind that is named without a list that was recommended is left out of a search, and blocked only for good.
        """
        refused = self._refusals.of(errand.text, errand.shown, read.slots)
        if not refused or not refused.is_only or self._is_asked(errand):
            return ""
        if refused.rows:
            return _NOT_ONE
        is_for_good = self._refusals.is_for_good(errand.text)
        return _NOT_KIND if is_for_good or (errand.shown and self._recommended(errand) == errand.shown) else ""

    def _is_asked(self, errand: Errand) -> bool:
        return is_asked(errand.text, is_for_good=self._refusals.is_for_good(errand.text))

    # Recommend

    def _recommend(self, errand: Errand, words: ServiceWords, before: str = "") -> Answered:
        """The best of what is talked about, the first kind of thing of the domain where that is nothing."""
        label = errand.label if errand.label in self._groups else next(iter(self._groups))
        known, user = self._nodes_of(label), self._user_of(errand.session_id)
        self._desk.welcome(user)
        found = self._desk.recommend(user, NUM_SHOWN, limits=ListLimits(among=frozenset(known)))
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
        node = self._meant(errand)
        if node is None:
            return Answered(words.which, RECOMMENDER)
        name, user, item = node.name(errand.language), self._user_of(errand.session_id), str(node.key)
        # What a search found may have been recommended in another conversation, which is not what is asked about.
        if not any(item in listed for listed in self._lists(errand)):
            return Answered(words.not_recommended.format(name=name), RECOMMENDER)
        why = self._desk.why(user, item)
        if why is None:
            return Answered(words.no_reason.format(name=name), RECOMMENDER, {"item": item, "paths": []})
        reasons, paths = self._reasons(why, errand.language, words)
        details = {"item": why.recommendation.item, "paths": paths}
        if not reasons:
            return Answered(words.no_reason.format(name=name), RECOMMENDER, details)
        joined = ("；" if errand.language == "zh" else "; ").join(reasons)
        return Answered(words.reason.format(name=name, reasons=joined), RECOMMENDER, details)

    def _reasons(self, why: Why, language: str, words: ServiceWords) -> tuple[list[str], list[dict[str, Any]]]:
        """Sentences, and the paths of the graph that bear them; of popularity only where nothing else is to be said."""
        told, borne = [], []
        for past, paths in list(_by_past(why).items())[:_MOST_PASTS]:
            told.append(self._path_told(past, paths, language, words))
            borne += [{"past": each.past, "kind": each.kind, "people": each.people} for each in paths]
        is_popular = any(reason.kind == "popular" and reason.value > 0 for reason in why.recommendation.reasons)
        if not told and is_popular and why.takers:
            told.append(words.popular.format(count=why.takers))
            borne.append({"past": "", "kind": "", "people": why.takers})
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

    def _refuse(self, errand: Errand, words: ServiceWords) -> Answered | None:
        """Blocks in the store and the graph, from the next list on, which is this one.

        None where a reader took for a refusal what names a row and does not refuse it: "keep the second one".
        """
        refused = self._refusals.of(errand.text, errand.shown)
        if self._is_asked(errand) if refused.rows else refused.wants_row and not refused:
            return None
        node = self._meant(errand)
        if refused.rows:
            nodes = [errand.shown[row] for row in refused.rows]
            blocks = [(self._not_again(errand, each), self._told_item(each, errand, words)) for each in nodes]
        elif refused.kinds:
            blocks = [(self._no_more(errand, kind), _told_kind(kind, errand, words)) for kind in refused.kinds]
        elif node is None:
            return Answered(words.which, RECOMMENDER)
        else:
            blocks = [self._refuse_meant(errand, node, words)]
        label = self._label_of(refused, node, errand)
        answered = self._recommend(replace(errand, label=label), words, "\n".join(said for _, said in blocks))
        blocked = [{"user": one.user, "item": one.item, "kind": one.kind} for one, _ in blocks]
        return Answered(answered.text, RECOMMENDER, {**answered.details, "blocked": blocked}, answered.offered)

    def _refuse_meant(self, errand: Errand, node: NodeValue, words: ServiceWords) -> tuple[Refusal, str]:
        """ "Not this one", "not this kind": of what is talked about; the kind is what the domain asks for first."""
        if errand.intent != _NOT_KIND:
            return self._not_again(errand, node), self._told_item(node, errand, words)
        kinds = self._kinds(str(node.key))
        asked = [kind for group in self._groups[node.label] for kind in kinds if kind.id.startswith(f"{group}:")]
        kind = next(chain(asked, kinds), None)
        if kind is None:
            return self._not_again(errand, node), words.no_kind.format(name=node.name(errand.language))
        return self._not_again(errand, node, kind), _told_kind(kind, errand, words)

    def _not_again(self, errand: Errand, node: NodeValue, kind: KindOfThing | None = None) -> Refusal:
        user = self._user_of(errand.session_id)
        return self._desk.not_again(user, str(node.key), kind.id if kind is not None else "")

    def _no_more(self, errand: Errand, kind: KindOfThing) -> Refusal:
        """A kind that is named, whether or not something of it was shown."""
        refusal = Refusal(self._user_of(errand.session_id), kind=kind.id)
        self._desk.block(refusal)
        return refusal

    def _told_item(self, node: NodeValue, errand: Errand, words: ServiceWords) -> str:
        return words.block_item.format(name=node.name(errand.language))

    def _label_of(self, refused: Unwanted, node: NodeValue | None, errand: Errand) -> str:
        """What to recommend instead: of the sort that is talked about, where it has the kinds at all."""
        label = errand.label or (node.label if node is not None else "")
        if refused.rows or not refused.kinds or self._has(label, refused.kinds[0]):
            return label
        return next((other for other in self._groups if self._has(other, refused.kinds[0])), label)

    def _has(self, label: str, kind: KindOfThing) -> bool:
        return any(kind in self._kinds(item) for item in self._nodes_of(label))

    # What is meant

    def _meant(self, errand: Errand) -> NodeValue | None:
        """What a sentence is about; the first of the last list where it names none."""
        if errand.node is not None:
            return errand.node
        return next(iter((*self._recommended(errand), *errand.shown)), None)

    def _recommended(self, errand: Errand) -> tuple[NodeValue, ...]:
        """Of the last list of this conversation, what is on the table; all of it where nothing is."""
        last = next(reversed(self._lists(errand)), [])
        if errand.shown:
            return tuple(node for node in errand.shown if str(node.key) in last)
        known = [self._nodes_of(label) for label in self._groups]
        held = (nodes[item] for item in last for nodes in known if item in nodes)
        return tuple(held)

    def _lists(self, errand: Errand) -> list[list[str]]:
        """Ids of what was recommended in this conversation, list by list, whoever it was then taken for."""
        told = (turn["details"].get("items", ()) for turn in self._turns_of(errand.session_id))
        return [[one["item"] for one in items] for items in told if items]

    def _kinds(self, item: str) -> tuple[KindOfThing, ...]:
        thing: CatalogueItem | None = self._desk.things.get(item)
        return thing.kinds if thing is not None else ()


def _refusals_of(things: Mapping[str, CatalogueItem]) -> tuple[Mapping[str, CatalogueItem], Refusals]:
    kinds = {kind.id: kind for thing in things.values() for kind in thing.kinds}
    return things, Refusals(kinds.values())


def _told_kind(kind: KindOfThing, errand: Errand, words: ServiceWords) -> str:
    return words.block_kind.format(kind=_named(kind, errand.language))


def _by_past(why: Why) -> dict[str, list[ReasonPath]]:
    """Paths by past thing, that of the largest contribution first."""
    grouped = {past: [path for path in why.paths if path.past == past] for past in why.recommendation.because}
    return {past: held for past, held in grouped.items() if held}


def _named(kind: KindOfThing, language: str) -> str:
    return kind.name if language == "zh" else kind.name_en


def _told(one: Recommendation, node: NodeValue) -> dict[str, Any]:
    """As a turn keeps it, with the largest reasons."""
    largest = sorted(one.reasons, key=lambda reason: -abs(reason.value))[:_MOST_REASONS]
    reasons = [{"kind": reason.kind, "value": reason.value, "item": reason.item} for reason in largest]
    return {"item": one.item, "score": one.score, "name": node.zh, "name_en": node.en, "reasons": reasons}


def _groups(domain: Domain, intent: Intent) -> list[str]:
    """Beginnings of the ids of kinds, those of the slot that is asked for first at the front."""
    return [label.lower() for slot in intent.slots for label in domain.slots[slot].labels]
