"""The seam between the core and whatever guesses the next tokens of an answer.

On the token's path: before a step is planned, `speculator` asks a proposer for what may come next, and `scheduler`
feeds that along. What a proposer says changes how many tokens a step brings and never which: a wrong guess costs a row
and is forgotten. So a proposer may be anything that is cheaper than the model. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pagoda.engine.sampling.core_request import CoreRequest


class Proposer(Protocol):
    """Guesses what comes next."""

    def reach(self, core_request: CoreRequest, most: int) -> int:
        """How many tokens of at most `most` it could propose for a request now; asked for every one, so it is cheap."""
        ...

    def propose(self, wanted: Sequence[tuple[CoreRequest, int]]) -> Mapping[str, Sequence[int]]:
        """By request id, so many tokens or fewer for each; one for which it has none may be missing."""
        ...

    def forget(self, request_id: str) -> None:
        """A request has ended; its id may come again."""
        ...
