"""However large a request is, the event loop of the server is never long without Python's lock.

Sizes are such that one call which handles such a body in one go takes several times what is allowed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from loop_watch import LoopWatch

MAX_STRETCH_S = 0.05
NUM_TRIES = 3
"""What holds the loop up does so each time; a busy machine, now and then."""
TEXT = "hello world " * 10_000
IDS = [i % 8000 for i in range(100_000)]
HI = [{"role": "user", "content": "hi"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": f"tool_{i}", "parameters": SCHEMA}} for i in range(1000)]
LOOKAHEADS = {f"p{i}": {"type": "string", "pattern": f"(?=a{i})b"} for i in range(200)}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": LOOKAHEADS}}}
"""Few bytes, in which much is to be looked for."""
CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"

CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "a long prompt": (COMPLETION, {"prompt": TEXT}, 400),
    "a long message": (CHAT, {"messages": [{"role": "user", "content": TEXT}]}, 400),
    "a long input of the Responses API": ("/v1/responses", {"input": TEXT}, 400),
    "a long text to embed": ("/v1/embeddings", {"input": TEXT}, 400),
    "a long text to tokenize": ("/tokenize", {"prompt": TEXT}, 200),
    "a long prompt to render": ("/v1/completions/render", {"prompt": TEXT}, 200),
    "token ids": (COMPLETION, {"prompt": IDS}, 400),
    "prompts of token ids": (COMPLETION, {"prompt": [IDS[:2000]] * 25}, 400),
    "ids to detokenize": ("/detokenize", {"tokens": IDS}, 200),
    "messages": (CHAT, {"messages": [{"role": "tool", "content": f"x{i}"} for i in range(3_000)]}, 400),
    "items": ("/v1/responses", {"input": [{"role": "user", "content": f"x{i}"} for i in range(3_000)]}, 400),
    "parts": (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 5_000}]}, 400),
    "tools": (CHAT, {"messages": HI, "tools": TOOLS}, 400),
    "a schema of few bytes": (CHAT, {"messages": HI, "max_tokens": 1, "response_format": FORMAT}, 200),
    "bad words": (COMPLETION, {"prompt": "hi", "bad_words": [f"word{i}" for i in range(20_000)]}, 200),
    "biases": (COMPLETION, {"prompt": "hi", "logit_bias": {str(i): 1 for i in range(20_000)}}, 200),
    "allowed ids": (COMPLETION, {"prompt": "hi", "allowed_token_ids": IDS[:30_000]}, 200),
    "texts to embed": ("/v1/embeddings", {"input": ["some words to embed"] * 2048}, 200),
    "log-probabilities": (COMPLETION, {"prompt": [[5, 6, 7] * 330] * 6, "echo": True, "logprobs": 3}, 200),
    "faults in a list": (COMPLETION, {"prompt": [True] * 100_000}, 400),
    "faults in a mapping": (COMPLETION, {"prompt": "hi", "logit_bias": {str(i): "x" for i in range(30_000)}}, 400),
    "unknown fields": (COMPLETION, {"prompt": "hi", **{f"field_{i}": 1 for i in range(20_000)}}, 200),
}


@pytest.mark.parametrize("case", CASES)
def test_no_large_request_holds_up_the_event_loop(case: str, serve: Callable[..., Any]) -> None:
    path, body, status = CASES[case]
    data = json.dumps(body).encode()

    async def main() -> Any:
        async with serve(max_model_len=1024, max_num_waiting=4096) as server:
            return await server.client.post(path, content=data, headers={"content-type": "application/json"})

    for _ in range(NUM_TRIES):
        watch = LoopWatch(but_of="FakeEngine")
        with watch.watching():
            answer = asyncio.run(main())
        assert answer.status_code == status, answer.text[:500]
        seconds, what = watch.longest
        if seconds < MAX_STRETCH_S:
            return
    pytest.fail(f"{what} took {seconds:.3f} s")
