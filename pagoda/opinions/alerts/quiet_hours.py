"""Hours in which nobody is to be woken: what falls into them is told at their end.

Beside `alerts.rules`. An alert opens when it opens; only its telling waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_DAY = 24 * 60


@dataclass(frozen=True)
class QuietHours:
    """From a minute of the day to another, over midnight where it is the later one; in a zone of tzdata's."""

    start: int
    end: int
    zone: str = "UTC"

    def holds(self, time: int) -> bool:
        """Whether a time in seconds lies in them."""
        local = datetime.fromtimestamp(time, ZoneInfo(self.zone))
        return (local.hour * 60 + local.minute - self.start) % _DAY < (self.end - self.start) % _DAY

    def after(self, time: int) -> int:
        """The time itself, or the end of the quiet hours that it lies in.

        >>> from datetime import datetime
        >>> night = QuietHours(22 * 60, 7 * 60, "Asia/Shanghai")
        >>> late = int(datetime.fromisoformat("2026-11-30T23:30+08:00").timestamp())
        >>> datetime.fromtimestamp(night.after(late), ZoneInfo("Asia/Shanghai")).isoformat()
        '2026-12-01T07:00:00+08:00'
        """
        if not self.holds(time):
            return time
        zone = ZoneInfo(self.zone)
        local = datetime.fromtimestamp(time, zone)
        end = local.replace(hour=self.end // 60, minute=self.end % 60, second=0, microsecond=0)
        if end <= local:
            end = (end.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
        return int(end.astimezone(UTC).timestamp())
