"""The script of a service day: what customers say, in other people's words, and what makes an answer right.

For `service_day`. Wishes are turns of CrossWOZ, MultiWOZ 2.1 and SGD (`dialogue_sentences`), in which places, dishes
and genres are exchanged for the invented city's; questions are SQuAD's and CMRC 2018's, with their passages among the
desk's documents; what is nobody's business here is from BANKING77, and sights, taxis and trains of the dialogue sets.
"Why?" and "not this kind", and in Chinese the wish for a person and for a recommendation of nothing in particular,
stand in no public set: `WRITTEN` has our wordings of them, which are not among the examples that the reader learned.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialogue_sentences import strangers

from pagoda.language import language_of

CITY = Path(__file__).parents[1] / "pagoda" / "dialogue" / "data" / "city.json"
LABELS = {"find_restaurant": "Restaurant", "find_hotel": "Hotel", "find_film": "Film"}
EXCHANGED = {"cuisine": "Cuisine", "location": "District", "dish": "Dish", "genre": "Genre", "facility": "Facility"}
BANDS = {"Restaurant": (60, 150), "Hotel": (250, 700)}
WORDS_OF_BANDS = {
    "cheap": r"cheap\w*|inexpensive|budget|便宜|实惠",
    "moderate": r"moderate\w*|mid\w*|中等",
    "expensive": r"expensive|upscale|fancy|高档|贵",
}
NAMES_IT = {
    "Restaurant": r"restaurant|food|eat|dine|dining|餐|吃|菜|饭",
    "Hotel": r"hotel|guest\s?house|stay|lodging|room|酒店|宾馆|住",
    "Film": r"movie|film|电影",
}
WRITTEN: dict[str, dict[str, tuple[str, ...]]] = {
    "why": {
        "en": (
            "Why that?",
            "And why do you recommend the first of them?",
            "What speaks for it?",
            "How do you know I would like this one?",
            "Could you tell me the reason for recommending that?",
        ),
        "zh": (
            "为什么呢？",
            "推荐第一个的原因是什么？",
            "你是怎么选出这个的？",
            "为什么会给我推荐这一家？",
            "这个推荐的理由说来听听",
        ),
    },
    "refuse": {
        "en": (
            "I do not like this kind, please never again",
            "Please, not that type again",
            "no more places of this kind",
            "I would rather not have this kind",
            "This kind is nothing for me",
        ),
        "zh": (
            "这一种不要再给我推荐了",
            "我不爱这种，别再推荐",
            "这种的就不用了",
            "不想要这种类型的",
            "别给我推荐这一类了",
        ),
    },
    "recommend": {
        "en": (),
        "zh": (
            "你们有什么可以推荐的吗？",
            "不知道吃什么，推荐个吧",
            "有没有什么好地方推荐给我",
            "你看我适合去哪家",
            "帮我出个主意，去哪好",
        ),
    },
    "person": {
        "en": (),
        "zh": (
            "我想和你们的工作人员说话",
            "帮我接人工吧",
            "能找个真人客服吗",
            "请让客服来处理",
            "我要人工客服，谢谢",
        ),
    },
}
_ASKS_FOR_PERSON = re.compile(
    r"(talk|speak) (to|with) (someone|somebody|a (real )?(person|representative))|customer service"
)
_RECOMMENDS = re.compile(r"recommend|suggest", re.IGNORECASE)
_WISHES = re.compile(r"\b(in|near|around|close|at|for)\b")
_DISHES = re.compile(
    r"thai|chinese|italian|mexican|indian|peru|denmark|danish|french|korean|japan|spanish|greek|german|italy|france"
    r"|meal from|cook",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Step:
    """kind: "find", "bare", "documents", "recommend", "why", "refuse", "outside" or "person"; source: the set

    label: of what is sought; constraints: (slot, value) that each result must meet; file: that is to be cited
    """

    kind: str
    text: str
    source: str
    label: str = ""
    constraints: tuple[tuple[str, Any], ...] = ()
    file: str = ""
    answers: tuple[str, ...] = ()


@dataclass
class TestedCity:
    """The city's nodes, read from its file and not through the graph."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    linked: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def read(cls) -> TestedCity:
        raw, found = json.loads(CITY.read_text("utf-8")), cls()
        for label, rows in raw["nodes"].items():
            for row in rows:
                found.nodes[row["id"]], found.labels[row["id"]] = row, label
        for relation in raw["relations"]:
            for source, target, *_ in relation["rows"]:
                if relation["type"] != "NEAR":
                    found.linked.setdefault(source, set()).add(target)
        return found

    def of(self, label: str) -> list[str]:
        return [node for node, own in self.labels.items() if own == label]

    def name(self, node: str, language: str) -> str:
        return str(self.nodes[node]["name" if language == "zh" else "name_en"])

    def named(self, label: str, name: str) -> str | None:
        return next((node for node in self.of(label) if name in (self.name(node, "zh"), self.name(node, "en"))), None)

    def meets(self, node: str, constraint: tuple[str, Any]) -> bool:
        slot, value = constraint
        if slot in EXCHANGED:
            return value in self.linked.get(node, set())
        own = float(self.nodes[node][slot])
        return value[0] <= own <= value[1]

    def fitting(self, label: str, constraints: Sequence[tuple[str, Any]]) -> list[str]:
        return [node for node in self.of(label) if all(self.meets(node, each) for each in constraints)]


