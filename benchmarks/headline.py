"""Static batches with contiguous caches against continuous batching with a paged cache, in one process.

    python benchmarks/headline.py [--random-shape builtin] [--requests 96] [--out benchmarks/results]

The same network, weights, kernels, runner and sampler serve the same requests with the same number of bytes for keys
and values, and give the same tokens (checked). `traces` says what the requests are, `static_batching` and
`continuous_batching` what each side does and what was done to be fair to the former.

Measured: all requests at once (throughput, KV memory, requests at once); a Poisson process of arrivals at the rate that
the static server can just do (latency); and one request at a time. The claims that this reproduces or corrects are
those made for PagedAttention (Kwon et al. 2023, arXiv 2309.06180) and continuous batching (Orca, OSDI 2022).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import subject
from bookkeeping import Result
from continuous_batching import ContinuousServer
from headline_report import Claim, draw, render
from machine import provenance
from static_batching import Reserve, StaticServer
from traces import MEAN_LENGTHS, Job, make_trace

from pagoda import LLM
from pagoda.engine.args import EngineArgs
from pagoda.engine.execution.worker import Worker

STATIC, KIND, OURS, SAME_LOAD, SINGLE = "static", "kind static", "continuous", "continuous, same load", "one at a time"


@dataclass(frozen=True)
class Settings:
    """What is compared, under which budget.

    num_rows: sequences of full length that the KV cache holds, which is the static server's batch
    lengths: a key of traces.MEAN_LENGTHS; max_tokens: the client's round cap
    load: arrivals as a share of the static server's throughput
    """

    num_requests: int
    num_rows: int
    lengths: str
    max_tokens: int
    load: float
    seed: int


class Comparison:
    """Both servers over one model and one KV cache, which they use one after the other."""

    def __init__(self, llm: LLM, settings: Settings) -> None:
        self.settings = settings
        self.engine = llm.llm_engine
        worker = self.engine.core.executor
        assert isinstance(worker, Worker)
        self.runner = worker.runner

    def run(self, tell: Callable[[str, Result], None]) -> dict[str, Result]:
        """Every run by name; each gets the trace anew, so that all serve the same requests."""
        results: dict[str, Result] = {}
        trace, settings = self._trace, self.settings
        some, most = settings.num_requests // 2, 2 * settings.num_requests // 3

        def run(name: str, serve: Callable[[], Result]) -> None:
            results[name] = serve()
            tell(name, results[name])

        self.continuous(trace(min(16, settings.num_requests)))  # the first steps of a process are slow
        run(STATIC, lambda: self.static("context", trace()))
        run(KIND, lambda: self.static("request", trace()))
        run(OURS, lambda: self.continuous(trace()))
        run(SAME_LOAD, lambda: self.continuous(trace(some), max_at_once=settings.num_rows))
        rate = settings.load * settings.num_requests / results[STATIC].seconds
        run(arrivals(STATIC), lambda: self.static("context", trace(most, rate=rate)))
        run(arrivals(KIND), lambda: self.static("request", trace(most, rate=rate)))
        run(arrivals(OURS), lambda: self.continuous(trace(most, rate=rate)))
        run(SINGLE, lambda: self.continuous(trace(max(4, settings.num_requests // 12)), max_at_once=1))
        check_same_tokens(results)
        return results

    def static(self, reserve: Reserve, jobs: list[Job]) -> Result:
        server = StaticServer(
            self.runner,
            num_blocks=self.engine.parts.memory_plan.num_blocks,
            max_model_len=self.engine.max_model_len,
            reserve=reserve,
        )
        return server.serve(jobs)

    def continuous(self, jobs: list[Job], max_at_once: int | None = None) -> Result:
        return ContinuousServer(self.engine, max_at_once=max_at_once).serve(jobs)

    def _trace(self, num_requests: int | None = None, rate: float | None = None) -> list[Job]:
        """The first `num_requests` of the trace, or all."""
        jobs = make_trace(
            self.settings.num_requests,
            vocab_size=self.engine.config.vocab_size,
            max_tokens=self.settings.max_tokens,
            lengths=self.settings.lengths,
            rate=rate,
            seed=self.settings.seed,
        )
        return jobs[:num_requests]


def arrivals(name: str) -> str:
    """The name of a server's run under arrivals."""
    return f"{name}, arrivals"


def check_same_tokens(results: dict[str, Result]) -> None:
    """Raises AssertionError where a request was answered otherwise in one run than in another."""
    expected = [job.output_token_ids for job in results[STATIC].jobs]
    for name, result in results.items():
        tokens = [job.output_token_ids for job in result.jobs]
        assert tokens == expected[: len(tokens)], f"{name} gave other tokens than {STATIC}"


