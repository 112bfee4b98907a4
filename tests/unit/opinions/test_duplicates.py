"""Reprints are one story, and nothing else is; what was stored brings the index back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pagoda.errors import ConfigError
from pagoda.opinions.duplicates import StoryIndex
from pagoda.opinions.evaluation.reprints import Article, measured, staged
from pagoda.opinions.story import Item

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TEXT = (
    "Harbour Motors said on Monday that it would recall 40,000 vans in three countries after a brake pipe failed in "
    "cold weather. Repairs begin in April. The carmaker set 60 million euros aside; its shares fell by four per cent."
)
CHINESE = (
    "远山能源周一公告，公司拟以自有资金回购股份，回购金额不低于两亿元。"
    "公司表示，此举基于对未来发展的信心。股价随后上涨百分之五。"
)


def _item(number: int, title: str, text: str, hours: float = 0.0) -> Item:
    when = NOON + timedelta(hours=hours)
    return Item("wire", str(number), when, when, title, text)


def test_a_reprint_is_the_same_story_and_another_story_is_not() -> None:
    index = StoryIndex()
    first = index.assign(_item(1, "Harbour Motors recalls 40,000 vans", TEXT))
    again = index.assign(_item(2, "UPDATE 1-Harbour Motors recalls 40,000 vans", "LONDON - " + TEXT[:140] + "...", 5))
    other = index.assign(
        _item(3, "Harbour Motors names a chief engineer", "Ann Lee takes over the drawing office in May.")
    )
    assert again == first != other


def test_traditional_characters_are_the_same_story() -> None:
    index = StoryIndex()
    first = index.assign(_item(1, "远山能源拟回购股份", CHINESE))
    assert (
        index.assign(_item(2, "遠山能源擬回購股份", CHINESE.replace("回购", "回購").replace("发展", "發展"))) == first
    )


def test_the_same_text_days_later_is_a_new_story() -> None:
    index = StoryIndex()
    first = index.assign(_item(1, "Harbour Motors recalls 40,000 vans", TEXT))
    assert index.assign(_item(2, "Harbour Motors recalls 40,000 vans", TEXT, 71)) == first
    assert index.assign(_item(3, "Harbour Motors recalls 40,000 vans", TEXT, 71 + 73)) != first


def test_two_short_titles_that_differ_in_the_company_are_two_stories() -> None:
    index = StoryIndex()
    assert index.assign(_item(1, "Alder Q2 net up 12 pc", "")) != index.assign(_item(2, "Birch Q2 net up 12 pc", ""))


def test_what_was_stored_brings_the_index_back() -> None:
    items = [
        item for item, _, _ in staged([Article("Harbour Motors recalls vans", TEXT), Article("远山能源回购", CHINESE)])
    ]
    undisturbed = StoryIndex()
    stories = [undisturbed.assign(item) for item in items]
    half = StoryIndex()
    rows = [(item, half.assign(item)) for item in items[:9]]
    rebuilt = StoryIndex()
    rebuilt.restore(rows)
    assert [story for _, story in rows] + [rebuilt.assign(item) for item in items[9:]] == stories


def test_memory_is_bounded_and_a_date_in_the_future_ends_no_story() -> None:
    index = StoryIndex(most_items=5)
    for number in range(20):
        index.assign(_item(number, f"Title number {number} of the day", f"{number}: " + TEXT[number * 5 :]))
    assert len(index) == 5
    index = StoryIndex()
    first = index.assign(_item(1, "Harbour Motors recalls 40,000 vans", TEXT))
    index.assign(replace(_item(2, "A page without a date", "Nothing of note."), published=NOON + timedelta(days=9000)))
    assert index.assign(_item(3, "Harbour Motors recalls 40,000 vans", TEXT, 1)) == first


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="window above 0"):
        StoryIndex(timedelta(0))


def test_a_title_alone_and_an_item_without_letters_are_items_too() -> None:
    index = StoryIndex()
    assert index.assign(_item(1, "…", "")) != index.assign(_item(2, "!!!", ""))


def test_pairs_are_counted_as_clusterings_are_compared() -> None:
    articles = [Article("Harbour Motors recalls vans", TEXT), Article("远山能源拟回购股份", CHINESE)]
    items = staged(articles)
    assert len(items) == 2 * 9

    class OneForAll(StoryIndex):
        def assign(self, item: Item) -> str:
            return "one"

    found = measured(items, OneForAll())
    assert found.recall == 1
    assert found.precision == pytest.approx(72 / 153)
    assert measured(items, StoryIndex()).f1 == 1
