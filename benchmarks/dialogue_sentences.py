"""Sentences that strangers wrote, labelled with intents and slots that a domain of ours has.

For `dialogue_model_reading`. SNIPS is taken as it is. For the shipped domain, turns of CrossWOZ, MultiWOZ 2.1, SGD and
Restaurant-8k are mapped by their annotated acts; a turn is left out where its acts say what the domain has no word for,
where one of its values does not stand in the sentence once, and where it says nothing without the turn before. Two
halves by dialogue: prompts are written on one ("develop"), figures come from the other ("report").
"""

from __future__ import annotations

import itertools
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_understanding import example_of

from pagoda.nlu.understanding import OUT_OF_SCOPE

Example = dict[str, Any]
Act = Sequence[Any]
"""(kind, slot, value) in the words of the set."""
HALVES = ("develop", "report")
_NEAR = 12
"""Characters between a day and an hour that are one time: "tuesday at 18:30"."""
_PLAIN = {"THANK_YOU": "thank", "AFFIRM": "confirm", "NEGATE": "deny"}
_CROSSWOZ = {
    ("餐馆", "推荐菜"): ("find_restaurant", "dish"),
    ("餐馆", "人均消费"): ("find_restaurant", "price"),
    ("餐馆", "评分"): ("find_restaurant", "rating"),
    ("酒店", "价格"): ("find_hotel", "price"),
}
_CROSSWOZ_ASKED = frozenset({"地址", "电话", "营业时间", "评分", "人均消费", "推荐菜", "价格"})
_MULTIWOZ = {
    ("Restaurant", "Food"): ("find_restaurant", "cuisine"),
    ("Restaurant", "Area"): ("find_restaurant", "location"),
    ("Restaurant", "Price"): ("find_restaurant", "price"),
    ("Restaurant", "Name"): ("book_restaurant", "name"),
    ("Restaurant", "People"): ("book_restaurant", "people"),
    ("Restaurant", "Day"): ("book_restaurant", "time"),
    ("Restaurant", "Time"): ("book_restaurant", "time"),
    ("Hotel", "Area"): ("find_hotel", "location"),
    ("Hotel", "Price"): ("find_hotel", "price"),
    ("Hotel", "Stars"): ("find_hotel", "stars"),
    ("Hotel", "Parking"): ("find_hotel", "facility"),
    ("Hotel", "Internet"): ("find_hotel", "facility"),
}
_MULTIWOZ_ASKED = frozenset({"Phone", "Addr", "Price", "Stars", "Internet", "Parking", "Food", "Area"})
_WORD_OF = {"Parking": r"parking", "Internet": r"wi-?fi|internet"}
_SGD = {
    ("FindRestaurants", "category"): "cuisine",
    ("FindRestaurants", "location"): "location",
    ("FindRestaurants", "price_range"): "price",
    ("ReserveRestaurant", "restaurant_name"): "name",
    ("ReserveRestaurant", "number_of_seats"): "people",
    ("ReserveRestaurant", "date"): "time",
    ("ReserveRestaurant", "time"): "time",
    ("SearchHotel", "destination"): "location",
    ("SearchHotel", "location"): "location",
    ("SearchHotel", "star_rating"): "stars",
    ("FindMovies", "genre"): "genre",
}
_SGD_INTENTS = {
    "FindRestaurants": "find_restaurant",
    "ReserveRestaurant": "book_restaurant",
    "SearchHotel": "find_hotel",
    "FindMovies": "find_film",
}


def snips(data: Path, half: str, number: int) -> tuple[list[Example], list[Example]]:
    """(examples to learn from: the "train" part, `number` sentences of the "valid" part, as many of each intent)."""
    rows = [example_of(row) for row in _lines(data / "snips.jsonl")]
    learned = [row for row in rows if row["split"] == "train"]
    held_out = [row for row in rows if row["split"] == "valid" and _half(row["text"]) == half]
    return learned, balanced(held_out, number)


