"""How a fast understanding is to be trained: one small record that both readers take.

Before the path *sentence -> Understanding*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pagoda.errors import InvalidParameterError
from pagoda.nlu.labelled import Labelled
from pagoda.nlu.understanding import OUT_OF_SCOPE

Effort = Literal["auto", "heads", "tuned"]
_FALSE_REJECTS, _OF_FEW, _WHERE_NONE_WERE_GIVEN = 0.04, 0.08, 0.001
"""Cross-validation over few examples trains on a part of them and is less sure: the whole turns away half as many."""
_FEW = 1500


@dataclass(frozen=True)
class TrainingSettings:
    """effort: "heads" takes seconds, "tuned" minutes, "auto" goes by the number of examples.

    false_rejects: share of the sentences in scope that may be called out of scope. None: 4 %, for few examples
    8 % in cross-validation, and 0.1 % where no example is out of scope, for then nobody said that such will come
    epochs: passes over the examples while tuning, None: by their number
    """

    effort: Effort = "auto"
    seed: int = 0
    false_rejects: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        if self.effort not in ("auto", "heads", "tuned"):
            raise InvalidParameterError(
                f'effort is {self.effort!r}; expected "auto", "heads" or "tuned"', param="effort"
            )
        if self.false_rejects is not None and not 0 <= self.false_rejects < 0.5:
            raise InvalidParameterError(
                f"false_rejects is {self.false_rejects}; expected a share in [0, 0.5)", param="false_rejects"
            )

    def false_rejects_for(self, examples: Sequence[Labelled]) -> float:
        """The share that is meant for these examples."""
        if self.false_rejects is not None:
            return self.false_rejects
        if not any(one.intent == OUT_OF_SCOPE for one in examples):
            return _WHERE_NONE_WERE_GIVEN
        return _OF_FEW if len(examples) < _FEW else _FALSE_REJECTS
