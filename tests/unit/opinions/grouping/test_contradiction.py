"""Opposite news with one boilerplate are two stories; what desks do to a wire story leaves it one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pagoda.opinions.duplicates import StoryIndex
from pagoda.opinions.grouping.figures import differ
from pagoda.opinions.story import Item

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BOILERPLATE = (
    " The maker of pumps runs eleven plants in five countries and employs 4,200 people. It was founded in a shed "
    "behind a brewery, and its shares have been traded for thirty years. The board meets again in June. Analysts who "
    "follow the company had no comment on Monday."
)
GENERAL = (
    "公司主要从事水泵的研发、生产与销售，在五个国家设有十一家工厂，员工四千余人。"
    "公司股票已上市三十年。公司提醒投资者注意风险。"
)


def stories(*items: tuple[str, str]) -> int:
    """How many stories a few (title, text) are."""
    index = StoryIndex()
    return len({index.assign(Item("s", str(n), NOON, NOON, *item)) for n, item in enumerate(items)})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alder Pumps profit up 12 pc in second quarter", "Alder Pumps profit up 21 pc in second quarter"),
        ("Alder Pumps profit rises in second quarter", "Alder Pumps profit falls in second quarter"),
        ("Alder Pumps beats estimates for the quarter", "Alder Pumps misses estimates for the quarter"),
        ("Alder Pumps profit rose 5.68 percent", "Alder Pumps profit rose 56.8 percent"),
        ("Alder Pumps earned 3 million in March", "Alder Pumps earned 3 billion in March"),
        ("Alder Pumps lifts its rate 25 percentage points", "Alder Pumps lifts its rate 25 basis points"),
        ("Alder Pumps sees its yield up 5% in June", "Alder Pumps sees its yield up 5 bp in June"),
        ("Alder Pumps to sell bonds of 300 million euros", "Alder Pumps to sell bonds of 300 million dollars"),
        ("远山水泵：债券利率上行5%后企稳", "远山水泵：债券利率上行5个基点后企稳"),
        ("远山水泵：拟发债3亿元用于扩产", "远山水泵：拟发债3亿美元用于扩产"),
        ("远山水泵：净利率提高5%至历史新高", "远山水泵：净利率提高5亿元至历史新高"),
        ("远山水泵：一季度净利润3万元", "远山水泵：一季度净利润3亿元"),
        ("远山水泵：水务债务规模3亿元", "远山水泵：水务债务规模3万亿元"),
        ("Regulator approves merger of Alder Pumps", "Regulator rejects merger of Alder Pumps"),
        ("Alder Pumps will cut jobs at its plants", "Alder Pumps will not cut jobs at its plants"),
        ("Alder Pumps names a new chief engineer", "Birch Pumps names a new chief engineer"),
        ("Alder: change of -0.2 pc on the day", "Alder: change of 0.2 pc on the day"),
        ("远山水泵：股价今日上涨逾百分之五", "远山水泵：股价今日下跌逾百分之五"),
        ("远山水泵：控股股东拟增持公司股份", "远山水泵：控股股东拟减持公司股份"),
        ("远山水泵：中标市政供水改造项目", "远山水泵：未中标市政供水改造项目"),
        ("远山水泵：2025年净利预增82%", "远山水泵：2025年净利预增28%"),
        ("远山水泵：重组方案获证监会批准", "远山水泵：重组方案被证监会否决"),
        ("远山水泵：与市水务局签署合作协议", "青石阀门：与市水务局签署合作协议"),
    ],
)
def test_opposite_headlines_are_two_stories_whatever_else_they_share(one: str, other: str) -> None:
    text = GENERAL if not one.isascii() else BOILERPLATE
    assert stories((one, ""), (other, "")) == 2
    assert stories((one, f"{one}.{text}"), (other, f"{other}.{text}")) == 2
    # A third that says neither may be of one of them, and does not bring both together.
    assert stories((one, text), (other, text)) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alder Pumps profit up 12 pc", "UPDATE 2-Alder Pumps' profit up 12 pc"),
        ("Alder Pumps profit up 12 pc to 3.14 million", "Alder Pumps profit up 12 pc to 3 million"),
        ("Alder Pumps profit up 5% in March on exports", "Alder Pumps profit up 5 percent in March on exports"),
        ("远山水泵：毛利率提高5个百分点创新高", "远山水泵：毛利率提高5%创新高"),
        ("远山水泵：拟发债3亿元用于扩产", "远山水泵：拟发债3亿用于扩产"),
        ("远山水泵：拟发债3亿元用于扩产", "远山水泵：拟发债人民币3亿元用于扩产"),
        ("Alder Pumps sold 1,000 pumps in March", "Alder Pumps sold 1 000 pumps in March"),
        ("Alder Pumps sold 1000 pumps in March", "Alder Pumps sold 1.000 pumps in March"),
        ("Alder Pumps profit rose 5.68 percent", "Alder Pumps profit rose 5. 68 pct"),
        ("Alder Pumps profit rose 5.68 percent", "Alder Pumps profit rose 5,68 percent"),
        ("Alder Pumps earned 1 000 million in March", "Alder Pumps earned 1 bn in March"),
        ("Alder Pumps closes two plants", "BREAKING: Alder Pumps closes two plants, shares down"),
        ("Alder Pumps Names A New Chief Engineer", "Alder Pumps names a new chief engineer"),
        ("远山水泵：股东拟减持不超4.45%股份", "快讯：远山水泵股东拟减持4.45%股份"),
        ("远山水泵：2025年净利预增82%-91%", "突发！远山水泵2025年净利预增82％－91％"),
        ("远山水泵：一季度净利润3亿元", "远山水泵：一季度净利润3个亿元"),
        ("远山水泵：一季度净利润3万亿元", "远山水泵：一季度净利润３万多亿元"),
        ("远山水泵拟10转7派4元", "遠山水泵：擬10轉7派4元，淨利增26%"),
    ],
)
def test_what_a_desk_changes_leaves_one_story(one: str, other: str) -> None:
    text = GENERAL if not one.isascii() else BOILERPLATE
    line = "Berlin, 5 Jan (Wire) - " if one.isascii() else "新华财经北京1月5日电 "
    assert stories((one, f"{one}.{text}"), (other, f"{line}{other}.{text} (12 sources)")) == 1


def test_a_text_that_was_cut_off_gives_no_other_figure() -> None:
    whole = f"Alder Pumps sold 12,450 pumps in March.{BOILERPLATE} It will raise prices by 4.25 per cent in April."
    assert stories(("Alder Pumps sells more pumps", whole), ("Alder Pumps sells more pumps", whole[:-18] + "...")) == 1
    assert stories(("Sales of March", whole), ("Sales of March", whole.replace("12,450 pumps", "9,300 pumps"))) == 2


def test_figures_are_one_in_other_units_and_with_fewer_digits() -> None:
    def other(one: str, two: str) -> bool:
        first, second = one.split(), two.split()
        return differ(first, (0, len(first)), second, (0, len(second)))

    assert not other("3.1 亿", "310 million")
    assert not other("2.95 亿", "29500 万")
    assert not other("0 .38".replace(".", ""), "0.38")
    assert other("0.38", "0.05")
    assert other("500", "505")
    assert other("1" * 80, "2" * 60)
    assert not other("profit", "3")


def test_a_headline_that_comes_for_ever_costs_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    usual = StoryIndex._likeness

    def counted(self: StoryIndex, fresh: object, known: object) -> float:
        compared[-1] += 1
        return usual(self, fresh, known)  # type: ignore[arg-type]

    monkeypatch.setattr(StoryIndex, "_likeness", counted)
    index = StoryIndex()
    for number in range(200):
        compared.append(0)
        text = f"At {number} o'clock the index of pumps stood at {number * 37 % 101} points, {number * number} traded."
        index.assign(Item("s", str(number), NOON, NOON, "Pumps: the market at this hour", text * 3))
    assert max(compared) <= 32
    compared.append(0)
    for number in range(50):
        index.assign(Item("other", str(number), NOON, NOON, "Pumps: the market at this hour", text * 3))
    assert compared[-1] == 0
    assert len(index) == 200
