"""How an agent behaves: whose clock it goes by, and what is no setting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pagoda.dialogue.settings import AgentSettings
from pagoda.errors import ConfigError

NOON = datetime(2026, 11, 28, 12, 0)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Asia/Kathmandu", "UTC"])
def test_the_clock_is_that_of_the_zone_whatever_the_machine_says(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = datetime.now(UTC)
    now = AgentSettings(timezone=zone).now()
    after = datetime.now(UTC)
    assert now.tzinfo is None
    assert before <= now.replace(tzinfo=ZoneInfo(zone)) <= after


def test_without_a_zone_it_is_the_machines() -> None:
    assert abs(AgentSettings().now() - datetime.now()) < timedelta(hours=1)


def test_a_clock_of_ones_own_tells_the_time() -> None:
    assert AgentSettings(clock=lambda: NOON).now() == NOON


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Asia/Shanghia", 'did you mean "Asia/Shanghai"'),
        ("Peking", "no zone of IANA's"),
        ("../../etc/passwd", "no zone of IANA's"),
        ("/etc/localtime", "no zone of IANA's"),
        ("Asia", "no zone of IANA's"),
        ("\0", "no zone of IANA's"),
    ],
)
def test_what_is_no_zone_is_refused_at_once(zone: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        AgentSettings(timezone=zone)


def test_two_clocks_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        AgentSettings(timezone="UTC", clock=lambda: NOON)
