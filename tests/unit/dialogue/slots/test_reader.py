"""Words of a slot are read once, and a time is what it is now."""

from __future__ import annotations

from datetime import datetime

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots import reader as reader_file
from pagoda.dialogue.slots.kinds import ANY, Band, Value, When
from pagoda.dialogue.slots.reader import SlotReader

DOMAIN = Domain.load()
NOW = datetime(2026, 11, 21, 10, 0)


def test_words_of_a_slot_are_read_once_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    reading_of = reader_file.reading_of
    monkeypatch.setattr(
        reader_file, "reading_of", lambda slot, said, *when: read.append(said.words) or reading_of(slot, said, *when)
    )
    reader = SlotReader(DOMAIN)
    assert [reader.heard("price", " 便宜点的 ").value for _ in range(3)] == [Band("cheap")] * 3
    assert reader.value("price", " 便宜点的 ", NOW) == Band("cheap")
    assert read == ["便宜点的"]


def test_the_same_words_are_another_value_in_another_slot() -> None:
    reader = SlotReader(DOMAIN)
    assert reader.heard("price", "都可以").value == ANY
    assert reader.heard("people", "四").value == 4
    assert reader.heard("price", "四位").value != 4


@pytest.mark.parametrize(
    ("now", "previous", "start"),
    [
        (NOW, None, "2026-11-21T20:00"),
        (datetime(2026, 11, 23, 10, 0), None, "2026-11-23T20:00"),
        (NOW, When("2026-11-28T19:00"), "2026-11-28T20:00"),
    ],
)
def test_a_time_is_read_anew_at_each_moment(now: datetime, previous: Value | None, start: str) -> None:
    reader = SlotReader(DOMAIN)
    assert reader.heard("time", "晚上八点").value is not None
    assert reader.value("time", "晚上八点", now, previous) == When(start)
