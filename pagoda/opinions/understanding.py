"""From an item to one opinion for each company that it names.

The middle of the path *feed -> item -> story -> opinion of a company -> window -> alert*: whom the text names, what it
says of each with the others hidden, what happened, and the words that say so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pagoda.opinions.events import EventTypes
from pagoda.opinions.linking import NameLinker
from pagoda.opinions.reading.marked import TARGET
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
_SENTENCE_END = re.compile(
    r"[!?;。！？；\n]|(?<!\b[A-Z])(?<!\bInc)(?<!\bLtd)(?<!\bCorp)(?<!\bCo)(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bRs)"
    r"(?<!\bNo)(?<!\bvs)\.(?=\s|$)"
)
"""A point inside a figure or a name (56.3, Amazon.com) and behind an initial or a legal form ends nothing."""


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
    """The sentences that name a company, with TARGET for its name: what happened to others in the same text did not
    happen to it, and what it is called (Sebi, Fire & Co) did not happen at all."""
    spans = dict.fromkeys(_sentence(text, mention) for mention in mentions)
    return " ".join(_without_name(text, span, mentions).strip() for span in spans)


def _without_name(text: str, span: tuple[int, int], mentions: Sequence[Mention]) -> str:
    at, end = span
    parts = []
    for mention in sorted(mentions, key=lambda each: each.start):
        if at <= mention.start and mention.end <= end:
            parts += [text[at : mention.start], TARGET]
            at = mention.end
    return "".join([*parts, text[at:end]])


def _sentence(text: str, mention: Mention) -> tuple[int, int]:
    ends = [match.end() for match in _SENTENCE_END.finditer(text, 0, mention.start)]
    after = _SENTENCE_END.search(text, mention.end)
    return (ends[-1] if ends else 0), (after.start() if after else len(text))
