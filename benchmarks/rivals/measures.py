"""What is measured of every engine: the question, the figure that its answer is, and the limit of the machine.

All figures are tokens a second. The limit is that of `pagoda.cli.bench.step_work`: bytes at the bandwidth and
operations at the peak that were measured beside.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.cli.bench.step_work import work_of
from pagoda.engine.execution.memory_plan import DTYPE_BYTES
from pagoda.models.config import ModelConfig
from rivals.workload import Request

WARM_UP = 1


@dataclass(frozen=True)
class Measure:
    """question: to the engine, once a round; tokens: that its seconds are for; setup: said once before, if anything

    rows, new_tokens, depth, steps: what the seconds are spent on; rows 0 where steps differ among each other
    most_rounds: of what takes minutes
    """

    name: str
    question: str
    tokens: int
    rows: int = 0
    new_tokens: int = 1
    depth: int = 0
    steps: int = 1
    most_rounds: int = 1000

    def setup(self, rounds: int) -> str | None:
        """What fills the cache before so many rounds and one to warm up."""
        if self.depth == 0:
            return None
        return f"fill {self.rows} {self.depth} {self.steps * (rounds + WARM_UP)}"

    def limit(self, config: ModelConfig, dtype: str, bandwidth: float, peak: float) -> float | None:
        """Tokens a second that no engine can pass."""
        if not self.rows:
            return None
        size = DTYPE_BYTES[dtype]
        work = work_of(config, size, rows=self.rows, new_tokens=self.new_tokens, depth=self.depth)
        return self.tokens / (self.steps * work.seconds_at(bandwidth, peak))


def prefill(tokens: int) -> Measure:
    return Measure(f"prefill{tokens}", f"prefill {tokens}", tokens, rows=1, new_tokens=tokens)


def decode(name: str, rows: int, depth: int, steps: int) -> Measure:
    return Measure(name, f"more {steps}", rows * steps, rows=rows, depth=depth, steps=steps)


def whole_list(name: str, requests: list[Request]) -> Measure:
    lengths = " ".join(f"{request.prompt_len} {request.output_len}" for request in requests)
    return Measure(name, f"requests {lengths}", sum(request.output_len for request in requests), most_rounds=3)


def all_measures(lists: dict[str, list[Request]]) -> dict[str, Measure]:
    """By name, in the order of the table."""
    measures = [
        prefill(512),
        decode("decode1", 1, 128, 32),
        decode("decode8", 8, 128, 16),
        decode("decode32", 32, 128, 16),
        decode("depth4096", 1, 4096, 16),
        decode("depth16384", 1, 16384, 16),
        *(whole_list(name, requests) for name, requests in sorted(lists.items(), key=lambda item: len(item[1]))),
    ]
    return {measure.name: measure for measure in measures}
