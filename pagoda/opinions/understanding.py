"""From an item to one opinion for each company that it names.

The middle of the path *feed -> item -> story -> opinion of a company -> window -> alert*: whom the text names, what it
says of each with the others hidden, what happened, and the words that say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pagoda.opinions.events import EventTypes
from pagoda.opinions.linking import NameLinker
from pagoda.opinions.reading.model_files import SHIPPED
from pagoda.opinions.sentiment import SentimentModel, TargetSentiment
from pagoda.opinions.story import (
    Company,
    CompanyLinker,
    CompanySentiment,
    EventReader,
    Item,
    Mention,
    Sentiment,
    StoryOpinion,
)

_MOST_CHARACTERS = 4000
"""Of an item that are read; what stands beyond repeats what was said, or is about others."""
_CLAUSE_ENDS = ".!?;。！？；\n"


class ItemUnderstanding:
    """Reads items. Threads may share it where they may share its parts."""

    def __init__(self, linker: CompanyLinker, sentiment: CompanySentiment, events: EventReader) -> None:
        self._linker, self._sentiment, self._events = linker, sentiment, events

    def read(self, item: Item) -> list[StoryOpinion]:
        """One opinion for each company that the item names, in the order in which it names them."""
        return self.read_many([item])[0]

    def read_many(self, items: Sequence[Item]) -> list[list[StoryOpinion]]:
        """The same for several items, whose texts the model then reads together."""
        texts = [item.whole[:_MOST_CHARACTERS] for item in items]
        named = [_by_company(self._linker.link(text)) for text in texts]
        asked = [(row, company) for row, mentions in enumerate(named) for company in mentions]
        sentiments = self._sentiment.predict(
            [(texts[row], named[row][company]) for row, company in asked],
            [[m for other, found in named[row].items() if other != company for m in found] for row, company in asked],
        )
        opinions: list[list[StoryOpinion]] = [[] for _ in items]
        for (row, company), sentiment in zip(asked, sentiments, strict=True):
            opinions[row].append(self._opinion(texts[row], company, named[row][company], sentiment))
        return opinions

    def _opinion(self, text: str, company: str, mentions: list[Mention], sentiment: Sentiment) -> StoryOpinion:
        return StoryOpinion(
            company,
            sentiment.label,
            sentiment.probability,
            sentiment.words,
            self._events.of(_about(text, mentions)),
            sentiment.model_version,
            tuple(mentions),
        )


def understanding_of(companies: Sequence[Company], model: str | Path | None = SHIPPED) -> ItemUnderstanding:
    """An understanding of items about companies.

    model: folder of a trained model; None: word lists, which cost next to nothing and are right less often
    """
    sentiment = TargetSentiment(SentimentModel.load(model) if model is not None else None)
    return ItemUnderstanding(NameLinker(companies), sentiment, EventTypes())


def _by_company(mentions: Sequence[Mention]) -> dict[str, list[Mention]]:
    found: dict[str, list[Mention]] = {}
    for mention in mentions:
        found.setdefault(mention.company_id, []).append(mention)
    return found


def _about(text: str, mentions: Sequence[Mention]) -> str:
    """The sentences that name a company: what happened to others in the same text did not happen to it."""
    spans = dict.fromkeys(_sentence(text, mention) for mention in mentions)
    return " ".join(text[start:end].strip() for start, end in spans)


def _sentence(text: str, mention: Mention) -> tuple[int, int]:
    start = max((text.rfind(sign, 0, mention.start) for sign in _CLAUSE_ENDS), default=-1) + 1
    ends = [at for sign in _CLAUSE_ENDS if (at := text.find(sign, mention.end)) >= 0]
    return start, min(ends, default=len(text))
