"""Companies are found by names and codes, and words that only look like them are not."""

from __future__ import annotations

import pytest

from pagoda.errors import ConfigError
from pagoda.opinions.linking import NameLinker
from pagoda.opinions.reading.spelling import folded
from pagoda.opinions.story import Company

COMPANIES = (
    Company("apple", ("Apple Inc.", "Apple"), ("AAPL.O",), ("iPhone", "Cupertino")),
    Company("shell", ("Shell plc",), ("SHEL",), ("oil", "barrel")),
    Company("tesla", ("Tesla",), ("TSLA",)),
    Company("all", ("Allstate",), ("ALL",)),
    Company("agilent", ("Agilent",), ("A",)),
    Company("moutai", ("贵州茅台酒股份有限公司", "贵州茅台", "茅台"), ("600519.SH",)),
    Company("pingan", ("中国平安", "平安"), ("601318.SH",), ("保险",)),
    Company("pinganbank", ("平安银行",), ("000001.SZ",)),
    Company("tata-motors", ("Tata Motors", "Tata")),
    Company("tata-steel", ("Tata Steel", "Tata")),
)
LINKER = NameLinker(COMPANIES)


def _found(text: str) -> list[tuple[str, str]]:
    return [(mention.company_id, mention.surface) for mention in LINKER.link(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Apple shares rise after iPhone sales", [("apple", "Apple")]),
        ("An apple a day keeps the doctor away", []),
        ("Apple pie is what she baked", []),
        ("Shell stock falls as oil slides", [("shell", "Shell")]),
        ("He found a shell on the beach", []),
        ("We like ALL of them", []),
        ("ALL SHARES FALL AS IT STOCKS SLIDE", []),
        ("A new plan for markets and shares", []),
        ("上证指数000001收盘上涨", []),
        ("Insurers gain, $ALL up 3% on Q2 results", [("all", "ALL")]),
        ("$TSLA and (AAPL) lead", [("tesla", "TSLA"), ("apple", "AAPL")]),
        ("贵州茅台(600519.SH)净利润增长15%", [("moutai", "贵州茅台"), ("moutai", "600519.SH")]),
        ("貴州茅臺股價上漲", [("moutai", "貴州茅臺")]),
        ("平安银行公告减持", [("pinganbank", "平安银行")]),
        ("祝大家一路平安", []),
        ("Teslas are cars", []),
        ("Tata said nothing", []),
        ("Tata Steel Q2 profit up; Tata shares gain", [("tata-steel", "Tata Steel"), ("tata-steel", "Tata")]),
        ("", []),
    ],
)
def test_what_is_found(text: str, found: list[tuple[str, str]]) -> None:
    assert _found(text) == found


def test_places_are_those_of_the_text_even_where_characters_fold() -> None:
    text = "ＡＢＣ ﬁnance: 貴州茅臺股價 and $TSLA"
    assert all(text[mention.start : mention.end] == mention.surface for mention in LINKER.link(text))
    assert len(LINKER.link(text)) == 2


@pytest.mark.parametrize(("name", "text"), [("Mark T", "Mark™ shares fall"), ("Type I", "Type Ⅲ shares fall")])
def test_a_sign_of_several_letters_is_none_of_them(name: str, text: str) -> None:
    assert not [found for found in NameLinker((Company("one", (name,)),)).link(text) if found.surface == text[:6]]
    assert folded("™Ⅱ㎡№ ﬁ") == "™Ⅱ㎡№ ﬁ"
    assert folded("Ⅰİé貴") == "iie贵"


def test_context_words_decide_for_a_name_that_is_a_word() -> None:
    told = {
        mention.company_id: mention.probability for mention in NameLinker(COMPANIES, 0.0).link("Apple and the iPhone")
    }
    alone = {
        mention.company_id: mention.probability for mention in NameLinker(COMPANIES, 0.0).link("Apple and the pie")
    }
    assert told["apple"] > alone["apple"]


def test_no_companies_and_a_wrong_threshold() -> None:
    assert NameLinker(()).link("Apple shares") == []
    with pytest.raises(ConfigError, match="threshold"):
        NameLinker(COMPANIES, 1.5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("3M Co", "3M to pay $6 bn in earplug settlement, shares up"),
        ("Yum! Brands", "Yum Brands profit rises"),
        ('Toys "R" Us', "Toys R Us files for bankruptcy"),
        ("Procter & Gamble", "Procter and Gamble sales up"),
        ("Marks & Spencer Group P.L.C.", "Marks and Spencer profit up"),
        ("Nestlé SA", "Nestle cuts outlook, shares fall"),
        ("Societe Generale", "Société Générale profit drops"),
        ("Münchener Rück", "Muenchener Rueck raises dividend"),
        ("Ørsted", "Orsted writes down US wind projects, shares fall"),
        ("Novo Nordisk A/S", "Novo Nordisk shares plunge"),
        ("Banco Santander, S.A.", "Banco Santander profit climbs"),
        ("Walt Disney Co/The", "Walt Disney beats forecasts"),
        ("The Coca-Cola Company", "Coca-Cola lifts outlook"),
        ("Berkshire Hathaway Inc. (B)", "Berkshire Hathaway buys stake in a rail firm"),
        ("Alibaba Group Holding Ltd ADR", "Alibaba shares slump"),
        ("Puma (brand)", "Puma shares jump on takeover report"),
        ("Central Garden & Pet Company (Class A)", "Central Garden & Pet profit rises"),
        ("Kuehne + Nagel", "Kuehne & Nagel profit falls"),
        ("阿里巴巴（港股）", "阿里巴巴股价涨5%"),
        ("U.S. Steel", "US Steel shares rise"),
        ("TCL科技", "TCL 科技净利增三成"),
        ("阿里巴巴-SW", "阿里巴巴股价涨5%"),
        ("小米集团-W", "小米股价涨5%"),
        ("百度集团-SW（港股）", "百度股价涨5%"),
        ("*ST海航集团", "海航股价涨5%"),
        ("万科A股份有限公司", "万科股价涨5%"),
    ],
)
def test_a_name_is_found_as_people_write_it(name: str, text: str) -> None:
    assert [mention.start for mention in NameLinker((Company("one", (name,)),)).link(text)] == [0]
