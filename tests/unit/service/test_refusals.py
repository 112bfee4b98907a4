"""What a sentence refuses by number or kind, in two languages, and what it does not."""

from __future__ import annotations

import pytest

from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.nlu.understanding import SlotValue
from pagoda.recommend.data.city import read_city
from pagoda.service.refusals import Refusals, is_asked

KINDS = {kind.id: kind for thing in read_city().things for kind in thing.kinds}
SHOWN = tuple(NodeValue("Restaurant", f"restaurant-{row}", f"店{row}", f"Place {row}") for row in range(3))
REFUSALS = Refusals(KINDS.values())


@pytest.mark.parametrize(
    ("text", "rows", "kinds"),
    [
        ("no more Sichuan please", (), ("cuisine:Sichuan",)),
        ("never recommend Cantonese food again", (), ("cuisine:Cantonese",)),
        ("don't show me comedies again", (), ("genre:Comedy",)),
        ("stop suggesting places in Songyue", (), ("district:Songyue",)),
        ("no hot pot and no barbecue, please", (), ("cuisine:Hot pot", "cuisine:Barbecue")),
        ("别再推荐川菜", (), ("cuisine:Sichuan",)),
        ("喜剧片就算了", (), ("genre:Comedy",)),
        ("我不吃海鲜", (), ("cuisine:Seafood",)),
        ("不要第二个", (1,), ()),
        ("not the second one", (1,), ()),
        ("第二个和第三个都不要", (1, 2), ()),
        ("anything but the last one", (2,), ()),
        ("drop the second one", (1,), ()),
        ("please remove the first and the third", (0, 2), ()),
        ("the first one is too far away, drop it", (0,), ()),
        ("take the second one off the list", (1,), ()),
        ("second one out", (1,), ()),
        ("without the first", (0,), ()),
        ("no thanks to the first one", (0,), ()),
        ("I've been to the second one already", (1,), ()),
        ("the third one does not appeal to me", (2,), ()),
        ("don't want the second", (1,), ()),
        ("not 2", (1,), ()),
        ("drop 2 and 3", (1, 2), ()),
        ("把第二个去掉", (1,), ()),
        ("把第一个和第三个删了", (0, 2), ()),
        ("第二个太远了，去掉", (1,), ()),
        ("第二个不好，换一个", (1,), ()),
        ("第一个不合适", (0,), ()),
        ("第二家我吃过了", (1,), ()),
        ("第三个我没兴趣", (2,), ()),
        ("能把第二个去掉吗", (1,), ()),
        ("把2号去掉", (1,), ()),
        ("drop the Sichuan one", (), ("cuisine:Sichuan",)),
        ("not Place 1", (1,), ()),
        ("不要店2", (2,), ()),
        ("I've been to the second one, show me another good one", (1,), ()),
        ("第二家吃过了，再推荐一个", (1,), ()),
        ("第二家去过了，不好吃", (1,), ()),
        ("the second one isn't for me", (1,), ()),
        ("要不第二个去掉", (1,), ()),
    ],
)
def test_what_is_named_and_negated_is_refused(text: str, rows: tuple[int, ...], kinds: tuple[str, ...]) -> None:
    refused = REFUSALS.of(text, SHOWN)
    assert (refused.rows, tuple(kind.id for kind in refused.kinds)) == (rows, kinds)
    assert refused.is_only


@pytest.mark.parametrize(
    "text",
    [
        "the second one",
        "the second one is not bad",
        "don't drop the second one",
        "别把第二个去掉",
        "take the second one",
        "can you take the second one?",
        "第二个不错",
        "第二个换个便宜点的",
        "a table for 2, not 3",
        "来点川菜",
        "why not Sichuan",
        "we moved towards attractions, no",
        "I can't see the second one",
        "no the second one",
        "This is not the first time I ask",
        "不是第一次来",
        "我没去第二个",
        "we are not on the first floor",
        "not number 0",
        "不要第00个",
        "skip to the second one",
        "the second one is out of town, right?",
        "the second one is no problem",
        "the second one isn't for me but for my wife",
        "I have seen the first one, it was great",
        "I've been to the second one before, book it again",
        "we have tried the second one, and want to go again",
        "第二家去过了，很好吃，还想去",
        "第二家我吃过，再订一次",
        "不用去掉第二个",
        "drop the first booking",
        "把第二个预订删了",
        "不要第二个预订了",
        "I wouldn't say no to Sichuan",
        "不排除川菜",
        "没有川菜不行",
    ],
)
def test_what_is_not_negated_is_not_refused(text: str) -> None:
    assert not REFUSALS.of(text, SHOWN)


def test_a_sentence_that_wants_something_besides_is_no_refusal_alone() -> None:
    assert not REFUSALS.of("不要川菜，粤菜吧", SHOWN).is_only
    assert not REFUSALS.of("不要第二个，第一个吧", SHOWN).is_only
    assert not REFUSALS.of("no Sichuan, something cheap", SHOWN, [SlotValue("price", "cheap", 22, 27)]).is_only
    assert not REFUSALS.of("not the ninth one", SHOWN).is_only


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("Isn't the second one closed on Mondays?", True),
        ("Why isn't the second one open on Monday?", True),
        ("Anything other than the second one?", True),
        ("为什么没有第二个", True),
        ("为什么不推荐第二个？", True),
        ("除了第二个还有别的吗", True),
        ("为什么不推荐川菜？", True),
        ("怎么没有川菜", True),
        ("除了川菜还有什么推荐", True),
        ("why don't you recommend Sichuan", True),
        ("不要第二个，好吗？", False),
        ("第二个去掉了吗", True),
        ("why did you drop the second one?", True),
        ("can you drop the second one?", False),
        ("能把第二个去掉吗", False),
        ("don't want the second", False),
        ("don't you have the second one", True),
        ("not the second one, ok?", False),
        ("could you never show me comedies again?", False),
        ("别再推荐川菜了可以吗", False),
        ("can you skip the second one?", False),
        ("no more Sichuan please", False),
    ],
)
def test_a_question_refuses_nothing_unless_it_is_a_request(text: str, is_so: bool) -> None:
    assert is_asked(text, is_for_good=REFUSALS.is_for_good(text)) is is_so


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("no more Sichuan please", True),
        ("never recommend Cantonese food again", True),
        ("以后别给我看松月区的", True),
        ("别再推荐川菜", True),
        ("no Sichuan please", False),
        ("不要川菜", False),
        ("can you recommend something that is not Sichuan", False),
        ("我以后不吃川菜了", True),
        ("以后，不要川菜", True),
        ("from now on, no Sichuan", True),
        ("至少推荐三家餐厅，不要川菜", False),
        ("有什么特别推荐的，不要川菜", False),
        ("今晚吃饭，不要川菜，有多少推荐", False),
        ("三天以后去吃饭，不要川菜", False),
        ("晚上八点以后还营业的餐厅，不要川菜", False),
        ("不要川菜推荐一家餐厅", False),
        ("I don't want Sichuan so can you suggest something", False),
        ("not Sichuan please show me others", False),
        ("restaurants that are not Sichuan in the next block", False),
    ],
)
def test_for_good_is_what_is_said_of_the_next_lists_too(text: str, is_so: bool) -> None:
    assert REFUSALS.is_for_good(text) is is_so
