"""Small words that steer a dialogue, read by rules: yes, no, either way, never mind that, the second one, its phone.

First station of a turn, beside intent and slots: *sentence -> Understanding* -> events -> state -> policy -> Cypher ->
rows -> reply. They are few, closed classes in both languages, so rules read them better than examples would; kinds as
in the CUED dialogue acts (Young 2007, "CUED Standard Dialogue Acts").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.domain.model import NUMBER_TYPES
from pagoda.dialogue.reading.closed.assent import is_yes
from pagoda.dialogue.reading.closed.removals import taken_off
from pagoda.dialogue.reading.closed.wishes import is_more, things_of, wish_about_bookings
from pagoda.dialogue.reading.places import mentions
from pagoda.dialogue.reading.polarity import roles
from pagoda.dialogue.reading.questions.columns import columns_named
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.slots.said import folded, is_any
from pagoda.dialogue.slots.times.words import MONTH_EN
from pagoda.nlu.understanding import Act, TurnContext

_END = r"(?=$|[\s,.!?;，。！？；、~～])"
_DENY = re.compile(
    r"^\s*(?:都不(?:是|要|对|行|好)|一个都不|哪个都不|不太|好像不|不好|不对|不是|不行|不了|不用"
    r"|不要(?=$|[，,。！!])|不(?=[，,。！! ]|$)|错了|别|等等"
    rf"|(?:none(?: of (?:them|these|those))?|neither(?: of them)?|not any of them|i would rather not|i'?d rather not"
    rf"|no|nope|nah|wrong|not (?:right|correct|that|quite)|incorrect|don'?t|wait|actually){_END}"
    rf"|that'?s (?:not|wrong)\b)",
    re.IGNORECASE,
)
_CORRECT = re.compile(
    r"改成|改为|改到|换成|换到|应该是|我是说|不是.+?(?:是|要)|说错|记错|错了"
    r"|\b(?:i meant?|make (?:it|that)|change (?:it|that|the)|rather|instead|actually|should be|not .+? but)\b",
    re.IGNORECASE,
)
_UNSET = re.compile(
    r"(?:去掉|取消|忘掉|不看|不管|别管|删掉|不考虑)(?P<zh>[^，。,.!！]{1,12}?)(?:要求|条件|限制|了|吧|$)"
    r"|\b(?:forget(?: about)?|drop|remove|ignore|never mind|without)(?: about)? (?:the |my )?(?P<en>\w+(?: \w+)?)",
    re.IGNORECASE,
)
_DIGITS = {word: index for index, word in enumerate("一二三四五六七八九十", 1)} | {"两": 2}
_ORDINAL_WORDS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_ORDINALS = {word: index for index, word in enumerate(_ORDINAL_WORDS, 1)}
_ENDED = r"(?:1st|2nd|3rd|[4-9]th)"
_CHOOSE = re.compile(
    r"第(?P<zh>[一二三四五六七八九十\d]{1,2})(?:家|个|间|部|场|条)?"
    r"|(?P<last>最后(?:一)?(?:家|个|间|部)?|\bthe last(?: one)?\b)"
    rf"|(?<!\bon )(?<!\bfor )(?<!\buntil )\bthe (?P<ended>{_ENDED})\b(?!\s+(?:of\s+)?{MONTH_EN})"
    rf"|\bthe (?P<en>{'|'.join(_ORDINAL_WORDS)})\b"
    rf"|\b(?P<en_one>{'|'.join(_ORDINAL_WORDS)}|{_ENDED}) (?:one|hotel|restaurant|film|place|option)\b"
    r"|\b(?:number|no\.|option|#) ?(?P<number>\d{1,2})\b|^\s*(?P<bare>\d{1,2})\s*[.。)）]?\s*$",
    re.IGNORECASE,
)
# "The first time", 第二天: numbers of something else than a list.
_NO_ROW = re.compile(
    r"\s*(?:times?|floors?|days?|nights?|weeks?|visit|half|part|of(?!\s+(?:them|these|those|the (?:list|three|two))))\b"
    r"|[次天层楼周年月步遍回代届晚夜]",
    re.IGNORECASE,
)


def acts_of(text: str, domain: Domain, context: TurnContext | None = None) -> tuple[Act, ...]:
    """All that is found, in a fixed order. A choice is told as its number from 1, "-1" for the last.

    The slot of "any" is the one that was asked for, unless the sentence names another.
    """
    context = context or TurnContext()
    return tuple(_found(text, domain, context))


def _found(text: str, domain: Domain, context: TurnContext) -> Iterator[Act]:
    if is_yes(text, things_of(domain)):
        yield Act("confirm")
    elif _DENY.search(text):
        yield Act("deny")
    if _CORRECT.search(text):
        yield Act("correct")
    named = slots_named(text, domain, context.intent)
    if is_any(text):
        for slot in named or filter(None, (context.requested_slot,)):
            yield Act("any", slot)
    elif (unset := _UNSET.search(text)) is not None:
        for slot in slots_named(unset["zh"] or unset["en"], domain, context.intent):
            yield Act("unset", slot)
    if (choice := _choice(text, context)) is not None:
        yield Act("choose", value=str(choice))
    if is_more(text):
        yield Act("more")
    if (wish := wish_about_bookings(text, domain)) is not None:
        yield Act("bookings", value=wish)
    for column in columns_named(text, domain):
        yield Act("request", value=column)


def slots_named(text: str, domain: Domain, intent: str) -> tuple[str, ...]:
    """Slots of the intent whose title or words stand in the text.

    Only those of the task under way: "price" is a slot of several intents, and a column of results besides.
    """
    if intent not in domain.intents:
        return ()
    return tuple(name for name in domain.intents[intent].slots if is_named(text, name, domain))


def is_named(text: str, slot: str, domain: Domain) -> bool:
    """Whether a slot's title or one of its words stands in the text."""
    return any(mentions(text, word) for word in words_of(domain, slot))


