"""Which items tell one story: reprints are found by what they share, whatever a desk changed on the way.

On the path *feed -> item -> story -> opinion of a company -> window -> alert*: a wire story that forty sites carry is
one story with a reach of forty, and counts once. Sets of character 5-grams serve both scripts. MinHash (Broder 1997,
"On the resemblance and containment of documents") over bands (Leskovec et al., "Mining of Massive Datasets", 3.4) finds
whom an item might repeat; sets themselves say how much; what both do not share says whether it is the opposite
(`grouping.contradiction`). The same items in the same order give the same stories.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.opinions.grouping.contradiction import first_free
from pagoda.opinions.grouping.wording import Wording, wording
from pagoda.opinions.reading.spelling import simplifier
from pagoda.opinions.story import Item

WINDOW = timedelta(hours=72)
_GRAM = 5
_NUM_PERMUTATIONS, _NUM_BANDS = 128, 32
"""Bands of four: half of the 5-grams in common are found by 87 of 100, eight tenths by all but one in ten million."""
_SEED = 20_231_115
_SAME = 0.8
"""Jaccard similarity from which two texts are one."""
_CONTAINED, _FEWEST_CONTAINED = 0.8, 60
"""Share of the shorter text's 5-grams that stand in the longer one, and how many these must be to say anything."""
_WITH_TITLE = 0.5
"""The same share, where one title holds the other."""
_SHORTEST_TITLE = 8
_MOST_CHARACTERS = 2000
_MOST_ITEMS = 50_000
_MOST_IN_A_PLACE = _MOST_COMPARED = 32
"""Items under one band, and those that an item is held against, the newest of each: a headline that comes every hour
for years must not cost more every hour."""
_MOST_ASKED = 6
"""Tellings of a story that may contradict."""
_SIGN = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class _Told:
    """An item that was told, and items that repeat it letter by letter.

    first, last: when these were published
    seen: when the newest was, but not later than it was fetched: a date in the future must not end every story
    grams: sorted hashes of 5-grams; title: plain; bands: where it is looked up; letters: hash of title and text
    words: title and text, as they are
    """

    story: str
    first: datetime
    last: datetime
    seen: datetime
    grams: np.ndarray
    title: str
    bands: tuple[bytes, ...]
    letters: bytes
    words: tuple[str, str]

    @property
    def wording(self) -> Wording:
        title, text = self.words
        return wording(title, text, is_cut=len(text) == _MOST_CHARACTERS)


class StoryIndex:
    """Groups items; its state can be rebuilt from stored rows by `restore`. For one thread.

    window: how far apart two items of one story may be published
    most_items: what is kept at most, the oldest goes first; a thousand characters take about 10 kB
    """

    def __init__(self, window: timedelta = WINDOW, most_items: int = _MOST_ITEMS) -> None:
        if window <= timedelta(0) or most_items < 1:
            raise ConfigError(f"stories need a window above 0 and room for an item; given {window}, {most_items}")
        self._window, self._most = window, most_items
        self._told: OrderedDict[int, _Told] = OrderedDict()
        self._places: defaultdict[bytes, list[int]] = defaultdict(list)
        self._letters: dict[bytes, int] = {}
        self._next = 0
        self._newest: datetime | None = None
        _minhash()

    def __len__(self) -> int:
        """Items that are kept, of those with the same letters one."""
        return len(self._told)

    def assign(self, item: Item) -> str:
        """The id of the story that the item tells: the one that it repeats most of, else a new one."""
        again = self._verbatim(item)
        fresh = again or _told("", item)
        story = again.story if again else self._found(fresh) or _story_id(item)
        self._keep(replace(fresh, story=story))
        return story

    def restore(self, rows: Iterable[tuple[Item, str]]) -> None:
        """Take up what was assigned before a restart: (item, story id), in the order in which it was assigned."""
        for item, story in rows:
            again = self._verbatim(item)
            self._keep(again if again and again.story == story else _told(story, item))

    def _verbatim(self, item: Item) -> _Told | None:
        """What was told in these very letters, with the item among those that repeat it; None where it is too old."""
        known = self._told.get(self._letters.get(_letters(item), -1))
        if known is None or not self._is_near(item.published, known):
            return None
        first, last = min(known.first, item.published), max(known.last, item.published)
        return replace(known, first=first, last=last, seen=max(known.seen, min(item.published, item.fetched)))

    def _found(self, fresh: _Told) -> str:
        """The story of the item that this one repeats most of, of those that it does not contradict; "" for none."""
        alike = [
            (-likeness, number)
            for number in self._candidates(fresh)
            if (likeness := self._likeness(fresh, self._told[number])) > 0
        ]
        ranked = [(known.story, known.wording) for _, number in sorted(alike) if (known := self._told[number])]
        return first_free(ranked, fresh.wording, _MOST_ASKED) if ranked else ""

    def _candidates(self, fresh: _Told) -> list[int]:
        """Numbers of items with a band or the title in common, those with most in common and the newest first."""
        shared = Counter(number for band in fresh.bands for number in self._places.get(band, ()))
        return sorted(shared, key=lambda number: (-shared[number], -number))[:_MOST_COMPARED]

    def _is_near(self, published: datetime, known: _Told) -> bool:
        return known.first - self._window <= published <= known.last + self._window

    def _likeness(self, fresh: _Told, known: _Told) -> float:
        """How much two items share, 0 where they are two stories."""
        if not self._is_near(fresh.first, known):
            return 0.0
        common = len(np.intersect1d(fresh.grams, known.grams, assume_unique=True))
        shorter, longer = sorted((len(fresh.grams), len(known.grams)))
        jaccard, contained = common / max(1, shorter + longer - common), common / max(1, shorter)
        same = (
            jaccard >= _SAME
            or (contained >= _CONTAINED and shorter >= _FEWEST_CONTAINED)
            or (contained >= _WITH_TITLE and _holds(fresh.title, known.title))
        )
        return max(jaccard, contained) if same else 0.0

    def _keep(self, told: _Told) -> None:
        self._forget(self._letters.get(told.letters, -1))
        number, self._next = self._next, self._next + 1
        self._told[number], self._letters[told.letters] = told, number
        for band in told.bands:
            place = self._places[band]
            place.append(number)
            del place[:-_MOST_IN_A_PLACE]
        self._newest = max(self._newest or told.seen, told.seen)
        while len(self._told) > self._most or self._is_over(next(iter(self._told.values()))):
            self._forget(next(iter(self._told)))

    def _is_over(self, told: _Told) -> bool:
        """Twice the window behind the newest: a late item may still belong to it until then."""
        return self._newest is not None and self._newest - told.seen > 2 * self._window

    def _forget(self, number: int) -> None:
        told = self._told.pop(number, None)
        if told is None:
            return
        if self._letters.get(told.letters) == number:
            del self._letters[told.letters]
        for band in told.bands:
            place = self._places[band]
            if number in place:
                place.remove(number)
            if not place:
                del self._places[band]


