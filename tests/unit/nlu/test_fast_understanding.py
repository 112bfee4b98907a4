"""The whole of fast understanding, trained in seconds on sentences of a small domain in both languages."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pagoda.errors import CheckpointError, ConfigError, InvalidParameterError, InvalidRequestError
from pagoda.nlu.fast_understanding import FastUnderstanding
from pagoda.nlu.report import draw_confusions, evaluate
from pagoda.nlu.understanding import OUT_OF_SCOPE, TurnContext

Example = dict[str, Any]
VALUES = {
    "zh": {
        "cuisine": ["川菜", "粤菜", "湘菜", "火锅", "日料", "西餐", "素菜"],
        "location": ["公司", "火车站", "大学城", "人民广场", "机场"],
        "people": ["两位", "四个人", "六人", "八位"],
        "time": ["今晚七点", "明天中午", "周六下午六点半"],
    },
    "en": {
        "cuisine": ["Sichuan", "Thai", "Italian", "hot pot", "Korean", "French"],
        "location": ["the office", "the station", "Oak Street", "the airport"],
        "people": ["two", "four of us", "six people", "8"],
        "time": ["tonight", "at seven", "tomorrow at noon", "at 6:30 pm"],
    },
}
PATTERNS = {
    "zh": [
        ("find_restaurant", "想找一家{cuisine}馆，离{location}近一点"),
        ("find_restaurant", "{location}附近有没有{cuisine}"),
        ("find_restaurant", "帮我推荐个吃{cuisine}的地方"),
        ("book_restaurant", "订{time}的位子，{people}"),
        ("book_restaurant", "我们{people}，{time}到"),
        ("greet", "你好"),
        ("cancel", "取消吧"),
        (OUT_OF_SCOPE, "今天股票怎么样"),
        (OUT_OF_SCOPE, "帮我写首诗"),
    ],
    "en": [
        ("find_restaurant", "I want a {cuisine} place near {location}"),
        ("find_restaurant", "is there any {cuisine} food around {location}"),
        ("book_restaurant", "book a table for {people} {time}"),
        ("book_restaurant", "we need a table {time} for {people}"),
        ("greet", "hi"),
        ("cancel", "never mind, cancel it"),
        (OUT_OF_SCOPE, "how is the stock market doing"),
        (OUT_OF_SCOPE, "write me a poem about the sea"),
    ],
}


def filled(pattern: str, values: dict[str, list[str]], rng: random.Random) -> Example:
    text, slots = "", []
    for part in re.split(r"(\{\w+\})", pattern):
        if part.startswith("{"):
            value = rng.choice(values[part[1:-1]])
            slots.append({"slot": part[1:-1], "start": len(text), "end": len(text) + len(value), "value": value})
            part = value
        text += part
    return {"text": text, "slots": slots}


def sentences(languages: Sequence[str], count: int, seed: int) -> list[Example]:
    rng = random.Random(seed)
    made = []
    for number in range(count):
        language = languages[number % len(languages)]
        intent, pattern = rng.choice(PATTERNS[language])
        made.append({**filled(pattern, VALUES[language], rng), "intent": intent})
    return made


@pytest.fixture(scope="module")
def bilingual() -> FastUnderstanding:
    """Trained on 240 sentences; tests only read with it."""
    lexicon = {"cuisine": ["东北菜", "Ethiopian"]}
    return FastUnderstanding.train(sentences(["zh", "en"], 240, seed=0), lexicon=lexicon)


@pytest.fixture(scope="module")
def chinese() -> FastUnderstanding:
    return FastUnderstanding.train(sentences(["zh"], 120, seed=0))


def test_new_sentences_of_both_languages_are_understood(bilingual: FastUnderstanding) -> None:
    report = evaluate(bilingual, sentences(["zh", "en"], 100, seed=1))
    assert report.accepted_accuracy is not None
    assert report.accepted_accuracy > 0.95
    assert report.out_of_scope_recall == 1.0
    assert report.slots is not None
    assert report.slots.f1 > 0.95


def test_spans_are_characters_of_the_text_and_values_are_what_stands_there(bilingual: FastUnderstanding) -> None:
    for example in sentences(["zh", "en"], 20, seed=2):
        read = bilingual.parse("  " + example["text"])
        assert all(read.text[slot.start : slot.end] == slot.value for slot in read.slots)


@pytest.mark.parametrize(
    ("text", "value"),
    [("火车站附近有没有东北菜", "东北菜"), ("I want a Ethiopian place near the station", "Ethiopian")],
)
def test_a_value_of_the_lexicon_is_found_without_an_example(
    bilingual: FastUnderstanding, text: str, value: str
) -> None:
    assert {"cuisine": value}.items() <= {slot.slot: slot.value for slot in bilingual.parse(text).slots}.items()


@pytest.mark.parametrize("text", ["hi", "Hi!", "你好。"])
def test_a_literal_example_is_certain(bilingual: FastUnderstanding, text: str) -> None:
    read = bilingual.parse(text)
    assert read.intent == "greet"
    assert read.confidence >= 0.99


def test_what_fits_nothing_is_out_of_scope(bilingual: FastUnderstanding) -> None:
    read = bilingual.parse("量子力学的基本假设是什么？")
    assert (read.intent, read.language) == (OUT_OF_SCOPE, "zh")
    assert read.confidence > 0.5


def test_candidates_are_chances_in_order(bilingual: FastUnderstanding) -> None:
    for example in sentences(["zh", "en"], 30, seed=3):
        read = bilingual.parse(example["text"])
        chances = [chance for _, chance in read.candidates]
        assert read.candidates[0] == (read.intent, read.confidence)
        assert chances[1:] == sorted(chances[1:], reverse=True)
        assert all(0 <= chance <= 1 for chance in chances)


def test_a_saved_understanding_reads_as_before(bilingual: FastUnderstanding, tmp_path: Path) -> None:
    bilingual.save(tmp_path / "model")
    loaded = FastUnderstanding.load(tmp_path / "model")
    for example in sentences(["zh", "en"], 30, seed=4):
        assert loaded.parse(example["text"]) == bilingual.parse(example["text"])
    assert (loaded.intents, loaded.slots, loaded.languages) == (bilingual.intents, bilingual.slots, bilingual.languages)


def test_training_again_gives_the_same_and_leaves_the_callers_randomness_alone(chinese: FastUnderstanding) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = FastUnderstanding.train(sentences(["zh"], 120, seed=0))
    assert torch.rand(1) == expected
    for example in sentences(["zh"], 20, seed=5):
        assert again.parse(example["text"]) == chinese.parse(example["text"])


def test_an_answer_binds_to_what_was_asked(chinese: FastUnderstanding) -> None:
    read = chinese.parse("机场", TurnContext(requested_slot="location"))
    assert [(slot.slot, slot.value) for slot in read.slots] == [("location", "机场")]


def test_what_was_asked_decides_where_the_words_do_not() -> None:
    examples = []
    for number in range(1, 61):
        slot = ("people", "time")[number % 2]
        span = {"slot": slot, "start": 1, "end": 1 + len(str(number)), "value": str(number)}
        examples.append({"text": f"要{number}", "slots": [span], "requested": [slot]})
    trained = FastUnderstanding.train(examples)
    for slot in ("people", "time"):
        assert [found.slot for found in trained.parse("要71", TurnContext(requested_slot=slot)).slots] == [slot]


def test_sets_without_intents_have_none(chinese: FastUnderstanding) -> None:
    examples = [{key: one[key] for key in ("text", "slots")} for one in sentences(["zh"], 80, seed=6)]
    read = FastUnderstanding.train(examples).parse("公司附近有没有川菜")
    assert (read.intent, read.candidates) == ("", ())
    assert {slot.slot for slot in read.slots} == {"cuisine", "location"}


def test_sets_without_slots_have_none() -> None:
    examples = [{"text": text, "intent": name} for name, text in PATTERNS["zh"] for _ in range(3)]
    assert FastUnderstanding.train(examples).parse("你好").slots == ()


def test_a_language_that_was_not_trained_is_out_of_scope_or_read_by_the_other(chinese: FastUnderstanding) -> None:
    assert chinese.parse("what is the airspeed of a swallow").intent == OUT_OF_SCOPE


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_text_without_a_word_is_refused(chinese: FastUnderstanding, text: str) -> None:
    with pytest.raises(InvalidRequestError, match="no word"):
        chinese.parse(text)


@pytest.mark.parametrize("name", ["effort", "false_rejects"])
def test_settings_out_of_range_are_refused_by_name(name: str) -> None:
    wrong: Any = {"effort": "hard", "false_rejects": 0.7}[name]
    with pytest.raises(InvalidParameterError) as caught:
        FastUnderstanding.train(sentences(["zh"], 20, seed=0), **{name: wrong})
    assert caught.value.param == name


def test_an_interrupted_training_leaves_the_random_state_alone() -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    with pytest.raises(KeyboardInterrupt):
        FastUnderstanding.train(sentences(["zh"], 40, seed=0), on_progress=interrupt)
    assert torch.rand(1) == expected


def test_a_few_steps_of_tuning_change_the_upper_layers_and_survive_a_file(tmp_path: Path) -> None:
    examples = sentences(["en"], 64, seed=8)
    trained = FastUnderstanding.train(examples, effort="tuned", epochs=4)
    trained.save(tmp_path / "tuned")
    loaded = FastUnderstanding.load(tmp_path / "tuned")
    assert [trained.parse(e["text"]) for e in examples[:10]] == [loaded.parse(e["text"]) for e in examples[:10]]
    plain = FastUnderstanding.train(examples[:16], effort="heads")
    plain.save(tmp_path / "plain")
    sizes = [(tmp_path / name / "en.safetensors").stat().st_size for name in ("plain", "tuned")]
    assert sizes[1] - sizes[0] > 4 * 1_700_000 * 2


def test_a_folder_of_other_files_is_not_overwritten(chinese: FastUnderstanding, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="another folder"):
        chinese.save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_saving_again_replaces_and_leaves_nothing_beside_it(chinese: FastUnderstanding, tmp_path: Path) -> None:
    for _ in range(2):
        chinese.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("damage", ["missing", "json", "format", "tensors", "tensors gone"])
def test_a_damaged_folder_is_a_clear_error(chinese: FastUnderstanding, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    chinese.save(folder)
    described = folder / "understanding.json"
    if damage == "missing":
        described.unlink()
    elif damage == "json":
        described.write_text("{")
    elif damage == "format":
        described.write_text(json.dumps({"format": 99}))
    elif damage == "tensors":
        (folder / "zh.safetensors").write_bytes(b"not tensors")
    else:
        (folder / "zh.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model"):
        FastUnderstanding.load(folder)


def test_the_confusions_become_a_picture(chinese: FastUnderstanding, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_confusions(evaluate(chinese, sentences(["zh"], 20, seed=9)), tmp_path / "confusions.png")
    assert (tmp_path / "confusions.png").read_bytes().startswith(b"\x89PNG")


CUISINES = [
    {"text": f"想吃{name}", "slots": [{"slot": "cuisine", "start": 2, "end": 2 + len(name)}]}
    for name in ("川菜", "粤菜", "火锅")
]
ODD_SETS: dict[str, tuple[list[Example], list[str]]] = {
    "no intents at all": (CUISINES, [""]),
    "intents of some": (
        [*CUISINES, {"text": "你好", "intent": "greet"}, {"text": "再见", "intent": "leave"}],
        ["greet", "leave"],
    ),
    "one intent": ([{"text": f"你好{sign}", "intent": "greet"} for sign in "啊呀呢"], ["greet"]),
    "one lone sentence": ([{"text": "hello there", "intent": "greet"}], ["greet"]),
    "one lone sentence of the second language, Chinese": (
        [*sentences(["en"], 30, seed=0), {"text": "你好", "intent": "greet"}],
        ["book_restaurant", "cancel", "find_restaurant", "greet"],
    ),
    "one lone sentence of the second language, English": (
        [*sentences(["zh"], 30, seed=0), {"text": "hi", "intent": "greet"}],
        ["book_restaurant", "cancel", "find_restaurant", "greet"],
    ),
    "only what is out of scope in the second language": (
        [*sentences(["zh"], 30, seed=0), {"text": "what is the time", "intent": "oos"}],
        ["book_restaurant", "cancel", "find_restaurant", "greet"],
    ),
    "the same sentence many times": (
        [{"text": "你好", "intent": "greet"}, {"text": "再见", "intent": "leave"}] * 9,
        ["greet", "leave"],
    ),
    "the same sentence with two intents": (
        [{"text": "好", "intent": "a"}, {"text": "好", "intent": "b"}] * 4,
        ["a", "b"],
    ),
    "neither intent nor slot in English": ([*CUISINES, {"text": "hello there"}], [""]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_SETS)
def test_odd_sets_of_examples_are_learned_all_the_same(name: str, tmp_path: Path) -> None:
    examples, intents = ODD_SETS[name]
    understanding = FastUnderstanding.train(examples, effort="heads")
    assert list(understanding.intents) == [intent for intent in intents if intent]
    understanding.save(tmp_path / "kept")
    kept = FastUnderstanding.load(tmp_path / "kept")
    for text in ("你好", "hello there", "想吃粤菜", "?"):
        read = understanding.parse(text)
        assert read.intent in (*intents, OUT_OF_SCOPE)
        assert kept.parse(text) == read
    report = evaluate(understanding, examples)
    assert draw_confusions(report, tmp_path / "picture.png") == any(example.get("intent") for example in examples)


def test_sentences_without_an_intent_say_nothing_of_scope() -> None:
    """They were once taken for out of scope, and every sentence like them was turned away."""
    told = [
        {"text": f"{place}附近有{food}吗", "intent": "find"}
        for place in VALUES["zh"]["location"]
        for food in VALUES["zh"]["cuisine"]
    ]
    plain = [{"text": example["text"] + "呀"} for example in told]
    other = [{"text": f"{word}吧", "intent": "leave"} for word in ("再见", "走了", "回头见", "拜拜", "下次", "就这样")]
    understanding = FastUnderstanding.train([*told, *plain, *other])
    assert [understanding.parse(example["text"]).intent for example in plain[:5]] == ["find"] * 5


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ({"text": "hi", "slots": {"slot": "a"}}, '"slots" is'),
        ({"text": "hi", "intent": "greet", "requested": "time"}, '"requested" is'),
        ({"text": "hi", "intent": "greet", "requested": [3]}, "expected names of slots"),
    ],
)
def test_what_is_no_list_is_refused_by_name(example: Example, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        FastUnderstanding.train([example])


def test_another_lexicon_needs_no_new_training(bilingual: FastUnderstanding) -> None:
    text, asked = "klingon", TurnContext(requested_slot="cuisine")
    told = bilingual.with_lexicon({"cuisine": ["Klingon", "东北菜"]})
    assert told.parse(text, asked) != bilingual.parse(text, asked)
    assert [(slot.slot, slot.value) for slot in told.parse(text, asked).slots] == [("cuisine", text)]
    again = told.with_lexicon({"cuisine": ["东北菜", "Ethiopian"]})
    assert again.parse(text, asked) == bilingual.parse(text, asked)


def test_a_light_file_reads_as_before_once_it_has_its_examples_again(tmp_path: Path) -> None:
    examples = sentences(["zh", "en"], 120, seed=0)
    understanding = FastUnderstanding.train(examples)
    understanding.without_examples().save(tmp_path / "light")
    light = FastUnderstanding.load(tmp_path / "light").with_examples(examples)
    for example in sentences(["zh", "en"], 40, seed=7):
        assert light.parse(example["text"]) == understanding.parse(example["text"])


def test_half_a_file_is_no_file(bilingual: FastUnderstanding, tmp_path: Path) -> None:
    bilingual.save(tmp_path / "kept")
    tensors = tmp_path / "kept" / "zh.safetensors"
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="damaged"):
        FastUnderstanding.load(tmp_path / "kept")


def test_a_file_holds_no_rows_that_say_nothing(bilingual: FastUnderstanding, tmp_path: Path) -> None:
    bilingual.save(tmp_path / "kept")
    assert sum(file.stat().st_size for file in (tmp_path / "kept").iterdir()) < 1_500_000
