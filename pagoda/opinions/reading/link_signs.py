"""Whether a match means the company: signs at and around it, and what they weigh.

On the path *item -> opinion of a company*, inside linking. Weights are a logistic regression on the headlines of
SEntFiN (Sinha et al. 2022, arXiv 2305.12257; MIT) whose companies people marked.
"""

from __future__ import annotations

import math
import re
from functools import cached_property, lru_cache

from pagoda.minilm.package import packaged_folder

_WORD = re.compile(r"[^\W\d_][\w&'.-]*")
_HAN = re.compile(r"[\u3400-\u9fff]")
_MARKET = re.compile(
    r"\b(?:shares?|stocks?|profits?|net|q[1-4]|results?|earnings|revenues?|sales|ceo|cfo|chairman|ipo|inc|ltd|corp|plc|"
    r"dividend|buys?|sells?|upgrades?|downgrades?|target|stake|acquires?|merger|analysts?|investors?|rs|crore|usd|"
    r"forecasts?|guidance|outlook|estimates|quarter(?:ly)?)\b"
)
_MARKET_ZH = re.compile(
    r"股|涨|跌|公告|业绩|净利|营收|公司|集团|董事|募资|减持|增持|回购|停牌|复牌|上市|证监|投资|银行|保险|收购|评级|亿元|万元"
)
_CODE_BEFORE = re.compile(r"(?:\$|(?:NYSE|NASDAQ|NSE|BSE|HKEX|SSE|SZSE)\s?:\s?|[(（]\s?)$", re.I)
_FIRM = re.compile(
    r"(?:Securities|Capital|Direct|AMC?|MF|Mutual|Funds?|Life|Telecom|Power|Infra|Foods?|Paper|Health(?:care)?|Ventures|"
    r"Tech|Technologies|Group|Financial|Finance|Advisors|Wealth|Private|Resorts|TV|UK|Home|Consumer|Insurance|Realty|"
    r"Motors?|Steel|Energy|Chemicals?|Pharma|Retail|Media|Housing|Industries|Agro|Cable|Shipping|General|Trusteeship|"
    r"Brokers?|Broking|Bank|of|and|&|Institutional|Asset|Investment|PE|Oil|Gas|Entertainment|Logistics|Ports?|d2h)"
)  # fmt: skip
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "平安 太平洋 大众 长城 海天 万科 光明 美的 苹果 三一 现代 联想 中兴 未来 东方 新城 金地 招商 小米 理想 小鹏 "
        "华夏 太平 永辉 步步高 老百姓 一心堂 好未来",
    )
)
_A_COMMON_WORD = 0.75
"""Commonness, of the 6,000 most frequent ones."""
SIGNS = (
    "constant", "is a code", "code in its own dress", "common word", "letters", "words", "in small letters",
    "starts the text", "a capital beside it", "all in capitals", "market words", "its context words",
    "told elsewhere", "Han characters", "a longer firm", "a rare name before it", "a verb after it",
    "a common word among no others of the market",
)  # fmt: skip
WEIGHTS = (2.0, -1.0, 3.0, -1.4, -0.2, 2.4, -3.4, 1.1, -3.0, 0.8, 1.5, 1.5, 1.5, 1.2, -2.7, -0.5, 1.1, -1.5)
"""The last, and those of codes, context words and Han characters, are set by hand: the headlines have none of them, and
all of them are about the market."""


