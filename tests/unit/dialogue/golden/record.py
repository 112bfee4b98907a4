"""Writes answers.json anew: what the statements of the golden dialogues are and what the shipped city answers.

    python tests/unit/dialogue/golden/record.py

Beside the turn's path. Only Cypher, parameters and rows are recorded, to be read before they are committed; what a
turn must understand, remember and do stands in the YAML files and is written by hand.
"""

from __future__ import annotations

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.settings import AgentSettings
from pagoda.dialogue.turn.turn import Turn

FOLDER = Path(__file__).parent
NOON = datetime(2026, 11, 21, 12, 0)
"""A Saturday: when all of these dialogues take place."""


def dialogues() -> list[dict[str, Any]]:
    """All scripted dialogues."""
    import yaml

    files = sorted(FOLDER.glob("*.yaml"))
    return [dialogue for file in files for dialogue in yaml.safe_load(file.read_text(encoding="utf-8"))]


def answer_of(turn: Turn) -> dict[str, Any] | None:
    """Statement, parameters and rows, as they are recorded: one row in full, of several the keys."""
    if not turn.statement:
        return None
    rows = [dict(row) for row in turn.rows]
    kept = rows if len(rows) == 1 else [row["key"] for row in rows]
    parameters = dict(turn.parameters)
    # Every conversation makes keys of its own, which no other run can know.
    if key := parameters.get("booking_key"):
        parameters["booking_key"], kept = "its own", [{**row, "key": "its own"} for row in rows if row["key"] == key]
    answer = {"statement": turn.statement.split("\n"), "parameters": parameters, "rows": kept}
    return json.loads(json.dumps(answer))


def main() -> None:
    """Talk every dialogue through once."""
    answers: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        DialogueAgent(folder=folder, settings=AgentSettings(clock=lambda: NOON, draws=False)) as agent,
    ):
        for dialogue in dialogues():
            name = dialogue["name"]
            answers[name] = [answer_of(agent.reply(name, turn["say"])) for turn in dialogue["turns"]]
    lines = [f"{json.dumps(name, ensure_ascii=False)}: {_shown(answer)}" for name, answer in answers.items()]
    (FOLDER / "answers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _shown(answer: list[Any]) -> str:
    """A turn a line."""
    turns = ",\n  ".join(json.dumps(turn, ensure_ascii=False) for turn in answer)
    return f"[\n  {turns}\n]"


if __name__ == "__main__":
    main()
