"""transformers as one of the engines that are compared: its own model and cache, its own `generate_batch` for lists.

Prompts and steps are those of a caller who writes the loop: logits of the last token only, SDPA attention, a
`DynamicCache`. A list of requests is padded to the left and run as one batch until its longest answer ends, which is
how `generate` runs it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

from rivals.answering import Answer, serve
from rivals.workload import Request, token_of


class Transformers:
    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: Any = None
        self._depth = self._rows = 0

    def prefill(self, tokens: int) -> Answer:
        ids = torch.tensor([Request(0, tokens, 1).tokens()])
        return _timed(lambda: self._model(ids, use_cache=True, logits_to_keep=1).logits.argmax(-1).item())

    def fill(self, rows: int, depth: int, steps: int) -> Answer:
        self._cache = transformers.DynamicCache(config=self._model.config)
        prompts = torch.tensor([Request(row, depth, steps).tokens() for row in range(rows)])
        for part in prompts.split(2048, dim=1):
            self._model(part, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._rows, self._depth = rows, depth
        return {}

    def more(self, steps: int) -> Answer:
        def run() -> None:
            ids = torch.tensor([[token_of(row, self._depth)] for row in range(self._rows)])
            for _ in range(steps):
                logits = self._model(ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1).logits
                ids = logits[:, -1].argmax(-1, keepdim=True)
            self._depth += steps

        return _timed(run)

    def requests(self, requests: list[Request]) -> Answer:
        width = max(request.prompt_len for request in requests)
        padded = [[0] * (width - request.prompt_len) + request.tokens() for request in requests]
        mask = [[0] * (width - request.prompt_len) + [1] * request.prompt_len for request in requests]
        longest = max(request.output_len for request in requests)

        def run() -> None:
            self._generate(torch.tensor(padded), torch.tensor(mask), longest)

        return _timed(run)

    def continuation(self, length: int, count: int) -> Answer:
        ids = torch.tensor([Request(0, length, count).tokens()])
        return {"tokens": self._generate(ids, torch.ones_like(ids), count)[0, length:].tolist()}

    def _generate(self, ids: torch.Tensor, mask: torch.Tensor, count: int) -> torch.Tensor:
        settings = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False, "pad_token_id": 0}
        generated: torch.Tensor = self._model.generate(ids, attention_mask=mask, **settings)
        return generated


@torch.inference_mode()
def _timed(run: Callable[[], Any]) -> Answer:
    began = time.perf_counter()
    run()
    return {"seconds": time.perf_counter() - began}


def _load() -> tuple[Transformers, str]:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", default="bfloat16")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    dtype = getattr(torch, arguments.dtype)
    model = transformers.AutoModelForCausalLM.from_pretrained(arguments.model, dtype=dtype).eval()
    return Transformers(model), f"transformers {transformers.__version__}, torch {torch.__version__}, SDPA"


if __name__ == "__main__":
    serve(_load)
