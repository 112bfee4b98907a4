"""What a sentence refuses by its number or by its kind: "no more Sichuan please", 不要第二个, 别再推荐川菜.

Before an errand of the recommender's: *sentence -> what is refused*. A reader that learned sentences cannot have
learned every name: kinds are those of the things in the graph, numbers those of the list on the table, and whether they
are refused is what `reading.polarity` says of any value and `closed.removals` of what is on a list. Without a list
that was recommended, "no Sichuan" is a wish of a search, unless it is said to be for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pagoda.dialogue.reading.acts import choices_in
from pagoda.dialogue.reading.closed.removals import bare_numbers, is_of_booking, taken_off
from pagoda.dialogue.reading.polarity import roles
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.slots.said import folded
from pagoda.dialogue.state.tasks import index_of_rank, row_of
from pagoda.nlu.understanding import SlotValue
from pagoda.recommend.data.things import KindOfThing

_CLAUSE_END = re.compile(r"[，,。.!！;；?？\n]")
_NOT_AGAIN_ZH = (
    r"(?:不要|(?<![特区级个分差辨识])别(?![的墅人处])|不用|不必|不想|甭|莫|(?<![至多不很减缺])少)"
    r"[^，,]{0,4}?(?:再|推荐|推|给我看|出现)"
)
_HENCE_ZH = "(?:从今)?(?:以后|今后)|永远|从此"
_SMALL_EN = (
    r"(?:me|us|any|more|the|an?|food|cuisine|places?|restaurants?|hotels?|films?|movies?|in|of|from|to|that|those|these"
    r"|anything|something|things?|with|for|serving|like|kinds?|ones?|such)"
)
# Of the clause that holds what is refused: what stands before it, what behind it, and what anywhere.
_FOR_GOOD_BEFORE = re.compile(
    rf"{_NOT_AGAIN_ZH}|再也(?:不|别)|^(?:那|请|麻烦|你们?|您|我们?|好的?|就|但)*(?:{_HENCE_ZH})"
    r"|(?:\b(?:never|not|stop|quit|dont|cannot)|n['’]t)(?:\s+\S+){0,2}\s+(?:recommend|suggest|show)\w*"
    rf"(?:\s+{_SMALL_EN})*\s*$"
    rf"|\bno more(?:\s+{_SMALL_EN})*\s*$|^\s*(?:(?:please|just|then|and|can you|could you)\s+)*(?:hide|block)\b",
    re.IGNORECASE,
)
_FOR_GOOD_BEHIND = re.compile(
    rf"^\S{{0,4}}?(?:{_NOT_AGAIN_ZH}|(?:{_HENCE_ZH}|再也)[都也就]?[不别])|\b(?:again|any ?more)\b", re.IGNORECASE
)
_FOR_GOOD_ANYWHERE = re.compile(
    rf"屏蔽|拉黑|(?:^|[，,。.!！;；])\s*(?:{_HENCE_ZH})\s*[，,]|\bfrom now on\b|\bnever again\b", re.IGNORECASE
)
_WHY = re.compile(r"为什么|为何|为啥|怎么|干嘛|干吗|凭什么|\bwhy\b|\bhow come\b", re.IGNORECASE)
_ASKS = re.compile(
    r"[?？]\s*$|(?:吗|么|嘛|呢)[。.!！~～\s]*$|有没有|是不是|哪[些个家]|什么"
    r"|^\s*(?!do(?:n['’]?t| not)\s+(?!you\b|they\b|we\b|i\b|the\b|these\b|those\b|any\b))"
    r"(?:what|which|who|where|when|how|is|are|was|were|do|does|did|can|could|would|will|should|may)(?:n['’]?t)?\b",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"[，,\s]*(?:好吗|好不好|可以吗|行吗|行不行|(?<=[，,\s])(?:ok(?:ay)?|right|please|thanks))\s*[?？]*\s*$",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"^\s*(?:can|could|would|will)(?:n['’]?t)? (?:you|we|i) (?:please )?(?:not|never|stop|quit|skip|drop|remove|delete"
    r"|take|leave|cross|strike|throw|get rid|hide|block|exclude|ignore|scratch)\b"
    r"|(?:能不能|能否|可不可以|可否|可以|能)(?:请|帮我|给我|麻烦)*(?:不要|别|把|将|去掉|删|划|换|拿|撤|剔|排除|屏蔽|跳过|略过)",
    re.IGNORECASE,
)
_EXCEPT = re.compile(r"除了|除开|除去|\bother than\b|\bapart from\b|\baside from\b|\bbesides\b", re.IGNORECASE)
# A row is pointed at in many sentences with a "not" in them: "I can't see the second one", 我没去第二个.
_REFUSES = re.compile(
    r"不(?:要|想|喜欢|看|吃|去|住|选|考虑|行|用|必|感兴趣|接受)|别|甭|莫|算了|免了|去掉|换掉|排除|讨厌|拒绝|腻|避开"
    r"|\b(?:not|never|dont|doesnt|nothing)(?:\s+(?:again|like|really|even))*\s+(?=the\b|number\b|no\.|option\b|#|\d)"
    r"|(?:n['’]t|\b(?:not|never|dont))\s+(?:\w+\s+){0,2}?(?:want|like|show|recommend|suggest|offer|need|care|fancy|into"
    r"|interested|keen|fond|go|have|do|watch|eat|stay)\w*\b"
    r"|\b(?:stop|quit|skip|drop|remove|hide|block|exclude|excluding|avoid|hate|dislike|except|without|no more|minus"
    r"|leave out|leaving out|instead of|rather than|neither|nor|(?:sick|tired) of)\b|\b(?:\w*thing|all|one|where) but\b"
    r"|\b(?:is|are)\s+(?:out|not|no|off)\b",
    re.IGNORECASE,
)


# "Not Cloud Crane Hall", but neither "no the second one" nor "I am not at the first".
_NOT_IT = re.compile(r"(?:^|[,.;!]\s*|\b(?:but|please|just|ok|okay)\s+)(?:not|without)\s+$", re.IGNORECASE)


@dataclass(frozen=True)
class Unwanted:
    """rows: of the list on the table; kinds: that are named; is_only: the sentence names nothing that is wanted.

    wants_row: whether it names a row, by number or name, and does not refuse it
    """

    rows: tuple[int, ...] = ()
    kinds: tuple[KindOfThing, ...] = ()
    is_only: bool = True
    wants_row: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows or self.kinds)


class Refusals:
    """kinds: of all things that may be recommended, each once"""

    def __init__(self, kinds: Iterable[KindOfThing]) -> None:
        # "Hot pot" before "pot".
        self._named = [(kind, _name_of(kind)) for kind in sorted(kinds, key=lambda kind: -len(kind.name_en))]

    def of(self, text: str, shown: Sequence[NodeValue], others: Sequence[SlotValue] = ()) -> Unwanted:
        """What is refused of the list `shown` and of all kinds. others: what a reader found in the sentence besides."""
        spans = self._spans(folded(text), shown)
        refused = [what for _, _, what, is_refused in spans if is_refused]
        rows = [row_of(index_of_rank(what), len(shown)) for what in refused if isinstance(what, int)]
        is_apart = any(all(other.end <= start or end <= other.start for start, end, *_ in spans) for other in others)
        return Unwanted(
            tuple(row for row in rows if row is not None),
            tuple(what for what in refused if isinstance(what, KindOfThing)),
            len(refused) == len(spans) and None not in rows and not is_apart,
            any(isinstance(what, int) and not is_refused for *_, what, is_refused in spans),
        )

    def is_for_good(self, text: str) -> bool:
        """Whether what is refused is not to be shown from now on, and not only not sought now."""
        plain = folded(text)
        if _FOR_GOOD_ANYWHERE.search(plain) is not None:
            return True
        return any(_is_for_good(plain, start, end) for start, end, _, is_refused in self._spans(plain) if is_refused)

    def _spans(self, plain: str, shown: Sequence[NodeValue] = ()) -> list[tuple[int, int, int | KindOfThing, bool]]:
        """(start, end, number or kind, whether it is refused), in the order of the sentence."""
        numbers = [*choices_in(plain)] or [*bare_numbers(plain.lower())]
        named: list[tuple[int, int, int | KindOfThing]] = [*numbers, *_named_rows(plain, shown), *self._kinds_in(plain)]
        named.sort(key=lambda each: each[:2])
        told = roles(plain, [("named", start, end) for start, end, _ in named])
        is_off = taken_off(plain.lower(), [each[:2] for each in named])
        has_sign = _REFUSES.search(plain) is not None

        def may_be(what: int | KindOfThing, start: int, end: int) -> bool:
            if not isinstance(what, int):
                return True
            return not is_of_booking(plain.lower(), end) and (has_sign or _NOT_IT.search(plain[:start]) is not None)

        return [
            (start, end, what, is_removed or (role == "excluded" and may_be(what, start, end)))
            for (start, end, what), role, is_removed in zip(named, told, is_off, strict=True)
        ]

    def _kinds_in(self, plain: str) -> Iterator[tuple[int, int, KindOfThing]]:
        """(start, end, kind) of the kinds that a text names, none within the name of another."""
        left = plain
        for kind, name in self._named:
            for match in name.finditer(left):
                left = left[: match.start()] + "\0" * len(match[0]) + left[match.end() :]
                yield match.start(), match.end(), kind


def _named_rows(plain: str, shown: Sequence[NodeValue]) -> Iterator[tuple[int, int, int]]:
    """(start, end, number) of what is shown and called by its name: "not Cloud Crane Hall"."""
    for number, node in enumerate(shown, 1):
        for name in {node.zh, node.en} - {""}:
            whole = rf"\b{re.escape(name)}\b" if name.isascii() else re.escape(name)
            yield from ((found.start(), found.end(), number) for found in re.finditer(whole, plain, re.IGNORECASE))


def is_asked(text: str, *, is_for_good: bool) -> bool:
    """Whether a sentence asks, or sets one thing apart from others that it asks for, and so refuses nothing.

    is_for_good: as `Refusals.is_for_good` says; "could you never show me comedies again?" is a request

    >>> is_asked("为什么不推荐川菜", is_for_good=False), is_asked("不要第二个，好吗？", is_for_good=False)
    (True, False)
    """
    plain = folded(text)
    if _WHY.search(plain) is not None or _EXCEPT.search(plain) is not None:
        return True
    is_request = is_for_good or _REQUEST.search(plain) is not None
    return not is_request and _ASKS.search(_TAG.sub("", plain)) is not None


def _is_for_good(plain: str, start: int, end: int) -> bool:
    """Of what stands there, by the words of its clause."""
    begin = max((found.end() for found in _CLAUSE_END.finditer(plain, 0, start)), default=0)
    close = _CLAUSE_END.search(plain, end)
    behind = plain[end : close.start() if close is not None else len(plain)]
    return _FOR_GOOD_BEFORE.search(plain[begin:start]) is not None or _FOR_GOOD_BEHIND.search(behind) is not None


def _name_of(kind: KindOfThing) -> re.Pattern[str]:
    """Either name; an English one in words of its own, "war" not in "towards", or in its plural, as in "comedies"."""
    stem = re.escape(kind.name_en)
    forms = rf"{stem[:-1]}(?:y|ies)" if stem.endswith("y") else rf"{stem}(?:e?s)?"
    return re.compile(rf"{re.escape(kind.name)}|(?<![a-z]){forms}(?![a-z])", re.IGNORECASE)
