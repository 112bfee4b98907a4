"""What a sentence refuses by its number or by its kind: "no more Sichuan please", 不要第二个, 别再推荐川菜.

Before an errand of the recommender's: *sentence -> what is refused*. A reader that learned sentences cannot have
learned every name: kinds are those of the things in the graph, numbers those of the list on the table, and whether they
are refused is what `reading.polarity` says of any value. Without a list that was recommended, "no Sichuan" is a wish of
a search, unless it is said to be for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pagoda.dialogue.reading.acts import choices_in
from pagoda.dialogue.reading.polarity import roles
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.slots.said import folded
from pagoda.dialogue.state.tasks import index_of_rank, row_of
from pagoda.nlu.understanding import SlotValue
from pagoda.recommend.data.things import KindOfThing

_FOR_GOOD = re.compile(
    r"(?:不要|别|不用|不必|不想|甭|莫|少)[^，,。！!]{0,4}?(?:再|推荐|推|给我看|出现)|以后|今后|永远|从此|屏蔽|拉黑"
    r"|\b(?:never|not|stop|quit|n['’]t|dont)\b[^,.;!]*\b(?:again|any ?more|recommend\w*|suggest\w*|show\w*)\b"
    r"|n['’]t\b[^,.;!]*\b(?:again|any ?more|recommend\w*|suggest\w*|show\w*)\b"
    r"|\bno more\b|\bnever again\b|\bfrom now on\b|\bhide\b|\bblock\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Unwanted:
    """rows: of the list on the table; kinds: that are named; is_only: the sentence names nothing that is wanted."""

    rows: tuple[int, ...] = ()
    kinds: tuple[KindOfThing, ...] = ()
    is_only: bool = True

    def __bool__(self) -> bool:
        return bool(self.rows or self.kinds)


class Refusals:
    """kinds: of all things that may be recommended, each once"""

    def __init__(self, kinds: Iterable[KindOfThing]) -> None:
        # "Hot pot" before "pot".
        self._kinds = sorted(kinds, key=lambda kind: -len(kind.name_en))

    def of(self, text: str, shown: Sequence[NodeValue], others: Sequence[SlotValue] = ()) -> Unwanted:
        """What is refused of the list `shown` and of all kinds. others: what a reader found in the sentence besides."""
        plain = folded(text)
        named = [*choices_in(plain), *self._named(plain)]
        spans = sorted(((start, end, what) for start, end, what in named), key=lambda each: each[:2])
        told = roles(plain, [("named", start, end) for start, end, _ in spans])
        refused = [what for (_, _, what), role in zip(spans, told, strict=True) if role == "excluded"]
        rows = [row_of(index_of_rank(what), len(shown)) for what in refused if isinstance(what, int)]
        is_apart = any(all(other.end <= start or end <= other.start for start, end, _ in spans) for other in others)
        return Unwanted(
            tuple(row for row in rows if row is not None),
            tuple(what for what in refused if isinstance(what, KindOfThing)),
            len(refused) == len(spans) and None not in rows and not is_apart,
        )

    def is_for_good(self, text: str) -> bool:
        """Whether a sentence is about what is to be shown from now on, and not only about what is sought now."""
        return _FOR_GOOD.search(folded(text)) is not None

    def _named(self, plain: str) -> Iterator[tuple[int, int, KindOfThing]]:
        """(start, end, kind) of the kinds that a text names, none within the name of another."""
        left = plain
        for kind in self._kinds:
            for match in _name_of(kind).finditer(left):
                left = left[: match.start()] + "\0" * len(match[0]) + left[match.end() :]
                yield match.start(), match.end(), kind


def _name_of(kind: KindOfThing) -> re.Pattern[str]:
    """Either name; an English one in words of its own, "war" not in "towards", or in its plural, as in "comedies"."""
    stem = re.escape(kind.name_en)
    forms = rf"{stem[:-1]}(?:y|ies)" if stem.endswith("y") else rf"{stem}(?:e?s)?"
    return re.compile(rf"{re.escape(kind.name)}|(?<![a-z]){forms}(?![a-z])", re.IGNORECASE)
