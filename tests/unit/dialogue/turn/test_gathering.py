"""Several values of a slot in one sentence become one event."""

from __future__ import annotations

from collections.abc import Mapping

from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.slots.kinds import ANY, Except, NodeValue, OneOf, Range, Value
from pagoda.dialogue.state import events as ev
from pagoda.dialogue.turn.gathering import gathered
from pagoda.nlu.understanding import SlotValue

CITY = Domain.load()
NODES = {
    name: NodeValue(label, name)
    for label, names in {
        "Cuisine": "川菜 粤菜 湘菜 Korean Thai Hunan",
        "District": "Jihong Yunxiu 松月区",
        "Landmark": "Station 古塔",
        "Facility": "pool gym parking 泳池 健身房",
    }.items()
    for name in names.split()
}


def events(
    text: str, *said: tuple[str, str], kind: type[ev.Informed | ev.Corrected] = ev.Informed, **held: Value
) -> list[ev.Event]:
    """Of (slot, words) that stand in the text."""
    read: list[tuple[SlotValue, ev.Event]] = []
    for slot, words in said:
        start = text.index(words)
        value = SlotValue(slot, words, start, start + len(words))
        read.append((value, kind(slot, NODES.get(words), words)))
    return list(gathered(text, read, CITY.slots, held))


def values(text: str, *said: tuple[str, str], **held: Value) -> Mapping[str, Value | None]:
    return {event.slot: event.value for event in events(text, *said, **held) if isinstance(event, ev.Informed)}


def test_one_value_is_itself() -> None:
    assert events("川菜", ("cuisine", "川菜")) == [ev.Informed("cuisine", NODES["川菜"], "川菜")]


def test_what_could_not_be_read_is_told_as_it_is() -> None:
    assert events("in Paris", ("location", "Paris")) == [ev.Informed("location", None, "Paris")]


def test_a_list_is_one_of_them_or_where_the_domain_says_so_all() -> None:
    either = OneOf((NODES["Jihong"], NODES["Yunxiu"]))
    assert values("in Jihong or Yunxiu", ("location", "Jihong"), ("location", "Yunxiu")) == {"location": either}
    both = (NODES["pool"], NODES["gym"])
    assert values("with a pool and a gym", ("facility", "pool"), ("facility", "gym")) == {"facility": both}
    assert values("with a pool or a gym", ("facility", "pool"), ("facility", "gym")) == {"facility": OneOf(both)}
    told = values("parking, and a pool or a gym", ("facility", "parking"), ("facility", "pool"), ("facility", "gym"))
    assert told == {"facility": (NODES["parking"], OneOf(both))}
    told = values("parking, a pool or a gym", ("facility", "parking"), ("facility", "pool"), ("facility", "gym"))
    assert told == {"facility": OneOf((NODES["parking"], *both))}


def test_the_surface_goes_from_the_first_value_to_the_last() -> None:
    (event,) = events("要川菜或者粤菜吧", ("cuisine", "川菜"), ("cuisine", "粤菜"))
    assert isinstance(event, ev.Informed)
    assert event.surface == "川菜或者粤菜"


def test_of_values_that_stand_in_no_list_the_last_counts() -> None:
    assert values("川菜，不，粤菜", ("cuisine", "川菜"), ("cuisine", "粤菜")) == {"cuisine": NODES["粤菜"]}


def test_a_district_and_a_landmark_hold_together() -> None:
    told = values("松月区古塔附近", ("location", "松月区"), ("location", "古塔"))
    assert told == {"location": (NODES["松月区"], NODES["古塔"])}
    assert values("in Jihong or near Station", ("location", "Jihong"), ("location", "Station")) == {
        "location": OneOf((NODES["Jihong"], NODES["Station"]))
    }


def test_what_is_excluded_stands_beside_what_is_wanted() -> None:
    assert values("no Korean", ("cuisine", "Korean")) == {"cuisine": Except((NODES["Korean"],))}
    both = values("不要川菜，要粤菜", ("cuisine", "川菜"), ("cuisine", "粤菜"))
    assert both == {"cuisine": Except((NODES["川菜"],), NODES["粤菜"])}
    neither = values("no Korean or Thai", ("cuisine", "Korean"), ("cuisine", "Thai"))
    assert neither == {"cuisine": Except((NODES["Korean"], NODES["Thai"]))}


def test_what_is_not_needed_is_taken_back_where_it_was_wanted() -> None:
    text, said = "I don't need parking", ("facility", "parking")
    assert events(text, said) == []
    assert events(text, said, facility=(NODES["parking"],)) == [ev.Unset("facility")]
    assert events(text, said, facility=(NODES["pool"],)) == []


def test_one_more_value_joins_what_was_wanted() -> None:
    held: Value = NODES["川菜"]
    assert values("或者粤菜", ("cuisine", "粤菜"), cuisine=held) == {"cuisine": OneOf((held, NODES["粤菜"]))}
    assert values("粤菜也行", ("cuisine", "粤菜"), cuisine=held) == {"cuisine": OneOf((held, NODES["粤菜"]))}
    assert values("粤菜", ("cuisine", "粤菜"), cuisine=held) == {"cuisine": NODES["粤菜"]}
    assert values("或者粤菜", ("cuisine", "粤菜"), cuisine=ANY) == {"cuisine": NODES["粤菜"]}


def test_a_correction_stays_one() -> None:
    told = events("不，粤菜", ("cuisine", "粤菜"), kind=ev.Corrected)
    assert told == [ev.Corrected("cuisine", NODES["粤菜"], "粤菜")]


def test_a_range_is_excluded_like_a_name() -> None:
    read = [(SlotValue("price", "under 50", 4, 12), ev.Informed("price", Range(None, 50), "under 50"))]
    assert list(gathered("not under 50", read, CITY.slots, {})) == [
        ev.Informed("price", Except((Range(None, 50),)), "under 50")
    ]


def test_values_that_hold_together_are_all_wanted_and_the_last_list_counts() -> None:
    both = values("有川菜和粤菜这两道", ("dish", "川菜"), ("dish", "粤菜"))["dish"]
    assert both == (NODES["川菜"], NODES["粤菜"])
    either = values("川菜或者粤菜", ("dish", "川菜"), ("dish", "粤菜"))["dish"]
    assert either == OneOf((NODES["川菜"], NODES["粤菜"]))
    assert values("川菜，不，粤菜", ("dish", "川菜"), ("dish", "粤菜"))["dish"] == NODES["粤菜"]
    assert values("粤菜吧", ("dish", "粤菜"), dish=NODES["川菜"])["dish"] == NODES["粤菜"]
