"""How an agent behaves, apart from what it is made of: the settings that `DialogueAgent` takes as one record.

Beside the turn's path: the strategy belongs to *understanding*, the clock to *events*, wording and picture to *reply*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pagoda.dialogue.reading.model_reader import ModelSettings
from pagoda.dialogue.reading.strategies import STRATEGIES
from pagoda.errors import ConfigError, nearest


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """How turns are taken. Raises ConfigError for a strategy that is none and a time that is no time.

    strategy: "intent_first", "slots_first" or "hybrid"; the agent's model, if it has one, reads the hard sentences
        with "hybrid" and all of them with the others
    model_timeout_s: seconds that one reading by the model may take; after it the fast reading stands
    rephrases: the agent's model also words the replies that tell rows; what the rows do not hold is never said
    draws: a turn brings the subgraph around its rows
    timezone: IANA name of the zone whose clock tells what "tonight" means, such as "Asia/Shanghai"; "" for the
        machine's own
    clock: local time without a zone, in place of that clock
    on_progress: called while an understanding has to be learned, with what is done, steps done and steps in all
    """

    strategy: str = "intent_first"
    model_timeout_s: float = ModelSettings.timeout_s
    rephrases: bool = False
    draws: bool = True
    timezone: str = ""
    clock: Callable[[], datetime] | None = None
    on_progress: Callable[[str, int, int], None] | None = None

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"strategy is {self.strategy!r}: {nearest(self.strategy, STRATEGIES)}")
        if not 0 < self.model_timeout_s < math.inf:
            raise ConfigError(f"model_timeout_s is {self.model_timeout_s!r}, expected a number of seconds above 0")
        if self.timezone and self.clock is not None:
            raise ConfigError("timezone and clock both tell the time: give one of them")
        self._zone()

    def now(self) -> datetime:
        """What the clock shows, without a zone."""
        if self.clock is not None:
            return self.clock()
        zone = self._zone()
        return datetime.now() if zone is None else datetime.now(zone).replace(tzinfo=None)

    def _zone(self) -> ZoneInfo | None:
        if not self.timezone:
            return None
        try:
            return ZoneInfo(self.timezone)
        # Names that are no path below the data, or a folder there, raise others than "not found".
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            known = available_timezones()
            hint = nearest(self.timezone, known, listed=["Asia/Shanghai", "Europe/London", "America/New_York", "UTC"])
            raise ConfigError(f"timezone is {self.timezone!r}, which is no zone of IANA's: {hint}") from error
