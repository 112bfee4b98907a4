"""What is sought and the domain has nothing of, in two languages; and wishes that only mention such a thing."""

from __future__ import annotations

from typing import Any

import pytest

from pagoda.dialogue.reading.completing.foreign import Foreign
from pagoda.dialogue.reading.completing.known import Known
from pagoda.dialogue.reading.completing.vocabulary import Vocabulary
from pagoda.dialogue.reading.linking import Linker, Named
from pagoda.dialogue.slots.kinds import NodeValue
from pagoda.dialogue.slots.reader import SlotReader
from pagoda.language import language_of
from pagoda.nlu.understanding import OUT_OF_SCOPE, SlotValue, TurnContext, Understanding
from pagoda.service.shipped import service_domain

DOMAIN = service_domain()
NODES = (
    NodeValue("Restaurant", "restaurant-001", "红溪食府", "Red Creek Table"),
    NodeValue("Genre", "genre-001", "科幻", "Science fiction"),
    NodeValue("Landmark", "landmark-001", "云汀博物馆", "Yunting Museum"),
    NodeValue("Facility", "facility-001", "停车场", "Parking"),
)
KNOWN = Known(DOMAIN, Linker([Named(node) for node in NODES]), SlotReader(DOMAIN))
FOREIGN = Foreign(KNOWN, Vocabulary(DOMAIN))


def told(text: str, intent: str, under_way: str = "") -> Understanding:
    language: Any = language_of(text)
    read = Understanding(text, language, intent, 0.9, slots=(SlotValue("rating", text[:1], 0, 1),))
    return FOREIGN.told(read, TurnContext(intent=under_way))


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("帮我找一个评分4.5分以上的景点", "find_film"),
        ("找个酒店附近评分4分以上的景点，票价20元以下", "find_hotel"),
        ("推荐一个票价免费，游玩2小时的景点吗", "recommend"),
        ("我还想找部台湾的科幻电视剧看看", "find_film"),
        ("帮我找辆出租车去餐馆", "find_restaurant"),
        ("坐地铁能去吗", "find_restaurant"),
        ("I need a taxi to the restaurant", "find_restaurant"),
        ("can you find me some museums in the centre", "find_hotel"),
        ("找家药店", "find_restaurant"),
        ("推荐个博物馆", "recommend"),
        ("推荐个博物馆", "find_restaurant"),
        ("find me a museum", "find_restaurant"),
        ("Can you recommend a nice museum to see ?", "find_film"),
        ("Yes , I 'm also looking for a museum I can visit in town .", "find_restaurant"),
        ("I 'm also looking for a park in the centre .", "find_restaurant"),
        ("How about a nightclub then ?", "find_hotel"),
        ("find museums near the park", "find_hotel"),
        ("I need a taxi to the museum", "find_hotel"),
        ("No , maybe a museum instead . Are there any of those ?", "find_restaurant"),
    ],
)
def test_what_is_sought_and_not_here_is_out_of_scope(text: str, intent: str) -> None:
    if not text.isascii():
        pytest.importorskip("jieba", reason="Chinese nouns are those of its dictionary")
    read = told(text, intent)
    assert (read.intent, read.slots) == (OUT_OF_SCOPE, ())


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("找个景点附近的餐馆", "find_restaurant"),
        ("逛完景点想找一家食府", "find_restaurant"),
        ("推荐一家环境好的", "find_restaurant"),
        ("想找个地方和老婆庆祝生日", "find_restaurant"),
        ("推荐部科幻", "find_film"),
        ("找一家面馆", "find_restaurant"),
        ("这下可以坐地铁过去了，吃完饭再找一家3星级酒店，可以吗", "find_hotel"),
        ("这个景点附近有什么酒店", "find_hotel"),
        ("I need a restaurant near the museum", "find_restaurant"),
        ("find me a cheap place to eat", "find_restaurant"),
        ("I want to take my boss to a diner", "find_restaurant"),
        ("book the Golden Wok for two tomorrow", "book_restaurant"),
        ("find the Jade Palace", "find_restaurant"),
        ("I want a suite", "find_hotel"),
        ("book a pub for eight people", "book_restaurant"),
        ("book a highly rated coffeehouse for four people", "book_restaurant"),
        ("i want to eat at a pickled cucumber brasserie", "find_restaurant"),
        ("find a movie theatre with animated movies that is closest to me", "find_film"),
        ("something near the museum please", "find_restaurant"),
        ("is there a restaurant in the park", "find_restaurant"),
        ("find hotels near the museum", "find_hotel"),
        ("find cheap food close to the church", "find_restaurant"),
        ("I need something to eat after the concert", "find_restaurant"),
        ("I need parking for my car", "find_hotel"),
        ("find me a noodle shop", "find_restaurant"),
        ("is there a car park?", "find_hotel"),
        ("is there a bank holiday surcharge?", "find_hotel"),
        ("云汀博物馆附近找一家餐馆", "find_restaurant"),
        ("订个套房", "find_hotel"),
        ("找个公寓", "find_hotel"),
        ("找个性价比高的", "find_restaurant"),
        ("找个体面的地方吃饭", "find_restaurant"),
        ("推荐几个热门的", "find_film"),
        ("以后别给我推荐西餐", "recommend"),
        ("以后别给我推荐景点", "not_this_kind"),
    ],
)
def test_a_wish_that_only_mentions_it_stays_one(text: str, intent: str) -> None:
    assert told(text, intent).intent == intent


def test_what_a_search_under_way_is_asked_to_have_is_no_other_wish() -> None:
    assert told("他们家有没有标准间", "find_hotel", "find_hotel").intent == "find_hotel"


@pytest.mark.parametrize(
    ("text", "under_way"),
    [
        ("I also need a bathtub", "find_hotel"),
        ("I want a balcony", "find_hotel"),
        ("我要订一个包间", "book_restaurant"),
        ("找个靠窗的位置", "book_restaurant"),
        ("再订个蛋糕", "book_restaurant"),
    ],
)
def test_what_is_wished_of_a_task_under_way_is_no_other_thing(text: str, under_way: str) -> None:
    assert told(text, under_way, under_way).intent == under_way


@pytest.mark.parametrize(
    "text", ["找个评分4分以上的景点", "帮我叫辆出租车", "I also need a taxi", "find me a pharmacy"]
)
def test_another_sort_of_thing_is_one_whatever_is_under_way(text: str) -> None:
    if not text.isascii():
        pytest.importorskip("jieba", reason="Chinese nouns are those of its dictionary")
    assert told(text, "find_restaurant", "find_hotel").intent == OUT_OF_SCOPE


def test_what_is_sought_by_its_name_is_here_or_not_found() -> None:
    read = Understanding(
        "find the jade pagoda", "en", "find_restaurant", 0.9, (SlotValue("name", "jade pagoda", 9, 20),)
    )
    assert FOREIGN.told(read, TurnContext()).intent == "find_restaurant"


def test_what_is_no_wish_is_not_looked_at() -> None:
    assert told("这个景点的电话", "ask_property").intent == "ask_property"
