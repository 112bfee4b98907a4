"""Events and values as JSON: every kind goes there and back, and what is damaged is refused in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pagoda.dialogue.errors import DialogueError
from pagoda.dialogue.slots import kinds
from pagoda.dialogue.slots.kinds import ANY, Band, Except, NodeValue, OneOf, Range, Value, When
from pagoda.dialogue.state import events as ev

NODE = NodeValue("Cuisine", "cuisine-001", "川菜", "Sichuan")
VALUES: list[Value] = [
    4,
    4.5,
    True,
    "王芳",
    Range(None, 150),
    Range(8, None, is_above=True),
    Band("cheap"),
    When("2026-11-21T19:00"),
    NODE,
    ANY,
    (NODE, NODE),
    OneOf((NODE, Band("cheap"))),
    Except((NODE,)),
    Except((NODE, Range(None, 20)), OneOf((NODE, Band("cheap")))),
]
EVENTS: list[ev.Event] = [
    ev.Began("c0ffee"),
    ev.UserSaid("你好", "zh", "greet", "2026-11-21T10:00"),
    *(ev.Informed("slot", value, "words") for value in VALUES),
    ev.Informed("slot", None, "words"),
    ev.Corrected("people", 6, "六个人"),
    ev.Doubted("cuisine", "菜", (NODE,)),
    ev.Declined("people", "一百位", "limits", "", 20),
    ev.Declined("time", "before noon", "ambiguous"),
    ev.Unset("price"),
    ev.SetAny("price"),
    ev.Ordered("price"),
    ev.Ordered("rating", True),
    ev.Ignored(("停车场", "泳池")),
    ev.Deferred("people", 4, "四位"),
    ev.PutOff("find_film", "a film tonight"),
    ev.Requested("phone", 1),
    ev.Requested("phone"),
    ev.Requested("phone", None, NODE),
    ev.Requested("facilities", None, None, NODE),
    ev.AskedAlong("phone"),
    ev.AskedForMore(),
    ev.AskedForBookings(),
    ev.AskedToCancel("0123"),
    ev.AskedToChange("0123"),
    ev.AskedToChange("", (("people", "two more"), ("time", ""))),
    ev.WantsOther("time"),
    ev.Unbookable("Hotel"),
    ev.WantsNear(NODE, "near it"),
    ev.Confirmed(),
    ev.Denied(),
    ev.Switched("find_hotel"),
    ev.Cancelled(),
    ev.Chosen(-1),
    ev.Asked("cuisine", (NODE, Band("cheap"))),
    ev.Repeated("cuisine", (NODE,)),
    ev.Offered((NODE,), ("price",)),
    ev.Offered((NODE,), (), 5),
    ev.Proposed(),
    ev.ProposedToCancel("0123"),
    ev.Told("phone"),
    ev.Booked("0123"),
    ev.Unbooked("0123"),
    ev.HandedOff("asked_for"),
    ev.HandOffEnded(),
    ev.GraphFailed("GraphUnavailableError"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_json(event: ev.Event) -> None:
    written = json.dumps(ev.to_json(event), ensure_ascii=False)
    assert ev.from_json(json.loads(written)) == event


def test_a_log_is_read_that_names_events_as_they_were_called_when_it_was_written() -> None:
    stored = ['{"event":"Unset","slot":"price"}', '{"event":"Failed","reason":"GraphUnavailableError"}']
    read = [ev.from_json(json.loads(body)) for body in stored]
    assert read == [ev.Unset("price"), ev.GraphFailed("GraphUnavailableError")]
    assert [json.dumps(ev.to_json(event), separators=(",", ":")) for event in read] == stored


def test_every_kind_of_event_is_tested() -> None:
    assert {type(event) for event in EVENTS} == set(ev.EVENT_TYPES)


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"event": "Exploded"},
        {"event": "Unset"},
        {"event": "Unset", "slot": "a", "more": 1},
        {"event": "Informed", "slot": "a", "value": {"range": [1, 2, 3]}},
        {"event": "Informed", "slot": "a", "value": {"what": 1}},
        {"event": "Informed", "slot": "a", "value": {"range": 1, "band": 2}},
    ],
)
def test_a_damaged_event_is_refused(damaged: dict[str, Any]) -> None:
    with pytest.raises(DialogueError):
        ev.from_json(damaged)


def test_a_range_is_sound_only_in_order_and_finite() -> None:
    assert Range(1, 2).is_sound
    assert Range(None, 2).is_sound
    assert not Range(2, 1).is_sound
    assert not Range().is_sound
    assert not Range(float("nan"), None).is_sound
    assert not Range(None, float("inf")).is_sound


def test_a_time_is_sound_only_where_it_can_be_read() -> None:
    assert When("2026-11-21T19:00").is_sound
    assert not When("tonight").is_sound
    assert not When("2026-11-21T19:00", "2026-11-21T18:00").is_sound
    assert not When("2026-11-21T19:00+08:00").is_sound


def test_a_name_falls_back_to_the_other_language() -> None:
    assert NodeValue("Film", "f", zh="海岛").name("en") == "海岛"
    assert kinds.to_json(NODE) == {"node": ["Cuisine", "cuisine-001", "川菜", "Sichuan"]}
