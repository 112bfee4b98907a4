"""Whether words may stand alone as the answer: they are of the kind that is asked for, and nothing beside answers, too.

Beside what is shown: hits -> spans -> *may they stand alone?* -> showing -> Answer. A reader of spans finds the right
sentence more often than the right words in it: who sweeps the hall is answered by "the hall every Friday", and of two
lines that say when, by one. So words must hold a time, a number or a person where one is asked for; else their sentence
is shown; and what says the same of another time or person in the passage is shown with it. After the expected answer
types of Li and Roth 2002, "Learning Question Classifiers".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pagoda.rag.content_words import content, content_asked

Span = tuple[int, int]
NEARLY = 0.75
"""Of the words that a sentence must have which says itself that it goes on: "starts on Friday", "is on Sunday, too"."""
_ALSO = re.compile(r"\b(?:also|too|as well|again|another|additional\w*)\b|也|还|另|再", re.I)

_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|weekdays?|weekends?|today|tomorrow|daily|weekly|monthly|yearly"
_MONTH = "january|february|march|april|may|june|july|august|september|october|november|december"
_OF_DAY = "noon|midnight|mornings?|afternoons?|evenings?|nights?|dawn|dusk|bedtime|breakfast|lunch|dinner|spring|summer"
_OF_DAY += "|autumn|winter|easter|christmas"
_CLOCK = r"\d{1,4}(?:[:.]\d{2})?(?:\s?(?:[ap]\.?m\b\.?|h\b|o['’]clock))?(?:st|nd|rd|th)?(?:/\d{1,4}){0,2}"
_SPELT = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half past|quarter (?:past|to)"
_UNIT = rf"(?:\b(?:{_DAY}|{_MONTH}|{_OF_DAY}|{_SPELT})\b|(?<![\w.]){_CLOCK}(?!\w))"
_LINK = r"(?:\s*[,–-]\s*|\s+|\s*\b(?:at|on|in|the|of|from|to|till|until|and|or|every|each|past)\b\s*){1,4}"
_TIME_ENGLISH = re.compile(rf"{_UNIT}(?:{_LINK}{_UNIT})*", re.I)
_NUM = "[一二两三四五六七八九十百千\\d]"
_UNIT_CHINESE = (
    rf"(?:每(?:隔|逢)?)?(?:工作日|周末|(?:周|星期|礼拜)[一二三四五六日天末]|{_NUM}+\s*(?:年|个?月|日|号|点钟?|时|分钟?|小时|天|周|星期)半?"
    r"|凌晨|早上|清晨|上午|中午|正午|下午|傍晚|晚上|夜里|半夜|[今明昨每当][天晚早年日月周]|(?:早|午|晚)饭[前后]|[饭睡]前|饭后"
    r"|春节|国庆|元旦|[春夏秋冬][天季]|\d{1,2}[:：]\d{2})(?:[前后内起]|之前|之后|以前|以后|以内)?"
)
_TIME_CHINESE = re.compile(rf"{_UNIT_CHINESE}(?:\s*[和及与、到至~—–-]?\s*{_UNIT_CHINESE})*")
_WHEN = (
    r"\b(?:when|while|after|before|until|till|once|as soon as|during|by|every|each|always|never|year|month|week|day)\b"
)
_HOLDS_TIME = re.compile(rf"\d|{_UNIT}|{_WHEN}|{_UNIT_CHINESE}|{_NUM}|[时前后内起日年月]|期间|立即|随时|一旦", re.I)
_HOLDS_NUMBER = re.compile(
    rf"\d|\b(?:{_SPELT}|zero|no|none|single|once|twice|both|all|any|un\w*limited|half|double|several|dozens?|hundreds?"
    r"|thousands?|millions?|billions?|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|an?|infinite\w*|free)\b|[零〇一二两俩三四五六七八九十百千万亿半双单无不全免]",
    re.I,
)
_AMOUNTS_IN_NAMES = re.compile("[几多]")
_TASKED = re.compile(
    r"\b(?:by|responsible|in charge|does|is our|are our)\b|负责|由|归|交给|找|主持|主讲|来|轮到|管", re.I
)
_TASKED_BEFORE = re.compile(r"(?:由|给|找|让|请|归|交给|by\s+)(?=.)", re.I)
_CLAUSE = re.compile(r"[,，;；。]|\s[–—-]\s")
_NAME = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][\w'’-]+")


@dataclass(frozen=True)
class _Asked:
    """A kind: how a question asks for it, in English or in Chinese."""

    name: str
    pattern: re.Pattern[str]


# "When it rains, who sweeps?" asks for a person.
_WHEN_ASKED = r"when\b(?!\s+(?:an?|the|this|that|i|it|you|we|they|he|she|there|my|our|your)\b[^,?]*,)"
_ALSO_ASKED = re.compile(
    r"(?:\b(?:and|or)\b|,|&)\s*(?:(?:at|on|in|from|by|for|to)\s+)?(?:who\w*|when|where|why|how|what|which)\b", re.I
)
_ASKED_IN_CHINESE = (
    "[谁誰]|哪位",
    "什[么麼]时|什麼時|[何几]时|何時|几[点號号月]|哪一?[天日年月周]|[周期拜]几",
    "多少|几个",
    "哪[里裡儿兒]|何[处處]",
    "为什|為什|为何",
)
_NAMED_LIKE_TIME = re.compile(r"\b(?:April|May|June|August|Dawn|Summer)\s+(?!Day|Week|Night|Morning)[A-Z][a-z]+")
_KINDS = (
    _Asked("person", re.compile(r"^\W*(?:(?:so|and|but)\s+)?(?:by |from |to |with )?who(?:m|se)?\b|谁|誰|哪位", re.I)),
    _Asked(
        "time",
        re.compile(
            rf"^\W*(?:(?:so|and|but)\s+)?(?:(?:since|until|by|from|on|at|in)\s+)?(?:{_WHEN_ASKED}|(?:what|which) "
            r"(?:times?|days?|dates?|months?|years?|hours)\b)|什么时[候间]|什麼時[候間]|何时|何時|几[点点號号月]|哪一?[天日年月周]|(?:周|星期|礼拜)几",
            re.I,
        ),
    ),
    _Asked("number", re.compile(r"\bhow (?:many|much|few)\b|多少|(?<!有)几(?![点號号月])", re.I)),
)


def kind_sought(question: str) -> str:
    """person, time or number; empty where a question asks for none of them, or for something in which it stands.

    >>> [kind_sought(q) for q in ("Who swept it?", "谁扫地", "When is it swept?", "几点开门", "有多少人", "Why?")]
    ['person', 'person', 'time', 'time', 'number', '']
    """
    return next((kind.name for kind in _KINDS if kind.pattern.search(question)), "")


def asks_for_several(question: str) -> bool:
    """Whether a question asks for more than one thing, so that no words of one kind are all of the answer.

    >>> [asks_for_several(q) for q in ("When and where is it?", "谁在什么时候打扫？", "Who swept and mopped it?")]
    [True, True, False]
    """
    in_chinese = sum(re.search(pattern, question) is not None for pattern in _ASKED_IN_CHINESE)
    return in_chinese > 1 or _ALSO_ASKED.search(question) is not None


def holds_what_is_sought(question: str, text: str, sentence: Span, span: Span) -> bool:
    """Whether the words of a span are of the kind that a question seeks, and no part of what it says itself.

    A person is nothing with a time in it, nor what is asked about, nor somebody whom another clause names for another
    thing.

    >>> text = "The hall is swept every Friday, Walter is in charge."
    >>> [holds_what_is_sought("Who sweeps the hall?", text, (0, 52), span) for span in ((0, 8), (18, 30), (32, 38))]
    [False, False, True]
    """
    words, kind = text[slice(*span)], kind_sought(question)
    if kind != "person" or not is_of_kind(kind, words):
        return is_of_kind(kind, words)
    asked = content_asked(question)
    if content(words) & asked or _CLAUSE.search(words):
        return False
    clause = text[slice(*_clause_around(text, sentence, span))]
    return bool(asked & content(clause)) or _TASKED.search(clause) is not None or clause == text[slice(*sentence)]


def is_of_kind(kind: str, words: str) -> bool:
    """Whether words hold a time or a number, or may be a person's name or office.

    >>> [is_of_kind("person", words) for words in ("Ann", "April Jones", "every Friday", "2007", "每周五上午")]
    [True, True, False, False, False]
    """
    if kind == "time":
        return _HOLDS_TIME.search(words) is not None
    if kind == "number":
        return _HOLDS_NUMBER.search(words) is not None
    if kind != "person":
        return True
    return re.search(r"[^\W\d_]", words) is not None and not _has_time(_NAMED_LIKE_TIME.sub("", words))


def is_in_clause_asked_about(question: str, text: str, sentence: Span, span: Span) -> bool:
    """Whether the clause that a span stands in has any of the question's words: another clause may be of another thing.

    >>> text = "The hall is swept every Friday, Walter is in charge."
    >>> [is_in_clause_asked_about("Who sweeps the hall?", text, (0, 52), span) for span in ((18, 30), (32, 38))]
    [True, False]
    """
    clause = _clause_around(text, sentence, span)
    return clause == sentence or bool(content_asked(question) & content(text[slice(*clause)]))


def whole_words(question: str, text: str, sentence: Span, span: Span) -> Span:
    """All of the time that a span is a part of, where one is asked for; of a person without what leads to it.

    >>> text = "会议室每周五上午打扫，由老周负责。"
    >>> text[slice(*whole_words("会议室什么时候打扫？", text, (0, 18), (6, 8)))]
    '每周五上午'
    >>> text[slice(*whole_words("谁打扫会议室？", text, (0, 18), (11, 14)))]
    '老周'
    """
    start, end = span
    kind = kind_sought(question)
    if kind == "person" and (leads := _TASKED_BEFORE.match(text, start, end)):
        return leads.end(), end
    if kind != "time":
        return span
    for pattern in (_TIME_ENGLISH, _TIME_CHINESE):
        for match in pattern.finditer(text, *sentence):
            if match.start() < end and start < match.end():
                start, end = min(start, match.start()), max(end, match.end())
    return start, end


def answering_as_well(question: str, text: str, sentences: Sequence[Span], at: int) -> list[int]:
    """The places of all sentences that tell a time, a number or a person of what the one at `at` speaks of; `at` too.

    They have all of the question's words that it has, which are half of them or more; nearly all where they say "also".

    >>> text = "Lanes are open on Monday. The bar is open on Tuesday. Lanes are also open on Friday."
    >>> answering_as_well("When are the lanes open?", text, [(0, 25), (26, 53), (54, 84)], 0)
    [0, 2]
    """
    kind = kind_sought(question)
    asked = content_asked(question)
    told = [content(text[left:right]) & asked for left, right in sentences]
    if not kind or not 0 <= at < len(sentences) or not told[at] or 2 * len(told[at]) < len(asked):
        return [at]
    texts = [text[slice(*bounds)] for bounds in sentences]
    least = [len(told[at]) * (NEARLY if _ALSO.search(each) else 1) for each in texts]
    return [
        place
        for place, each in enumerate(texts)
        if place == at or (len(told[place] & told[at]) >= least[place] and _tells(kind, each, question))
    ]


def _tells(kind: str, sentence: str, question: str) -> bool:
    """Whether a sentence tells a thing of a kind: here a hint is not enough, for it would be shown as an answer."""
    if kind == "time":
        return _has_time(sentence)
    if kind == "number":
        return re.search(r"\d|[零一二两三四五六七八九十百千万亿]", _AMOUNTS_IN_NAMES.sub("", sentence)) is not None or (
            re.search(rf"\b(?:{_SPELT})\b", sentence, re.I) is not None
        )
    named = [name for name in _NAME.findall(sentence) if name.lower() not in question.lower()]
    return bool(named) or re.search("负责|由|归|交给|找|主持|主讲|轮到", sentence) is not None


def _has_time(words: str) -> bool:
    return any(
        re.search(r"\d[:.]\d\d|[^\W\d_]", match[0]) is not None
        for pattern in (_TIME_ENGLISH, _TIME_CHINESE)
        for match in pattern.finditer(words)
    )


def _clause_around(text: str, sentence: Span, span: Span) -> Span:
    """The clause of a sentence that a span stands in."""
    start, end = sentence
    for match in _CLAUSE.finditer(text, *sentence):
        if match.end() <= span[0]:
            start = match.end()
        elif match.start() >= span[1] and match.end() < sentence[1]:
            end = match.start()
            break
    return start, end
