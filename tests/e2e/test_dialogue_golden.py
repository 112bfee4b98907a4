"""Scripted dialogues of several turns, half of them Chinese, over the shipped city in the embedded graph.

What a turn must mean stands in tests/unit/dialogue/golden/*.yaml, written by hand; the Cypher it leads to, its
parameters and its rows stand in answers.json beside them (see record.py there).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.reading.strategies import STRATEGIES
from pagoda.dialogue.sessions.store import SessionStore
from pagoda.dialogue.settings import AgentSettings
from pagoda.graph.graph import Graph
from pagoda.nlu.understanding import Understander

GOLDEN = Path(__file__).parents[1] / "unit" / "dialogue" / "golden"


def _recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_record", GOLDEN / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RECORD = _recorder()
DIALOGUES: list[dict[str, Any]] = RECORD.dialogues()
ANSWERS: dict[str, Any] = json.loads((GOLDEN / "answers.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=STRATEGIES)
def agent(
    request: pytest.FixtureRequest, city_graph: Graph, city_understanding: Understander
) -> Iterator[DialogueAgent]:
    """One for each strategy, all at the same noon."""
    with SessionStore() as sessions:
        opened = DialogueAgent(
            graph=city_graph, understanding=city_understanding, sessions=sessions,
            settings=AgentSettings(strategy=request.param, clock=lambda: RECORD.NOON, draws=False),
        )  # fmt: skip
        with opened:
            yield opened


def test_there_are_sixty_dialogues_of_several_turns_and_half_of_them_are_chinese() -> None:
    assert len(DIALOGUES) >= 60
    assert len({dialogue["name"] for dialogue in DIALOGUES}) == len(DIALOGUES)
    is_chinese = [any("\u4e00" <= c <= "\u9fff" for c in dialogue["turns"][0]["say"]) for dialogue in DIALOGUES]
    assert 0.45 <= sum(is_chinese) / len(DIALOGUES) <= 0.55
    assert sum(len(dialogue["turns"]) for dialogue in DIALOGUES) >= 2 * len(DIALOGUES)


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: dialogue["name"])
def test_a_scripted_dialogue_goes_as_written_with_each_strategy(agent: DialogueAgent, dialogue: dict[str, Any]) -> None:
    name = dialogue["name"]
    for number, (wanted, recorded) in enumerate(zip(dialogue["turns"], ANSWERS[name], strict=True), 1):
        turn = agent.reply(name, wanted["say"])
        told = turn.as_dict()
        found = {
            "task": told["state"]["intent"],
            "slots": told["state"]["slots"],
            "action": told["action"],
            "intent": told["understanding"]["intent"],
        }
        expected = {key: value for key, value in wanted.items() if key != "say"}
        assert {key: found[key] for key in expected} == expected, f"turn {number}: {wanted['say']}"
        assert RECORD.answer_of(turn) == recorded, f"turn {number}: {wanted['say']}"
        assert turn.text
        assert turn.language == ("zh" if any("\u4e00" <= c <= "\u9fff" for c in wanted["say"]) else "en")


def test_every_value_of_a_statement_is_a_parameter() -> None:
    for name, answers in ANSWERS.items():
        for answer in filter(None, answers):
            text = "\n".join(answer["statement"])
            assert "LIMIT" in text, name
            assert "DISTINCT" in text, name
            held = [value for value in answer["parameters"].values() if isinstance(value, str)]
            assert not [value for value in held if value in text], name
