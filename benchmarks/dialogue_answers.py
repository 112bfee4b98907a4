"""Times, numbers of people, prices and ratings in sentences that strangers said, as the shipped domain takes them.

    python benchmarks/dialogue_answers.py DATA [--times FILE] [--folder FOLDER] [--half kept] [--misses 20]

Every figure is of whole turns: a conversation is led to the question, the stranger's sentence answers it, and what the
state holds then is compared. DATA holds restaurant8k.jsonl, multiwoz21.jsonl and crosswoz.jsonl; a set that is missing
is left out and said to be. What is right is read off the sets' labels by rules of this file, which share nothing with
those that are measured; a label that these rules cannot read is left out. FILE has a line per expression: words, a tab,
the moment or start/end, nothing where it must be asked about. "look-at" is every second row from the second on, the
half that may be looked at while rules are written; "kept" is the other.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from machine import provenance

from pagoda.dialogue import DialogueAgent
from pagoda.dialogue.settings import AgentSettings
from pagoda.dialogue.slots.normalise import normalise
from pagoda.dialogue.turn.turn import Turn, plain_value

# A Saturday.
NOW = datetime(2026, 11, 28, 10, 0)
RESTAURANT = "Green Tile Kitchen"
ASKS_PEOPLE = f"book {RESTAURANT} tomorrow at 7:15 pm"
ASKS_TIME = f"book {RESTAURANT} for 2 people tomorrow"
ASKS_PEOPLE_ZH, ASKS_TIME_ZH = "订青瓦小馆明天晚上七点", "订青瓦小馆明天，两个人"
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_HAN = "零 一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九 二十"
ONES, HAN = _ONES.split(), _HAN.split()
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PERSON = re.compile(
    r"\b(?:me|myself|i|(?:my|a|our|their|her|his|the) (?:wife|husband|girlfriend|boyfriend|partner|friend|brother"
    r"|sister|mother|mom|mum|nan|father|dad|son|daughter|child|kid|baby|boss))\b"
)


@dataclass
class Score:
    """Rows that came out right, were told wrongly, and all; misses: what the others said."""

    name: str
    half: str
    right: int = 0
    wrong: int = 0
    rows: int = 0
    misses: list[str] = field(default_factory=list)

    def add(self, *, is_right: bool, is_wrong: bool, told: str) -> None:
        """One more row."""
        self.rows, self.right, self.wrong = (
            self.rows + 1,
            self.right + is_right,
            self.wrong + (is_wrong and not is_right),
        )
        if not is_right:
            self.misses.append(told)

    def row(self) -> str:
        """Of the table."""
        if not self.rows:
            return f"| {self.name} | {self.half} | 0 | - | - |"
        return (
            f"| {self.name} | {self.half} | {self.rows} | {self.right / self.rows:.3f} | {self.wrong / self.rows:.3f} |"
        )


class Desk:
    """Conversations with the shipped domain."""

    def __init__(self, agent: DialogueAgent) -> None:
        self._agent = agent

    def after(self, *sentences: str) -> Turn:
        """The turn of the last of these, in a conversation of their own."""
        session = uuid.uuid4().hex
        turns = [self._agent.reply(session, sentence) for sentence in sentences]
        return turns[-1]


def held(turn: Turn, slot: str) -> Any:
    """A slot's value as plain data, None where it is empty."""
    return turn.facts["slots"].get(slot)


def rows_of(data: Path, name: str, half: str) -> list[dict[str, Any]]:
    """One half of a set; nothing where it is missing."""
    path = data / f"{name}.jsonl"
    if not path.is_file():
        print(f"{path.name} is not in {data}: left out")
        return []
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return rows[1::2] if half == "look-at" else rows[0::2]


# What is right


def people_of(span: str) -> int | None:
    """A label such as "me and my 3 kids" as a number; None where these rules cannot tell."""
    words = span.lower()
    numbers = [int(word) if word.isdigit() else ONES.index(word) for word in _numbers(words)]
    if "couple" in words:
        return 2 * (numbers[0] if numbers else 1) if "friend" not in words and "of" not in words else None
    if re.search(r"family|grandparents|siblings$|friends$|kids$|or |-", words) and not numbers:
        return None
    if re.search(r"\d\s?(?:-|to|or)\s?\d|at least|or so", words):
        return None
    others = len(_PERSON.findall(words)) + len(re.findall(r"^with \d|joining me", words))
    others += 2 * len(re.findall(r"(?<!two )(?<!2 )\bparents\b", words))
    return sum(numbers) + (0 if "of us" in words else others) or None


def _numbers(words: str) -> list[str]:
    return re.findall(r"\d+|\b(?:" + "|".join(ONES) + r")\b", words)


def clock_of(span: str) -> tuple[int, int, str] | None:
    """(hour, minute, "am", "pm" or "") of a label that is a plain clock; None for others."""
    words = span.lower().replace(".", ":", 1) if re.match(r"^\d{1,2}\.\d\d", span) else span.lower()
    words = words.replace("p.m", "pm").replace("a.m", "am").strip(" .")
    match = re.search(r"(?<!\d)(\d{1,2})(?::?(\d\d))?\s?(am|pm)?(?!\d)", words)
    if match is None or re.search(r"past|to|before|half|quarter|hour|minute|in |and", words):
        return None
    hour, minute = int(match[1]), int(match[2] or 0)
    half = match[3] or ("pm" if re.search(r"night|evening|afternoon", words) else "am" if "morning" in words else "")
    return (hour, minute, half) if hour <= 24 and minute < 60 else None


