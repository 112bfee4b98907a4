"""How an agent behaves, apart from what it is made of: the settings that `DialogueAgent` takes as one record.

Beside the turn's path: the strategy belongs to *understanding*, the clock to *events*, wording and picture to *reply*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

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
    clock: local time without a zone; tells what "tonight" means
    """

    strategy: str = "intent_first"
    model_timeout_s: float = ModelSettings.timeout_s
    rephrases: bool = False
    draws: bool = True
    clock: Callable[[], datetime] = datetime.now

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"strategy is {self.strategy!r}: {nearest(self.strategy, STRATEGIES)}")
        if not 0 < self.model_timeout_s < math.inf:
            raise ConfigError(f"model_timeout_s is {self.model_timeout_s!r}, expected a number of seconds above 0")
