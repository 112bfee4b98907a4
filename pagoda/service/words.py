"""What the desk says of recommendations and their reasons, in Chinese and English; no sentence stands elsewhere.

Last station of an errand: recommendation -> paths of the graph -> *sentences*. Every one has fields that are filled
from the graph's rows or the recommender's list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceWords:
    """One language's sentences. and_: between names of a list"""

    recommended: str
    item: str
    because: str
    shared: str
    together: str
    popular: str
    reason: str
    no_reason: str
    not_recommended: str
    which: str
    none_left: str
    block_item: str
    block_kind: str
    no_kind: str
    and_: str


_ENGLISH = ServiceWords(
    recommended="I recommend:",
    item="{place}. {name} ({kinds})",
    because="you have been to {past}: {facts}",
    shared="both are {kinds}",
    together="{count} others went to both",
    popular="{count} others have been there",
    reason="Why {name}: {reasons}.",
    no_reason="{name} has the best score of what is left for you, but I know no reason that the data bear out.",
    not_recommended="{name} was not recommended: it came up for what you asked for.",
    which="I have not recommended anything yet. Shall I?",
    none_left="There is nothing left that I could recommend.",
    block_item="All right, {name} will not be shown to you again.",
    block_kind="All right, no more of the kind {kind}.",
    no_kind="I know no kind of {name}, so I leave out just this one.",
    and_=", ",
)
_CHINESE = ServiceWords(
    recommended="为您推荐：",
    item="{place}. {name}（{kinds}）",
    because="您去过{past}，{facts}",
    shared="同属{kinds}",
    together="另有{count}人两处都去过",
    popular="另有{count}人去过",
    reason="推荐{name}的理由：{reasons}。",
    no_reason="{name}是余下选择中得分最高的，但没有数据能证实的理由可说。",
    not_recommended="{name}不是推荐的，是按您的要求查到的。",
    which="我还没有推荐过什么，要推荐吗？",
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
