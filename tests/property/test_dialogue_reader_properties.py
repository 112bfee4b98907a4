"""Whatever is said, the readers of values end, and give a value within the slot's limits or none."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pagoda.dialogue.domain.model import Slot
from pagoda.dialogue.slots.check import accepts
from pagoda.dialogue.slots.kinds import Range, Value, When
from pagoda.dialogue.slots.normalise import reading_of
from pagoda.dialogue.slots.quantities import quantities_in
from pagoda.dialogue.slots.said import Said, folded

NOW = datetime(2026, 11, 28, 10, 0)
BANDS = {"cheap": {"zh": ("便宜",), "en": ("cheap",)}}
SLOTS = (
    Slot("time", "time", {"en": "time"}, earliest=10),
    Slot("people", "people", {"en": "people"}, low=1, high=20, units={"zh": ("张",), "en": ("tickets",)}),
    Slot("price", "price", {"en": "price"}, bands=BANDS, plain="around", low=1, high=100000),
    Slot("rating", "rating", {"en": "rating"}, plain="at_least", low=0, high=10),
    Slot("stars", "stars", {"en": "stars"}, low=1, high=5),
    Slot("year", "number", {"en": "year"}),
    Slot("quiet", "boolean", {"en": "quiet"}),
    Slot("seat", "choice", {"en": "seat"}, choices={"window": {"en": ("window",)}}),
    Slot("contact", "person", {"en": "name"}),
    Slot("note", "text", {"en": "note"}),
)
WORDS = (
    "0 1 7 8 12 13 24 25 30 59 60 99 1930 2026 400 1e400 99999999999 ０ ７ 半 一 两 十 百 千 万 亿 廿 第 零 多 "
    "几 来 点 分 刻 时 小时后 天后 个月后 周 星期 下下 下 周末 号 日 月 年 月底 今 明 晚 早上 凌晨 节 除夕 "
    "中秋 春节 差 左右 以内 以上 到 - – ~ / . : ： , 、 。 + ￥ $ % 元 块 人 位 个 大 小 口 俩 仨 打 再加 少 "
    "我 和 老婆 孩子 一家 am pm p a.m. o'clock ish half quarter past to before after between and from until in "
    "at on next this last friday sunday weekend week weeks days hours minutes ago from now noon midnight "
    "tonight tomorrow december feb 31st 30th first of month year people adults kids couple dozen party for of "
    "us my wife myself plus more fewer hundred thousand twenty twelve one two a an stars rated yuan under over "
    "around not or İ ß ﬀ \x00 \u200b \ud7ff"
)
PIECES = st.sampled_from(WORDS.split(" "))
SENTENCES = st.lists(PIECES, max_size=14).flatmap(
    lambda pieces: st.sampled_from([" ".join(pieces), "".join(pieces)])
) | st.text(max_size=60)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1))


def _is_whole(slot: Slot, value: Value | None) -> bool:
    return value is None or accepts(slot, value)


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.name)
@given(words=SENTENCES, now=MOMENTS)
@example(words="9" * 400, now=NOW)
@example(words="九" * 400, now=NOW)
@example(words="一" * 290 + "点", now=NOW)
@example(words="1e400", now=NOW)
@example(words="99999999999小时后", now=NOW)
@example(words="in 99999999999 hours", now=NOW)
@example(words="下" * 200 + "周五", now=NOW)
@example(words="thousand " * 30, now=NOW)
@example(words="一百万亿亿亿", now=NOW)
def test_a_reader_gives_a_value_within_limits_or_none(slot: Slot, words: str, now: datetime) -> None:
    reading = reading_of(slot, Said.of(words), now)
    assert _is_whole(slot, reading.value)
    assert _is_whole(slot, reading.instead)
    assert reading.value is None or not reading.why
    assert (reading.why == "partial") == bool(reading.leftover)


@given(words=SENTENCES, now=MOMENTS, ahead=st.integers(0, 10_000), is_stretch=st.booleans())
def test_a_time_lies_ahead_whatever_was_known_before(words: str, now: datetime, ahead: int, is_stretch: bool) -> None:
    start = now.replace(second=0, microsecond=0) + timedelta(hours=ahead)
    end = (start + timedelta(days=1)).isoformat(timespec="minutes") if is_stretch else ""
    found = reading_of(SLOTS[0], Said.of(words), now, When(start.isoformat(timespec="minutes"), end)).value
    if isinstance(found, When):
        assert datetime.fromisoformat(found.end or found.start) >= now.replace(second=0, microsecond=0)


@given(words=SENTENCES, asked=st.sampled_from(["", *(slot.name for slot in SLOTS)]))
def test_quantities_of_a_sentence_are_words_of_it_one_for_each_slot(words: str, asked: str) -> None:
    plain = folded(words)
    found = quantities_in(plain, SLOTS, asked, {"people"})
    assert len({quantity.slot for quantity in found}) == len(found)
    for quantity in found:
        assert 0 <= quantity.start < quantity.end <= len(plain)
        assert all(word in plain for word in quantity.words.split())


@given(low=st.floats(allow_nan=True, allow_infinity=True), high=st.floats(allow_nan=True, allow_infinity=True))
@example(low=float("inf"), high=1e308)
def test_no_number_that_is_none_passes_the_gate(low: float, high: float) -> None:
    for slot in SLOTS[1:6]:
        if accepts(slot, Range(low, high)):
            assert (slot.low or 0) <= low <= high <= (slot.high or 1e15) or slot.low is None
    assert not accepts(SLOTS[5], 10**400)
