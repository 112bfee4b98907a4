"""A long prompt enters while eight answers are streamed: how long must their next tokens wait?

    python benchmarks/intruder.py [--max-decode-slowdown 2] [--seconds 15]

A random model of 28M parameters with room for 8,192 positions, behind `pagoda serve`. Time between two tokens of the
eight streams is taken undisturbed, then while a prompt of 4,000 tokens is computed beside them, then undisturbed again;
p99 against p99. The same without the flag stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from machine import provenance
from served import Server, serving

from pagoda.engine.args import BUILTIN_MODEL
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

NUM_STREAMS, INTRUDER_LEN, CONTEXT, VOCAB = 8, 4000, 8192, 8192
TARGET = 2.0


@dataclass
class Stream:
    """When the pieces of one answer came, in seconds of time.perf_counter()."""

    times: list[float] = field(default_factory=list)


def make_checkpoint(directory: Path) -> None:
    """A random model; requests are token ids, so any tokenizer of the same size will do."""
    config = ModelConfig(
        vocab_size=VOCAB, hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=4, head_dim=64, max_position_embeddings=CONTEXT, tie_word_embeddings=True,
        bos_token_id=0, eos_token_ids=(1,),
    )  # fmt: skip
    model = LlamaForCausalLM(config, ReferenceKernels())
    model.initialize(0)
    save_checkpoint(model, config, directory)


async def stream(server: Server, prompt: list[int], max_tokens: int, seen: Stream) -> None:
    """Send one request and note when each event comes, until it ends or the task is cancelled."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(
        {"prompt": prompt, "max_tokens": max_tokens, "ignore_eos": True, "stream": True, "return_token_ids": True}
    ).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    try:
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status = await reader.readline()
        assert b" 200 " in status, (status + await reader.read()).decode()
        while line := await reader.readline():
            if line.startswith(b"data: {"):
                seen.times.append(time.perf_counter())
    finally:
        writer.close()


async def scene(server: Server, seconds: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Gaps between tokens in s, undisturbed and beside the intruder, and the intruder's time to its first token."""
    draw = random.Random(0)
    streams = [Stream() for _ in range(NUM_STREAMS)]
    running = [
        asyncio.create_task(stream(server, [draw.randrange(2, VOCAB) for _ in range(32)], CONTEXT - 64, one))
        for one in streams
    ]
    await asyncio.sleep(2.0)  # their prompts, and the first steps of a new process
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    entered = time.perf_counter()
    intruder = Stream()
    await stream(server, [draw.randrange(2, VOCAB) for _ in range(INTRUDER_LEN)], 1, intruder)
    answered = time.perf_counter()
    await asyncio.sleep(seconds)
    ended = time.perf_counter()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    calm = np.concatenate(
        [gaps(one, began, entered) for one in streams] + [gaps(one, answered, ended) for one in streams]
    )
    return calm, np.concatenate([gaps(one, entered, answered) for one in streams]), answered - entered


def gaps(one: Stream, start: float, end: float) -> np.ndarray:
    """Between successive pieces of which the second came in that time."""
    times = np.array(one.times)
    return np.diff(times)[(times[1:] > start) & (times[1:] <= end)]


def measure(model: Path, flags: list[str], seconds: float) -> tuple[np.ndarray, np.ndarray, float]:
    """One server, one scene."""
    limits = ["--max-num-seqs", "16", "--kv-cache-memory-bytes", str(2**30)]
    with serving(str(model), "--tokenizer", str(BUILTIN_MODEL), *limits, *flags) as server:
        return asyncio.run(scene(server, seconds))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-decode-slowdown", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    line = provenance()
    with tempfile.TemporaryDirectory() as folder:
        make_checkpoint(Path(folder))
        for flags in (["--max-decode-slowdown", str(arguments.max_decode_slowdown)], []):
            calm, beside, ttft_s = measure(Path(folder), flags, arguments.seconds)
            (calm_50, calm_99), (beside_50, beside_99) = (1e3 * np.percentile(x, (50, 99)) for x in (calm, beside))
            print(
                f"{' '.join(flags) or 'without the flag'}: {calm_50:.1f} / {calm_99:.1f} ms between tokens undisturbed "
                f"(p50 / p99), {beside_50:.1f} / {beside_99:.1f} ms beside the intruder, whose first token took "
                f"{ttft_s:.1f} s; p99 x {beside_99 / calm_99:.2f} (target: at most {TARGET})"
            )
    print(line)


if __name__ == "__main__":
    main()