def mentions_node(text: str, node: NodeValue) -> bool:
    """Whether one of a node's names stands in the text."""
    return any(name and mentions(text, name) for name in (node.zh, node.en))


def words_of(domain: Domain, name: str) -> tuple[str, ...]:
    """The titles of a slot and the words that name it."""
    slot = domain.slots[name]
    return (*slot.title.values(), *(word for words in slot.words.values() for word in words))


def is_choice(text: str) -> bool:
    """Whether the whole text is a choice, as "the second", which may be a day as well.

    >>> is_choice("the second"), is_choice("the second of May")
    (True, False)
    """
    return _CHOOSE.fullmatch(text.strip()) is not None


def without_choice(text: str) -> str:
    """The text without "the second one" and its like."""
    return _CHOOSE.sub(" ", text)


def leaves_out_choice(text: str) -> bool:
    """Whether something of a list is set apart in a text: "not the second".

    >>> leaves_out_choice("not the second"), leaves_out_choice("hmm, the second one?")
    (True, False)
    """
    return not all(_wanted(text, [*_CHOOSE.finditer(text)]))


def _wanted(text: str, found: Sequence[re.Match[str]]) -> list[bool]:
    """Of each choice whether it is neither negated nor taken off the list."""
    told = roles(text, [("choice", *each.span()) for each in found])
    is_off = taken_off(folded(text).lower(), [each.span() for each in found])
    return [role == "wanted" and not is_removed for role, is_removed in zip(told, is_off, strict=True)]


def choices_in(text: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, number) of every "the second one" and its like; numbers from 1, -1 the last.

    Of a list that is shown: neither "the first time" nor 第二天.

    >>> list(choices_in("第二个和第三个"))
    [(0, 3, 2), (4, 7, 3)]
    """
    for found in _CHOOSE.finditer(text):
        number = _number(found)
        if number is not None and not found["bare"] and _NO_ROW.match(text, found.end()) is None:
            yield found.start(), found.end(), number


def bare_choice(text: str, slot_type: str) -> int | None:
    """The rank that a bare number gives of choices for a slot; None where the slot itself is a number.

    >>> bare_choice("2", "name"), bare_choice("２。", "time"), bare_choice("2", "people")
    (2, 2, None)
    """
    found = re.fullmatch(r"\s*(\d{1,2})\s*[.。)）]?\s*", folded(text))
    return int(found[1]) if found is not None and slot_type not in NUMBER_TYPES else None


def _choice(text: str, context: TurnContext) -> int | None:
    """The first that is not set apart; a bare number only where results were shown and nothing was asked for."""
    found = [*_CHOOSE.finditer(text)]
    if len(found) > 1:
        found = [each for each, is_wanted in zip(found, _wanted(text, found), strict=True) if is_wanted] or found
    if not found or (found[0]["bare"] and (context.requested_slot or not context.results)):
        return None
    return _number(found[0])


def _number(found: re.Match[str]) -> int | None:
    if found["last"]:
        return -1
    if found["zh"]:
        return _DIGITS.get(found["zh"]) or (int(found["zh"]) or None if found["zh"].isdecimal() else None)
    if ordinal := found["en"] or found["en_one"] or found["ended"]:
        return int(ordinal[0]) if ordinal[0].isdecimal() else _ORDINALS[ordinal.lower()]
    # Nothing has the number 0.
    return int(found["number"] or found["bare"]) or None
