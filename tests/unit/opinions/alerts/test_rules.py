"""Rules as a person writes them: what is meant, and what is refused with its key and line."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.files.yaml_lines import read_section
from pagoda.opinions.alerts.quiet_hours import QuietHours
from pagoda.opinions.alerts.rules import AlertCondition, AlertRule, read_rules
from pagoda.opinions.watching.config import WATCH_FILE


def rules(folder: Path, text: str) -> tuple[AlertRule, ...]:
    file = folder / "watch.yaml"
    file.write_text("rules:\n" + text)
    return read_rules(read_section(file, WATCH_FILE)[0], ["acme", "borel"], ["fraud", "bankruptcy"])


def test_a_whole_rule_is_read(tmp_path: Path) -> None:
    (rule,) = rules(
        tmp_path,
        """\
  - name: wave
    window: 6h
    severity: critical
    companies: [acme]
    when:
      share_negative: {at_least: 0.6, until: 0.4}
      events: {in: [fraud]}
    cooldown: 2d
    remind: 30m
    quiet_hours: {from: "22:30", to: "7:00", timezone: Asia/Shanghai}
    past: 7
""",
    )
    assert rule.conditions == (
        AlertCondition("share_negative", 0.6, 0.4), AlertCondition("events", 1, 1, ("fraud",)),
    )  # fmt: skip
    assert (rule.window, rule.cooldown, rule.remind, rule.past) == (21_600, 172_800, 1800, 7)
    assert rule.quiet == QuietHours(22 * 60 + 30, 7 * 60, "Asia/Shanghai")
    assert (rule.companies, rule.is_about_negative) == (frozenset({"acme"}), False)


GOOD = "  - name: a\n    window: 6h\n    when: {stories: {at_least: 2}}\n"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("  - name: a\n    window: 6h\n", 2, "rules.0.when is missing"),
        ("  - name: a\n    window: soon\n    when: {stories: {at_least: 2}}\n", 3, "rules.0.window"),
        ("  - name: a\n    window: 6h\n    when:\n      stores: {at_least: 2}\n", 5, 'did you mean "stories"'),
        ("  - name: a\n    window: 6h\n    when:\n      stories: {at_least: many}\n", 5, "expected a number"),
        ("  - name: a\n    window: 6h\n    when:\n      stories: {at_least: 0}\n", 5, "more than 0"),
        ("  - name: a\n    window: 6h\n    when:\n      stories: {}\n", 5, "at_least is missing"),
        ("  - name: a\n    window: 6h\n    when:\n      share_negative: {at_least: 60}\n", 5, "a share up to 1"),
        ("  - name: a\n    window: 6h\n    when:\n      stories: {at_least: 2, until: 3}\n", 5, "at most at_least"),
        ("  - name: a\n    window: 6h\n    when:\n      events: {in: [fruad]}\n", 5, 'did you mean "fraud"'),
        ("  - name: a\n    window: 6h\n    when:\n      events: {at_least: 1}\n", 5, "name events"),
        (GOOD + "    companies: [acne]\n", 5, 'did you mean "acme"'),
        (GOOD + "    quiet_hours: {from: '25:00', to: '7:00'}\n", 5, "a time of day"),
        (GOOD + "    quiet_hours: {from: '22:00', to: '7:00', timezone: Mars/Base}\n", 5, "no time zone"),
        (GOOD + "    severity: bad\n", 5, "rules.0.severity"),
        (GOOD + "    cooldwn: 1h\n", 5, 'did you mean "cooldown"'),
        (GOOD + GOOD, 5, "as of a rule above"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_key_and_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rules(tmp_path, text)
    assert str(refused.value).startswith(f"watch.yaml:{line}: ")
    assert told in str(refused.value)


def test_quiet_hours_over_midnight_end_on_the_next_morning_whatever_the_clocks_do() -> None:
    night = QuietHours(22 * 60, 7 * 60, "Europe/Berlin")

    def at(text: str) -> int:
        return int(datetime.fromisoformat(text).timestamp())

    assert night.after(at("2026-03-02T12:00+01:00")) == at("2026-03-02T12:00+01:00")
    assert night.after(at("2026-03-02T03:00+01:00")) == at("2026-03-02T07:00+01:00")
    # In this night the clocks go forward.
    assert night.after(at("2026-03-28T23:00+01:00")) == at("2026-03-29T07:00+02:00")
