"""Chats that search a shop's documents: what they ask, and an engine that says what a model would."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

SHOP = ("shop.md", b"# Hours\n\nThe shop opens at 9:00 on weekdays.\n\n# Fees\n\nThe deposit is 40 euros.")
SEARCH: dict[str, Any] = {"type": "file_search"}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
OPENING = "When does the shop open?"


def calling(question: str, name: str = "search_documents") -> str:
    arguments = json.dumps({"question": question})
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def scripted(engine: Any, *texts: str) -> None:
    """The engine says each text once, in this order, and the last one ever after."""
    left: Iterator[str] = iter(texts)
    answer = engine._answer

    async def next_answer(add: Any) -> None:
        engine.text = next(left, texts[-1])
        await answer(add)

    engine._answer = next_answer


def roomy(engine: Any, max_model_len: int = 1024) -> Any:
    return dataclasses.replace(engine.info, max_model_len=max_model_len)