class Surroundings:
    """A text around matches. folded: as `spelling.folded` writes it."""

    def __init__(self, text: str, folded: str) -> None:
        self.text, self.folded = text, folded

    def stands_alone(self, start: int, end: int) -> bool:
        """Whether [start, end) is no part of a longer word; Han characters know no words."""
        return not (self._joined(start - 1, start) or self._joined(end - 1, end))

    def _joined(self, left: int, right: int) -> bool:
        if left < 0 or right >= len(self.text):
            return False
        one, other = self.text[left], self.text[right]
        return one.isalnum() and other.isalnum() and not _HAN.match(one) and not _HAN.match(other)

    @cached_property
    def is_title_case(self) -> bool:
        """Whether most words have capitals, so that a capital says nothing."""
        words = _WORD.findall(self.text)
        return sum(word[0].isupper() for word in words) > 0.7 * len(words)

    @cached_property
    def market_words(self) -> int:
        """How many words of the market stand in the text."""
        return len(_MARKET.findall(self.folded)) + len(_MARKET_ZH.findall(self.folded))

    def capital_beside(self, start: int, end: int) -> bool:
        """Whether a word with a capital stands at its side: part of a longer name, unless all words have one."""
        after = re.match(r"\s(\w)", self.text[end : end + 2])
        before = re.search(r"(\w[\w&'.-]*)\s$", self.text[max(0, start - 30) : start])
        return not self.is_title_case and any(bool(found and found.group(1)[0].isupper()) for found in (after, before))

    def word_before(self, start: int) -> str:
        """The word in front of a match, as it stands; empty where there is none at its side."""
        found = re.search(r"([\w&'.-]+)\s$", self.text[max(0, start - 30) : start])
        return found.group(1) if found else ""

    def next_word(self, end: int) -> str:
        """The word behind a match, as it stands; empty where there is none at its side."""
        found = re.match(r"(?:'s)?\s([\w&'.-]+)", self.text[end : end + 40])
        return found.group(1) if found else ""


def signs(
    context: Surroundings, start: int, end: int, name: str, is_code: bool, support: int, others: int
) -> list[float]:
    """The values of SIGNS. support: context words of the company in the text; others: its other sure matches."""
    surface, before, after = context.text[start:end], context.word_before(start), context.next_word(end)
    han = bool(_HAN.search(surface))
    dressed = is_code and bool(_CODE_BEFORE.search(context.text[:start]) or "." in surface)
    return [
        1.0,
        float(is_code and not surface.isdigit()),
        float(dressed or (is_code and len(surface) >= 5 and surface.isdigit())),
        commonness(name),
        min(12, len(surface)) / 6,
        float(len(surface.split()) > 1),
        float(not han and surface[:1].islower() and name[:1].isupper()),
        float(start == 0 and not han),
        float(not han and context.capital_beside(start, end)),
        float(surface.isascii() and surface.isupper() and not is_code),
        min(3, context.market_words) / 3,
        float(min(2, support)),
        float(min(2, max(0, others))),
        float(han and not commonness(name)),
        float(bool(_FIRM.fullmatch(after)) or before in ("Reserve", "Central", "State", "National", "New")),
        float(before[:1].isupper() and before[1:].islower()) * (1 - commonness(before)),
        float(after[:1].islower()) * commonness(after),
        commonness(name) * float(not (context.market_words or support or others > 0 or dressed)),
    ]


def judge(context: Surroundings, start: int, end: int, name: str, is_code: bool, support: int, others: int) -> float:
    """Probability that a match means the company; parameters as for `signs`."""
    if is_code and _is_no_code(context, start, end, others):
        return 0.0
    found = signs(context, start, end, name, is_code, support, others)
    score = sum(weight * value for weight, value in zip(WEIGHTS, found, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def _is_no_code(context: Surroundings, start: int, end: int, others: int) -> bool:
    """Whether a code is an index's number, or a letter or common word whose company nothing else in the text tells."""
    surface, before = context.text[start:end], context.text[:start]
    if surface.isdigit():
        return before.rstrip(" (（").endswith("指数")
    is_word = len(surface) == 1 or commonness(surface) > _A_COMMON_WORD
    return is_word and others <= 0 and not _CODE_BEFORE.search(before)


def commonness(name: str) -> float:
    """0 of a name that is no word, to 1 of one that is among the most frequent ones.

    English: by its place in MiniLM's vocabulary, whose whole words stand by frequency; Chinese: our own short list.
    """
    if " " in name:
        return 0.0
    if _HAN.search(name):
        return float(name in _COMMON)
    rank = _vocabulary().get(name.lower())
    return 0.0 if rank is None else max(0.2, 1 - rank / 25_000)


@lru_cache(maxsize=1)
def _vocabulary() -> dict[str, int]:
    words = (packaged_folder("linking companies (all-MiniLM-L6-v2's words)", "opinions") / "vocab.txt").read_text(
        "utf-8"
    )
    whole = [word for word in words.splitlines() if word.isalpha() and word.isascii() and len(word) > 1]
    return {word: rank for rank, word in enumerate(whole)}