def is_clock(value: str | None, clock: tuple[int, int, str]) -> bool:
    """Whether a moment has that clock; without a half of the day either is right."""
    if value is None or not re.fullmatch(r"[\d-]+T[\d:]+", value):
        return False
    moment, (hour, minute, half) = datetime.fromisoformat(value), clock
    wanted = {hour % 24, (hour + 12) % 24} if not half and 0 < hour <= 12 else {hour % 12 + (12 if half == "pm" else 0)}
    wanted = {hour % 24} if hour > 12 else wanted
    return moment.minute == minute and moment.hour in wanted


def day_of(word: str) -> str | None:
    """The date of the next such weekday."""
    if word not in WEEKDAYS:
        return None
    return (NOW + timedelta(days=(WEEKDAYS.index(word) - NOW.weekday()) % 7)).date().isoformat()


# The parts of the table


def how_many(desk: Desk, data: Path, half: str) -> Score:
    """Restaurant-8k, the answers to "for how many?"."""
    score = Score('"for how many?", Restaurant-8k', half)
    for row in rows_of(data, "restaurant8k", half):
        spans = [slot["value"] for slot in row["slots"] if slot["slot"] == "people"]
        wanted = people_of(spans[0]) if row["requested"] == ["people"] and len(spans) == 1 else None
        if wanted is None:
            continue
        found = held(desk.after(ASKS_PEOPLE, row["text"]), "people")
        is_right = found == wanted if wanted <= 20 else found is None
        score.add(is_right=is_right, is_wrong=found is not None, told=f"{row['text']} -> {found}, not {wanted}")
    return score


def what_time(desk: Desk, data: Path, half: str) -> Score:
    """Restaurant-8k, the answers to "what time?"."""
    score = Score('"what time?", Restaurant-8k', half)
    for row in rows_of(data, "restaurant8k", half):
        spans = [slot["value"] for slot in row["slots"] if slot["slot"] == "time"]
        wanted = clock_of(spans[0]) if row["requested"] == ["time"] and len(spans) == 1 else None
        if wanted is None:
            continue
        found = held(desk.after(ASKS_TIME, row["text"]), "time")
        is_moment = found is not None and found != "*" and "/" not in found
        score.add(is_right=is_clock(found, wanted), is_wrong=is_moment, told=f"{row['text']} -> {found}, not {wanted}")
    return score


def bare_numbers(desk: Desk, question: str, forms: Sequence[Callable[[int], str]], name: str) -> Score:
    """The numbers 1 to 20 as answers; a number is right where all its forms are."""
    score = Score(name, "-")
    for number in range(1, 21):
        told = [form(number) for form in forms]
        found = [held(desk.after(question, words), "people") for words in told]
        is_right = all(each == number for each in found)
        score.add(
            is_right=is_right, is_wrong=any(each not in (None, number) for each in found), told=f"{told} -> {found}"
        )
    return score


def number_forms() -> Iterator[tuple[str, str, Sequence[Callable[[int], str]]]]:
    """(question, name, ways to say a number) by language."""
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    yield (
        ASKS_PEOPLE,
        "bare numbers 1 to 20, English",
        [str, lambda n: ONES[n], lambda n: f"{n} people", lambda n: f"{ONES[n]} of us", lambda n: f"for {n}"],
    )
    yield (
        ASKS_PEOPLE_ZH,
        "bare numbers 1 to 20, Chinese",
        [
            lambda n: str(n).translate(wide),
            lambda n: HAN[n],
            lambda n: f"{HAN[n] if n != 2 else '两'}个人",
            lambda n: f"{n}位",
            lambda n: f"{HAN[n]}个",
            lambda n: f"{n}人",
        ],
    )


def bare_hours(desk: Desk) -> Score:
    """Hours as answers to "what time?"; 1 to 9 are in the evening here."""
    score = Score('bare hours, "what time?"', "-")
    for hour in range(1, 13):
        wanted = (hour + 12 if hour < 10 else hour, 0, "")
        for question, words in (
            (ASKS_TIME, str(hour)),
            (ASKS_TIME, ONES[hour]),
            (ASKS_TIME, f"at {hour}"),
            (ASKS_TIME, f"{hour}ish"),
            (ASKS_TIME_ZH, f"{HAN[hour]}点"),
            (ASKS_TIME_ZH, f"{hour}点吧"),
        ):
            found = held(desk.after(question, words), "time")
            is_right = found is not None and is_clock(found, wanted) and found[11:13] == f"{wanted[0]:02d}"
            score.add(is_right=is_right, is_wrong=found is not None and "/" not in found, told=f"{words} -> {found}")
    return score