def strangers(data: Path, half: str, number: int) -> list[Example]:
    """`number` sentences for the shipped domain, half of them Chinese, of each intent as many as there are."""
    english = itertools.chain(_multiwoz(data), _sgd(data), _restaurant8k(data))
    parts = (_crosswoz(data), english)
    drawn = [balanced([row for row in part if row["half"] == half], number // 2) for part in parts]
    return [row for part in drawn for row in part]


def _crosswoz(data: Path) -> Iterator[Example]:
    for dialogue in _lines(data / "crosswoz.jsonl"):
        for turn in dialogue["turns"]:
            acts = [act for act in turn["acts"] if act[0] != "General"]
            manners = {act[1] for act in turn["acts"]} if not acts else set()
            if turn["role"] == "usr":
                read = _manners(manners) or _crosswoz_read(turn["text"], acts)
                yield from _example(turn["text"], dialogue["id"], read)


def _manners(acts: set[str]) -> tuple[str, list[tuple[str, str]]] | None:
    return (next(iter(acts)), []) if acts in ({"greet"}, {"thank"}) else None


def _crosswoz_read(text: str, acts: Sequence[Act]) -> tuple[str, list[tuple[str, str]]] | None:
    informs = [act for act in acts if act[0] == "Inform"]
    others = {tuple(act[:3]) for act in acts if act[0] != "Inform"}
    if informs and all(act[1] in ("景点", "出租", "地铁") for act in acts) and re.search("景点|出租|打车|地铁", text):
        return OUT_OF_SCOPE, []
    if not informs and acts and all(a[0] == "Request" and a[2] in _CROSSWOZ_ASKED for a in acts):
        return ("ask_property", []) if {act[1] for act in acts} <= {"餐馆", "酒店"} else None
    found = [_crosswoz_value(*act[1:4]) for act in informs]
    if not found or None in found or any(kind != "Request" or slot != "名称" for kind, _, slot in others):
        return None
    return _one_intent([value for value in found if value is not None])


def _crosswoz_value(topic: str, slot: str, value: str) -> tuple[str, str, str] | None:
    if topic == "酒店" and slot.startswith("酒店设施-") and value == "是":
        return "find_hotel", "facility", slot.removeprefix("酒店设施-")
    known = _CROSSWOZ.get((topic, slot))
    return None if known is None else (*known, value)


def _multiwoz(data: Path) -> Iterator[Example]:
    for dialogue in _lines(data / "multiwoz21.jsonl"):
        for turn in dialogue["turns"]:
            if turn["spk"] == "U":
                text = _detokenised(turn["text"])
                yield from _example(text, dialogue["id"], _multiwoz_read(text, turn["acts"]))


def _multiwoz_read(text: str, acts: Sequence[Act]) -> tuple[str, list[tuple[str, str]]] | None:
    parted = [(*name.split("-"), slot, value) for name, slot, value in acts]
    if parted and all(topic in ("Train", "Taxi") and kind == "Inform" for topic, kind, _, _ in parted):
        return (OUT_OF_SCOPE, []) if re.search(r"\b(?:train|taxi|cab)\b", text) else None
    if parted and all(kind == "Request" for _, kind, _, _ in parted):
        is_known = all(topic in ("Restaurant", "Hotel") and slot in _MULTIWOZ_ASKED for topic, _, slot, _ in parted)
        return ("ask_property", []) if is_known else None
    if {(topic, kind) for topic, kind, _, _ in parted} == {("general", "thank")}:
        return "thank", []
    found = []
    for topic, kind, slot, value in parted:
        known = _MULTIWOZ.get((topic, slot)) if kind == "Inform" else None
        if (topic, kind, slot) == ("Hotel", "Inform", "Type") and value == "hotel":
            continue
        if known is None or value in ("dontcare", "none", "no"):
            return None
        found.append((*known, _WORD_OF.get(slot, re.escape(value))))
    return _one_intent(found, is_pattern=True)


def _sgd(data: Path) -> Iterator[Example]:
    for dialogue in _lines(data / "sgd_resto_hotel_movie.jsonl"):
        for turn in dialogue["turns"]:
            if turn["spk"] == "U" and len(turn["frames"]) == 1:
                yield from _example(turn["text"], dialogue["id"], _sgd_read(turn["frames"][0]))


def _sgd_read(frame: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]] | None:
    kinds = {act[0] for act in frame["acts"]}
    if len(kinds) == 1 and (plain := _PLAIN.get(next(iter(kinds)))):
        return plain, []
    if kinds == {"REQUEST"}:
        return "ask_property", []
    if "INFORM_INTENT" not in kinds or not kinds <= {"INFORM", "INFORM_INTENT"}:
        return None
    intent = frame["intent"]
    slots = [(_SGD.get((intent, act[1])), act[2]) for act in frame["acts"] if act[0] == "INFORM"]
    if intent not in _SGD_INTENTS or any(slot is None or len(values) != 1 for slot, values in slots):
        return None
    return _SGD_INTENTS[intent], [(str(slot), re.escape(values[0])) for slot, values in slots]


def _restaurant8k(data: Path) -> Iterator[Example]:
    names = {"people": "people", "date": "time", "time": "time"}
    for row in _lines(data / "restaurant8k.jsonl"):
        slots = [(names.get(slot["slot"]), re.escape(slot["value"])) for slot in row["slots"]]
        if slots and not row["requested"] and all(slot for slot, _ in slots):
            yield from _example(row["text"], row["text"], ("book_restaurant", [(str(s), value) for s, value in slots]))


def _one_intent(
    found: Sequence[tuple[str, str, str]], *, is_pattern: bool = False
) -> tuple[str, list[tuple[str, str]]] | None:
    """Intent and (slot, pattern of its words), where all values speak for one intent."""
    intents = {intent for intent, _, _ in found}
    if len(intents) != 1:
        return None
    return next(iter(intents)), [(slot, words if is_pattern else re.escape(words)) for _, slot, words in found]


def _example(text: str, dialogue: str, read: tuple[str, list[tuple[str, str]]] | None) -> Iterator[Example]:
    """The example, if every value stands in the text once."""
    spans: list[tuple[str, int, int]] = []
    for slot, words in read[1] if read is not None else ():
        places = list(re.finditer(rf"(?<![a-z0-9.]){words}(?![a-z0-9])", text, re.IGNORECASE))
        if len(places) != 1:
            return
        spans.append((slot, places[0].start(), places[0].end()))
    joined = _joined(sorted(spans, key=lambda span: span[1]))
    if read is None or len({slot for slot, _, _ in joined if slot != "facility"}) < sum(
        s[0] != "facility" for s in joined
    ):
        return
    slots = [{"slot": slot, "start": start, "end": end, "value": text[start:end]} for slot, start, end in joined]
    yield {"text": text, "intent": read[0], "slots": slots, "half": _half(dialogue)}


def _joined(spans: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """A day and an hour close together are one time."""
    joined: list[tuple[str, int, int]] = []
    for slot, start, end in spans:
        if joined and slot == "time" == joined[-1][0] and start - joined[-1][2] <= _NEAR:
            joined[-1] = (slot, joined[-1][1], end)
        else:
            joined.append((slot, start, end))
    return joined


def balanced(rows: Iterable[Example], number: int) -> list[Example]:
    """Of each intent in turn the next one, in an order that the texts' checksums give."""
    by_intent: dict[str, list[Example]] = defaultdict(list)
    for row in sorted({row["text"]: row for row in rows}.values(), key=_order):
        by_intent[row["intent"]].append(row)
    rounds = itertools.zip_longest(*(by_intent[name] for name in sorted(by_intent)))
    return [row for each in rounds for row in each if row is not None][:number]


_order: Callable[[Example], int] = lambda row: zlib.crc32(row["text"].encode())  # noqa: E731


def _half(key: str) -> str:
    return HALVES[zlib.crc32(f"half of {key}".encode()) % 2]


def _detokenised(text: str) -> str:
    """MultiWOZ' spaces before signs taken out: "I 'm here ." -> "I'm here."."""
    return re.sub(r"\s+(?=[.,?!']|n't\b)", "", text).replace("  ", " ")


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