def claims(results: dict[str, Result]) -> list[Claim]:
    """The rows of the table: what was claimed, what we aim at, and both servers' figures."""
    static, kind, ours, single = (results[name] for name in (STATIC, KIND, OURS, SINGLE))
    late, kind_late, ours_late = (results[arrivals(name)] for name in (STATIC, KIND, OURS))
    tokens_per_request = ours.tokens_per_s * ours.seconds / len(ours.jobs)
    return [
        Claim("throughput, output tokens/s", "x 2-3", "x 3", static.tokens_per_s, kind.tokens_per_s, ours.tokens_per_s),
        Claim(
            "mean latency, s", "- 40-60 %", "- 60 %", late.mean_latency_s, kind_late.mean_latency_s,
            ours_late.mean_latency_s, less=True,
        ),
        Claim(
            "p99 latency, s", "", "", late.p99_latency_s, kind_late.p99_latency_s, ours_late.p99_latency_s, less=True
        ),
        Claim(
            "KV memory for the same load, slots", "- 50-70 %", "- 70 %", static.usage.mean_reserved, None,
            results[SAME_LOAD].usage.mean_reserved, less=True,
        ),
        Claim(
            "requests at once, peak", "x 3-4", "x 4", static.usage.peak_running, kind.usage.peak_running,
            ours.usage.peak_running,
        ),
        Claim(
            "requests at once, mean", "", "", static.usage.mean_running, kind.usage.mean_running,
            ours.usage.mean_running,
        ),
        Claim(
            "KV waste, %", "", "under 4 %", 100 * static.usage.waste, 100 * kind.usage.waste, 100 * ours.usage.waste,
            ceiling=4.0,
        ),
        Claim(
            "seconds a request, one at a time -> under load", "1.0 -> 0.4-0.5", "- 60 %",
            tokens_per_request / single.tokens_per_s, None, tokens_per_request / ours.tokens_per_s, less=True,
        ),
    ]  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    subject.add_arguments(parser)
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--rows", type=int, default=8, help="sequences of full length that the KV cache holds")
    parser.add_argument("--lengths", choices=MEAN_LENGTHS, default="sharegpt", help="whose means the lengths have")
    parser.add_argument("--max-model-len", type=int, help="the context that a static row reserves; the model's own")
    parser.add_argument("--max-tokens", type=int, default=512, help="the client's cap")
    parser.add_argument("--load", type=float, default=1.0, help="arrivals, as a share of what the static server can do")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    where = provenance()
    settings = Settings(
        num_requests=arguments.requests,
        num_rows=arguments.rows,
        lengths=arguments.lengths,
        max_tokens=arguments.max_tokens,
        load=arguments.load,
        seed=arguments.seed,
    )
    llm = load(arguments, settings)
    results = Comparison(llm, settings).run(tell)
    plan = llm.llm_engine.parts.memory_plan
    budget = f"{plan.num_tokens:,} KV slots ({plan.kv_cache_bytes / 2**20:.0f} MiB)"
    footnote = (
        f"{settings.num_requests} requests of {settings.lengths} lengths, max_tokens {settings.max_tokens}, context "
        f"{plan.max_model_len}, {budget} for either server; {subject.describe(llm)}; {where}"
    )
    table = render(claims(results), footnote)
    print(table)
    write(arguments.out, table, results, where)


def load(arguments: argparse.Namespace, settings: Settings) -> LLM:
    """The model, with KV blocks for `num_rows` sequences of full length and not one more."""
    max_model_len = arguments.max_model_len or subject.config(arguments).max_position_embeddings
    num_blocks = settings.num_rows * -(-max_model_len // EngineArgs.block_size)
    return subject.load(arguments, max_model_len=max_model_len, num_gpu_blocks_override=num_blocks)


def tell(name: str, result: Result) -> None:
    print(f"{name}: {result.seconds:.1f} s, {result.tokens_per_s:,.0f} tokens/s", flush=True)


def write(out: Path, table: str, results: dict[str, Result], where: str) -> None:
    """Table, figures and plot."""
    out.mkdir(parents=True, exist_ok=True)
    summaries = {name: result.summary() for name, result in results.items()}
    (out / "headline.md").write_text(table + "\n", encoding="utf-8")
    (out / "headline.json").write_text(json.dumps({"where": where, **summaries}, indent=2) + "\n", encoding="utf-8")
    draw({name: (results[name], results[arrivals(name)]) for name in (STATIC, KIND, OURS)}, out / "headline.png")


if __name__ == "__main__":
    main()
