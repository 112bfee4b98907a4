"""What the desk says of recommendations and their reasons, in Chinese and English; no sentence stands elsewhere.

Last station of an errand: recommendation -> paths of the graph -> *sentences*. Every one has fields that are filled
from the graph's rows or the recommender's list. Things of every kind are recommended, places and films alike, so that
no sentence goes, visits or watches: people *choose*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Counted:
    """A sentence about so many. one: of a single one, without a field"""

    one: str
    many: str

    def format(self, *, count: int) -> str:
        """As `str.format`, in the form that the number asks for."""
        return self.one if count == 1 else self.many.format(count=count)


@dataclass(frozen=True)
class ServiceWords:
    """One language's sentences. and_: between names of a list"""

    recommended: str
    item: str
    because: str
    shared: str
    together: Counted
    popular: Counted
    reason: str
    no_reason: str
    not_recommended: str
    which: str
    no_such: Counted
    none_left: str
    block_item: str
    block_kind: str
    no_kind: str
    and_: str


_ENGLISH = ServiceWords(
    recommended="I recommend:",
    item="{place}. {name} ({kinds})",
    because="you chose {past} ({facts})",
    shared="both are {kinds}",
    together=Counted("1 other chose both", "{count} others chose both"),
    popular=Counted("1 other chose it", "{count} others chose it"),
    reason="Why {name}: {reasons}.",
    no_reason="{name} has the best score of what is left for you, but I know no reason that the data bear out.",
    not_recommended="{name} was not recommended: it came up for what you asked for.",
    which="I have not recommended anything yet. Shall I?",
    no_such=Counted(
        "The list has no such number, just this one.", "The list has no such number, it goes from 1 to {count}."
    ),
    none_left="There is nothing left that I could recommend.",
    block_item="All right, {name} will not be recommended to you again.",
    block_kind="All right, no more of the kind {kind}.",
    no_kind="I know no kind of {name}, so I leave out just this one.",
    and_=", ",
)
_CHINESE = ServiceWords(
    recommended="为您推荐：",
    item="{place}. {name}（{kinds}）",
    because="您选过{past}，{facts}",
    shared="同属{kinds}",
    together=Counted("另有1人两个都选过", "另有{count}人两个都选过"),
    popular=Counted("另有1人选过", "另有{count}人选过"),
    reason="推荐{name}的理由：{reasons}。",
    no_reason="{name}是余下选择中得分最高的，但没有数据能证实的理由可说。",
    not_recommended="{name}不是推荐的，是按您的要求查到的。",
    which="我还没有推荐过什么，要推荐吗？",
    no_such=Counted("列表里没有这个序号，只有这一个。", "列表里没有这个序号，序号是1到{count}。"),
    none_left="没有可以推荐的了。",
    block_item="好的，以后不再给您推荐{name}。",
    block_kind="好的，以后不再推荐“{kind}”这一类。",
    no_kind="不知道{name}属于哪一类，就只去掉这一个。",
    and_="、",
)
_WORDS: Mapping[str, ServiceWords] = {"zh": _CHINESE, "en": _ENGLISH}


def words_of(language: str) -> ServiceWords:
    """In this language, English for any other."""
    return _WORDS.get(language, _ENGLISH)
