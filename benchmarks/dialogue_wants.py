"""Constraints of strangers' first sentences: are all of them in the state, and nothing besides?

    python benchmarks/dialogue_wants.py FOLDER [--half even|odd] [--number 150] [--show]

FOLDER holds crosswoz.jsonl and the three databases that `examples/crosswoz/load.py` reads. Each dialogue's first
sentence goes to an agent of `examples/crosswoz/crosswoz.yaml`; the values that its task holds then are held against
the annotated acts (Inform): ranges by their ends, names as sets, "5分" as at least or exactly five. Sentences that
inform of an entity's name ask about it and are left out. Halves by the line of the file: even ones were looked at, odd
ones not.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import provenance

from pagoda.dialogue.agent import DialogueAgent
from pagoda.dialogue.settings import AgentSettings
from pagoda.dialogue.slots.kinds import Band, Except, NodeValue, Range, Value, plain_values
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load

_EXAMPLE = Path(__file__).parents[1] / "examples" / "crosswoz"
sys.path.insert(0, str(_EXAMPLE))
from load import graph_data, read_records  # noqa: E402

Wishes = dict[str, frozenset[Any]]
_INTENTS = {"餐馆": "找餐馆", "景点": "找景点", "酒店": "找酒店"}
_SLOTS = {"人均消费": "价格", "门票": "价格"}
_FACILITY = "酒店设施-"
_FREE, _PAID = (None, 0.0), (1.0, None)


def first_turns(path: Path) -> Iterator[tuple[int, str, str, Wishes]]:
    """(line, sentence, intent, wishes) of dialogues that begin with wishes and name nothing."""
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines()):
        turn = json.loads(text)["turns"][0]
        informed = [act for act in turn["acts"] if act[0] == "Inform"]
        domains = {act[1] for act in informed}
        if len(domains) == 1 and all(act[2] != "名称" for act in informed):
            yield line, turn["text"], _INTENTS[next(iter(domains))], wanted(informed)


def wanted(acts: Sequence[Sequence[str]]) -> Wishes:
    """What the acts ask for, by slot of the domain."""
    found: dict[str, set[Any]] = {}
    for _, _, slot, value in acts:
        if slot.startswith(_FACILITY):
            slot, value = "酒店设施", slot.removeprefix(_FACILITY)
        name = _SLOTS.get(slot, slot)
        # An act that names no dish: "其他".
        if value not in ("其他", "否"):
            found.setdefault(name, set()).add(_ends_of(value) if name in ("价格", "评分") else value)
    return {slot: frozenset(values) for slot, values in found.items()}


def _ends_of(words: str) -> tuple[float | None, float | None]:
    if words in ("免费", "不免费"):
        return _FREE if words == "免费" else _PAID
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", words)]
    if words.endswith("以下"):
        return None, numbers[0]
    return (numbers[0], None) if len(numbers) == 1 else (numbers[0], numbers[1])


def held(values: dict[str, Value]) -> Wishes:
    """What the state holds, in the same form."""
    return {slot: frozenset(_plain(slot, each) for each in _listed(value)) for slot, value in values.items()}


def _listed(value: Value) -> tuple[Value, ...]:
    if isinstance(value, Except) and value.values == (Band("free"),) and value.kept is None:
        return (Band("paid"),)
    return plain_values(value)


def _plain(slot: str, value: Value) -> Any:
    match value:
        case NodeValue():
            return value.zh
        case Band("free"):
            return _FREE
        case Band("paid"):
            return _PAID
        case Range(low, high):
            return low, None if slot == "评分" and high == 5 else high
        case int() | float():
            return float(value), None if slot == "评分" else float(value)
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=("even", "odd"))
    parser.add_argument("--number", type=int, default=150, help="sentences of each half")
    parser.add_argument("--work", type=Path, help="keeps graph and understanding here")
    parser.add_argument("--show", action="store_true", help="print what went wrong")
    given = parser.parse_args()
    rows = list(first_turns(given.folder / "crosswoz.jsonl"))
    halves = {
        name: [row for row in rows if row[0] % 2 == odd][: given.number] for odd, name in enumerate(("even", "odd"))
    }
    with tempfile.TemporaryDirectory() as made:
        work = given.work or Path(made)
        is_new = not (work / "graph").exists()
        with Graph.embedded(work / "graph", timeout_s=60.0) as graph:
            if is_new:
                load(graph, graph_data(read_records(given.folder)))
            with DialogueAgent(
                _EXAMPLE / "crosswoz.yaml", graph, folder=work, settings=AgentSettings(draws=False)
            ) as agent:
                for name in [given.half] if given.half else list(halves):
                    print(name, measure(agent, halves[name], show=given.show))
    print(provenance())


def measure(agent: DialogueAgent, rows: Sequence[tuple[int, str, str, Wishes]], *, show: bool) -> str:
    """Right ones, and by slot how many wishes are there."""
    num_right, by_slot, asked = 0, Counter[str](), Counter[str]()
    for line, text, intent, wishes in rows:
        # A folder that is kept keeps its sessions, too.
        agent.forget(f"wants-{line}")
        turn = agent.reply(f"wants-{line}", text)
        task = turn.state.task
        found = held(dict(task.values)) if task is not None and task.intent == intent else {}
        num_right += found == wishes
        asked.update(wishes.keys())
        by_slot.update(slot for slot in wishes if found.get(slot) == wishes[slot])
        if show and found != wishes:
            print(
                text,
                f"   wanted {wishes}",
                f"   found  {task.intent if task else '-'} {found}",
                turn.text[:200],
                sep="\n",
            )
    slots = ", ".join(f"{slot} {by_slot[slot]} of {num}" for slot, num in asked.items())
    return f"all right: {num_right} of {len(rows)}; {slots}"


if __name__ == "__main__":
    main()
