"""What people are told of alerts: one by itself, or several that came together as one list.

Under `alerts.delivery`, on the path *window -> alert -> person*. Figures and stories are those that an alert has now.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pagoda.language import Language
from pagoda.opinions.alerts.addresses import AlertMessage
from pagoda.opinions.alerts.rules import SEVERITIES
from pagoda.opinions.store.reading import titles
from pagoda.opinions.store.writing import OpinionWriter

_NAMED = 5
"""Stories whose titles a message has."""
_MOST_LISTED = 30
_AGAIN: dict[Language, str] = {"en": "again: ", "zh": "再次提醒："}
_HEADS: dict[Language, tuple[str, str]] = {
    "en": ("{count} new alerts", "{count} alerts are still open"),
    "zh": ("{count} 条新预警", "{count} 条预警仍未结束"),
}
_MORE: dict[Language, str] = {"en": "and {count} more: see the page", "zh": "另有 {count} 条，见页面"}
_MEASURES: dict[Language, dict[str, str]] = {
    "en": {
        "stories": "stories",
        "negative": "negative",
        "share_negative": "share negative",
        "reach": "articles",
        "sources": "sources",
        "negative_sources": "sources with bad news",
        "deviation": "deviations above usual",
        "negative_deviation": "deviations above usual, negative",
        "events": "events",
    },
    "zh": {
        "stories": "事件",
        "negative": "负面",
        "share_negative": "负面占比",
        "reach": "报道",
        "sources": "来源",
        "negative_sources": "负面来源",
        "deviation": "高于平常（标准差）",
        "negative_deviation": "负面高于平常（标准差）",
        "events": "所列类型的事件",
    },
}
"""Of `rules.MEASURES`."""
_BETWEEN: dict[Language, str] = {"en": ", ", "zh": "，"}


@dataclass(frozen=True)
class Due:
    """A delivery. number: 0 of a new alert, then of its reminders; due: seconds; tries: of one address"""

    alert: str
    number: int
    due: int
    tries: int


def message(writer: OpinionWriter, about: Sequence[Due], names: dict[str, str], language: Language) -> AlertMessage:
    """Of one delivery its alert with its stories; of several a list."""
    if len(about) == 1:
        return _of_one(writer, about[0], names, language)
    alerts = [_alert(writer, due.alert) for due in about]
    head = _HEADS[language][int(any(due.number for due in about))].format(count=len(alerts))
    lines = [
        f"- {names.get(company, company)}: {rule} ({_since(opened)}; {_facts(facts, language)})"
        for rule, company, opened, _, facts, _ in alerts[:_MOST_LISTED]
    ]
    if len(alerts) > _MOST_LISTED:
        lines.append(_MORE[language].format(count=len(alerts) - _MOST_LISTED))
    return AlertMessage(head, "\n".join(lines), max((alert[3] for alert in alerts), key=SEVERITIES.index))


def _of_one(writer: OpinionWriter, due: Due, names: dict[str, str], language: Language) -> AlertMessage:
    rule, company, opened, severity, facts, stories = _alert(writer, due.alert)
    named = json.loads(stories)[:_NAMED]
    known = titles(writer.database, named)
    lines = [f"{_since(opened)}: {_facts(facts, language)}", *(f"- {known[story]}" for story in named)]
    again = _AGAIN[language] if due.number else ""
    return AlertMessage(f"{again}{names.get(company, company)}: {rule}", "\n".join(lines), severity)


def _alert(writer: OpinionWriter, alert: str) -> tuple[Any, ...]:
    return writer.database.rows(
        "SELECT rule, company, opened, severity, facts, stories FROM alerts WHERE id = ?", [alert]
    )[0]


def _since(opened: int) -> str:
    return datetime.fromtimestamp(opened, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _facts(facts: str, language: Language) -> str:
    words = _MEASURES[language]
    told = [f"{words.get(name, name)} {value:g}" for name, value in json.loads(facts).items() if value is not None]
    return _BETWEEN[language].join(told)
