"""A domain file: what the shipped one holds, what is refused and how precisely, and a second domain of other words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pagoda.dialogue.cypher.domain_check import check
from pagoda.dialogue.domain.domain import CITY, Domain
from pagoda.dialogue.domain.examples import parse_marked
from pagoda.dialogue.errors import DomainError
from pagoda.graph.graph import Graph
from pagoda.graph.schema import GraphSchema

WANTED = {
    *("find_restaurant", "find_film", "find_hotel", "book_restaurant", "greet", "thank", "help", "cancel", "choose"),
    *("ask_property", "confirm", "deny", "hand_off"),
}
CHINESE = """
name: 北京
languages: [zh]
labels:
  餐馆: {key: 名称, names: {zh: 名称}}
  菜: {key: 名称, names: {zh: 名称}}
  酒店: {key: 名称, names: {zh: 名称}}
  设施: {key: 名称, names: {zh: 名称}}
slots:
  餐馆-推荐菜: {type: name, labels: [菜], many: true}
  餐馆-人均消费: {type: price}
  酒店-酒店设施-叫醒服务: {type: boolean}
intents:
  找餐馆:
    kind: find
    optional: [餐馆-推荐菜, 餐馆-人均消费]
    query:
      label: 餐馆
      filters:
        - {slot: 餐馆-推荐菜, operator: node, path: [{out: 推荐菜, to: 菜}]}
        - {slot: 餐馆-人均消费, operator: range, property: 人均消费}
      columns:
        电话: {property: 电话}
  找酒店:
    kind: find
    optional: [酒店-酒店设施-叫醒服务]
    query:
      label: 酒店
      filters:
        - slot: 酒店-酒店设施-叫醒服务
          operator: has
          node: 叫醒服务
          property: 名称
          path: [{out: 酒店设施, to: 设施}]
examples:
  找餐馆:
    zh: ['想吃[驴杂汤](餐馆-推荐菜)，[100-150元](餐馆-人均消费)']
  找酒店:
    zh: [有叫醒服务的酒店]
