"""Ranks on a cluster of Ray, behind the one method of an Executor: vLLM's `distributed_executor_backend="ray"`.

On the token's path, where a model is divided over hosts. Ray places, starts and watches the ranks; the steps go past
it.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from dataclasses import replace

from pagoda.engine.cluster.rank_actors import RankActors
from pagoda.engine.execution.multiprocess import Ranks, RanksExecutor
from pagoda.engine.execution.rank_messages import ModelToLoad
from pagoda.errors import EngineDeadError

logger = logging.getLogger(__name__)

_MOST_STARTS = 3
_NOTICE_S = 5.0


class RayExecutor(RanksExecutor):
    """Runs steps on `model.layout`'s ranks, each an actor. Raises ConfigError where the cluster has no room."""

    def _started(self) -> tuple[Ranks, ModelToLoad]:
        self.actors = self._placed()
        return self.actors, replace(self._model, num_threads=self._num_threads())

    def _placed(self) -> RankActors:
        """Ray may place actors on a host that has just been lost, until it has noticed."""
        for _ in range(_MOST_STARTS - 1):
            try:
                return RankActors(self.layout)
            except EngineDeadError as error:
                logger.warning("%s: placing the ranks anew", error)
                time.sleep(_NOTICE_S)
        return RankActors(self.layout)

    @property
    def pids(self) -> list[int]:
        """Of the ranks: stage by stage; each on its own host."""
        return [each.pid for each in self.actors.whereabouts]

    def _num_threads(self) -> int:
        """Of each rank: the cores of the host that has fewest for each. OMP_NUM_THREADS bounds them, as elsewhere."""
        on_host = Counter(each.node for each in self.actors.whereabouts)
        bound = os.environ.get("OMP_NUM_THREADS", "")
        most = int(bound) if bound.isdecimal() and int(bound) > 0 else None
        cores = ((min(each.num_cores, most or each.num_cores), each.node) for each in self.actors.whereabouts)
        return min(max(1, count // on_host[node]) for count, node in cores)
