"""The judged conversations: what people said, and what the right state is after each turn. Reads the files in data.

Before a turn's path. One conversation a paragraph; README.md beside the data explains the marks:

    # crosswoz-437 develop
    0> 你好，我想找一家1000元以上的酒店。
    = H price>=1000
    2> 这家的地址是什么？
    = . ?address@shown

Sentences of a set whose licence asks for more than a name are not kept: `0| Nairobi=>Luming` says which sentence of the
conversation it is and what is put into it, and `sentences` makes it from the data folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from judged.meaning import Around, Count, Free, Meaning, Moment, Most, Nodes, Numbers
from judged.town import Town

DATA = Path(__file__).resolve().parents[1] / "data" / "judged"
MADE_FROM = {"sgd": "sgd_resto_hotel_movie.jsonl"}
"""Sets whose sentences are made from the data folder."""
TASKS = {"R": "find_restaurant", "H": "find_hotel", "F": "find_film", "B": "book_restaurant"}
ACTS = ("yes", "no", "thanks", "oos", "more", "pick", "show")
_SAID = re.compile(r"(~?)(\w+?)(!=|>=|<=|=)(.+)")

Act = Literal["", "yes", "no", "thanks", "oos", "more", "pick", "show"]


@dataclass(frozen=True)
class Want:
    """What was said of one slot: any of the meanings is right. is_optional: right as well where it is left out."""

    slot: str
    meanings: tuple[Meaning, ...]
    is_optional: bool = False


@dataclass(frozen=True)
class Asked:
    """A question for a property. of: a node's key, "shown" for what was found, "booked" for what is being booked.

    is_known: whether the domain can answer; where it cannot, the right reply says so
    """

    column: str
    of: str = "shown"
    is_known: bool = True


@dataclass(frozen=True)
class Label:
    """What one sentence means, given those before.

    task: the intent, "" to go on with the one under way; is_fresh: what was said for it before may be forgotten
    unusable: words of a wish that the domain has no slot for; act: what it does besides telling values
    after: what must be open for the sentence to mean this: a slot, "confirm" or "book"; "" for nothing
    node: of "show" and "pick"; accepted: further kinds of reply that will do
    """

    task: str = ""
    wants: tuple[Want, ...] = ()
    asked: tuple[Asked, ...] = ()
    unusable: tuple[str, ...] = ()
    act: Act = ""
    node: str = ""
    after: str = ""
    is_fresh: bool = False
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """One sentence and its label. text: "" where it is made from the set; puts: what is put in; line: of the file."""

    place: str
    text: str
    label: Label
    puts: tuple[tuple[str, str], ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Conversation:
    """sheet: what the person would answer to a question that none of the sentences answers, by slot."""

    name: str
    language: str
    half: str
    turns: tuple[Judged, ...]
    sheet: Mapping[str, str] = field(default_factory=dict)


def read(town: Town, folder: Path = DATA) -> list[Conversation]:
    """All conversations. Raises ValueError with file and line for a label that says nothing."""
    return [each for path in sorted(folder.glob("*.*.txt")) for each in _read_file(path, town)]


def _read_file(path: Path, town: Town) -> Iterator[Conversation]:
    language = path.name.split(".")[1]
    head: list[str] = []
    turns: list[Judged] = []
    sheet: dict[str, str] = {}
    said = ""
    for number, line in enumerate([*path.read_text("utf-8").splitlines(), "# end end"], 1):
        if line.startswith("# "):
            if head:
                yield Conversation(head[0], language, head[1], tuple(turns), dict(sheet))
            head, turns, sheet = line[2:].split(), [], {}
        elif line.startswith("+ "):
            sheet = dict(part.split("=", 1) for part in line[2:].split())
        elif line.startswith("= "):
            try:
                turns.append(_turn(said, line[2:], town, number))
            except (ValueError, KeyError) as error:
                raise ValueError(f"{path.name}, line {number}: {error}") from error
        elif line and not line.startswith("%"):
            said = line


def _turn(said: str, label: str, town: Town, line: int) -> Judged:
    match = re.match(r"(r?\d+)([>|]) ?(.*)", said)
    if match is None:
        raise ValueError(f"{said!r} is no sentence: expected its place, > or |, and its words")
    place, mark, rest = match.groups()
    meant = label_of(label, town)
    if mark == ">":
        return Judged(place, rest, meant, (), line)
    puts = tuple(tuple(each.split("=>", 1)) for each in rest.split(" | ") if each)
    return Judged(place, "", meant, puts, line)  # type: ignore[arg-type]


def label_of(text: str, town: Town) -> Label:
    """The label that a line of marks means. Raises ValueError for a mark that is none."""
    held: dict[str, list[object]] = {"wants": [], "asked": [], "unusable": []}
    single: dict[str, object] = {}
    for mark in text.split():
        act, _, node = mark.partition("@")
        if mark in TASKS:
            single["task"] = TASKS[mark]
        elif act in ACTS:
            single |= {"act": act, "node": town.key(node) if node else ""}
        elif mark.startswith("?"):
            held["asked"].append(_asked(mark[1:], town))
        elif mark.startswith("!"):
            held["unusable"].append(mark[1:].replace("_", " "))
        elif mark.startswith("asked:"):
            single["after"] = mark.removeprefix("asked:")
        elif mark.startswith("ok:"):
            single["accepted"] = tuple(mark.removeprefix("ok:").split(","))
        elif mark == "new":
            single["is_fresh"] = True
        elif mark != ".":
            held["wants"].append(_want(mark, town))
    return Label(**{name: tuple(each) for name, each in held.items()}, **single)  # type: ignore[arg-type]


def _asked(mark: str, town: Town) -> Asked:
    column, _, of = mark.partition("@")
    is_known = not column.startswith("!")
    node = of if of in ("", "shown", "booked") else "|".join(_node(each, town) for each in of.split("|"))
    return Asked(column.lstrip("!"), node or "shown", is_known)


def _node(name: str, town: Town) -> str:
    return name if name in ("shown", "booked") else town.key(name)


def _want(mark: str, town: Town) -> Want:
    match = _SAID.fullmatch(mark)
    if match is None or match[2] not in town.domain.slots:
        raise ValueError(f"{mark!r} is no mark: expected a task, an act or slot=value with a slot of the domain")
    optional, slot, sign, value = match.groups()
    return Want(slot, tuple(_meaning(slot, sign, each, town) for each in value.split("|")), bool(optional))


def _meaning(slot: str, sign: str, value: str, town: Town) -> Meaning:
    declared = town.domain.slots[slot]
    if value == "*":
        return Free()
    if declared.type == "name":
        keys = frozenset(town.key(each, declared.labels) for each in re.split(r"[/+]", value))
        return Nodes(keys, "none" if sign == "!=" else "either" if "/" in value else "all")
    if declared.type == "time":
        return Moment(value)
    if declared.type == "people":
        return Count(int(value))
    return _number(sign, value, declared.bands)


def _number(sign: str, value: str, bands: Mapping[str, object]) -> Meaning:
    names = tuple(value.split("/"))
    if value in ("low", "high") and value not in bands:
        return Most("low" if value == "low" else "high")
    if all(name in bands for name in names):
        return Numbers(None, None, names)
    if sign in (">=", "<="):
        return Numbers(float(value), None) if sign == ">=" else Numbers(None, float(value))
    if value.startswith("~"):
        return Around(float(value[1:]))
    low, _, high = value.partition("..")
    return Numbers(float(low), float(high or low))


def sentences(conversation: Conversation, data: Path | None) -> Sequence[str] | None:
    """What the person says, turn by turn; None where the set is needed and its folder is not there."""
    if all(turn.text for turn in conversation.turns):
        return [turn.text for turn in conversation.turns]
    source, _, name = conversation.name.partition("-")
    path = data / MADE_FROM[source] if data else None
    if path is None or not path.exists():
        return None
    dialogue = next(each for each in map(json.loads, path.read_text("utf-8").splitlines()) if each["id"] == name)
    return [turn.text or _made(dialogue["turns"][int(turn.place)]["text"], turn.puts) for turn in conversation.turns]


def _made(text: str, puts: Sequence[tuple[str, str]]) -> str:
    for old, new in puts:
        if old not in text:
            raise ValueError(f"{text!r} does not hold {old!r}, into whose place {new!r} is to be put")
        text = text.replace(old, new)
    return " ".join(text.split())
