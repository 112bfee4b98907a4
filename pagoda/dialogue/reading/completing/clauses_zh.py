"""Chinese wishes that no slot holds: 安静一点的, 要靠窗的位子, 带儿童椅, 对花生过敏, 我吃素.

First station of a turn: *sentence -> Understanding* -> events -> state -> policy -> Cypher -> rows -> reply. Chinese
shows by small words what is a wish: what is to be there (带, 有, 提供), what is wanted or not (要, 最好, 不要), what is
said of a thing (…的餐馆, …一点). Within these frames new words are a wish; elsewhere they are talk, and so is what
somebody does or asks (要去…, 有什么…). Local grammars as in Gross 1997, "The Construction of Local Grammars".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from pagoda.dialogue.reading.places import Place, Placed

_CLAUSE = re.compile(r"[^，。、,.!！?？；;\s]+")
_GAP = "▢"
_X = rf"[^{_GAP}]"
_END = rf"(?=的|$|吗|并且|而且|{_GAP})"
# What follows these is what somebody does, or points at what was said.
_NO_WISH = (
    r"(?!去|来|带着|和|跟|与|请|找|订|预|住|为|给|帮|在|玩|安|走|回|出|你|我|查|看|问|不|这|那|此|个|了|过|是否|以)"
)
_NOT = rf"(?:不要|不能有?|不吃|不喝|别放|(?<![特区级个分])别|不含|忌){_NO_WISH}{_X}{{1,6}}"
_HAS = r"提供|支持|允许|接受|配有?|设有|带(?!着)有?|含|有|能够|能(?!够)|可以|可(?!以|能)"
_WANTS = r"想要|需要|希望|最好(?:是|能|有)?|必须有?|得有|要(?!求|是)"
_FRAMES = (
    rf"对?{_X}{{1,6}}过敏",
    _NOT,
    rf"(?<![没宽携一地热领附包])(?:{_HAS}){_NO_WISH}{_X}{{2,10}}?{_END}",
    rf"(?:{_WANTS}){_NO_WISH}{_X}{{2,10}}?{_END}",
    rf"{_X}{{2,4}}(?:一点儿?|一些|点儿|(?<![景地站餐重热特起终])点(?=的))(?=的|$|{_GAP})",
    rf"离{_X}{{2,8}}(?:近|不远)",
    r"(?<=我)(?:们|只)?吃\w{1,2}$",
)
_CUE = rf"{_HAS}|{_WANTS}|并|还|且|吃到|喝到|做|一家|一个|家|个|的|了|是|在|比较|非常"
_TAIL = r"这道菜|这个菜|这种|服务|设施|的|了|吧|吗|呢|啊|呀|哦|哟|哈|和|与|及|以及|并且|或"
_TRIM = re.compile(rf"^(?:{_CUE}|{_GAP})+|(?:{_TAIL}|{_GAP})+$")
_ASKED = re.compile("什么|哪|啥|怎么|多少|几|如何|是否")
_LONGEST_NOTE = 12


def new_in_chinese(
    text: str, taken: Sequence[Placed], has_new: Callable[[str], bool], nouns: Sequence[str], *, is_booking: bool
) -> Iterator[Place]:
    """Places of wishes that none of `taken` holds. nouns: words of what is looked for or booked."""
    blanked = _blanked(text, taken)
    for clause in _CLAUSE.finditer(blanked):
        found = [place for place in _framed(clause, nouns) if has_new(blanked[slice(*place)])]
        if found:
            yield min(found, key=lambda place: (place[0], -place[1]))
        elif is_booking and _is_note(clause[0]) and has_new(clause[0]):
            yield clause.span()


def _blanked(text: str, taken: Sequence[Placed]) -> str:
    for each in taken:
        text = text[: each.start] + _GAP * (each.end - each.start) + text[each.end :]
    return text


def _is_note(clause: str) -> bool:
    """Whether a clause of a booking says nothing but itself: 是我老婆生日."""
    return _GAP not in clause and len(clause) <= _LONGEST_NOTE and _ASKED.search(clause) is None


def _framed(clause: re.Match[str], nouns: Sequence[str]) -> Iterator[Place]:
    """Places of the frames within a clause, without small words at their ends."""
    head = "|".join(re.escape(noun) for noun in nouns)
    about = rf"(?:(?<=个)|(?<=家)|(?<=间)|(?<={_GAP})|(?<=找)|^){_NO_WISH}{_X}{{2,6}}的(?=(?:{head}))"
    for frame in (*_FRAMES, *([about] if head else [])):
        for match in re.finditer(frame, clause[0]):
            inside = match[0] if frame == _NOT else _TRIM.sub("", match[0])
            start = clause.start() + match.start() + match[0].index(inside)
            if len(inside) > 1 and _ASKED.search(inside) is None:
                yield start, start + len(inside)
