"""Features of a sentence and of the values in it, for telling which acts they are.

First station of a turn, *sentence -> acts*. Values are written as what they may be ("<餐馆.名称>"), so that what is
learnt of one name holds for all. What stands before a word, or else the dialogue, says which domain it speaks of: this
domain is crossed with the character n-grams (character n-grams as in Joulin et al. 2017, arXiv 1607.01759).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from crosswoz.context import ActContext
from crosswoz.ontology import ActOntology
from crosswoz.values import Mention, folded

_REACH = 6
"""Tokens on each side of a value that count as its neighbours."""


@dataclass(frozen=True)
class Sentence:
    """tokens: characters, and one token for each value; places: token of each mention; spoken: the domain that each
    token stands in"""

    tokens: tuple[str, ...]
    places: tuple[int, ...]
    spoken: tuple[str, ...]


class ActFeatures:
    """Features as short texts, to be hashed."""

    def __init__(self, ontology: ActOntology) -> None:
        self._ontology = ontology
        self._words = sorted(
            ((folded(word), domain) for domain, words in ontology.domains.items() for word in (domain, *words)),
            key=lambda pair: -len(pair[0]),
        )

    def sentence(self, text: str, mentions: Sequence[Mention], context: ActContext) -> Sentence:
        """Tokens of the text with the domain that each speaks of."""
        plain, waiting = folded(text), {mention.start: mention for mention in mentions}
        tokens: list[str] = []
        places: list[int] = []
        spoken: list[str] = []
        domain, at = context.domain, 0
        while at < len(plain):
            mention = waiting.get(at)
            if mention is not None:
                domain = self._domain_of(text[at : mention.end], mention, context) or domain
                places.append(len(tokens))
                tokens.append(self.kind(mention))
            else:
                domain = next((name for word, name in self._words if plain.startswith(word, at)), domain)
                tokens.append("#" if plain[at].isdigit() else plain[at])
            spoken.append(domain)
            at = mention.end if mention is not None else at + 1
        return Sentence(tuple(tokens), tuple(places), tuple(spoken))

    def of_sentence(self, sentence: Sentence, context: ActContext) -> list[str]:
        """For the acts that have no value in the sentence."""
        spoken = (context.domain, *sentence.spoken, sentence.spoken[-1] if sentence.spoken else context.domain)
        listed = self._listed(context)
        features = [
            "1",
            *self._of_context(context),
            *self._grams(("<", *sentence.tokens, ">"), spoken, context, listed),
        ]
        features += [f"{domain}~{shown}" for shown in listed for domain in dict.fromkeys(sentence.spoken)]
        order = [domain for index, domain in enumerate(spoken) if not index or spoken[index - 1] != domain]
        features += [f"path {a}>{b}" for a, b in pairwise(order)]
        return list(dict.fromkeys(features))

    def _grams(
        self, tokens: Sequence[str], spoken: Sequence[str], context: ActContext, listed: Sequence[str]
    ) -> Iterator[str]:
        """n-grams, alone and crossed with what they may speak of."""
        for size in (1, 2, 3, 4):
            for start in range(len(tokens) - size + 1):
                gram = "".join(tokens[start : start + size])
                yield gram
                if size == 2:
                    yield from (f"{gram}~{shown}" for shown in listed)
                if size in (2, 3):
                    yield f"{gram}@{spoken[start + size - 1]}"
                    yield f"{gram}&{context.domain}"

    def of_mention(self, sentence: Sentence, mentions: Sequence[Mention], index: int, context: ActContext) -> list[str]:
        """For what one value of the sentence is."""
        place, mention = sentence.places[index], mentions[index]
        kind, value = self.kind(mention), next(iter(mention.values.values()))
        before = sentence.spoken[place - 1] if place else context.domain
        features = ["1", "k" + kind, f"k{kind}@{before}", f"k{kind}&{context.domain}"]
        features += [f"seen {context.seen.get(value, '')}", f"seen {context.seen.get(value, '')} {kind}"]
        features += [f"was {act} {domain} {slot}" for act, domain, slot, said in context.system_acts if said == value]
        features += self._neighbours(sentence, place, kind, before)
        features += [
            f"n{other}" for other in (self._near(mentions, index - 1, "<"), self._near(mentions, index + 1, ">"))
        ]
        features += [f"{index} {kind}", f"of {len(mentions)} {kind}"]
        return list(dict.fromkeys([*features, *self._bag(sentence, place, kind), *self._of_context(context)]))

    def kind(self, mention: Mention) -> str:
        """What a value may be, as one token: "<餐馆.名称>"; places that take every name are left out."""
        slots = [f"{d}.{s}" for d, s in mention.values if s not in self._ontology.places.get(d, ())]
        return f"<{mention.quantity}>" if mention.quantity else "<" + "|".join(sorted(slots)) + ">"

    def _domain_of(self, said: str, mention: Mention, context: ActContext) -> str:
        """Of a name that belongs to one domain, or that the system gave as one."""
        domains = {domain for domain, slot in mention.values if slot == self._ontology.name}
        return domains.pop() if len(domains) == 1 else context.seen.get(said, "")

    def _of_context(self, context: ActContext) -> Iterator[str]:
        yield f"domain {context.domain}"
        if context.is_first:
            yield "first"
        kinds = dict.fromkeys((act, domain, slot) for act, domain, slot, _ in context.system_acts)
        yield from (f"sys {act} {domain} {slot}" for act, domain, slot in kinds)

    def _listed(self, context: ActContext) -> list[str]:
        """What the system has just listed beside an entity, which "which of these" speaks of."""
        shown = ((domain, slot) for _, domain, slot, _ in context.system_acts if slot in self._ontology.relations)
        return [f"{domain}.{slot}" for domain, slot in dict.fromkeys(shown)]

    def _neighbours(self, sentence: Sentence, place: int, kind: str, domain: str) -> Iterator[str]:
        left = ["<", *sentence.tokens[max(0, place - _REACH) : place]]
        right = [*sentence.tokens[place + 1 : place + 1 + _REACH], ">"]
        for size in (1, 2, 3, 4):
            for side, tokens in (("l", left[-size:]), ("r", right[:size])):
                gram = "".join(tokens)
                yield f"{side}{gram}"
                yield f"{side}{gram} {kind}"
                yield f"{side}{gram}@{domain}"
        for side, tokens in (("L", left), ("R", right)):
            yield from (f"{side}{a}{b}" for a, b in pairwise(tokens))
            yield from (f"{side}{a}{b} {kind}" for a, b in pairwise(tokens))

    def _bag(self, sentence: Sentence, place: int, kind: str) -> Iterator[str]:
        """The whole sentence, as the value's kind sees it; after it and before it apart."""
        for index, (a, b) in enumerate(pairwise(sentence.tokens)):
            yield f"b{a}{b} {kind}"
            yield f"{'b' if index < place else 'a'}:{a}{b}"
        first, last = sentence.spoken[0], sentence.spoken[-1]
        yield f"ends {first} {last} {kind}"
        after = next((domain for domain in sentence.spoken[place:] if domain != sentence.spoken[place]), "")
        yield f"then {after} {kind}"

    def _near(self, mentions: Sequence[Mention], index: int, edge: str) -> str:
        return self.kind(mentions[index]) if 0 <= index < len(mentions) else edge
