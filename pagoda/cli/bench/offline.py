"""`pagoda bench throughput` and `pagoda bench latency`: how fast a model runs here, offline.

Beside the token's path. Prompts are random token ids of one length and outputs have one length too (ignore_eos), so
that a figure depends on model, machine and settings only; nothing is shared through the prefix cache.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import random
import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from pagoda.cli.console.options import ENGINE_OPTIONS, AsJson, Settings, engine_settings, option, with_options
from pagoda.cli.console.terminal import Terminal
from pagoda.errors import ConfigError
from pagoda.loadtest.metrics import percentile
from pagoda.sampling_params import RequestOutputKind, SamplingParams
from pagoda.startup import collector_paused

if TYPE_CHECKING:
    from pagoda.llm import LLM

bench = typer.Typer(help="Measure throughput or latency of a model on this machine.")


@dataclass(frozen=True, kw_only=True)
class OfflineWorkload:
    """What is run. Raises ConfigError for a count below 1."""

    num_prompts: int
    input_len: int = 128
    output_len: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self)[:3]:
            if getattr(self, field.name) < 1:
                raise ConfigError(f"{field.name} is {getattr(self, field.name)}, but at least 1 is expected")

    def prompts(self, vocab_size: int) -> list[dict[str, Any]]:
        """Prompts of random token ids, the same for the same seed."""
        draw = random.Random(self.seed)
        return [
            {"prompt_token_ids": [draw.randrange(vocab_size) for _ in range(self.input_len)]}
            for _ in range(self.num_prompts)
        ]

    def sampling_params(self) -> SamplingParams:
        """Exactly `output_len` tokens, drawn as in real use."""
        return SamplingParams(
            max_tokens=self.output_len,
            ignore_eos=True,
            detokenize=False,
            seed=self.seed,
            output_kind=RequestOutputKind.DELTA,
        )


WORKLOAD_OPTIONS = (
    option("num_prompts", int, "Requests: 32 at once for throughput, 8 in a row for latency."),
    option("input_len", int, "Tokens of a prompt.", default=OfflineWorkload.input_len),
    option("output_len", int, "Tokens of a completion.", default=OfflineWorkload.output_len),
    option("seed", int, "Of prompts and sampling.", default="0"),
)


@bench.command()
@with_options(workload=WORKLOAD_OPTIONS, engine=ENGINE_OPTIONS)
def throughput(ctx: typer.Context, as_json: AsJson = False, *, workload: Settings, engine: Settings) -> None:
    """All requests at once: requests and tokens a second."""
    work = OfflineWorkload(**{"num_prompts": 32, **workload})
    llm = _load(work, engine)
    prompts = work.prompts(llm.llm_engine.config.vocab_size)
    began = time.perf_counter()
    llm.generate(prompts, work.sampling_params())
    elapsed_s = time.perf_counter() - began
    measured = {
        "elapsed_s": elapsed_s,
        "requests_per_s": work.num_prompts / elapsed_s,
        "output_tokens_per_s": work.num_prompts * work.output_len / elapsed_s,
        "total_tokens_per_s": work.num_prompts * (work.input_len + work.output_len) / elapsed_s,
    }
    _report("throughput", measured, work, llm, ctx.obj, as_json)


@bench.command()
@with_options(workload=WORKLOAD_OPTIONS, engine=ENGINE_OPTIONS)
def latency(ctx: typer.Context, as_json: AsJson = False, *, workload: Settings, engine: Settings) -> None:
    """One request after the other: time to the first token, and between tokens."""
    work = OfflineWorkload(**{"num_prompts": 8, **workload})
    llm = _load(work, engine)
    first_ms: list[float] = []
    between_ms: list[float] = []
    for prompt in work.prompts(llm.llm_engine.config.vocab_size):
        times = _token_times(llm, prompt, work.sampling_params())
        gaps = [1000 * (later - earlier) for earlier, later in itertools.pairwise(times)]
        first_ms.append(gaps[0])
        between_ms += gaps[1:]
    measured = _percentiles("time_to_first_token_ms", first_ms) | _percentiles("inter_token_latency_ms", between_ms)
    _report("latency", measured, work, llm, ctx.obj, as_json)


def _percentiles(name: str, values: list[float]) -> dict[str, float]:
    """Median and 99th; nothing of no values, as the gaps of one token are."""
    ordered = sorted(values)
    return {f"{name}_p{percent}": percentile(ordered, percent) for percent in (50, 99) if ordered}


def _load(work: OfflineWorkload, engine: Settings) -> LLM:
    """The model, warmed up: the first step of a process pays for what later ones find ready."""
    keywords = engine_settings(engine)
    # torch takes seconds to import: only once everything that can be checked without it is sound.
    with collector_paused():
        from pagoda.llm import LLM

    llm = LLM(**keywords)
    limit = llm.llm_engine.max_model_len
    if work.input_len + work.output_len > limit:
        raise ConfigError(
            f"input_len {work.input_len} and output_len {work.output_len} are {work.input_len + work.output_len} "
            f"tokens, but max_model_len is {limit}: lower one of them"
        )
    warm_up = OfflineWorkload(num_prompts=1, input_len=min(work.input_len, 32), output_len=4, seed=work.seed + 1)
    llm.generate(warm_up.prompts(llm.llm_engine.config.vocab_size), warm_up.sampling_params(), use_tqdm=False)
    return llm


def _token_times(llm: LLM, prompt: dict[str, Any], params: SamplingParams) -> list[float]:
    """When the request was sent, then when each token came, in seconds."""
    times = [time.perf_counter()]
    for output in llm.stream(prompt, params):
        times += [time.perf_counter()] * len(output.outputs[0].token_ids)
    return times


def machine_facts(llm: LLM) -> dict[str, Any]:
    """What a figure depends on beside the workload."""
    import torch

    parts = llm.llm_engine.parts
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "model": parts.args.served_names[0],
        "num_parameters": parts.config.num_parameters,
        "device": str(parts.device),
        "dtype": parts.dtype,
        "kernels": parts.kernels.name,
        "cores": cores,
        "torch_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _report(
    name: str, measured: dict[str, float], work: OfflineWorkload, llm: LLM, terminal: Terminal, as_json: bool
) -> None:
    sections = {"benchmark": name, "measured": measured, "workload": asdict(work), "machine": machine_facts(llm)}
    if as_json:
        terminal.result(json.dumps(sections, indent=2))
        return
    table = Table(title=f"pagoda bench {name}", title_justify="left", box=None, pad_edge=False, show_header=False)
    for figure, value in measured.items():
        table.add_row(figure, f"{value:,.2f}", style="bold")
    for fact, value in (asdict(work) | machine_facts(llm)).items():
        table.add_row(fact, f"{value:,}" if isinstance(value, int) else str(value), style="dim")
    terminal.out.print(table)
