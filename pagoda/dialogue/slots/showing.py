"""A slot's value in words, for questions, confirmations and replies.

Stands before *reply* on the turn's path. Units belong to the type of a slot, words of bands and choices to the domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pagoda.dialogue.domain.model import Slot
from pagoda.dialogue.slots.kinds import Anything, Band, Except, NodeValue, OneOf, Range, Value, When

_UNITS: Mapping[str, Mapping[str, str]] = {
    "price": {"zh": "{}元", "en": "¥{}"},
    "rating": {"zh": "{}分", "en": "{}"},
    "stars": {"zh": "{}星", "en": "{} stars"},
    "people": {"zh": "{}位", "en": "{} people"},
}
_WEEKDAYS = {"zh": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RANGES = {
    "zh": ("{low}以上", "{high}以内", "{low}到{high}"),
    "en": ("at least {low}", "at most {high}", "{low} to {high}"),
}
_NONE_OF = {"zh": "不要", "en": "not "}
_OR, _AND_NOT = {"zh": "或", "en": " or "}, {"zh": "，", "en": ", "}
_BEYOND = {"zh": ("高于{low}", "低于{high}"), "en": ("more than {low}", "less than {high}")}


def show_value(slot: Slot, value: Value, language: str) -> str:
    """In words of that language ("zh" or "en").

    >>> show_value(Slot("price", "price", {}), Range(None, 150), "zh")
    '150元以内'
    """
    match value:
        case NodeValue():
            return value.name(language)
        case Anything():
            return "都行" if language == "zh" else "any"
        case Band(name):
            return (slot.bands.get(name, {}).get(language) or (name,))[0]
        case When():
            return show_when(value, language)
        case Range():
            return _range(slot, value, language)
        case OneOf(values):
            return _OR[language].join(show_value(slot, each, language) for each in values)
        case Except(values, kept):
            excluded = _NONE_OF[language] + _OR[language].join(show_value(slot, each, language) for each in values)
            return excluded if kept is None else show_value(slot, kept, language) + _AND_NOT[language] + excluded
        case tuple():
            return ("、" if language == "zh" else ", ").join(show_value(slot, each, language) for each in value)
        case bool():
            return ("是" if value else "否") if language == "zh" else ("yes" if value else "no")
        case int() | float():
            return _number(slot, value, language)
    return (slot.choices.get(value, {}).get(language) or (value,))[0]


def show_when(value: When, language: str) -> str:
    """A moment, or the stretch from its beginning to its end.

    >>> show_when(When("2026-11-21T19:00"), "en"), show_when(When("2026-11-22T00:00", "2026-11-23T00:00"), "zh")
    ('Sat 21 Nov, 19:00', '11月22日（周日）')
    """
    start = datetime.fromisoformat(value.start)
    day = _day(start, language)
    if value.is_exact:
        return f"{day}{'' if language == 'zh' else ', '}{start:%H:%M}"
    end = datetime.fromisoformat(value.end)
    if (start.hour, start.minute, end.hour, end.minute) == (0, 0, 0, 0):
        return day
    last = "24:00" if (end.hour, end.minute) == (0, 0) else f"{end:%H:%M}"
    return f"{day}{'' if language == 'zh' else ', '}{start:%H:%M}-{last}"


def _day(moment: datetime, language: str) -> str:
    weekday = _WEEKDAYS[language][moment.weekday()]
    if language == "zh":
        return f"{moment.month}月{moment.day}日（周{weekday}）"
    return f"{weekday} {moment.day} {_MONTHS[moment.month - 1]}"


def _number(slot: Slot, value: float, language: str) -> str:
    if slot.type == "people" and value == 1 and language == "en":
        return "1 person"
    if slot.type == "stars" and value == 1 and language == "en":
        return "1 star"
    return _UNITS.get(slot.type, {}).get(language, "{}").format(f"{value:g}")


def _range(slot: Slot, value: Range, language: str) -> str:
    if value.low is not None and value.low == value.high:
        return _number(slot, value.low, language)
    at_least, at_most, between = _RANGES[language]
    low = "" if value.low is None else _number(slot, value.low, language)
    high = "" if value.high is None else _number(slot, value.high, language)
    above, below = _BEYOND[language]
    at_least, at_most = above if value.is_above else at_least, below if value.is_below else at_most
    template = between if low and high else at_least if low else at_most
    return template.format(low=low, high=high)