def find_steps(data: Path, half: str, city: TestedCity, rng: random.Random) -> dict[str, list[Step]]:
    """Wishes by language, each of which something in the city meets; and searches without any wish, as "bare"."""
    found: dict[str, list[Step]] = {"en": [], "zh": []}
    for row in strangers(data, half, 4000):
        label = LABELS.get(row["intent"], "")
        if not label or not re.search(NAMES_IT[label], row["text"], re.IGNORECASE):
            continue
        language = language_of(row["text"])
        step = _bare(row, label) if not row["slots"] else _exchanged(row, label, language, city, rng)
        if step is not None:
            found[language].append(step)
    return {language: _shuffled(steps, rng) for language, steps in found.items()}


def _bare(row: Mapping[str, Any], label: str) -> Step | None:
    return Step("bare", row["text"], "SGD", label)


def _exchanged(row: Mapping[str, Any], label: str, language: str, city: TestedCity, rng: random.Random) -> Step | None:
    """The sentence with the city's names, drawn until something meets it; None where a value is not understood here."""
    for _ in range(60):
        text, constraints = row["text"], []
        for slot in sorted(row["slots"], key=lambda each: -each["start"]):
            name, words = slot["slot"], slot["value"]
            if name in EXCHANGED:
                node = rng.choice(city.of(EXCHANGED[name]))
                words = city.name(node, language)
                constraints.append((name, node))
            elif (bounds := _bounds(name, words, label)) is not None:
                constraints.append((name, bounds))
            else:
                return None
            text = text[: slot["start"]] + words + text[slot["end"] :]
        if fitting := city.fitting(label, constraints):
            return Step("find", text, "", label, tuple(constraints), answers=_answers(fitting[0], language, city))
    return None


def _answers(node: str, language: str, city: TestedCity) -> tuple[str, ...]:
    """What a customer says who is asked for more: the kinds of something that fits, in one breath each."""
    kinds = [each for each in city.linked.get(node, set()) if city.labels[each] in ("Cuisine", "District", "Genre")]
    return tuple(f"{city.labels[each]}:{city.name(each, language)}" for each in sorted(kinds))


def _bounds(slot: str, words: str, label: str) -> tuple[float, float] | None:
    numbers = [float(each) for each in re.findall(r"\d+(?:\.\d+)?", words)]
    if slot == "price" and not numbers and label in BANDS:
        low, high = BANDS[label]
        band = next((name for name, known in WORDS_OF_BANDS.items() if re.fullmatch(known, words.lower())), None)
        edges = {"cheap": (0.0, low), "moderate": (low + 1, high), "expensive": (high + 1, 1e9)}
        return edges.get(band or "")
    if slot == "stars" and len(numbers) == 1:
        return numbers[0], numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    if len(numbers) == 1 and re.search("以上|above|over", words):
        return numbers[0], 1e9
    if len(numbers) == 1 and re.search("以下|以内|below|under", words):
        return 0.0, numbers[0]
    return None


def question_steps(data: Path, number: int, half: str) -> tuple[dict[str, list[Step]], dict[str, str]]:
    """(questions by language, text by file): a passage each from SQuAD 1.1 and CMRC 2018, with its first question."""
    steps: dict[str, list[Step]] = {"en": [], "zh": []}
    files: dict[str, str] = {}
    for language, name, source in (("en", "squad11", "SQuAD 1.1"), ("zh", "cmrc2018", "CMRC 2018")):
        rows = [row for row in _lines(data / f"{name}.jsonl") if row["qas"] and _half(row["context"]) == half]
        for place, row in enumerate(sorted(rows, key=lambda each: zlib.crc32(each["context"].encode()))[:number]):
            file = f"{name}-{place:03d}.txt"
            files[file] = f"{row['title']}\n\n{row['context']}\n"
            asked = row["qas"][0]
            steps[language].append(
                Step("documents", asked["question"], source, file=file, answers=tuple(asked["answers"]))
            )
    return steps, files


