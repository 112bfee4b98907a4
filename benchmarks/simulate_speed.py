"""How many requests a second of processor time the simulator takes, by load, and where the time goes.

One core, the real scheduler, virtual time. Loads of several kinds on Llama-3.1-8B's shape and H100s; --num-requests
1000000 is the whole test. Run from the repository root:

    python benchmarks/simulate_speed.py [--num-requests 20000] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from dataclasses import replace

from pagoda.balancing import round_robin
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.loadtest.workload import Lengths
from pagoda.models.config import ModelConfig
from pagoda.planning.costs import Parallel, StepCost
from pagoda.planning.devices import DeviceTable
from pagoda.planning.formats import FORMATS
from pagoda.planning.shapes import shape_of
from pagoda.planning.simulation.simulator import Installation, Simulation, simulate
from pagoda.planning.simulation.workload import synthetic

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}  # fmt: skip
LOADS = {  # requests a second, tokens of prompts and answers, replicas
    "classification": (20.0, "256", "8", 1),
    "code, light": (4.0, "lognormal:2048:0.8", "lognormal:28", 1),
    "chat, light": (2.0, "lognormal:512", "lognormal:128", 1),
    "chat, busy": (20.0, "lognormal:512", "lognormal:128", 1),
    "chat, busy, 8 replicas": (160.0, "lognormal:512", "lognormal:128", 8),
}
BLOCK_SIZE = 16


def installation() -> Installation:
    table = DeviceTable.load()
    shape = shape_of(ModelConfig.from_dict(dict(LLAMA_8B)), FORMATS["bfloat16"])
    return Installation(
        scheduler_config=SchedulerConfig(max_model_len=65536, max_num_batched_tokens=8192),
        cache_config=CacheConfig(num_blocks=480_000 // BLOCK_SIZE, block_size=BLOCK_SIZE, enable_prefix_caching=False),
        cost=StepCost(table.device("H100-80GB"), shape, Parallel(), table.program("vllm")),
        route=round_robin,
    )


def run(name: str, num_requests: int) -> tuple[Simulation, float]:
    rate, prompts, answers, replicas = LOADS[name]
    lengths = Lengths.parse(prompts, "prompts"), Lengths.parse(answers, "answers")
    load = synthetic(num_requests, rate, *lengths)
    began = time.process_time()
    found = simulate(load, replace(installation(), num_replicas=replicas))
    return found, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-requests", type=int, default=20_000)
    parser.add_argument("--load", choices=LOADS, action="append", help="only these")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    for name in args.load or LOADS:
        found, seconds = run(name, args.num_requests)
        rate = args.num_requests / seconds
        print(
            f"{name:<24}{args.num_requests:>9,} requests in {seconds:6.1f} s of one core: {rate:8,.0f} a second, "
            f"1,000,000 in {1e6 / rate:5.0f} s; virtual time {found.duration_s:10,.0f} s",
            flush=True,
        )
        if args.profile:
            profile = cProfile.Profile()
            profile.runcall(run, name, min(args.num_requests, 5_000))
            pstats.Stats(profile).sort_stats("tottime").print_stats(12)


if __name__ == "__main__":
    main()
