"""vLLM for CPUs as one of the engines that are compared: its offline `LLM`, in process, through its engine's `step`.

Compiled by default, as vLLM is; `--eager` leaves that out. The memory that it reserves for keys and values is what the
requests need: as much as a context of 16,384 tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rivals.answering import Answer, serve
from rivals.workload import Request

CONTEXT, MOST_REQUESTS = 17408, 32
KV_GIB = 2


class VLLM:
    def __init__(self, llm: Any, sampling_params: Callable[..., Any]) -> None:
        self._engine = llm.llm_engine
        self._sampling_params = sampling_params
        self._live: list[str] = []
        self._made = 0

    def prefill(self, tokens: int) -> Answer:
        self._end()
        self._add(Request(0, tokens, 1))
        return _timed(self._drain)

    def fill(self, rows: int, depth: int, steps: int) -> Answer:
        self._end()
        for index in range(rows):
            self._add(Request(index, depth, steps + 64))
        started: set[str] = set()
        while len(started) < rows:
            started.update(output.request_id for output in self._engine.step() if output.outputs[0].token_ids)
        return {}

    def more(self, steps: int) -> Answer:
        return _timed(lambda: [self._engine.step() for _ in range(steps)])

    def requests(self, requests: list[Request]) -> Answer:
        self._end()

        def run() -> None:
            for request in requests:
                self._add(request)
            self._drain()

        return _timed(run)

    def continuation(self, length: int, count: int) -> Answer:
        self._end()
        self._add(Request(0, length, count))
        return {"tokens": self._drain()}

    def _add(self, request: Request) -> None:
        params = self._sampling_params(temperature=0, max_tokens=request.output_len, ignore_eos=True, detokenize=False)
        self._made += 1  # a name is used once: an aborted request may still be known
        self._live.append(str(self._made))
        self._engine.add_request(self._live[-1], {"prompt_token_ids": request.tokens()}, params)

    def _end(self) -> None:
        self._engine.abort_request(self._live)
        self._live = []
        self._drain()

    def _drain(self) -> list[int]:
        """The tokens of the last output."""
        tokens: list[int] = []
        while self._engine.has_unfinished_requests():
            for output in self._engine.step():
                tokens = list(output.outputs[0].token_ids)
        return tokens


def _timed(run: Callable[[], Any]) -> Answer:
    began = time.perf_counter()
    run()
    return {"seconds": time.perf_counter() - began}


def _load() -> tuple[VLLM, str]:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--eager", action="store_true")
    arguments = parser.parse_args()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(KV_GIB))
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", ",".join(["0-" + str(arguments.threads - 1)]))
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    import vllm

    config = json.loads((Path(arguments.model) / "config.json").read_text(encoding="utf-8"))
    llm = vllm.LLM(
        arguments.model,
        dtype=arguments.dtype,
        skip_tokenizer_init=True,
        enable_prefix_caching=False,
        enforce_eager=arguments.eager,
        max_model_len=min(CONTEXT, config["max_position_embeddings"]),
        max_num_seqs=MOST_REQUESTS,
        max_num_batched_tokens=2048,
    )
    return VLLM(llm, vllm.SamplingParams), f"vLLM {vllm.__version__}, {'eager' if arguments.eager else 'compiled'}"


if __name__ == "__main__":
    serve(_load)