"""
CHINESE_SCHEMA = GraphSchema(
    {
        "餐馆": {"名称": "string", "人均消费": "integer", "电话": "string"},
        "菜": {"名称": "string"},
        "酒店": {"名称": "string"},
        "设施": {"名称": "string"},
    },
    frozenset({("餐馆", "推荐菜", "菜"), ("酒店", "酒店设施", "设施")}),
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "domain.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_domain_has_the_intents_that_were_promised() -> None:
    assert set(Domain.load().intents) == WANTED


def test_the_shipped_domain_fits_the_shipped_graph(city_graph: Graph) -> None:
    check(Domain.load(), city_graph.schema())


def test_every_intent_has_enough_examples_in_both_languages() -> None:
    domain = Domain.load()
    for language in domain.languages:
        counts = Counter(each["intent"] for each in domain.examples(language))
        for intent in domain.intents.values():
            assert counts[intent.name] >= (25 if intent.kind in ("find", "book") else 12), (intent.name, language)
        assert counts["out_of_scope"] >= 60


def test_the_slots_of_an_example_are_stretches_of_its_text() -> None:
    for each in Domain.load().examples():
        assert all(each["text"][slot["start"] : slot["end"]] == slot["value"] for slot in each["slots"])
        assert "[" not in each["text"]
        assert "](" not in each["text"]


def test_marks_are_taken_out_and_counted_in_characters_of_the_plain_text() -> None:
    text, slots = parse_marked("find a [cheap](price) [Sichuan](cuisine) place")
    assert text == "find a cheap Sichuan place"
    assert [(slot["slot"], slot["start"], slot["end"]) for slot in slots] == [("price", 7, 12), ("cuisine", 13, 20)]


def test_every_template_has_both_languages() -> None:
    domain = Domain.load()
    assert all(set(words) == {"zh", "en"} for words in domain.templates.values())


def test_a_domain_of_chinese_names_loads_and_fits_its_graph(tmp_path: Path) -> None:
    domain = Domain.load(written(tmp_path, CHINESE))
    check(domain, CHINESE_SCHEMA)
    example, _ = domain.examples()
    assert [slot["slot"] for slot in example["slots"]] == ["餐馆-推荐菜", "餐馆-人均消费"]
    assert domain.template("greet", "zh")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("label: Restaurant\n", "label: Restuarant\n", ['label is "Restuarant"', 'did you mean "Restaurant"?']),
        ("operator: near", "operator: nearby", ['operator is "nearby"', 'did you mean "near"?']),
        ("required: [cuisine, location]", "required: [cusine, location]", ['names "cusine"', '"cuisine"?']),
        ("    plain: around", "    plane: around", ["slots.price.plane is not known here", 'did you mean "plain"?']),
        ("    type: people", "    type: persons", ['slots.people.type is "persons"', '"person"?']),
        ("low: 1\n    high: 20", "low: one\n    high: 20", ['slots.people.low is "one", expected a number']),
        ("[川菜](cuisine)馆", "[川菜](cuisin)馆", ['marks slot "cuisin"', 'did you mean "cuisine"?']),
        ("[川菜](cuisine)馆", "[川菜(cuisine)馆", ["bracket too many or too few"]),
        ("order: [{by: rating,", "order: [{by: ratting,", ['"ratting"', '"rating"?']),
        ("languages: [zh, en]", "languages: [zh, fr]", ['names "fr"']),
        ("bands: {cheap: [null, 60], ", "bands: {", ['does not say what "cheap" of slot price means']),
        ("  greet: {kind: chitchat", "  greet: {kind: smalltalk", ['intents.greet.kind is "smalltalk"']),
        ("name: city\n", "name: [city\n", ["not YAML"]),
        ("name: city\n", "name: city\nname: town\n", ["stands twice"]),
        ("hours: {slot: time,", "hours: {slot: people,", ['hours.slot is "people", of type people']),
        ("opens: opens, closes: closes}", "open: opens, closes: closes}", ["hours.open is not known", '"opens"?']),
        ("    earliest: 10\n", "    earliest: 13\n", ["slots.time.earliest is 13, not an hour from 0 to 12"]),
        (
            "    type: people\n",
            "    type: people\n    earliest: 9\n",
            ["slots.people.earliest is for slots of type time"],
        ),
        ("      target: name\n", "", ["intents.book_restaurant.booking.target is missing"]),
        (
            "          property: opens\n",
            "          property: opens\n          of: relation\n",
            ["columns.opens.path is missing"],
        ),
        (
            "          many: true\n",
            "          many: true\n          of: relations\n",
            ['of is "relations"', '"relation"?'],
        ),
        (
            "          many: true\n",
            "          many: true\n          lowest: {en: [a]}\n",
            ["lowest needs a property of the res"],
        ),
        ("confirm_within: 30", "confirm_within: -1", ["confirm_within is -1", "0 for no limit"]),
        ("confirm_within: 30", "confirm_in: 30", ["booking.confirm_in is not known", '"confirm_within"?']),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: list[str]) -> None:
    text = CITY.read_text(encoding="utf-8")
    assert old in text
    path = written(tmp_path, text.replace(old, new, 1))
    with pytest.raises(DomainError) as caught:
        Domain.load(path)
    message = str(caught.value)
    line = int(message.split(":")[1])
    near = path.read_text(encoding="utf-8").splitlines()[max(0, line - 8) : line + 1]
    assert message.startswith("domain.yaml:")
    assert all(part in message for part in told), message
    assert "missing" in message or any(new.split("\n")[0].strip()[:12] in row for row in near), (line, message)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  餐馆: {key: 名称", "  餐厅: {key: 名称", ["labels.餐厅 is no label of the graph"]),
        ("property: 人均消费", "property: 人均", ['is "人均", which nodes 餐馆 of the graph lack', '"人均消费"']),
        ("out: 推荐菜", "out: 推荐", ['is "餐馆 -推荐-> 菜", which the graph lacks', '"餐馆 -推荐菜-> 菜"']),
        ("property: 电话", "property: 号码", ["columns.电话.property"]),
    ],
)
def test_what_the_graph_lacks_is_told_with_line_and_nearest_name(
    tmp_path: Path, old: str, new: str, told: list[str]
) -> None:
    text = CHINESE.replace(old, new, 1)
    if "餐厅" in new:
        text = text.replace("label: 餐馆", "label: 餐厅")
    domain = Domain.load(written(tmp_path, text))
    with pytest.raises(DomainError) as caught:
        check(domain, CHINESE_SCHEMA)
    first = str(caught.value).splitlines()[0]
    line = int(first.split(":")[1])
    assert all(part in first for part in told), first
    assert new.split(": ", 1)[-1].split("}")[0][:4] in text.splitlines()[line - 1]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("closes: closes}", "closes: closing}", 'hours.closes is "closing", which nodes Restaurant of the graph lack'),
        ("opens: opens,", "opens: price,", "hours.opens is a integer in the graph"),
    ],
)
def test_opening_hours_are_held_against_the_graph(
    tmp_path: Path, city_graph: Graph, old: str, new: str, told: str
) -> None:
    text = CITY.read_text(encoding="utf-8")
    domain = Domain.load(written(tmp_path, text.replace(old, new, 1)))
    with pytest.raises(DomainError) as caught:
        check(domain, city_graph.schema())
    assert told in str(caught.value)


def test_a_relation_s_property_is_held_against_the_graph(tmp_path: Path, city_graph: Graph) -> None:
    text = CITY.read_text(encoding="utf-8")
    column = "        far: {property: %s, of: relation, path: [{out: NEAR, to: Landmark}]}\n        district:\n"
    told = 'intents.find_restaurant.query.columns.far.property relations NEAR have no "distance": did you mean'
    for name, problem in (("distance", told), ("distance_m", "")):
        changed = text.replace("        district:\n", column % name, 1)
        domain = Domain.load(written(tmp_path, changed))
        if not problem:
            check(domain, city_graph.schema())
            continue
        with pytest.raises(DomainError) as caught:
            check(domain, city_graph.schema())
        assert problem in str(caught.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = CHINESE.replace("property: 人均消费", "property: 人均").replace("property: 电话", "property: 号码")
    with pytest.raises(DomainError) as caught:
        check(Domain.load(written(tmp_path, text)), CHINESE_SCHEMA)
    assert len(str(caught.value).splitlines()) == 2


def test_a_slot_says_what_it_counts_and_when_its_day_begins(tmp_path: Path) -> None:
    text = CHINESE.replace("type: price", "type: price, units: {zh: [文]}", 1)
    assert text != CHINESE
    (slot,) = (slot for slot in Domain.load(written(tmp_path, text)).slots.values() if slot.type == "price")
    assert slot.units == {"zh": ("文",)}
    assert [Domain.load().slots["time"].earliest, slot.earliest] == [10, 7]


def test_a_missing_file_is_an_error_of_the_domain(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="cannot be read"):
        Domain.load(tmp_path / "none.yaml")
