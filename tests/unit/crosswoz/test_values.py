"""Quantities and values in a sentence, over slots that no shipped domain has."""

from __future__ import annotations

import pytest
from crosswoz.ontology import ActOntology, QuantityFormat
from crosswoz.quantities import QuantityReader
from crosswoz.values import ValueFinder, folded, known_values

from pagoda.dialogue.errors import DomainError

MONEY = QuantityFormat((("元", "块"),), "{low}-{high}{unit}")
SPAN = QuantityFormat((("小时", "个小时"), ("天",)), "{low}{unit} - {high}{unit}")
MARK = QuantityFormat((("分",),), "{low}-{high}{unit}")
KNOWN = {
    "票价": ["50-100元", "100元以上", "20元以下"],
    "片长": ["1小时 - 2小时", "0.5小时", "3天"],
    "打分": ["4.5分以上", "5分"],
}


@pytest.fixture(scope="module")
def reader() -> QuantityReader:
    return QuantityReader({"票价": MONEY, "片长": SPAN, "打分": MARK}, KNOWN)


def values_of(reader: QuantityReader, text: str) -> list[dict[str, str]]:
    return [reader.values(found.quantity) for found in reader.find(text)]


@pytest.mark.parametrize(
    ("said", "slot", "value"),
    [
        ("票价50-100元的", "票价", "50-100元"),
        ("50到100块之间", "票价", "50-100元"),
        ("50元至100元", "票价", "50-100元"),
        ("五十到一百元", "票价", "50-100元"),
        ("20元一下的", "票价", "20元以下"),
        ("片长1、2个小时", "片长", "1小时 - 2小时"),
        ("半小时的片子", "片长", "0.5小时"),
        ("看三天", "片长", "3天"),
        ("评分4.5以上", "打分", "4.5分以上"),
        ("评分在4.5分吧", "打分", "4.5分以上"),
        ("打分5分的", "打分", "5分"),
    ],
)
def test_a_quantity_becomes_the_known_value_however_it_is_said(
    reader: QuantityReader, said: str, slot: str, value: str
) -> None:
    assert [found[slot] for found in values_of(reader, said) if slot in found] == [value]


def test_a_quantity_that_is_not_known_is_written_as_its_slot_writes_it(reader: QuantityReader) -> None:
    assert values_of(reader, "70到90块")[0]["票价"] == "70-90元"
    assert values_of(reader, "5小时到6小时")[0]["片长"] == "5小时 - 6小时"
    assert values_of(reader, "300元以内")[0]["票价"] == "300元以下"


@pytest.mark.parametrize("said", ["请等一下", "找一家", "15分钟以后", "两三家都行"])
def test_a_numeral_without_a_unit_is_no_quantity(reader: QuantityReader, said: str) -> None:
    assert not [found for found in values_of(reader, said) if "打分" in found or "票价" in found]


def ontology() -> ActOntology:
    return ActOntology.from_dict(
        {
            "domains": {"影院": ["看片"], "剧场": [], "班车": []},
            "name": "名称",
            "select": {"act": "Select", "slot": "来源"},
            "places": {"班车": ["起点", "终点"]},
            "flags": {"服务": "是"},
            "lexicon": {"影院": ["名称", "服务"], "剧场": ["名称"]},
            "quantities": {"票价": {"units": [["元", "块"]], "range": "{low}-{high}{unit}"}},
            "aliases": {"票价": {"免费": ["不要钱"]}, "服务": {"儿童椅": ["儿童座椅"]}},
        }
    ).with_databases(
        {
            "影院": [{"名称": "望月影院（南街店）", "服务": ["儿童椅", "停车"]}, {"名称": "7号影院", "服务": None}],
            "剧场": [{"名称": "望月"}],
        }
    )


@pytest.fixture(scope="module")
def finder() -> ValueFinder:
    given = ontology()
    acts = [("Inform", "影院", "票价", "50-100元"), ("Inform", "影院", "票价", "免费"), ("Request", "影院", "票价", "")]
    return ValueFinder(given, known_values(given, acts))


def test_the_longest_name_is_found_whatever_its_brackets(finder: ValueFinder) -> None:
    text = "去望月影院(南街店)吧"
    (mention,) = finder.find(text)
    assert text[mention.start : mention.end] == "望月影院(南街店)"
    assert mention.values[("影院", "名称")] == "望月影院（南街店）"
    assert ("班车", "终点") in mention.values


def test_a_number_within_a_name_is_part_of_the_name(finder: ValueFinder) -> None:
    assert [mention.values.get(("影院", "名称")) for mention in finder.find("7号影院，50到100元")] == ["7号影院", None]


def test_aliases_give_the_value_that_they_stand_for(finder: ValueFinder) -> None:
    assert [dict(mention.values) for mention in finder.find("不要钱又有儿童座椅")] == [
        {("影院", "票价"): "免费"},
        {("影院", "服务"): "儿童椅"},
    ]


def test_a_text_without_values_has_no_mentions(finder: ValueFinder) -> None:
    assert finder.find("") == []
    assert finder.find("你好呀") == []


def test_folding_keeps_every_place_in_the_text() -> None:
    text = "İ（A）Ｗ"
    assert len(folded(text)) == len(text)


def test_an_ontology_survives_json() -> None:
    given = ontology()
    assert ActOntology.from_dict(given.to_dict()) == given


def test_an_unknown_domain_and_a_file_without_domains_are_refused_by_name() -> None:
    with pytest.raises(DomainError, match=r"饭馆.*影院"):
        ontology().with_records("饭馆", [])
    with pytest.raises(DomainError, match="no ontology of acts"):
        ActOntology.from_dict({"name": "名称"})
