"""Words of which one says what the other denies: up and down, approve and reject, 增持 and 减持, and "not".

Under `grouping.contradiction`, on the path *item -> story*. Most are those of `reading.lexicon`, which knows what is
good and bad of a company; those below have a direction and are neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from pagoda.opinions.reading.lexicon import Lexicon

_ONE_WAY = "above open start begin resume accept allow appoint hire acquire join enter more confirm bought bigger over"
_OTHER_WAY = (
    "below close end stop refuse block dismiss fire divest quit leave less deny fewer smaller under shut cancel"
)
_ONE_WAY_ZH = (
    "高于 高开 开盘 启动 重启 恢复 通过 批准 复牌 胜诉 入股 流入 加息 升值 升 增 多于 上任 扩大 解除 解质押 首发过会"
)
_OTHER_WAY_ZH = (
    "低于 低开 收盘 停止 暂停 取消 否决 驳回 停牌 败诉 退股 流出 降息 贬值 降 减 少于 离任 缩小 被否 落标 不及预期"
)
_NOT = frozenset("not no never without cannot denies denied deny unlikely fails failed nor neither".split())  # noqa: SIM905
_NOT_ZH = re.compile(
    r"未(?!来|央)|没有|否认|并非|不(?!超|低|少|足|断|仅|只|过|等|动|锈|良|到|止|限)|无(?!锡|人|线|限)|非(?!公|洲|经|常|凡|银)"
)
_MOST_WORDS_NOT = 4
"""Of what was added: a "not" in a longer passage speaks of what stands in it."""
_FUNCTION = frozenset(
    """
    the a an this that these those it its he she they we his her their our in on at of for to by from with as and or
    but after before while when where who which what why how is are was were be been has have had will would may
    says said say new also still now
    """.split()  # noqa: SIM905
)


def direction(words: Sequence[str], span: tuple[int, int]) -> int:
    """1 for up and yes, -1 for down and no, 0 where [start, end) of a sentence's words say neither, or both.

    A Chinese word counts where one of its characters stands in the span.

    >>> direction(("股", "东", "减", "持"), (2, 3)), direction(("shares", "rose"), (1, 2))
    (-1, 1)
    """
    start, end = span
    signs = {sign for word in words[start:end] if (sign := _sign(word))}
    low = max(0, start - 2)
    text = "".join(word if len(word) == 1 else "\0" for word in words[low : end + 2])
    for match in _chinese().finditer(text):
        if match.start() < end - low and start - low < match.end():
            signs.add(_sign(match.group()))
    return signs.pop() if len(signs) == 1 else 0


def negates(words: Sequence[str]) -> bool:
    """Whether a few words say "not".

    >>> negates(("未",)), negates(("不", "超"))
    (True, False)
    """
    if not 0 < len(words) <= _MOST_WORDS_NOT:
        return False
    return any(word in _NOT or word.endswith("n't") for word in words) or bool(_NOT_ZH.search("".join(words)))


def is_function_word(word: str) -> bool:
    """Whether a word is of grammar, and names nobody however it is written."""
    return word in _FUNCTION


@cache
def _own() -> dict[str, int]:
    lists = ((_ONE_WAY, 1), (_OTHER_WAY, -1), (_ONE_WAY_ZH, 1), (_OTHER_WAY_ZH, -1))
    return {word: sign for words, sign in lists for word in words.split()}


@cache
def _sign(word: str) -> int:
    for ending in ("", "s", "es", "d", "ed", "ing"):
        found = _own().get(word.removesuffix(ending)) if word.endswith(ending) else None
        if found:
            return found
    weight = _lexicon().weight(word)
    return (weight > 0) - (weight < 0)


@cache
def _lexicon() -> Lexicon:
    return Lexicon()


@cache
def _chinese() -> re.Pattern[str]:
    words = {word for word in (*_own(), *_lexicon().words) if not word.isascii()}
    return re.compile("|".join(sorted(words, key=lambda word: (-len(word), word))))
