"""The handbook indexed and asked in a process that cannot open a connection, with the real embedder.

Nor can it import sentence-transformers, which only an embedder by name needs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from patience import HANG_S

pytest.importorskip("chromadb", reason="needs the rag extra")

HANDBOOK = Path(__file__).resolve().parents[2] / "examples" / "handbook"
# Whatever connects or looks a name up ends the process at once, where no library could swallow the error.
SCRIPT = """
import os, socket, sys

def refuse(self, *args, **kwargs):
    os.write(2, f"a connection was attempted: {args}".encode())
    os._exit(99)

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
sys.modules["sentence_transformers"] = sys.modules["transformers"] = None
from pagoda.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def pagoda(*arguments: str, script: str = SCRIPT) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    environment = {name: value for name, value in environment.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    ended = subprocess.run(
        [sys.executable, "-c", script, "rag", *arguments],
        capture_output=True, text=True, timeout=HANG_S, check=False, env=environment,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("offline") / "store")
    report = json.loads(pagoda("index", str(HANDBOOK), "--store", folder, "--json"))
    assert len(report["added"]) == 8
    assert report["skipped"] == []
    return folder


def test_questions_in_both_languages_are_answered_with_their_sources_without_a_network(store: str) -> None:
    questions = Path(store).parent / "questions.jsonl"
    questions.write_text((HANDBOOK.parent / "handbook-questions.jsonl").read_text("utf-8"), "utf-8")
    result = json.loads(pagoda("eval", str(questions), "--store", store, "--json"))
    assert result["recall_at_1"] >= 0.9
    assert result["recall_at_k"] == 1.0


def test_a_question_is_answered_without_torch(store: str) -> None:
    script = SCRIPT.replace("from pagoda.cli", 'sys.modules["torch"] = None\nfrom pagoda.cli')
    assert pagoda("ask", "How long are repairs guaranteed?", "--store", store, script=script).startswith("Repairs are")


def test_an_answer_quotes_its_file_to_the_letter(store: str) -> None:
    answer = json.loads(pagoda("ask", "How long are repairs guaranteed?", "--store", store, "--json"))
    assert answer["citations"][0]["source"] == "repairs.md"
    assert answer["citations"][0]["quote"] in (HANDBOOK / "repairs.md").read_text("utf-8")