def outside_steps(data: Path, half: str, rng: random.Random) -> dict[str, list[Step]]:
    """What is to be declined or handed over: banks, taxis, trains, sights."""
    english = [Step("outside", row["text"], "BANKING77") for row in _lines(data / "banking77.jsonl")]
    english = [step for step in english if _half(step.text) == half and not _ASKS_FOR_PERSON.search(step.text.lower())]
    rides = [row for row in strangers(data, half, 4000) if row["intent"] == "out_of_scope"]
    chinese = [Step("outside", row["text"], "CrossWOZ") for row in rides if language_of(row["text"]) == "zh"]
    trains = [Step("outside", row["text"], "MultiWOZ 2.1") for row in rides if language_of(row["text"]) == "en"]
    english = _shuffled(english, rng)[: len(trains)] + trains
    return {"en": _shuffled(english, rng), "zh": _shuffled(chinese, rng)}


def recommend_steps(data: Path, half: str, rng: random.Random) -> dict[str, list[Step]]:
    """People who ask for a recommendation and say nothing that it is to meet."""
    english = [Step("recommend", text, source) for text, source in _english_requests(data)]
    chosen = [step for step in english if _half(step.text) == half]
    return {"en": _shuffled(chosen, rng), "zh": written_steps("recommend")["zh"]}


def _english_requests(data: Path) -> Iterator[tuple[str, str]]:
    for dialogue in _lines(data / "sgd_resto_hotel_movie.jsonl"):
        for turn in dialogue["turns"]:
            acts = {act[0] for frame in turn["frames"] for act in frame["acts"]} if turn["spk"] == "U" else set()
            if acts and acts <= {"REQUEST_ALTS", "INFORM_INTENT", "THANK_YOU"} and _RECOMMENDS.search(turn["text"]):
                yield turn["text"], "SGD"
    for row in _lines(data / "clinc150.jsonl"):
        if (
            row["intent"] == "restaurant_suggestion"
            and not _DISHES.search(row["text"])
            and not _WISHES.search(row["text"])
        ):
            yield row["text"], "CLINC150"


def person_steps(data: Path) -> dict[str, list[Step]]:
    """People who ask for people: of CLINC150 and BANKING77 in English, our wordings in Chinese."""
    english = [
        Step("person", row["text"], source)
        for source, name in (("CLINC150", "clinc150"), ("BANKING77", "banking77"))
        for row in _lines(data / f"{name}.jsonl")
        if _ASKS_FOR_PERSON.search(row["text"].lower())
        and row["intent"] not in ("goodbye", "lost_luggage", "terminate_account")
    ]
    return {"en": english, "zh": [Step("person", text, "ours") for text in WRITTEN["person"]["zh"]]}


def written_steps(kind: str) -> dict[str, list[Step]]:
    """Our own wordings."""
    return {language: [Step(kind, text, "ours") for text in texts] for language, texts in WRITTEN[kind].items()}


def conversation(number: int, language: str, steps: Mapping[str, Mapping[str, Sequence[Step]]]) -> list[Step]:
    """One customer's sentences: groups of steps in an order of their own, each group next in its list."""

    def one(kind: str, nth: int = number) -> list[Step]:
        known = steps[kind][language]
        return [known[nth % len(known)]] if known else []

    half = number // 2
    shown = one("recommend", half) if half % 2 or not steps["bare"][language] else one("bare", half // 2)
    groups = [
        one("find", half),
        one("documents", half),
        shown + one("why", half) + (one("refuse", half) if half % 2 else []),
    ]
    random.Random(number).shuffle(groups)
    if half % 2 == 0:
        groups.append(one("outside", half // 2))
    if half % 4 == 1:
        groups.append(one("person", half // 4))
    return [step for group in groups for step in group]


def _shuffled(steps: Sequence[Step], rng: random.Random) -> list[Step]:
    drawn = list(dict.fromkeys(steps))
    rng.shuffle(drawn)
    return drawn


def _half(text: str) -> str:
    return ("develop", "report")[zlib.crc32(f"half of {text}".encode()) % 2]


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
