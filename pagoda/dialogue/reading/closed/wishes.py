"""Wishes that no search has examples for: further results, and what was agreed upon before, told, changed or undone.

First station of a turn, beside `acts`: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows ->
reply. Both are closed classes. "More" is a sentence of small words alone, as in `follow_ups`, so that "more people" and
还有川菜吗 stay what they are; a booking is talked of by the words that the domain calls it by.
"""

from __future__ import annotations

import re

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.said import folded

_NO_WORD = re.compile(r"[\W_]+")
_MORE_ZH = re.compile(
    r"(?:嗯|好的?|行|那么|那|请|麻烦|再|给|帮|我|想|要|看看|看|能不能|可不可以|可以|能|有没有|有|没有|列|说|推荐)*"
    r"(?:还有|换(?:一批|一组|几个|几家|一页|一换|一家|一个)|来(?:几个|几家|一些|一批|点|一页)|下一?页|下一批|翻页|往后翻?|后面的?|"
    r"更多的?|多来几个|多推荐几个|其[他它]的?|别的|另外的?|剩下的|别家|其[他它]家)+"
    r"(?:推荐|看看|结果|选择|选项|可选|列出来|列一下|没有|什么|哪些|哪几|哪|有|都|呢|吗|么|嘛|吧|的|了|啊|一下|几?[家个间部])*"
)
_SMALL_EN = frozenset(
    re.findall(
        r"\w+",
        "ok okay yes and so please can could may you i we me us let lets show see give list get have got are is do"
        " does there want like would d to tell find the a some any what how about else page next result results option"
        " options choice choices one ones other others another more further additional rest of them it few thanks that"
        " this these those anything something available s re ll recommend suggest find",
    )
)
_HUMS = re.compile(r"\b(?:h+m+|m+h+m+|u+m+|u+h+|e+r+m*)\b")
_MORE_EN = frozenset({"more", "other", "others", "another", "further", "additional", "rest"})
_MORE_PHRASES_EN = re.compile(r"\b(?:next (?:page|ones?)|(?:anything|what|something|who) else|next$)")
_UNDO = re.compile(
    r"取消|退掉|退了|退订|撤销|撤掉|删掉|删除|作废|不要了"
    r"|\b(?:cancel|call off|delete|undo|scrap|drop|get rid of|revoke)\b",
    re.IGNORECASE,
)
_KEEPS = re.compile(
    r"(?:不要?|别|不用|不必|不想|没(?:有)?(?:说|想|要)|还是不|先不|先别)(?:再)?(?:给我|帮我|急着)?(?:取消|退掉|退订|撤销|删)"
    r"|(?:先别|先不要?|暂时不|别急着)(?:订|预订|确认)|保留|留着"
    r"|\b(?:do not|don['’]?t|did not|didn['’]?t|never|not|no need to|rather not)(?: \w+){0,3}? "
    r"(?:cancel\w*|call off|delete|undo|scrap|drop)\b"
    r"|\b(?:do not|don['’]?t) (?:book|reserve|confirm|submit)\b.*\byet\b"
    r"|\bkeep (?:it|that|this|the|my|our|both|all)\b",
    re.IGNORECASE,
)
_UNDO_ORDER = re.compile(
    r"(?:请|帮我|麻烦|就|要|我要|我想|想)*(?:把它|把这个)?(?:取消|退掉|退订|撤销|删掉)"
    r"(?:掉|它|这个|预订|预约|了|吧|一下|订单)*"
    r"|\b(?:please |just |go ahead and |i want to )*(?:cancel|call off|delete|undo)"
    r"(?: (?:it|that|this|the \w+|my \w+))?",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"改|换(?:成|到|一|个|家)|调整|变更|推迟|提前|延后|挪"
    r"|\b(?:change|move|reschedule|update|modify|push|shift|postpone|amend|bring forward)\b",
    re.IGNORECASE,
)
_DIFFERENT = re.compile(r"另(?:一|外一?)[个家间天]|\b(?:different|another)\b", re.IGNORECASE)
_NOT_COMING = re.compile(
    r"(?:去|来)不(?:了|成)|不(?:去|来|订|要)了"
    r"|\b(?:can(?:no|['’])?t|cannot|won['’]?t|will not|not going to) (?:be able to )?"
    r"(?:make it|come|be there|be coming)\b"
    r"|\bno longer (?:need|want)\b|\b(?:do not|don['’]?t) (?:need|want) (?:it|that|the \w+) any ?more\b",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    r"但是?(?:我?要|想要)?|不过|改(?:成|到|为)|换(?:成|到)|调(?:成|到)"
    r"|\b(?:but(?: (?:make it|for|change (?:it|that) to))?|make (?:it|that)|"
    r"(?:change|move|push|update|correct|set|put) (?:it|that|(?:the|my|our) \w+)"
    r"(?: to)?|rather|instead)\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"我的|我们的|我订|刚才|之前|订好|\b(?:my|our|the|that|existing|earlier)\b", re.IGNORECASE)
_GOES_ON = re.compile(
    r"(?:(?:ok|okay|yes|great|good|fine|thanks|thank you|and|so|now|please|lets|let s|let us|you can|just) )*"
    r"(?:next(?: one| thing)?|go on|go ahead|continue|proceed|move on|carry on|the other one|what about the other one)"
    r"(?: please| then| now| thanks)*"
    r"|(?:好的?|嗯|行|可以|那|那就|请|我们|谢谢|\s)*(?:下一个|下一件|下一步|下一项|继续|接着来?|接下来|往下|然后呢|另一个呢?)"
    r"(?:吧|呢|说|办|看|了|\s)*",
    re.IGNORECASE,
)
BOOKS = re.compile(r"订|预约|\b(?:book|reserve)\b", re.IGNORECASE)
"""Words by which something is ordered ahead of time."""
_LOOK_UP = r"(?:查一?查|查询|查看|查|看一?看|看|列出|列)"
_HAVE = r"(?:都|一共|现在)*(?:有哪些|有什么|有没有|有几个|有多少|有)"
_DID_BOOK = re.compile(
    r"我.{0,4}(?:订|预订|预约|约)(?:了|过|好)(?:什么|哪|几|多少)"
    r"|\b(?:what|which|how many|anything|something)\b.*\b(?:i|we) (?:\w+ )?(?:booked|book|reserved?)\b"
    r"|\b(?:did|have) (?:i|we) (?:\w+ )?(?:book|reserve)d? (?:anything|something)\b",
    re.IGNORECASE,
)


def is_more(text: str) -> bool:
    """Whether the whole sentence wants further results.

    >>> is_more("还有别的吗"), is_more("show me more please"), is_more("还有川菜吗"), is_more("more people")
    (True, True, False, False)
    >>> is_more("hmmm, anything else?")
    True
    """
    plain = _NO_WORD.sub(" ", folded(text)).strip().lower()
    if not plain.isascii():
        return _MORE_ZH.fullmatch(plain.replace(" ", "")) is not None
    plain = _HUMS.sub(" ", plain)
    words = set(plain.split())
    return words <= _SMALL_EN and (bool(words & _MORE_EN) or _MORE_PHRASES_EN.search(plain) is not None)


def goes_on(text: str) -> bool:
    """Whether the whole sentence wants that which waits to come next.

    >>> goes_on("next, please"), goes_on("好的，继续吧"), goes_on("下一个"), goes_on("next week")
    (True, True, True, False)
    """
    return _GOES_ON.fullmatch(_NO_WORD.sub(" ", folded(text)).strip()) is not None


def things_of(domain: Domain) -> tuple[str, ...]:
    """What people call that which a domain books."""
    bookings = (intent.booking for intent in domain.intents.values() if intent.booking is not None)
    return tuple(word for booking in bookings for words in booking.words.values() for word in words)


def wish_about_bookings(text: str, domain: Domain) -> str | None:
    """ "list", "cancel" or "change", where somebody talks of what was booked; None otherwise."""
    words = things_of(domain)
    if not words:
        return None
    named = "|".join(f"{re.escape(word)}s?" if word.isascii() else re.escape(word) for word in words)
    thing = rf"(?:\b(?:{named})\b|(?:{named}))" if not named.isascii() else rf"\b(?:{named})\b"
    if re.search(thing, text, re.IGNORECASE):
        if _UNDO.search(text):
            return None if keeps(text) else "cancel"
        if _CHANGE.search(text) and _OWN.search(text):
            return "change"
        if re.search(_listing(thing), text, re.IGNORECASE):
            return "list"
    return "list" if _DID_BOOK.search(text) else None


def is_undoing(text: str) -> bool:
    """Whether the sentence says that something be undone.

    >>> is_undoing("取消吧"), is_undoing("never mind")
    (True, False)
    """
    return _UNDO.search(text) is not None and not keeps(text)


def keeps(text: str) -> bool:
    """Whether the sentence says that nothing be undone, or nothing be done yet.

    >>> keeps("不要取消我的预订"), keeps("please don't cancel it"), keeps("keep it"), keeps("cancel it")
    (True, True, True, False)
    """
    return _KEEPS.search(text) is not None


def is_not_coming(text: str) -> bool:
    """Whether the sentence says that what was booked will not be used.

    >>> is_not_coming("我们去不了了"), is_not_coming("sorry, we can't make it"), is_not_coming("can we make it at 8")
    (True, True, False)
    """
    return _NOT_COMING.search(text) is not None


def wants_other(text: str) -> bool:
    """Whether something else is wanted in the place of what there is, whatever that may be.

    >>> wants_other("换个时间"), wants_other("a different day please"), wants_other("the time")
    (True, True, False)
    """
    return is_changing(text) or _DIFFERENT.search(text) is not None


def is_changing(text: str) -> bool:
    """Whether the sentence says that something become different.

    >>> is_changing("行，但我想换一家"), is_changing("change it to 6")
    (True, True)
    """
    return _CHANGE.search(text) is not None


def new_value_in(text: str) -> str:
    """What stands behind "but", "make it" or 改成: the words of a new value; "" where nothing like that is said.

    >>> new_value_in("yes but at 8"), new_value_in("好的，不过改成八点"), new_value_in("make that 8 instead")
    ('at 8', '八点', '8')
    """
    found = list(_INSTEAD.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    told = [text[match.end() : end].strip(" ,，.。!！?？") for match, end in zip(found, ends, strict=False)]
    return next(filter(None, reversed(told)), "")


def without_undoing(text: str) -> str:
    """The sentence without "cancel it": what is left may be a yes to a cancellation."""
    return _UNDO_ORDER.sub(" ", text)


def _listing(thing: str) -> str:
    """A pattern of somebody who asks after what is theirs."""
    return (
        rf"我(?:们|都|已经|刚才|之前)*(?:的|订的|订好的|订过的){thing}|我(?:们)?{_HAVE}.{{0,4}}{thing}|^{_LOOK_UP}(?:一下)?{thing}"
        rf"|\b(?:my|our)\b (?:\w+ )?{thing}|\b(?:do|have) (?:i|we)\b.*{thing}"
        rf"|\b(?:what|which|list|show|see|view|check)\b.*\b(?:all|current|existing)\b.*{thing}"
    )