def three_at_once(desk: Desk, data: Path, half: str) -> Score:
    """MultiWOZ: people, day and time in one sentence; wrong is what would be read out with another value."""
    score = Score("people, day and time in one sentence, MultiWOZ", half)
    for row in rows_of(data, "multiwoz21", half):
        for turn in row["turns"]:
            wanted = _booking_of(turn)
            if wanted is None:
                continue
            answer = desk.after(f"book {RESTAURANT}", turn["text"])
            people, time = held(answer, "people"), held(answer, "time")
            is_wrong = answer.facts["stage"] == "confirming" and (people, time) != wanted
            told = f"{turn['text']} -> {people}, {time}, not {wanted}"
            score.add(is_right=(people, time) == wanted, is_wrong=is_wrong, told=told)
    return score


def _booking_of(turn: dict[str, Any]) -> tuple[int, str] | None:
    """(people, moment) of a sentence that says all three with words of its own."""
    if turn["spk"] != "U":
        return None
    told = {act[1].lower(): act[2] for act in turn["acts"] if act[0] == "Restaurant-Inform"}
    if not {"people", "day", "time"} <= told.keys() or not told["people"].isdigit():
        return None
    words, day = turn["text"].lower(), day_of(told["day"])
    people, time = int(told["people"]), told["time"].zfill(5)
    says_people = re.search(rf"\b(?:{people}|{ONES[people] if people <= 20 else people})\b", words)
    if day is None or not says_people or told["time"] not in words or told["day"] not in words:
        return None
    if len(re.findall(r"\d\d:\d\d", words)) > 1:
        return None
    return people, f"{day}T{time}"


def constraints(desk: Desk, data: Path, half: str, name: str, kinds: tuple[str, str], slot: str) -> Score:
    """CrossWOZ: a price or rating in a sentence that says it, heard as the first of a conversation."""
    score = Score(name, half)
    for row in rows_of(data, "crosswoz", half):
        for turn in row["turns"]:
            acts = [act for act in turn["acts"] if act[:3] == ["Inform", *kinds]] if turn["role"] == "usr" else []
            numbers = re.findall(r"\d+(?:\.\d+)?", acts[0][3]) if acts else []
            if not numbers or any(number not in turn["text"] for number in numbers):
                continue
            found = held(desk.after(turn["text"]), slot)
            told = re.findall(r"\d+(?:\.\d+)?", str(found)) if found is not None else []
            is_right = [float(each) for each in told] == [float(each) for each in numbers]
            score.add(
                is_right=is_right, is_wrong=found is not None, told=f"{turn['text']} -> {found}, not {acts[0][3]}"
            )
    return score


def moments(agent: DialogueAgent, path: Path) -> Score:
    """Expressions of a file, read alone: value, or none where it must be asked about."""
    score, slot = Score(f"times, {path.name}", "all"), agent.domain.slots["time"]
    for line in path.read_text("utf-8").splitlines():
        words, _, wanted = line.partition("\t")
        if not words or words.startswith("#"):
            continue
        value = normalise(slot, words, NOW)
        found = "" if value is None else str(plain_value(value, "en"))
        is_right = found == wanted or (not wanted and "/" in found)
        score.add(
            is_right=is_right, is_wrong=bool(found) and "/" not in found, told=f"{words} -> {found}, not {wanted}"
        )
    return score


def measured(agent: DialogueAgent, data: Path, halves: Iterable[str], times: Path | None) -> Iterator[Score]:
    """The rows of the table, one after the other."""
    desk = Desk(agent)
    for question, name, forms in number_forms():
        yield bare_numbers(desk, question, forms, name)
    yield bare_hours(desk)
    if times is not None:
        yield moments(agent, times)
    for half in halves:
        yield how_many(desk, data, half)
        yield what_time(desk, data, half)
        yield three_at_once(desk, data, half)
        yield constraints(desk, data, half, "restaurant price, CrossWOZ", ("餐馆", "人均消费"), "price")
        yield constraints(desk, data, half, "hotel price, CrossWOZ", ("酒店", "价格"), "price")
        yield constraints(desk, data, half, "restaurant rating, CrossWOZ", ("餐馆", "评分"), "rating")


def main() -> None:
    """Print the table, and some of what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the sets")
    parser.add_argument("--times", type=Path, help="file of time expressions")
    parser.add_argument("--folder", help="keeps the trained understanding between runs")
    parser.add_argument("--half", choices=("look-at", "kept", "both"), default="both")
    parser.add_argument("--misses", type=int, default=0, help="print so many misses of each row")
    options = parser.parse_args()
    halves = ("look-at", "kept") if options.half == "both" else (options.half,)
    settings = AgentSettings(clock=lambda: NOW, draws=False)
    with (
        tempfile.TemporaryDirectory() as made,
        DialogueAgent(folder=options.folder or made, settings=settings) as agent,
    ):
        print("| inputs | half | rows | right | told wrongly |\n|---|---|--:|--:|--:|")
        for score in measured(agent, options.data, halves, options.times):
            print(score.row(), flush=True)
            print(*score.misses[: options.misses], sep="\n", end="\n" if options.misses else "")
    print(f"\n{provenance()}")


if __name__ == "__main__":
    main()
