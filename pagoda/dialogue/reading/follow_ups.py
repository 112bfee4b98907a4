"""Sentences that say nothing but a value: "no, in Qintai", 便宜点的. They go on with the search under way.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. Such a
fragment names no task, so a reader of single sentences can only guess one; it is that which was talked of. What is left
of it without its values is a closed class, which rules read better than examples would. Non-sentential utterances, in
Fernandez, Ginzburg and Lappin 2007, "Classifying Non-Sentential Utterances in Dialogue".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pagoda.nlu.understanding import SlotValue

_ZH = (
    "然后|那么|那就|那边|那里|那儿|那块|那种|这边|这里|这儿|那|这|呢|的|得|吧|吗|嘛|啊|呀|哦|噢|哎|嗯|了|呗|哈|"
    "不要|不是|不行|不对|不用|不|别|没有|没|还有|有没有|有|想要|要|想|我要|我们|咱们|我|您|你|给|帮忙|帮|"
    "请问|请|麻烦|换成|换到|换个|换一个|换|改成|改为|改到|改|应该|还是|而是|就是|是|说|在|位于|去|到|离|"
    "靠近|靠|附近|周围|周边|旁边|边上|一带|再|更|最好|最|稍微|稍|一点儿|一点|点儿|点|一些|些|比较|太|有点|"
    "够|还|也|都|就|只|能|可以|可|行|好的|好|对|算了|一家|一个|一间|一部|家|个|间|部|别的|其他|其它|另外|"
    "另|看看|找找|找|查查|查|搜|推荐|或者|或|和|与|怎么样|如何|什么|哪些"
)
_EN = (
    "a|about|actually|also|am|an|and|another|any|anything|are|around|as|at|be|bit|but|by|can|change|close|"
    "could|different|do|does|else|find|for|from|get|give|got|have|how|i|i'd|i'll|i'm|id|if|im|in|instead|"
    "is|it|it's|its|just|let|let's|lets|list|little|look|looking|make|maybe|me|mean|meant|more|much|my|"
    "near|nearby|need|next|no|nope|not|of|oh|ok|okay|on|one|ones|only|or|other|perhaps|please|prefer|"
    "rather|say|show|so|some|something|somewhere|sorry|still|that|that's|the|them|then|there|these|think|"
    "this|those|to|too|try|um|us|very|want|was|we|we'd|we're|what|what's|which|with|would|yeah|yep|yes|"
    "you"
)
_ASKING_ZH = re.compile(
    "是不是|多少|几|哪里|哪儿|哪|怎么|告诉|知道|它们|它|他们|她们|他|她|店|里|吗|么|请教|想问|问一下|问"
)
_ASKING = (
    "what's|when|when's|where|where's|who|who's|how|how's|many|time|tell|know|will|did|does|has|he|she|they|"
    "their|theirs|its|by|until|till|please|thanks"
)
_ASKING_EN = frozenset(_ASKING.split("|"))
_ZH_WORDS = re.compile("|".join(sorted(_ZH.split("|"), key=len, reverse=True)))
_EN_WORDS, _SMALL_EN = re.compile(r"[a-z]+(?:['’][a-z]+)*"), frozenset(_EN.split("|"))


def is_follow_up(text: str, slots: Sequence[SlotValue], words: Iterable[str] = ()) -> bool:
    """Whether a text is values and small words alone. words: others that may stand there, such as names of the slots.

    >>> is_follow_up("不，要琴台区的", [SlotValue("location", "琴台区", 3, 6)])
    True
    >>> is_follow_up("and a hotel in Qintai", [SlotValue("location", "Qintai", 15, 21)])
    False
    """
    return bool(slots) and not has_remainder(_without_values(text, slots), words)


def has_remainder(text: str, words: Iterable[str] = (), *, is_question: bool = False) -> bool:
    """Whether a text says anything besides small words and the words that are given. is_question: and asking ones.

    >>> has_remainder("它的电话呢", ["电话"], is_question=True)
    False
    >>> has_remainder("押金多少钱", ["多少钱"], is_question=True)
    True
    """
    return any(character.isalnum() for character in remainder_of(text, words, is_question=is_question))


def remainder_of(text: str, words: Iterable[str] = (), *, is_question: bool = False) -> str:
    """What a text says besides; as `has_remainder`."""
    left = text.lower().replace("’", "'")
    for word in sorted(map(str.lower, words), key=len, reverse=True):
        left = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)" if word.isascii() else re.escape(word), " ", left)
    left = _ASKING_ZH.sub(" ", left) if is_question else left
    left = _ZH_WORDS.sub(" ", left)
    small = _SMALL_EN | _ASKING_EN if is_question else _SMALL_EN
    return _EN_WORDS.sub(lambda match: " " if match[0] in small else match[0], left)


def is_small(words: str) -> bool:
    """Whether words are small ones alone, which name nothing, whatever a graph may call by them.

    >>> is_small("没有"), is_small("the one"), is_small("豆汁")
    (True, True, False)
    """
    left = _ZH_WORDS.sub(" ", words.lower())
    left = _EN_WORDS.sub(lambda match: " " if match[0].replace("’", "'") in _SMALL_EN else match[0], left)
    return not any(character.isalnum() for character in left)


def _without_values(text: str, slots: Sequence[SlotValue]) -> str:
    for slot in sorted(slots, key=lambda slot: -slot.start):
        is_stretch = slot.start >= 0
        text = f"{text[: slot.start]} {text[slot.end :]}" if is_stretch else text.replace(slot.value, " ")
    return text
