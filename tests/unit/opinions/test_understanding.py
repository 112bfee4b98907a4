"""An item becomes one opinion for each company, with its own events and places that are the text's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pagoda.opinions.events import EventTypes, event_types
from pagoda.opinions.linking import NameLinker
from pagoda.opinions.sentiment import TargetSentiment
from pagoda.opinions.story import Company, CompanyLinker, CompanySentiment, EventReader, Item, ItemReader
from pagoda.opinions.understanding import ItemUnderstanding

NOW = datetime(2026, 3, 2, tzinfo=UTC)
COMPANIES = (Company("alder", ("Alder Motors",)), Company("birch", ("Birch Foods",)), Company("maotai", ("贵州茅台",)))
READER = ItemUnderstanding(NameLinker(COMPANIES), TargetSentiment(), EventTypes())


def _item(title: str, text: str = "") -> Item:
    return Item("wire", "1", NOW, NOW, title, text)


def test_each_company_has_its_own_opinion_and_events() -> None:
    item = _item("Alder Motors profit surges in Q2", "Shares gained. Birch Foods faces a fraud probe; it fell 5%.")
    alder, birch = READER.read(item)
    assert (alder.company_id, alder.label) == ("alder", "positive")
    assert (birch.company_id, birch.label) == ("birch", "negative")
    assert [event.type for event in alder.events] == ["results"]
    assert {event.type for event in birch.events} == {"fraud", "regulator"}
    for opinion in (alder, birch):
        assert all(item.whole[word.start : word.end] == word.text for word in opinion.words)
        assert all(item.whole[mention.start : mention.end] == mention.surface for mention in opinion.mentions)


def test_an_item_that_names_nobody_gives_nothing() -> None:
    assert READER.read(_item("A quiet day")) == []
    assert READER.read_many([_item("A quiet day"), _item("贵州茅台涨停")])[1][0].company_id == "maotai"


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("Alder to buy rival in $2 bn takeover", {"merger"}),
        ("Alder CFO resigns", {"management"}),
        ("实控人变更", {"control"}),
        ("公司拟回购股份", {"buyback and dividend"}),
        ("*ST远山今起停牌", {"delisting"}),
        ("收到证监会立案调查通知", {"regulator"}),
        ("The best street festival", set()),
        ("Auditor clears Alder of fraud", set()),
        ("No lawsuit against Alder", set()),
        ("Alder denies fraud", set()),
        ("远山否认财务造假", set()),
        ("Alder in a fine season", set()),
        ("Alder pays a fine of $2 million", {"regulator"}),
        ("Alder denies a merger; fraud was found", {"fraud"}),
        # Words that are as often said of something else.
        ("Central bank holds fire on rates; Alder strikes back", set()),
        ("Alder shares down on profit booking", set()),
        ("Betting on dividend yields of Alder", set()),
        ("Stakes are high for Alder", set()),
        ("Alder founders rule out stake sale", set()),
        ("Alder launches IPO", {"offering"}),
        ("Index settles 150 points higher", set()),
        ("Alder pays $2 million in settlement of patent claims", {"lawsuit"}),
        ("◎ downgrades Alder's debt", set()),
        ("Moody's downgrades ◎", {"rating"}),
        ("◎ upgraded to 'buy' as margins improve", {"rating"}),
        ("Birch appoints former ◎ chief as board member", set()),
        ("实控人拟减持不超1771万股", {"stake"}),
        ("筹划重大事项，今起停牌", set()),
        ("维持“增持”评级", {"rating"}),
        ("给予“增持”评级", {"rating"}),
        ("券商给予「减持」评级", {"rating"}),
        ("维持增持评级", {"rating"}),
        ("大行上调◎至增持", {"rating"}),
        ("大行将◎评级由“中性”上调至“增持”", {"rating"}),
        ("大行将◎由增持下调至中性", {"rating"}),
        ("券商维持“买入”", {"rating"}),
        ("大行下调◎至卖出", {"rating"}),
        ("截至增持计划届满，股东未买入", {"stake"}),
        ("股东增持公司股份至5%", {"stake"}),
        ("高管增持，券商维持“增持”评级", {"stake", "rating"}),
        ("央行维持中性利率", set()),
        ("警方查获制造假证件的窝点", set()),
        ("负责人涉合同诈骗", {"fraud"}),
        ("开展逆回购操作，债务规模下降", set()),
        ("获证监会核准批文", set()),
        ("股东承诺暂不减持", set()),
        ("交易所免予处罚", set()),
        ("使用闲置募集资金进行现金管理", set()),
    ],
)
def test_events_by_what_is_said(text: str, types: set[str]) -> None:
    assert {event.type for event in EventTypes().of(text)} == types
    assert types <= set(event_types())


def test_a_hedge_makes_an_event_less_sure() -> None:
    (plain,), (hedged,) = EventTypes().of("Alder launches a van"), EventTypes().of("Alder may launch a van")
    assert hedged.probability < plain.probability
    for text in ("Alder launches a van in May", "公司涉嫌夸大宣传、传销", "员工持股计划清仓减持"):
        assert {event.probability for event in EventTypes().of(text)} == {plain.probability}


def test_a_name_is_no_event_and_a_point_in_a_figure_ends_no_sentence() -> None:
    companies = (Company("watch", ("Antitrust Watch",)), Company("corp", ("Cedar Corp.",)))
    reader = ItemUnderstanding(NameLinker(companies), TargetSentiment(), EventTypes())
    (watch,) = reader.read(_item("Antitrust Watch names a new logo"))
    assert watch.events == ()
    (corp,) = reader.read(_item("Cedar Corp. shares rise 3.5 pct on takeover. A rival faces a fraud probe."))
    assert [event.type for event in corp.events] == ["merger"]


def test_the_parts_keep_their_contracts() -> None:
    assert isinstance(NameLinker(()), CompanyLinker)
    assert isinstance(TargetSentiment(), CompanySentiment)
    assert isinstance(EventTypes(), EventReader)
    assert isinstance(READER, ItemReader)
