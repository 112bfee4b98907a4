"""Routing policies over Mooncake's conversation trace: hits in the prefix caches, time to first token, balance.

The trace is FAST25-release/traces/conversation_trace.jsonl of github.com/kvcache-ai/Mooncake (Apache-2.0), which is not
part of this repository. Eight replicas of Llama 3.1 70B's shape in bf16, each on four H200s (TP 4); hits are compared
with those of one cache that forgets nothing. `--kv-tokens` gives each replica a cache of so many tokens in place of
what its devices hold, as a pool in the hosts' memory would. Run from the repository root:

    python benchmarks/simulate_routing.py conversation_trace.jsonl [--kv-tokens 12000000]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from pagoda.balancing import POLICIES, AffinityConfig, policy_named
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.models.config import ModelConfig
from pagoda.planning.costs import Parallel, StepCost, decode_load, prompt_load
from pagoda.planning.devices import DeviceTable
from pagoda.planning.formats import FORMATS
from pagoda.planning.layouts import StepLimits, device_memory
from pagoda.planning.shapes import shape_of
from pagoda.planning.simulation.simulator import Installation, simulate
from pagoda.planning.simulation.summary import summarize_simulation
from pagoda.planning.simulation.traces import ideal_hit_rate, read_trace

LLAMA_70B = {
    "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 8192, "intermediate_size": 28672,
    "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}  # fmt: skip
BLOCK_SIZE = 64
NUM_REPLICAS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--num-requests", type=int)
    parser.add_argument("--device", default="H200-141GB")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--kv-tokens", type=int)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--imbalance", type=float, default=AffinityConfig.imbalance)
    parser.add_argument("--queue-weight", type=float, default=AffinityConfig.queue_weight)
    parser.add_argument("--policy", choices=POLICIES, action="append", help="only these")
    args = parser.parse_args()
    table, parallel = DeviceTable.load(), Parallel(args.ranks)
    device, shape = table.device(args.device), shape_of(ModelConfig.from_dict(dict(LLAMA_70B)), FORMATS["bfloat16"])
    memory = device_memory(shape, parallel, device, StepLimits(max_num_batched_tokens=8192, block_size=BLOCK_SIZE))
    assert memory is not None, "70B in bf16 does not fit there"
    cost = StepCost(device, shape, parallel, table.program("vllm"))
    affinity = AffinityConfig(cost.seconds(prompt_load(8192)) / 8192, cost.seconds(decode_load(1, 8192)) / 20)
    affinity = replace(affinity, imbalance=args.imbalance, queue_weight=args.queue_weight)
    requests = read_trace(args.trace, num_requests=args.num_requests, speed=args.speed)
    kv_tokens, ideal = args.kv_tokens or memory.kv_tokens, ideal_hit_rate(requests, BLOCK_SIZE)
    print(f"{len(requests):,} requests; one endless cache has {100 * ideal:.1f} % of the prompts' tokens")
    print(f"{NUM_REPLICAS} replicas of {args.ranks} x {device.name}, each a cache of {kv_tokens:,} tokens")
    for name in args.policy or POLICIES:
        began = time.process_time()
        found = simulate(
            requests,
            Installation(
                scheduler_config=SchedulerConfig(max_model_len=131072, max_num_batched_tokens=8192),
                cache_config=CacheConfig(num_blocks=kv_tokens // BLOCK_SIZE, block_size=BLOCK_SIZE),
                cost=cost,
                route=policy_named(name, affinity),
                num_replicas=NUM_REPLICAS,
            ),
        )
        summary = summarize_simulation(found, {})
        p50, p99 = (summary.ttft.percentiles[percent] for percent in (50, 99))
        print(
            f"{name:<16} hits {100 * summary.hit_rate:5.1f} % ({100 * summary.hit_rate / ideal:5.1f} % of the endless "
            f"cache's)   TTFT p50 {p50:7,.0f} p99 {p99:8,.0f} ms   most computed tokens over the mean "
            f"{summary.load_imbalance:.3f}   ({time.process_time() - began:.0f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
