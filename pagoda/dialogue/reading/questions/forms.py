"""How people ask: what is a question, what wants something told, what looks for something else, what points back.

First station of a turn, beside `acts`: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows ->
reply. Four closed classes of both languages. They tell "does it have parking?", a question about what is on the table,
from "any with parking?", a search. Yes-no and constituent questions as in Quirk et al. 1985, "A Comprehensive Grammar
of the English Language", section 11.5, and of Chinese (A-not-A, 吗) in Li & Thompson 1981, "Mandarin Chinese".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_AUX = (
    "is|are|was|were|does|do|did|has|have|can|could|will|would|isn['’]?t|aren['’]?t|doesn['’]?t|don['’]?t|haven['’]?t"
    "|hasn['’]?t"
)
_WH = "who|whose|what|why|how|which|where|when|what['’]?s|where['’]?s|how['’]?s|who['’]?s|when['’]?s|whats|wheres"
_BEGINS = r"(?:^|[,.;!?]\s*|\b(?:and|so|ok|okay|but|also|then|great|right|well|hm+)[,]?\s+)"
_QUESTION = re.compile(
    r"[?？]|多少|什么|哪|谁|几(?=[点星分号层个家位时楼折])|怎么|如何|咋|为何|是否|有没有|可否|能否"
    r"|(?P<a>[\u4e00-\u9fff])[不没](?P=a)|[吗嘛么呢](?=$|[\s，,。.!！~～])|没有?(?=$|[\s。.!！])"
    rf"|{_BEGINS}(?:{_WH}|{_AUX})\b",
    re.IGNORECASE,
)
_FACT = re.compile(
    r"谁|什么|怎么|为什么|为啥|如何|几(?=[点星分号层个家位时楼折])|多少"
    rf"|{_BEGINS}(?:{_WH}|is|are|does|do|did|has)\b",
    re.IGNORECASE,
)
_TELL = re.compile(
    r"告诉|说(?:一|下|说|个|几)|查(?:一|查|下|询)|发(?:我|给|一下|过来|来|下)|给我|给(?:一|下|说|个)|想知道|想了解|知道|介绍|看看|报(?:一|给)"
    r"|提供一下|想问|请问"
    r"|\b(?:tell|give|get|send|provide|share|text|let me (?:know|have)|may (?:i|we) have|can (?:i|we) (?:have|get)"
    r"|could (?:i|we) (?:have|get)|(?:i|we)(?:['’]ll| will| also| just)* (?:need|want)"
    r"|(?:i|we)['’]?(?:d| would) (?:also )?like"
    r"|do you (?:know|have)|what about|how about|just|with)\b",
    re.IGNORECASE,
)
_SEEK = re.compile(
    r"找|推荐|搜|介绍(?=一?[家个间部]|几)|想要|换|哪[家个间部些]|那个(?=能|有|提供|是)|别的|其[他它]|另外|再来|来(?:一|个|家|间)|有合适|合适的吗|预?订|预约|选"
    r"|\b(?:find|search(?:ing)?|look(?:ing)? (?:for|up)|recommend\w*|suggest\w*|show|another|others?|else|any|anything"
    r"|anywhere|some(?:thing|where|place)?|instead|how about|what about|which|prefer|want|need"
    r"|(?:would|['’]d) (?:like|love|prefer)"
    r"|book|reserve|try|rather|more|cheaper|options?|higher|better|closer|nearer|bigger|larger|nicer"
    r"|ones?(?= (?:with|that|which|in|near|for|under|at)))\b|更",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"它|[他她]们?家?|[这那该此][个家间部座所里儿](?!样)|该店|此处|店[里内]"
    r"|\b(?:it|its|it['’]s|they|they['’]re|their|them|he|she|his|her|that|this|the (?:place|one))\b",
    re.IGNORECASE,
)
_NEAR = re.compile(
    r"(?:(?:离|在|和|跟)?(?:它|[他她]家|[这那该此](?:[个家间部里儿边]|附近)?(?:酒店|餐馆|餐厅|饭店|店)?)的?)?"
    r"(?:附近|周边|周围|旁边|边上|不远|同一?(?:个)?(?:区|片|地方))"
    r"|\b(?:near(?:by)?|close to|around|next to|not far from|by) "
    r"(?:it|there|here|this|that|them|(?:this|that|the) (?:one|place|\w+)"
    r"|the (?:first|second|third|last) (?:one|\w+))\b"
    r"|\b(?:in |around )?the same (?:area|district|neighbou?rhood|part of town|place)\b(?: as (?:it|that|the \w+))?"
    r"|\bnearby\b|\baround (?:there|here)\b",
    re.IGNORECASE,
)
_HAS_ZH = re.compile(
    r"^[\s，,]*(?:请问|那么?|你们|您们|还|里面?|那里|有没有|是否|能不能|可以|能|提供|带|都)*(?:有|提供|带)"
)
_HAS_EN = re.compile(
    r"^\W*(?:(?:and|also|so|ok|okay|but|great|thanks)\W+)*(?:(?:is|are) there|has it|have they|with)\b", re.IGNORECASE
)
_PREDICATE_ZH = re.compile(
    r"(?:这家\w*)?(?:里|那边|那里|现在|今天|晚上|周末)?"
    r"(?:是否|可不可以|能不能|有没有|可以|能|收|支持|有|允许|是|让|会|接受|提供|带)"
)
_LOOKS_UP = re.compile(
    r"[找查搜]|有没有|名叫|叫做?|听说|知道"
    r"|\b(?:find|look(?:ing)? (?:for|up|at|into)|search(?:ing)?|check(?: out)?|show|particular|specific|called|named"
    r"|know|heard|is there|do you have|you have)\b",
    re.IGNORECASE,
)
_ELLIPTIC = re.compile(r"[家个间部条场]呢(?=$|[\s?？。!！])|\b(?:what|how) about\b", re.IGNORECASE)
_AUX_BEFORE = re.compile(rf"\b(?:{_AUX})\s+(?:the\s+)?$", re.IGNORECASE)
_ALL = re.compile(
    r"介绍|详细|详情|情况|信息|资料|怎么?样(?=$|[\s?？。!！呢啊])|如何(?=$|[\s?？。!！呢])|咋样|了解"
    r"|\b(?:tell me (?:more )?about|about|inf(?:o|ormation)|details?|more on|know of|heard of)\b",
    re.IGNORECASE,
)


def is_question(text: str) -> bool:
    """Whether a text asks something.

    >>> is_question("提不提供早餐"), is_question("有电话没"), is_question("do they have parking")
    (True, True, True)
    >>> is_question("要停车场"), is_question("with parking")
    (False, False)
    """
    return _QUESTION.search(text) is not None


def asks_a_fact(text: str) -> bool:
    """Whether it asks after a fact: "can you get me into" and 能去……吗 are wishes.

    >>> asks_a_fact("who owns it?"), asks_a_fact("can you get me a table there?")
    (True, False)
    """
    return _FACT.search(text) is not None


def wants_told(text: str) -> bool:
    """Whether something is to be told: a question, or "give me", 告诉我.

    >>> wants_told("把地址发我"), wants_told("just the address"), wants_told("评分4.5以上的餐馆")
    (True, True, False)
    """
    return is_question(text) or _TELL.search(text) is not None


def seeks(text: str, titles: Iterable[str] = ()) -> bool:
    """Whether something is looked for that is not on the table yet. titles: what it is called, as in 有泳池的酒店.

    >>> seeks("有泳池的酒店吗", ["酒店"]), seeks("酒店有泳池吗", ["酒店"])
    (True, False)
    >>> seeks("any with a pool?"), seeks("is it cheap?")
    (True, False)
    """
    if _SEEK.search(text):
        return True
    # What is on the table is 这家 or 评分4分的这家, not 评分4分的餐馆; and "what restaurants" are any.
    han = "|".join(["地方", "店", *(re.escape(title) for title in titles if not title.isascii())])
    latin = "|".join(["places?", *(rf"{re.escape(title)}s?" for title in titles if title.isascii())])
    kinds = rf"(?<![这那家])的(?:{han})|\b(?:what|which|any|some)\b[\w ]*?\b(?:{latin})\b"
    return re.search(kinds, text, re.IGNORECASE) is not None


def points_back(text: str, titles: Iterable[str] = ()) -> bool:
    """Whether the sentence is about what is on the table: a pronoun, or what it is called, where its subject stands.

    >>> points_back("它有停车场吗"), points_back("酒店提不提供早餐", ["酒店"]), points_back("鹿鸣区酒店", ["酒店"])
    (True, True, False)
    """
    if _BACK.search(text):
        return True
    han = "|".join(re.escape(title) for title in titles if not title.isascii())
    latin = "|".join(re.escape(title) for title in titles if title.isascii())
    subject = rf"(?:^|[，,。.！!？?；;\s]|请问|那么?|[这那该]家?)(?:{han})(?!里)" if han else r"(?!)"
    called = rf"\bthe (?:{latin})\b" if latin else r"(?!)"
    return re.search(f"{subject}|{called}", text, re.IGNORECASE) is not None


def near_what(text: str) -> str:
    """The words by which something is wanted near to what is talked of; "" where there are none.

    >>> near_what("这家附近有什么酒店"), near_what("any hotels around there?"), near_what("near Luming Station")
    ('这家附近', 'around there', '')
    """
    found = _NEAR.search(text)
    return found[0].strip() if found is not None else ""


def asks_what_there_is(text: str) -> bool:
    """Whether the sentence asks for something that a place may have, without saying of which one.

    >>> asks_what_there_is("有停车场吗"), asks_what_there_is("is there parking?"), asks_what_there_is("有停车场的")
    (True, True, False)
    """
    return is_question(text) and (_HAS_ZH.search(text) is not None or _HAS_EN.search(text) is not None)


def wants_all(text: str) -> bool:
    """Whether all is to be told of something: "tell me about", 介绍一下.

    >>> wants_all("tell me about the place"), wants_all("青瓦小馆怎么样？"), wants_all("book it")
    (True, True, False)
    """
    return _ALL.search(text) is not None


def looks_up(text: str) -> bool:
    """Whether something is looked for that has a name, as in "a particular restaurant, the ...", 有没有一家叫……的.

    >>> looks_up("I'm looking for a place called"), looks_up("有一家叫的店吗"), looks_up("I want to eat at")
    (True, True, False)
    """
    return _LOOKS_UP.search(text) is not None


def is_elliptic(text: str) -> bool:
    """Whether a question only names something else to be told of: "what about the second?", 那第一家呢.

    >>> is_elliptic("what about the second one?"), is_elliptic("那第一家呢"), is_elliptic("第一家能停车吗")
    (True, True, False)
    """
    return _ELLIPTIC.search(text) is not None


def is_subject_of_question(text: str, start: int, end: int) -> bool:
    """Whether what stands there is what a yes-no question is about, as in "does Green Tile Kitchen take cards?".

    >>> is_subject_of_question("青瓦小馆能停车吗", 0, 4), is_subject_of_question("能去青瓦小馆吗", 2, 6)
    (True, False)
    """
    if _PREDICATE_ZH.match(text[end:]):
        return is_question(text[end:])
    return _AUX_BEFORE.search(text[:start]) is not None
