"""What a sentence holds besides what was understood: told where it is certain to be a wish, and only there."""

from __future__ import annotations

import pytest

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.complemented import Complemented
from pagoda.dialogue.reading.following import FollowingLinker
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.language import language_of
from pagoda.nlu.understanding import OUT_OF_SCOPE, Act, SlotValue, TurnContext, Understanding

NAMED = [
    Named(NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan"), ("四川菜",)),
    Named(NodeValue("Cuisine", "cuisine-002", "粤菜", "Cantonese")),
    Named(NodeValue("Cuisine", "cuisine-099", "没有", "The One")),
    Named(NodeValue("District", "district-001", "松月区", "Songyue"), ("松月",)),
    Named(NodeValue("District", "district-003", "鹿鸣区", "Luming")),
    Named(NodeValue("Landmark", "landmark-001", "青岚科技", "Qinglan Technology"), ("work", "公司")),
    Named(NodeValue("Facility", "facility-002", "停车场", "Parking"), ("停车",)),
]


class Base:
    """Finds these words and nothing else. intent: of every sentence."""

    def __init__(self, intent: str, *words: tuple[str, str]) -> None:
        self._intent, self._words = intent, words

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        places = [(slot, words, text.index(words)) for slot, words in self._words]
        slots = tuple(SlotValue(slot, words, start, start + len(words)) for slot, words, start in places)
        return Understanding(text, language_of(text), self._intent, 0.95, slots)


@pytest.fixture(scope="module")
def domain() -> Domain:
    return Domain.load()


def read(domain: Domain, text: str, intent: str = "find_restaurant", *words: tuple[str, str]) -> Understanding:
    return Complemented(Base(intent, *words), domain, Linker(NAMED)).parse(text)


@pytest.mark.parametrize(
    ("text", "intent", "unused"),
    [
        ("a Sichuan restaurant in Songyue with parking", "find_restaurant", ["parking"]),
        ("鹿鸣区带停车场的川菜馆", "find_restaurant", ["停车场"]),
        ("松月区能停车的酒店", "find_hotel", []),
        ("a hotel in Songyue with parking", "find_hotel", []),
        ("a film on after work", "find_film", []),
        ("a film near work", "find_film", ["work"]),
        ("a film under 50 yuan", "find_film", ["50 yuan"]),
        ("看电影，票价20-50元的", "find_film", ["20-50元"]),
        ("the cheapest film", "find_film", ["cheapest"]),
        ("最新的酒店，在松月区", "find_hotel", ["最新"]),
        ("the longest film", "find_film", []),
        ("松月区500米以内的川菜馆", "find_restaurant", ["500米以内"]),
        ("a hotel in Songyue of at least 30 square metres", "find_hotel", ["at least 30 square metres"]),
        ("松月区的酒店，一晚300元以内", "find_hotel", []),
        ("the cheap film", "find_film", ["cheap"]),
        ("book a table with parking", "book_restaurant", ["parking"]),
        ("parking", OUT_OF_SCOPE, []),
    ],
)
def test_a_wish_of_another_search_is_unused(domain: Domain, text: str, intent: str, unused: list[str]) -> None:
    assert [value.value for value in read(domain, text, intent).unused] == unused


@pytest.mark.parametrize(
    ("text", "intent", "unknown"),
    [
        ("find a hotel in Paris", "find_hotel", ("Paris",)),
        ("a hotel in Songyue", "find_hotel", ()),
        ("a film directed by Jane Doe", "find_film", ("Jane Doe",)),
        ("find me a film on Monday, in January", "find_film", ()),
        ("a hotel in Luming with a helipad", "find_hotel", ("helipad",)),
        ("找个上海的酒店", "find_hotel", ("上海",)),
        ("想去成都吃川菜", "find_restaurant", ("成都",)),
        ("松月区的酒店", "find_hotel", ()),
        ("我在公司，找个酒店", "find_hotel", ()),
        ("订麦当劳明天七点两位", "book_restaurant", ("麦当劳",)),
        ("帮我订个位子，明天七点", "book_restaurant", ()),
        ("book a table at McDonald's for 2", "book_restaurant", ("McDonald's",)),
        ("宽带上网的酒店", "find_hotel", ()),
        ("hello from Paris, are you there", "greet", ()),
    ],
)
def test_a_name_that_nobody_knows_is_told(domain: Domain, text: str, intent: str, unknown: tuple[str, ...]) -> None:
    assert read(domain, text, intent).unknown == unknown


def values(found: Understanding) -> list[tuple[str, str]]:
    return [(slot.slot, slot.value) for slot in found.slots]


def test_declared_words_are_found_wherever_they_stand(domain: Domain) -> None:
    assert ("price", "moderately priced") in values(read(domain, "Cantonese, moderately priced, in Songyue"))
    assert ("price", "不要太贵") in values(read(domain, "松月区的粤菜，不要太贵", "find_restaurant", ("price", "贵")))
    assert ("rating", "口碑好") in values(read(domain, "松月区口碑好的酒店", "find_hotel"))
    assert values(read(domain, "I fancy Cantonese in Songyue")) == [("cuisine", "Cantonese"), ("location", "Songyue")]


def test_a_declared_word_goes_before_a_name_that_nobody_knows(domain: Domain) -> None:
    found = read(domain, "eat in the expensive range", "find_restaurant", ("location", "the expensive"))
    assert values(found) == [("price", "expensive")]


def test_all_values_of_a_list_are_found_and_those_that_are_excluded(domain: Domain) -> None:
    both = [("cuisine", "川菜"), ("cuisine", "粤菜")]
    for text in ("川菜或者粤菜", "不要川菜，要粤菜", "不要粤菜，要川菜"):
        assert sorted(values(read(domain, text, "find_restaurant", ("cuisine", "川菜")))) == both
    assert values(read(domain, "川菜。粤菜我昨天吃过", "find_restaurant", ("cuisine", "川菜"))) == both[:1]


def test_the_name_within_other_words_is_the_value(domain: Domain) -> None:
    found = read(domain, "anything but Sichuan food", "find_restaurant", ("cuisine", "anything but Sichuan food"))
    assert values(found) == [("cuisine", "Sichuan")]


def test_small_words_and_what_somebody_has_are_no_names(domain: Domain) -> None:
    assert values(read(domain, "有没有好吃的", "find_restaurant", ("cuisine", "没有"))) == []
    assert values(read(domain, "near our anniversary", "find_restaurant", ("location", "our anniversary"))) == []


def test_a_superlative_is_an_order_and_no_value(domain: Domain) -> None:
    found = read(domain, "最便宜的川菜馆", "find_restaurant", ("price", "便宜"))
    assert values(found) == [("cuisine", "川菜")]
    assert Act("order", "price", "lowest") in found.acts
    bound = read(domain, "最低价格是300元的酒店", "find_hotel")
    assert not [act for act in bound.acts if act.kind == "order"]


def test_a_superlative_alone_goes_on_with_the_search_under_way(domain: Domain) -> None:
    reader = Complemented(Base("find_restaurant"), domain, Linker(NAMED))
    found = reader.parse("and the cheapest one", TurnContext("find_hotel", language="en"))
    assert found.intent == "find_hotel"


def test_a_name_that_the_graph_has_by_now_is_no_unknown_one(domain: Domain) -> None:
    linker = FollowingLinker(Linker(NAMED))
    reader = Complemented(Base("find_hotel"), domain, linker)
    assert reader.parse("a hotel in Luming near Petroleum House").unknown == ("Petroleum House",)
    linker.current = Linker([*NAMED, Named(NodeValue("Landmark", "landmark-900", "石油大厦", "Petroleum House"))])
    assert reader.parse("a hotel in Luming near Petroleum House").unknown == ()


@pytest.mark.parametrize(
    ("text", "intent", "unused"),
    [
        ("a quiet Sichuan restaurant in Songyue", "find_restaurant", ["quiet"]),
        ("Sichuan in Songyue, and I am allergic to peanuts", "find_restaurant", ["allergic to peanuts"]),
        ("a hotel in Songyue that allows dogs", "find_hotel", ["dogs"]),
        ("Sichuan in Songyue, something not too noisy", "find_restaurant", ["not too noisy"]),
        ("a restaurant with live music and Sichuan food", "find_restaurant", ["live music"]),
        ("book a table by the window tonight", "book_restaurant", ["window"]),
        ("book it for two tonight, we need a high chair", "book_restaurant", ["high chair"]),
        ("a table tonight at 7, it is my wife's birthday", "book_restaurant", ["wife's birthday"]),
        ("wheelchair access please, tonight at 7", "book_restaurant", ["wheelchair access"]),
        ("松月区安静一点的川菜馆", "find_restaurant", ["安静一点"]),
        ("川菜馆，我对花生过敏", "find_restaurant", ["我对花生过敏"]),
        ("松月区有吹风机的酒店", "find_hotel", ["吹风机"]),
        ("我吃素，找松月区的餐馆", "find_restaurant", ["吃素"]),
        ("Sichuan in Songyue, open after 10pm", "find_restaurant", ["open after 10pm"]),
        ("松月区晚上十点还营业的川菜馆", "find_restaurant", ["晚上十点还营业"]),
        ("Sichuan for 4 people tonight at 7", "find_restaurant", ["4 people", "tonight at 7"]),
        ("a hotel in Songyue for two people from Friday", "find_hotel", ["two people", "Friday"]),
        ("松月区的酒店，和女朋友住", "find_hotel", []),
        ("不要香菜，川菜馆", "find_restaurant", ["不要香菜"]),
        ("订今晚七点四位，要靠窗的位子", "book_restaurant", ["靠窗"]),
        ("订今晚七点四位，是我老婆生日", "book_restaurant", ["是我老婆生日"]),
    ],
)
def test_a_wish_that_no_slot_holds_is_unused(domain: Domain, text: str, intent: str, unused: list[str]) -> None:
    assert [value.value for value in read(domain, text, intent).unused] == unused


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("hello system, could you help me find a Sichuan restaurant please", "find_restaurant"),
        ("I was wondering if you could recommend some Sichuan food", "find_restaurant"),
        ("oh damn, I meant a hotel", "find_hotel"),
        ("we are celebrating and would like a table tonight", "book_restaurant"),
        ("my wife and kids and I want a table for tonight at 7", "book_restaurant"),
        ("I'd like a restuarant in Songyue", "find_restaurant"),
        ("你个头，找川菜馆", "find_restaurant"),
        ("好的，我记下了，玩累了，我要去松月区吃川菜", "find_restaurant"),
        ("我要带着妈妈去吃饭，有什么推荐吗", "find_restaurant"),
        ("特别想吃川菜，可以为我推荐一家吗", "find_restaurant"),
        ("我要和朋友住酒店，要求不高", "find_hotel"),
        ("麻烦帮我订今晚七点四位，谢谢", "book_restaurant"),
        ("帮我推荐一个人均消费在50-100元的餐馆", "find_restaurant"),
        ("最近想吃川菜，找一个地方", "find_restaurant"),
        ("I'm traveling soon and need a hotel", "find_hotel"),
    ],
)
def test_talk_around_a_wish_is_not_said_back(domain: Domain, text: str, intent: str) -> None:
    found = read(domain, text, intent)
    assert (found.unused, found.unknown) == ((), ())


def test_when_and_for_whom_is_of_the_slot_that_a_booking_has(domain: Domain) -> None:
    told = read(domain, "Sichuan for 4 people tonight at 7", "find_restaurant").unused
    assert [value.slot for value in told] == ["people", "time"]
    told = read(domain, "a hotel in Songyue for two people from Friday", "find_hotel").unused
    assert [value.slot for value in told] == ["", ""]


def test_nights_count_no_people_and_a_verb_is_no_name(domain: Domain) -> None:
    assert values(read(domain, "book it for five nights", "book_restaurant", ("people", "five"))) == []
    assert values(read(domain, "also, book it tonight", "book_restaurant", ("people", "also"))) == [("time", "tonight")]
    assert values(read(domain, "a hotel in Luming, that would work for me", "find_hotel")) == [("location", "Luming")]
    assert values(read(domain, "make it Cantonese instead")) == [("cuisine", "Cantonese")]
    assert values(read(domain, "a hotel near work", "find_hotel")) == [("location", "work")]
