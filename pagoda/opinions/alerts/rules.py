"""Rules of alerts as a person writes them, in YAML, each refused by its key and line where it cannot be meant.

On the path *window -> alert*. A rule is data: a window, conditions that must all hold, and what follows.

    rules:
      - name: negative wave
        window: 6h
        when:
          share_negative: {at_least: 0.6, until: 0.4}   # hysteresis: opens at .6, ends below .4
          stories: {at_least: 4}
          sources: {at_least: 3}
        cooldown: 12h
        quiet_hours: {from: "22:00", to: "07:00", timezone: Asia/Shanghai}
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from pagoda.files.yaml_lines import Section
from pagoda.opinions.alerts.quiet_hours import QuietHours

MEASURES = {
    "stories": "stories in the window",
    "negative": "negative stories",
    "share_negative": "negative stories / stories, 0 to 1",
    "reach": "articles, reprints and all",
    "sources": "sources that brought any",
    "negative_sources": "sources that brought a negative story",
    "deviation": "z-score of the stories over the company's own past windows",
    "negative_deviation": "the same of negative stories",
    "events": "stories with an event of the set `in`",
}
SEVERITIES = ("info", "warning", "critical")
_PAST_WINDOWS = 28
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_LONGEST_S = 366 * 86_400
_RULE_KEYS = ("name", "window", "when", "companies", "severity", "cooldown", "remind", "quiet_hours", "past")
DEVIATIONS = ("deviation", "negative_deviation")
"""Measures against a company's own past, which cost more than the others."""


@dataclass(frozen=True)
class AlertCondition:
    """Holds from `at_least` on; of an alert that is open, until the measure is below `until`."""

    measure: str
    at_least: float
    until: float
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlertRule:
    """One rule. Times are seconds; companies: empty for all; past: windows that a deviation is from."""

    name: str
    window: int
    conditions: tuple[AlertCondition, ...]
    companies: frozenset[str] = frozenset()
    severity: str = "warning"
    cooldown: int = 0
    remind: int = 0
    quiet: QuietHours | None = None
    past: int = _PAST_WINDOWS

    @property
    def is_about_negative(self) -> bool:
        """Whether the stories that it names are the negative ones; of events, those in which they happened."""
        return not self.events and any("negative" in condition.measure for condition in self.conditions)

    @property
    def events(self) -> tuple[str, ...]:
        """Of all its conditions."""
        return tuple(event for condition in self.conditions for event in condition.events)


def read_rules(root: Section, companies: Collection[str], events: Collection[str]) -> tuple[AlertRule, ...]:
    """The list under `rules`. companies, events: those that are known. Raises ConfigError with file, line and key."""
    rules: list[AlertRule] = []
    for entry in root.items("rules"):
        rule = _rule(entry, companies, events)
        if any(rule.name == other.name for other in rules):
            raise entry.fail("name", f'is "{rule.name}", as of a rule above: give each its own')
        rules.append(rule)
    return tuple(rules)


def seconds(entry: Section, key: str, default: str | None = None) -> int:
    """A stretch of time such as 15m, 6h, 2d. Raises the file's error."""
    text = entry.text(key, default)
    found = re.fullmatch(r"(\d+)([mhd])", text)
    length = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < length <= _LONGEST_S:
        raise entry.fail(key, f'is "{text:.40}", expected minutes, hours or days up to a year, such as 15m, 6h, 2d')
    return length


def _rule(entry: Section, companies: Collection[str], events: Collection[str]) -> AlertRule:
    entry.only(_RULE_KEYS)
    if "when" not in entry:
        raise entry.fail("when", "is missing: write the conditions, such as `stories: {at_least: 5}`")
    when = entry.section("when")
    when.only(MEASURES)
    conditions = tuple(_condition(when, measure, events) for measure in when)
    if not conditions:
        raise entry.fail("when", f"holds no condition, expected some of {', '.join(MEASURES)}")
    named = frozenset(entry.one_of_each("companies", companies))
    past = entry.integer("past", _PAST_WINDOWS)
    if not 3 <= past <= 1000:
        raise entry.fail("past", f"is {past}, expected 3 to 1000 windows")
    return AlertRule(
        entry.text("name"),
        seconds(entry, "window"),
        conditions,
        named,
        entry.one_of("severity", SEVERITIES, "warning"),
        seconds(entry, "cooldown") if "cooldown" in entry else 0,
        seconds(entry, "remind") if "remind" in entry else 0,
        _quiet(entry) if "quiet_hours" in entry else None,
        past,
    )


def _condition(when: Section, measure: str, events: Collection[str]) -> AlertCondition:
    given = when.section(measure)
    given.only(("at_least", "until", "in") if measure == "events" else ("at_least", "until"))
    at_least = given.number("at_least", 1 if measure == "events" else None)
    if at_least is None:
        raise given.fail("at_least", "is missing: write from which figure on the rule holds")
    if at_least <= 0:
        raise given.fail("at_least", f"is {at_least}, expected more than 0: at 0 every company would be told of")
    if measure == "share_negative" and at_least > 1:
        raise given.fail("at_least", f"is {at_least}, expected a share up to 1")
    until = given.number("until", at_least)
    assert until is not None
    if not 0 < until <= at_least:
        raise given.fail("until", f"is {until}, expected more than 0 and at most at_least, {at_least}")
    wanted = given.one_of_each("in", events) if measure == "events" else ()
    if measure == "events" and not wanted:
        raise given.fail("in", f"is missing: name events, some of {', '.join(sorted(events))}")
    return AlertCondition(measure, float(at_least), float(until), tuple(wanted))


def _quiet(entry: Section) -> QuietHours:
    given = entry.section("quiet_hours")
    given.only(("from", "to", "timezone"))
    minutes = {key: _minute(given, key) for key in ("from", "to")}
    if minutes["from"] == minutes["to"]:
        raise given.fail("to", "is the time of `from`: quiet hours have a beginning and an end")
    zone = given.text("timezone", "UTC")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise given.fail(
            "timezone", f'is "{zone:.60}", which is no time zone: write one such as Asia/Shanghai'
        ) from error
    return QuietHours(minutes["from"], minutes["to"], zone)


def _minute(given: Section, key: str) -> int:
    text = given.text(key)
    found = re.fullmatch(r"(\d\d?):(\d\d)", text)
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise given.fail(key, f'is "{text:.40}", expected a time of day such as "22:00"')
    return int(found[1]) * 60 + int(found[2])
