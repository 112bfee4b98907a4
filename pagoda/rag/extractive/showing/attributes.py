"""What a question asks for that only values of one look can answer: a price, a colour, a telephone number.

Beside what is shown: question and passages -> *may one hold such a value?* -> showing -> Answer. A manual speaks
of a thing in all of a question's words but one, and "What does the server cost?" finds how the server is started. Most
attributes have values of any look, and words decide then; those here have signs of their own, or their name stands
beside them ("free", "the price depends"). After the expected answer types of Li and Roth 2002.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_COLOURS = (
    "red|green|blue|yellow|black|white|gr[ea]y|cyan|magenta|orange|purple|violet|brown|pink|crimson|scarlet|gold(?:en)?"
    "|silver|beige|maroon|navy|turquoise|indigo|tan"
)


@dataclass(frozen=True)
class Attribute:
    """asked: how a question asks for it; told: what a text has that may tell it."""

    asked: re.Pattern[str]
    told: re.Pattern[str]


def _attribute(asked: str, told: str) -> Attribute:
    return Attribute(re.compile(asked, re.I), re.compile(told, re.I))


ATTRIBUTES = (
    # A price.
    _attribute(
        r"\bhow (?:much|many \w+) (?:does|do|did|will|would|is|are)\b.*\b(?:cost|charge)\b|\b(?:price|fee|salary)s?\b"
        r"|\bwhat (?:does|do|did|will|would)\b.*\bcosts?\b|\bhow (?:expensive|cheap)\b"
        r"|多少(?:元|块)?[钱錢]|(?:费用|費用|价格|價格|售价|定价|工资|薪水|授权费|年费|月费)(?:是|为|要|多)?(?:多少|几)"
        r"|(?:收|付|交|要)多少(?:费|钱|錢)|多少(?:\w{0,3})费(?:用)?",
        r"[$€£¥￥₽₹]|\b(?:dollars?|euros?|pounds?|cents?|pence|francs?|marks|yen|yuan|rupees?|usd|eur|gbp)\b|\d\s?%"
        r"|(?:\b|_)(?:free|gratis|charges?|charged|prices?|priced|costs?|fees?|salar\w+|paid|pays?|million|billion)\b"
        r"|元|[钱錢费費价價薪]",
    ),
    # A colour.
    _attribute(r"\bcolou?rs?\b|[颜顏]色|什么色|什麼色", rf"\b(?:{_COLOURS})\w*\b|colou?r|#[\da-f]{{6}}\b|色"),
    # Where somebody is reached.
    _attribute(
        r"\b(?:tele)?phone numbers?\b|\bhotline\b|电话号码|電話號碼|电话是|热线",
        r"\+?\d(?:[\s().-]{0,2}\d){5,}|\b(?:tele)?phone\b|\bhotline\b|电话|電話|热线",
    ),
    _attribute(
        r"\be-?mail address(?:es)?\b|邮箱(?:地址)?(?:是|为)|郵箱|电子邮件地址",
        r"\S@\S|\be-?mail address|邮箱|郵箱|邮件地址",
    ),
)


def lacks_value(question: str, texts: Sequence[str]) -> bool:
    """Whether a question asks for an attribute of which none of the texts may hold a value.

    >>> lacks_value("What does a key cost?", ["A key is a file."]), lacks_value("这个插件多少钱？", ["插件免费。"])
    (True, False)
    """
    return any(each.asked.search(question) and not any(each.told.search(text) for text in texts) for each in ATTRIBUTES)
