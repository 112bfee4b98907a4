"""pagoda as one of the engines that are compared: the offline `LLM`, in process, through `add_request` and `step`.

Beside the seconds of whole steps it tells those within the executor (network and sampling) and within the network
alone: the difference is what scheduler, bookkeeping and sampling take.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from pagoda import LLM, RequestOutput, SamplingParams
from pagoda.models.checkpoint.loading import load_config
from rivals.answering import Answer, serve
from rivals.workload import Request

CONTEXT, MOST_REQUESTS = 17408, 32


class Stopwatch:
    """Adds up the seconds that calls of one method take."""

    def __init__(self, owner: Any, method: str) -> None:
        self.seconds = 0.0
        self._call = getattr(owner, method)
        setattr(owner, method, self._timed)

    def _timed(self, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._call(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - began


class Pagoda:
    def __init__(self, llm: LLM) -> None:
        self._engine = llm.llm_engine
        self._rows = 0
        executor: Any = self._engine.core.executor
        self._within = {
            "executor_s": Stopwatch(executor, "execute"),
            "network_s": Stopwatch(executor.runner, "execute"),
        }

    def prefill(self, tokens: int) -> Answer:
        self._end()
        self._add(Request(0, tokens, 1))
        return self._timed(self._drain)

    def fill(self, rows: int, depth: int, steps: int) -> Answer:
        self._end()
        for index in range(rows):
            self._add(Request(index, depth, steps + 64))
        started: set[str] = set()
        while len(started) < rows:
            started.update(output.request_id for output in self._engine.step())
        self._rows = rows
        return {}

    def more(self, steps: int) -> Answer:
        return self._timed(lambda: [self._engine.step() for _ in range(steps)])

    def requests(self, requests: list[Request]) -> Answer:
        self._end()

        def run() -> None:
            for request in requests:
                self._add(request)
            self._drain()

        return self._timed(run)

    def continuation(self, length: int, count: int) -> Answer:
        self._end()
        self._add(Request(0, length, count))
        tokens: list[int] = []
        while self._engine.has_unfinished_requests():
            for output in self._engine.step():
                assert isinstance(output, RequestOutput)
                tokens = list(output.outputs[0].token_ids)
        return {"tokens": tokens}

    def _add(self, request: Request) -> None:
        params = SamplingParams(temperature=0, max_tokens=request.output_len, ignore_eos=True, detokenize=False)
        self._engine.add_request(str(request.index), {"prompt_token_ids": request.tokens()}, params)

    def _end(self) -> None:
        """Rows that were filled leave."""
        self._engine.abort_request([str(index) for index in range(self._rows)])
        self._rows = 0
        self._drain()

    def _drain(self) -> None:
        while self._engine.has_unfinished_requests():
            self._engine.step()

    def _timed(self, run: Any) -> Answer:
        before = {name: watch.seconds for name, watch in self._within.items()}
        began = time.perf_counter()
        run()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, **{name: watch.seconds - before[name] for name, watch in self._within.items()}}


def _load() -> tuple[Pagoda, str]:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--quantization", help="int8 or int4: of a checkpoint of floats, while it is loaded")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    context = min(CONTEXT, load_config(Path(arguments.model)).max_position_embeddings)
    llm = LLM(
        arguments.model,
        dtype=arguments.dtype,
        kernels=arguments.kernels,
        quantization=arguments.quantization,
        skip_tokenizer_init=True,
        enable_prefix_caching=False,
        max_model_len=context,
        max_num_seqs=MOST_REQUESTS,
        num_gpu_blocks_override=CONTEXT // 16 + MOST_REQUESTS,
        disable_log_stats=True,
    )
    kernels = llm.llm_engine.parts.kernels
    about = f"{kernels.name} kernels {getattr(kernels, 'instruction_set', '')} {arguments.quantization or ''}".strip()
    return Pagoda(llm), about


if __name__ == "__main__":
    serve(_load)