def _story_id(item: Item) -> str:
    return hashlib.sha256(f"{item.source}\0{item.id}".encode()).hexdigest()[:16]


def _told(story: str, item: Item) -> _Told:
    title = plain(item.title)
    # A text that opens with its title again, as feeds like to have it, is the same as one that does not.
    text = plain(item.text[:_MOST_CHARACTERS])
    grams = np.union1d(_grams(title), _grams(text)) if text else _grams(title)
    return _Told(
        story, item.published, item.published, min(item.published, item.fetched), grams, title,
        tuple(_bands(grams, title)), _letters(item), (item.title, item.text[:_MOST_CHARACTERS]),
    )  # fmt: skip


def _letters(item: Item) -> bytes:
    return hashlib.sha256(f"{item.title}\0{item.text[:_MOST_CHARACTERS]}".encode("utf-8", "replace")).digest()[:16]


def plain(text: str) -> str:
    """Letters and digits alone, of one width and case, Chinese in simplified characters.

    >>> plain("漲幅：３.５％"), plain("Up 3.5 %")
    ('涨幅35', 'up35')
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    if not folded.isascii():
        folded = simplifier().convert(folded)
    return _SIGN.sub("", folded)


def _grams(text: str) -> np.ndarray:
    """uint32 [n], sorted: a hash of each different run of five characters; of a shorter text, of the whole."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
    if not len(codes):
        return np.zeros(0, np.uint32)
    codes = np.pad(codes, (0, max(0, _GRAM - len(codes))))
    windows = np.lib.stride_tricks.sliding_window_view(codes, _GRAM)
    mixed = np.zeros(len(windows), np.uint64)
    for place in range(_GRAM):  # FNV-1a over code points (draft-eastlake-fnv), wrapping at 64 bits
        mixed = (mixed ^ windows[:, place]) * np.uint64(0x100000001B3)
    return np.unique((mixed ^ (mixed >> np.uint64(29))).astype(np.uint32))


def _bands(grams: np.ndarray, title: str) -> Iterator[bytes]:
    """Under which an item is looked up: a key for each band of its MinHash, and one for its title."""
    if len(title) >= _SHORTEST_TITLE:
        yield b"t" + hashlib.sha256(title.encode()).digest()[:8]
    if len(grams):
        tokens = grams.astype(np.uint64)
        matrix = _minhash().digest_matrix_from_flat_token_hashes(tokens, [0, len(tokens)], _NUM_PERMUTATIONS, _SEED)
        rows = np.asarray(matrix.to_rows()[0], np.uint32).reshape(_NUM_BANDS, -1)
        yield from (bytes([number]) + row.tobytes() for number, row in enumerate(rows))


def _holds(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= _SHORTEST_TITLE and shorter in longer


@cache
def _minhash() -> Any:
    try:
        from rensa import RMinHash
    except ModuleNotFoundError as error:
        raise MissingExtraError("grouping reprints (rensa)", "opinions") from error
    return RMinHash
