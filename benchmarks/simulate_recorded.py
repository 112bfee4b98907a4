"""The simulator against vLLM's recorded times of single requests, on an RTX 4090 and on RTX PRO 6000s.

The records are those of github.com/casys-kaist/LLMServingSim (MIT; bench/examples/*/*/vllm/requests.jsonl), 300
requests of ShareGPT's lengths at 10 a second in each of four configurations; they are not part of this repository. Four
constants of the cost model are calibrated: what the first quarter of the requests saw (those that arrived first) is all
that the calibration knows; then all 300 are simulated and compared. Run from the repository root:

    python benchmarks/simulate_recorded.py FOLDER    (the folder that holds RTX4090/ and RTXPRO6000/)
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from least_squares import fitted

from pagoda.balancing import round_robin
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.loadtest.metrics import percentile
from pagoda.models.config import ModelConfig
from pagoda.planning.costs import Parallel, StepCost
from pagoda.planning.devices import Device, DeviceTable, Overheads
from pagoda.planning.formats import FORMATS
from pagoda.planning.layouts import StepLimits, device_memory
from pagoda.planning.shapes import ModelShape, shape_of
from pagoda.planning.simulation.simulator import Installation, Simulation, simulate
from pagoda.planning.simulation.workload import SimulatedRequest

_COMMON = {"num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 32768, "torch_dtype": "bfloat16"}
_QWEN = {**_COMMON, "vocab_size": 151936}
CONFIGS: dict[str, dict[str, Any]] = {
    "Llama-3.1-8B": {
        **_COMMON, "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 4096,
        "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    },
    "Qwen3-32B": {
        **_QWEN, "architectures": ["Qwen3ForCausalLM"], "hidden_size": 5120, "intermediate_size": 25600,
        "num_hidden_layers": 64, "num_attention_heads": 64,
    },
    "Qwen3-30B-A3B-Instruct-2507": {
        **_QWEN, "architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 2048, "intermediate_size": 6144,
        "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 768, "norm_topk_prob": True, "decoder_sparse_step": 1,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """A configuration: what ran, and of each request [arrival, first token, end] in seconds."""

    name: str
    device: str
    model: str
    parallel: Parallel
    replicas: int
    max_num_seqs: int
    num_blocks: int | None
    requests: list[SimulatedRequest]
    times: np.ndarray


def read(folder: Path) -> list[Recorded]:
    found = []
    for path in sorted(folder.glob("*/*/requests.jsonl")) + sorted(folder.glob("*/*/vllm/requests.jsonl")):
        where = path.parent.parent if path.parent.name == "vllm" else path.parent
        meta = json.loads((path.parent / "meta.json").read_text(encoding="utf-8"))
        settings = meta["engine_kwargs"]
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        # The two clocks differ by what the quickest request took from its sender to the engine.
        offset = min(line["queued_ts"] - line["arrival_time"] for line in lines)
        arrival = np.array([line["arrival_time"] + offset for line in lines])
        order, origin = np.argsort(arrival, kind="stable"), float(arrival.min())
        times = np.array([[arrival[i], lines[i]["first_token_ts"], lines[i]["last_token_ts"]] for i in order]) - origin
        sizes = [(lines[i]["input_toks"], lines[i]["output_toks"]) for i in order]
        found.append(
            Recorded(
                name=f"{where.parent.name} {where.name}",
                device={"RTX4090": "RTX4090-24GB"}.get(where.parent.name, "RTX-PRO-6000-96GB"),
                model=where.name,
                parallel=Parallel(settings["tensor_parallel_size"]),
                replicas=settings["data_parallel_size"],
                max_num_seqs=settings["max_num_seqs"],
                num_blocks=meta.get("kv_cache", {}).get("num_gpu_blocks"),
                requests=[SimulatedRequest(float(t[0]), *size) for t, size in zip(times, sizes, strict=True)],
                times=times,
            )
        )
    return found


NAMES = ("reading", "computing", "fixed", "sequence")
START = np.log([0.85, 0.5, 3e-5, 3e-5])
PRIOR_WEIGHT, TTFT_WEIGHT = 0.1, 0.1
SOON_S = 0.05
"""Times to first tokens differ by less than it count little."""


def run(recorded: Recorded, table: DeviceTable, logarithms: Sequence[float], count: int) -> Simulation:
    """The first `count` requests; constants: shares of bandwidth and peak, seconds of a layer and a sequence."""
    reading, computing, fixed, sequence = (math.exp(value) for value in logarithms)
    plain = table.device(recorded.device)
    share = replace(plain.efficiency, bandwidth=reading, products={"bfloat16": computing})
    device: Device = replace(plain, efficiency=share)
    overheads = Overheads(step=0.0, layer=fixed, sequence=sequence)
    shape: ModelShape = shape_of(ModelConfig.from_dict(dict(CONFIGS[recorded.model])), FORMATS["bfloat16"])
    ranks, parallel = recorded.replicas, recorded.parallel
    if ranks > 1:
        # Ranks of data parallelism that share experts step together: as one engine, each with all other weights.
        parallel = Parallel(ranks)
        shape = replace(shape, layer_bytes=shape.layer_bytes * ranks, head_bytes=shape.head_bytes * ranks)
    limits = StepLimits(recorded.max_num_seqs * ranks, 2048 * ranks)
    memory = device_memory(shape, parallel, device, limits)
    assert memory is not None, f"{recorded.model} does not fit onto {recorded.device}"
    installation = Installation(
        scheduler_config=SchedulerConfig(
            max_model_len=32768,
            max_num_seqs=limits.max_num_seqs,
            max_num_batched_tokens=limits.max_num_batched_tokens,
        ),
        cache_config=CacheConfig(
            num_blocks=recorded.num_blocks or memory.kv_tokens // 16,
            block_size=16,
            enable_prefix_caching=False,
            watermark=0.0,
        ),
        cost=StepCost(device, shape, parallel, overheads),
        route=round_robin,
        async_scheduling=True,
    )
    return simulate(recorded.requests[:count], installation)


def figures(times: np.ndarray, sizes: Sequence[SimulatedRequest]) -> tuple[np.ndarray, np.ndarray]:
    """TTFT and TPOT of each request."""
    tokens = np.array([max(request.num_output_tokens - 1, 1) for request in sizes])
    return times[:, 1] - times[:, 0], (times[:, 2] - times[:, 1]) / tokens


def as_times(found: Simulation) -> np.ndarray:
    return np.array([found.times.arrival_s, found.times.first_s, found.times.end_s]).T


def calibrate(recorded: Recorded, table: DeviceTable, count: int) -> list[float]:
    """The constants that fit what the first requests saw.

    What a request sees depends on those that come behind it, so all are simulated, and only the first ones looked at.
    """
    real_ttft, real_tpot = figures(recorded.times[:count], recorded.requests[:count])

    def residuals(logarithms: np.ndarray) -> np.ndarray:
        found = as_times(run(recorded, table, logarithms.tolist(), len(recorded.requests)))[:count]
        ttft, tpot = figures(found, recorded.requests[:count])
        first = np.log((ttft + SOON_S) / (real_ttft + SOON_S))
        prior = PRIOR_WEIGHT * (logarithms - START)
        return np.concatenate([TTFT_WEIGHT * first, np.log(tpot / real_tpot), prior])

    return [float(value) for value in fitted(residuals, START, step=0.02, scale=0.05, num_rounds=6)]


def compare(recorded: Recorded, table: DeviceTable, share: float) -> None:
    count = int(len(recorded.requests) * share)
    constants = calibrate(recorded, table, count)
    found = as_times(run(recorded, table, constants, len(recorded.requests)))
    told = ", ".join(f"{name} {math.exp(value):.3g}" for name, value in zip(NAMES, constants, strict=True))
    print(f"{recorded.name}: {told}")
    for title, part in (("all", slice(None)), ("not calibrated on", slice(count, None))):
        mine = figures(found[part], recorded.requests[part])
        real = figures(recorded.times[part], recorded.requests[part])
        for name, one, other in zip(("TTFT", "TPOT"), mine, real, strict=True):
            errors = []
            for percent in (50, 99):
                a, b = (percentile(sorted(values.tolist()), percent) * 1e3 for values in (one, other))
                errors.append(f"p{percent} {a:9,.1f} against {b:9,.1f} ms ({100 * (a / b - 1):+5.1f} %)")
            print(f"  {title:<18}{name}  {'   '.join(errors)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=0.25, help="of the requests, calibrated on")
    parser.add_argument("--only", help="part of a configuration's name")
    args = parser.parse_args()
    table = DeviceTable.load()
    for recorded in read(args.folder):
        if args.only is None or args.only in recorded.name:
            compare(recorded, table, args.share)


if __name__ == "__main__":
    main()
