"""The loop of an engine that is driven from Python: questions on stdin, answers on stdout, a line each.

    python -m rivals.pagoda_peer MODEL … <- started by `process.py`, in a process of its own

The same questions as `ggml_driver.cpp` knows. What an engine prints on its own goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from rivals.workload import Request

Answer = dict[str, Any]
QUESTIONS = ("prefill", "fill", "more", "continuation")
"""The methods of an engine that take nothing but numbers."""


class Engine(Protocol):
    """Answers with `seconds`, what was asked for and nothing before it."""

    def prefill(self, tokens: int) -> Answer:
        """One prompt, up to its first token."""
        ...

    def fill(self, rows: int, depth: int, steps: int) -> Answer:
        """Nothing is told: `rows` requests of `depth` tokens are there afterwards, in place of those before, for `more`
        up to `steps` times."""
        ...

    def more(self, steps: int) -> Answer:
        """`steps` tokens for each of the rows that are there."""
        ...

    def requests(self, requests: list[Request]) -> Answer:
        """All of them, there from the start, until the last token of the last."""
        ...

    def continuation(self, length: int, count: int) -> Answer:
        """`tokens`: the most likely ones after the first request's prompt."""
        ...


def answer(engine: Engine, line: str) -> Answer:
    """What the engine says to one question."""
    what, *words = line.split()
    numbers = [int(word) for word in words]
    if what == "requests":
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return engine.requests([Request(index, *pair) for index, pair in enumerate(pairs)])
    if what not in QUESTIONS:
        raise ValueError(f"asked {line.strip()!r}, expected one of {', '.join(QUESTIONS)} or requests, and numbers")
    asked: Callable[..., Answer] = getattr(engine, what)
    return asked(*numbers)


def serve(load: Callable[[], tuple[Engine, str]]) -> None:
    """Load, say what was loaded, and answer until the questions end."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(told: Answer) -> None:
        answers.write(json.dumps(told) + "\n")
        answers.flush()

    engine, about = load()
    say({"ready": True, "about": about})
    for line in sys.stdin:
        if line.strip() == "end":
            break
        say(answer(engine, line))
