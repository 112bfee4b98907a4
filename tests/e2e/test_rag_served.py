"""`pagoda serve --rag DIR` as a process: what is uploaded answers, outlives a restart, and streams as it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pagoda.rag.evaluation.feedback import FeedbackLog
from patience import until

FERRY = "# The ferry\n\nThe ferry to Heron Island leaves at 7:40 in the morning from the north pier."
TEA = "# 茶室\n\n茶室在二楼，每天早上九点开门，晚上八点半关门。"
Serving = Callable[..., AbstractContextManager[Any]]


def ready(client: Any) -> None:
    until(lambda: client.get("/ready").status_code == 200)


def ask(client: Any, question: str, **fields: Any) -> Any:
    reply = client.post("/v1/rag/query", json={"question": question, **fields})
    assert reply.status_code == 200, reply.text
    return reply


def test_uploads_answer_in_both_languages_and_outlive_a_restart(serving: Serving, tmp_path: Path) -> None:
    folder = str(tmp_path / "index")
    with serving("--no-access-log", "--rag", folder) as server:
        ready(server.client)
        files = [("file", ("ferry.md", FERRY.encode())), ("file", ("茶室.md", TEA.encode()))]
        reply = server.client.post("/v1/rag/documents", files=files)
        assert reply.status_code == 200, reply.text
        assert sorted(reply.json()["added"]) == ["ferry.md", "茶室.md"]
        english = ask(server.client, "When does the ferry to Heron Island leave?").json()
        assert "7:40" in english["text"]
        assert english["citations"][0]["source"] == "ferry.md"
        assert server.stop() == 0
    with serving("--no-access-log", "--rag", folder) as server:
        ready(server.client)
        again = ask(server.client, "When does the ferry to Heron Island leave?").json()
        assert (again["text"], again["citations"]) == (english["text"], english["citations"])
        assert ask(server.client, "茶室几点开门？").json()["citations"][0]["source"] == "茶室.md"
        streamed = ask(server.client, "茶室几点开门？", stream=True, answerer="model")
        events = [line[6:] for line in streamed.text.splitlines() if line.startswith("data: {")]
        pieces = [json.loads(line) for line in events]
        whole = ask(server.client, "茶室几点开门？", answerer="model").json()
        assert pieces[-1]["text"] == whole["text"]
        assert server.client.delete("/v1/rag/documents/ferry.md").status_code == 200
        assert [each["source"] for each in server.client.get("/v1/rag/documents").json()["data"]] == ["茶室.md"]


def test_collections_are_opened_by_their_keys_and_feedback_outlives_a_kill(serving: Serving, tmp_path: Path) -> None:
    (tmp_path / "readers.txt").write_text("reader\n", "utf-8")
    file = tmp_path / "collections.toml"
    rights = 'read = ["file:readers.txt"]\nwrite = ["env:EDITORS"]'
    file.write_text(f'[open]\npath = "open"\n\n[closed]\npath = "closed"\n{rights}\n', "utf-8")
    closed = {"collection": "closed"}
    reader, writer = ({"Authorization": f"Bearer {key}"} for key in ("reader", "writer"))
    with serving("--collection", str(file), environment={"EDITORS": "writer"}) as server:
        ready(server.client)
        files = [("file", ("ferry.md", FERRY.encode()))]
        refused = server.client.post("/v1/rag/documents", files=files, params=closed, headers=reader)
        assert refused.status_code == 403
        assert server.client.post("/v1/rag/documents", files=files, params=closed, headers=writer).status_code == 200
        question = {"question": "When does the ferry to Heron Island leave?"}
        assert server.client.post("/v1/rag/query", json=question, params=closed).status_code == 401
        answer = server.client.post("/v1/rag/query", json=question, params=closed, headers=reader).json()
        cited = answer["citations"][0]
        place = {"start": cited["start"], "end": cited["end"], **closed}
        view = server.client.get(f"/v1/rag/documents/{cited['source']}", params=place, headers=reader).json()
        assert "<mark>" in view["html"]
        said = {**question, "rating": "up", "answer": answer["text"], "span": answer["span"]}
        assert server.client.post("/v1/rag/feedback", json=said, params=closed, headers=reader).status_code == 200
        server.process.kill()
        server.process.wait()
    (kept,) = FeedbackLog(tmp_path / "closed-feedback.jsonl").entries()
    assert (kept.question, kept.rating) == (question["question"], "up")
    assert not any(secret in line for secret in ("reader", "writer", "Bearer") for line in server.log)


@pytest.mark.real_model
def test_a_real_model_that_has_to_search_gets_the_passages_and_is_cited(
    serving: Serving, tmp_path: Path, qwen_coder: Path
) -> None:
    with serving(str(qwen_coder), "--no-access-log", "--max-model-len", "2048", "--rag", str(tmp_path / "i")) as server:
        ready(server.client)
        files = [("file", ("ferry.md", FERRY.encode())), ("file", ("茶室.md", TEA.encode()))]
        assert server.client.post("/v1/rag/documents", files=files).status_code == 200
        body = {
            "messages": [{"role": "user", "content": "When does the ferry to Heron Island leave?"}],
            "tools": [{"type": "file_search", "max_num_results": 1}],
            "tool_choice": {"type": "file_search"},
            "max_tool_calls": 1,
            "max_tokens": 160,
            "temperature": 0,
        }
        reply = server.client.post("/v1/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        message = reply.json()["choices"][0]["message"]
        (search,) = message["file_search_calls"]
        assert search["status"] == "completed"
        assert search["queries"][0]
        assert search["results"][0]["filename"] == "ferry.md"
        assert "7:40" in message["content"]
        assert any("7:40" in cited["file_citation"]["quote"] for cited in message["annotations"])
        streamed = server.client.post("/v1/chat/completions", json={**body, "stream": True})
        events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
        deltas = [choice["delta"] for each in events for choice in each["choices"]]
        assert "".join(delta.get("content", "") for delta in deltas) == message["content"]
        assert server.stop() == 0
