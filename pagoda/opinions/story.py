"""What the opinions' room hands from one part to the next: an item, the companies in it, what it says of each.

At the start of the path *feed -> item -> story -> opinion of a company -> window -> alert*. The stream (connectors,
storage, windows, alerts) makes `Item`s and keeps `StoryOpinion`s; the understanding turns one into the other through
the protocols below. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from pagoda.language import Language

Label = Literal["positive", "neutral", "negative"]
"""What an opinion of a company may be."""
LABELS: tuple[Label, ...] = ("positive", "neutral", "negative")
EncoderName = Literal["minilm", "multilingual"]
"""A network that can be tuned to read texts."""
Encoder = Literal["auto", "minilm", "multilingual", "none"]
"""Which of them is tuned; "auto": MiniLM for English, for Chinese the multilingual one where it is installed."""


@dataclass(frozen=True, slots=True)
class Item:
    """One article or post as a connector gives it.

    source, id: together its key; published, fetched: aware, in UTC; language: of title and text
    """

    source: str
    id: str
    published: datetime
    fetched: datetime
    title: str
    text: str = ""
    url: str = ""
    language: Language = "en"

    @property
    def whole(self) -> str:
        """Title and text as one: the text that spans of mentions and words count in."""
        return f"{self.title}\n{self.text}" if self.text else self.title


@dataclass(frozen=True, slots=True)
class Company:
    """One row of the user's list. names: the first is shown, all are looked for; codes: such as 600519.SH or TSLA.

    context: words that stand near a name where it means this company
    """

    id: str
    names: tuple[str, ...]
    codes: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    country: str = ""
    industry: str = ""


@dataclass(frozen=True, slots=True)
class Mention:
    """A company at [start, end) of a text, in characters. probability: that these characters mean it, 0 to 1."""

    company_id: str
    start: int
    end: int
    surface: str
    probability: float


@dataclass(frozen=True, slots=True)
class OpinionWord:
    """A word at [start, end) of a text, in characters. weight: how much of the label's log-odds it carried."""

    start: int
    end: int
    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class EventGuess:
    """Something that happened to a company. type: a name of `events.event_types()`; probability: 0 to 1."""

    type: str
    probability: float


@dataclass(frozen=True, slots=True)
class Sentiment:
    """What a text says of one company. probability: calibrated, of the label; words: the heaviest first."""

    label: Label
    probability: float
    words: tuple[OpinionWord, ...]
    model_version: str


@dataclass(frozen=True, slots=True)
class StoryOpinion:
    """What an item says of one company that it names; spans count in `Item.whole`."""

    company_id: str
    label: Label
    probability: float
    words: tuple[OpinionWord, ...]
    events: tuple[EventGuess, ...]
    model_version: str
    mentions: tuple[Mention, ...] = ()


@runtime_checkable
class CompanyLinker(Protocol):
    """Finds companies in a text: `linking.NameLinker`."""

    def link(self, text: str) -> list[Mention]:
        """Mentions that are sure enough, in the order of the text; none overlap."""


@runtime_checkable
class CompanySentiment(Protocol):
    """Says what texts say of companies: `sentiment.TargetSentiment`."""

    def predict(
        self, about: Sequence[tuple[str, Sequence[Mention]]], others: Sequence[Sequence[Mention]] = ()
    ) -> list[Sentiment]:
        """One sentiment for each (text, mentions of the company in it); others: mentions of other companies there."""


@runtime_checkable
class EventReader(Protocol):
    """Names events in a text: `events.EventTypes`."""

    def of(self, text: str) -> tuple[EventGuess, ...]:
        """Events, the surest first; none is common."""


@runtime_checkable
class StoryGrouping(Protocol):
    """Groups reprints: `duplicates.StoryIndex`."""

    def restore(self, rows: Iterable[tuple[Item, str]]) -> None:
        """Take up what was assigned before a restart: (item, story id), in the order in which it was assigned."""

    def assign(self, item: Item) -> str:
        """The id of the story that the item tells; a new one where nobody told it in the last 72 hours."""


@runtime_checkable
class ItemReader(Protocol):
    """From an item to opinions: `understanding.Understanding`."""

    def read(self, item: Item) -> list[StoryOpinion]:
        """One opinion for each company that the item names."""
