"""/v1/rag/feedback: what people say of answers is kept, listed, and becomes questions that `rag eval` reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pagoda.rag.evaluation.answers import read_questions

RIGHT = {"question": "When does the shop open?", "rating": "up", "answer": "At 9:00. [1]", "source": "shop.md"}
WRONG = {"question": "茶室几点关门？", "rating": "down", "answer": "早上九点 [1]", "right_answer": "晚上八点半"}


def test_feedback_outlives_the_server_and_becomes_a_set_of_questions(site: Callable[..., Any], tmp_path: Path) -> None:
    async def say() -> None:
        async with site() as s:
            for said in (RIGHT, WRONG):
                kept = (await s.client.post("/v1/rag/feedback", json=said)).json()
                assert kept["object"] == "rag.feedback"
                assert kept["time"]

    async def read() -> None:
        async with site() as s:
            listed = (await s.client.get("/v1/rag/feedback")).json()["data"]
            assert [entry["rating"] for entry in listed] == ["up", "down"]
            assert listed[1]["right_answer"] == "晚上八点半"
            lines = await s.client.get("/v1/rag/feedback/questions")
            assert lines.headers["content-type"].startswith("application/x-ndjson")
            (tmp_path / "questions.jsonl").write_bytes(lines.content)

    asyncio.run(say())
    asyncio.run(read())
    asked = read_questions(tmp_path / "questions.jsonl")
    assert [(entry.question, entry.source, entry.answers) for entry in asked] == [
        ("When does the shop open?", "shop.md", ("At 9:00.",)),
        ("茶室几点关门？", "", ("晚上八点半",)),
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"rating": "up"}, "question"),
        ({"question": "", "rating": "up"}, "question"),
        ({"question": "When?", "rating": "sideways"}, "rating"),
        ({"question": "When?", "rating": "down", "right_answer": 5}, "right_answer"),
        ({"question": "When?", "rating": "down", "comment": "x" * 40_000}, "comment"),
    ],
)
def test_what_is_no_feedback_is_a_400_and_not_kept(site: Callable[..., Any], body: Any, param: str) -> None:
    async def scenario() -> None:
        async with site() as s:
            response = await s.client.post("/v1/rag/feedback", json=body)
            assert response.status_code == 400
            assert response.json()["error"]["param"] == param
            assert (await s.client.get("/v1/rag/feedback")).json()["data"] == []

    asyncio.run(scenario())
