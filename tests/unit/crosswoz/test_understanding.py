"""Acts read from sentences: learnt from a few dozen made-up ones, kept on disk, and over CrossWOZ itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crosswoz.context import ActContext, ActTurn, act_turns, spoken_of
from crosswoz.head import HashedHead, HeadSettings
from crosswoz.ontology import ActOntology
from crosswoz.scores import ActScore, read_dialogue, share, state_hits
from crosswoz.tracking import ActTracker
from crosswoz.understanding import ActUnderstanding

from pagoda.errors import InvalidRequestError

NAMES = ["望月影院", "清风影院", "北岸影院", "鹿角影院"]
STAGES = ["长亭剧场", "小巷剧场", "石桥剧场"]
PRICES = ["50-100元", "100元以上", "20元以下"]


def ontology() -> ActOntology:
    return ActOntology.from_dict(
        {
            "domains": {"影院": [], "剧场": []},
            "name": "名称",
            "select": {"act": "Select", "slot": "来源"},
            "relations": {"附近剧场": "剧场", "附近影院": "影院"},
            "flags": {"服务": "是"},
            "lexicon": {"影院": ["名称", "服务"], "剧场": ["名称"]},
            "quantities": {"票价": {"units": [["元"]], "range": "{low}-{high}{unit}"}},
        }
    ).with_databases(
        {
            "影院": [{"名称": name, "服务": ["停车", "儿童椅"]} for name in [*NAMES, "远山影院"]],
            "剧场": [{"名称": name} for name in STAGES],
        }
    )


def turns() -> Iterator[ActTurn]:
    """Some dozens of sentences of a few patterns; the same word is of the domain that was spoken of."""
    for domain in ("影院", "剧场"):
        for price in PRICES:
            yield ActTurn(
                f"找个{price}的{domain}", (("Inform", domain, "票价", price), ("Request", domain, "名称", ""))
            )
            yield ActTurn(
                f"你好，有{price}的{domain}吗",
                (("General", "greet", "none", "none"), ("Inform", domain, "票价", price)),
            )
        for name in NAMES if domain == "影院" else STAGES:
            yield ActTurn(f"{name}的电话是多少", (("Inform", domain, "名称", name), ("Request", domain, "电话", "")))
            yield ActTurn(f"我要去{name}", (("Inform", domain, "名称", name),))
        before = ActContext(domain=domain, is_first=False)
        for text in ("它的电话是多少", "电话呢", "这里的电话"):
            yield ActTurn(text, (("Request", domain, "电话", ""),), before)
    for service in ("停车", "儿童椅"):
        yield ActTurn(f"找一家有{service}的影院", (("Inform", "影院", f"服务-{service}", "是"),))
        yield ActTurn(f"这家影院有没有{service}", (("Request", "影院", f"服务-{service}", ""),))


@pytest.fixture(scope="module")
def reader() -> ActUnderstanding:
    return ActUnderstanding.train(list(turns()) * 3, ontology(), HeadSettings(num_epochs=12))


def test_what_is_learnt_of_one_name_holds_for_a_name_that_was_never_seen(reader: ActUnderstanding) -> None:
    assert reader.parse("远山影院的电话是多少") == [
        ("Inform", "影院", "名称", "远山影院"),
        ("Request", "影院", "电话", ""),
    ]


@pytest.mark.parametrize("domain", ["影院", "剧场"])
def test_a_question_without_a_domain_is_of_the_one_spoken_of(reader: ActUnderstanding, domain: str) -> None:
    assert reader.parse("电话呢", ActContext(domain=domain, is_first=False)) == [("Request", domain, "电话", "")]


def test_a_flag_is_informed_or_asked_for_by_the_words_around_it(reader: ActUnderstanding) -> None:
    assert reader.parse("找一家有停车的影院") == [("Inform", "影院", "服务-停车", "是")]
    assert reader.parse("这家影院有没有停车") == [("Request", "影院", "服务-停车", "")]


def test_a_quantity_is_of_one_domain_only() -> None:
    both = [ActTurn("找个50-100元的地方", (("Inform", domain, "票价", "50-100元"),)) for domain in ("影院", "剧场")]
    one = ActUnderstanding.train([*both, ActTurn("下雨了", ())] * 60, ontology())
    assert len(one.parse("找个50-100元的地方")) == 1


def test_a_choice_among_what_was_listed_is_read_with_the_domains_it_is_about() -> None:
    listed = ActContext("影院", (("Inform", "影院", "附近剧场", "长亭剧场"),), is_first=False)
    wished, choice = ("Inform", "剧场", "票价", "50-100元"), ("Select", "剧场", "来源", "影院")
    turns = [ActTurn("这些里面哪个50-100元", (wished, choice), listed), ActTurn("下雨了", ())]
    reader = ActUnderstanding.train(turns * 60, ontology())
    assert reader.parse("这些里面哪个50-100元", listed) == [wished, choice]


def test_a_saved_reader_reads_the_same(reader: ActUnderstanding, tmp_path: Path) -> None:
    reader.save(tmp_path / "acts")
    loaded = ActUnderstanding.load(tmp_path / "acts")
    texts = [turn.text for turn in turns()]
    assert [loaded.parse(text) for text in texts] == [reader.parse(text) for text in texts]
    assert not [file for file in (tmp_path / "acts").iterdir() if file.suffix not in (".json", ".safetensors")]


def test_a_folder_without_a_reader_and_turns_without_acts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="holds no reader of acts"):
        ActUnderstanding.load(tmp_path)
    with pytest.raises(InvalidRequestError, match="without a single act"):
        ActUnderstanding.train([ActTurn("你好", ())], ontology())


def test_sentences_without_a_value_and_values_without_another_act_can_be_learnt() -> None:
    thanks, going = ("General", "thank", "none", "none"), ("Inform", "影院", "名称", "望月影院")
    polite = ActUnderstanding.train([ActTurn("谢谢你", (thanks,)), ActTurn("下雨了", ())] * 60, ontology())
    assert polite.parse("谢谢你") == [thanks]
    plain = ActUnderstanding.train([ActTurn("去望月影院", (going,)), ActTurn("下雨了", ())] * 60, ontology())
    assert plain.parse("去望月影院") == [going]


@pytest.mark.parametrize("text", ["", " ", "？？？", "👍", "a" * 3000, "元元元以上-"])
def test_any_text_gives_acts_and_no_error(reader: ActUnderstanding, text: str) -> None:
    assert isinstance(reader.parse(text), list)


def test_training_twice_gives_the_same_weights() -> None:
    bags = [["a", "b"], ["b", "c"], ["a", "c"], ["c"]]
    targets = np.array([[True, False], [False, True], [True, True], [False, True]])
    heads = [HashedHead.train(bags, targets, [["x"], ["x"]]) for _ in range(2)]
    assert np.array_equal(heads[0].weights, heads[1].weights)


def test_a_feature_that_nothing_was_learnt_of_changes_nothing() -> None:
    bags, targets = [["a"], ["b"]] * 200, np.array([[True], [False]] * 200)
    head = HashedHead.train(bags, targets, [[]])
    assert np.array_equal(head.scores(["never seen"]), head.scores([]))
    assert head.scores(["a"])[0] > 0 > head.scores(["b"])[0]


def test_the_context_remembers_what_the_system_named_and_what_was_spoken_of() -> None:
    dialogue = {
        "turns": [
            {"role": "usr", "text": "找影院", "acts": [["Request", "影院", "名称", ""]]},
            {"role": "sys", "text": "望月影院，旁边有长亭剧场", "acts": [
                ["Inform", "影院", "名称", "望月影院"], ["Inform", "影院", "附近剧场", "长亭剧场"]]},
            {"role": "usr", "text": "谢谢", "acts": [["General", "thank", "none", "none"]]},
        ]
    }  # fmt: skip
    first, second = act_turns(ontology(), dialogue)
    assert first.context == ActContext()
    assert second.context.domain == "影院"
    assert second.context.seen == {"望月影院": "影院", "长亭剧场": "剧场"}


def test_a_choice_says_more_of_the_domain_than_a_question_and_that_more_than_a_wish() -> None:
    select, request = ("Select", "剧场", "来源", "影院"), ("Request", "影院", "电话", "")
    assert spoken_of(ontology(), [request, select]) == "剧场"
    assert spoken_of(ontology(), [("Inform", "剧场", "票价", "免费"), request]) == "影院"
    assert spoken_of(ontology(), [("General", "thank", "none", "none")]) == ""


def test_f1_counts_acts_over_all_turns() -> None:
    whole = ActScore(3, 4, 5) + ActScore(0, 0, 1)
    assert whole.f1 == pytest.approx(2 * 3 / (4 + 6))
    assert ActScore(0, 0, 0).f1 == 0.0


@pytest.fixture(scope="module")
def crosswoz(shared_data: Path) -> tuple[ActOntology, dict[str, Any], list[dict[str, Any]]]:
    """(ontology with the databases' values, records, dialogues)"""
    example = Path(__file__).parents[3] / "examples" / "crosswoz" / "acts.yaml"
    files = {"景点": "attraction", "酒店": "hotel", "餐馆": "restaurant"}
    folder = shared_data / "dev"
    records = {domain: _lines(folder / f"crosswoz_db_{name}.jsonl") for domain, name in files.items()}
    return ActOntology.read(example).with_databases(records), records, _lines(folder / "crosswoz.jsonl")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.shared_data
def test_a_hundred_dialogues_teach_enough_to_read_and_track_others(crosswoz: tuple[Any, Any, Any]) -> None:
    given, records, dialogues = crosswoz
    training = [turn for each in dialogues[:100] for turn in act_turns(given, each)]
    reader = ActUnderstanding.train(training, given, HeadSettings(num_epochs=3))
    tracker, score = ActTracker(given, records), ActScore(0, 0, 0)
    hits: list[bool] = []
    for each in dialogues[100:150]:
        read, own = read_dialogue(reader, each)
        score += own
        hits += state_hits(tracker, each, read, from_annotated=True)
    assert score.f1 > 0.8
    assert share(hits) > 0.6


@pytest.mark.shared_data
def test_rules_track_the_states_of_annotated_acts(crosswoz: tuple[Any, Any, Any]) -> None:
    given, records, dialogues = crosswoz
    informed, blind = ActTracker(given, records), ActTracker(given)
    by_turn = share(hit for each in dialogues for hit in state_hits(informed, each, from_annotated=True))
    whole = share(hit for each in dialogues for hit in state_hits(informed, each))
    without = share(hit for each in dialogues for hit in state_hits(blind, each))
    assert by_turn > 0.81
    assert whole > 0.56
    assert without < whole - 0.05, "the database no longer says what the system gave up"
