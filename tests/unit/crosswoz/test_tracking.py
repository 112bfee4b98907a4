"""Rules that fold acts into a belief, over a made-up town."""

from __future__ import annotations

import pytest
from crosswoz.ontology import ActOntology, DialogueAct
from crosswoz.tracking import ActTracker, Belief

RECORDS = {
    "影院": [
        {
            "名称": "望月影院",
            "票价": 80.0,
            "评分": 4.6,
            "片长": "2小时 - 3小时",
            "厅": ["巨幕厅"],
            "附近剧场": ["长亭剧场"],
        },
        {"名称": "清风影院", "票价": 0, "评分": None, "厅": ["巨幕", "情侣"], "附近剧场": []},
    ],
    "剧场": [{"名称": "长亭剧场", "票价": 120.0, "片种": "话剧专场"}],
}
ASK: DialogueAct = ("Request", "影院", "名称", "")


@pytest.fixture(scope="module")
def tracker() -> ActTracker:
    ontology = ActOntology.from_dict(
        {
            "domains": {"影院": [], "剧场": []},
            "name": "名称",
            "select": {"act": "Select", "slot": "来源"},
            "relations": {"附近剧场": "剧场", "附近影院": "影院"},
            "lists": ["片单"],
            "flags": {"厅": "是"},
            "quantities": {
                "票价": {"units": [["元"]], "range": "{low}-{high}{unit}"},
                "片长": {"units": [["小时"]], "range": "{low}{unit} - {high}{unit}"},
                "评分": {"units": [["分"]], "range": "{low}-{high}{unit}"},
            },
            "state_values": {"票价": {"不免费": "1元以上"}},
            "numbers": {"票价": {"免费": 0}},
            "question_words": ["吗"],
            "search_words": ["哪"],
        }
    )
    return ActTracker(ontology, RECORDS)


def inform(domain: str, slot: str, value: str) -> DialogueAct:
    return ("Inform", domain, slot, value)


def follow(tracker: ActTracker, *turns: tuple[list[DialogueAct], list[DialogueAct]]) -> dict[str, dict[str, str]]:
    """The state after (system acts, user acts) turns."""
    belief = Belief()
    for system, user in turns:
        belief = tracker.update(belief, system, user)
    return belief.plain()


def test_wishes_add_up_and_lists_and_flags_hold_several_values(tracker: ActTracker) -> None:
    said = [inform("影院", "票价", "不免费"), inform("影院", "片单", "甲"), inform("影院", "片单", "乙")]
    more = [inform("影院", "厅-巨幕", "是"), inform("影院", "厅-情侣", "是"), inform("影院", "厅-杜比", "否")]
    assert follow(tracker, ([], said), ([], more)) == {"影院": {"票价": "1元以上", "片单": "甲 乙", "厅": "巨幕 情侣"}}


@pytest.mark.parametrize(
    ("slot", "wish", "entity", "is_kept"),
    [
        ("票价", "50-100元", "望月影院", True),
        ("票价", "100元以上", "望月影院", False),
        ("票价", "20元以下", "清风影院", True),
        ("票价", "免费", "清风影院", True),
        ("票价", "免费", "望月影院", False),
        ("评分", "4.5分以上", "望月影院", True),
        ("评分", "4.5分以上", "清风影院", False),
        ("片长", "2小时", "望月影院", True),
        ("片长", "1小时", "望月影院", False),
        ("厅-巨幕", "是", "望月影院", True),
        ("厅-情侣", "是", "望月影院", False),
        ("附近剧场", "长亭剧场", "望月影院", True),
        ("附近剧场", "长亭剧场", "清风影院", False),
    ],
)
def test_a_wish_that_the_offered_entity_does_not_meet_was_given_up(
    tracker: ActTracker, slot: str, wish: str, entity: str, is_kept: bool
) -> None:
    state = follow(
        tracker,
        ([], [inform("影院", slot, wish), ASK]),
        ([inform("影院", "名称", entity)], [("Request", "影院", "电话", "")]),
    )
    assert ("影院" in state) == is_kept


@pytest.mark.parametrize(
    ("wish", "left"), [("3小时 - 4小时", "3小时"), ("2小时 - 3小时", "2小时 - 3小时"), ("4小时 - 5小时", "")]
)
def test_of_a_stretch_that_no_text_has_the_lower_end_is_searched_for(tracker: ActTracker, wish: str, left: str) -> None:
    state = follow(tracker, ([], [inform("影院", "片长", wish)]), ([inform("影院", "名称", "望月影院")], []))
    assert state == ({"影院": {"片长": left}} if left else {})


def test_what_the_system_says_of_the_entity_spoken_of_gives_up_wishes_of_that_slot_alone(tracker: ActTracker) -> None:
    offered = ([inform("影院", "名称", "望月影院")], [inform("影院", "厅-情侣", "是"), inform("影院", "票价", "免费")])
    answered: list[DialogueAct] = [inform("影院", "厅-情侣", "否")]
    assert follow(tracker, offered) == {"影院": {"厅": "情侣", "票价": "免费"}}
    assert follow(tracker, offered, (answered, [])) == {"影院": {"票价": "免费"}}


def test_of_several_offers_one_that_meets_the_wish_is_enough(tracker: ActTracker) -> None:
    offers: list[DialogueAct] = [("Recommend", "影院", "名称", "望月影院"), ("Recommend", "影院", "名称", "清风影院")]
    assert follow(tracker, ([], [inform("影院", "票价", "免费")]), (offers, [])) == {"影院": {"票价": "免费"}}


def test_an_entity_that_no_database_knows_withdraws_nothing(tracker: ActTracker) -> None:
    wished = inform("影院", "票价", "免费")
    assert follow(tracker, ([], [wished]), ([inform("影院", "名称", "无名影院")], [])) == {"影院": {"票价": "免费"}}


def test_nothing_found_and_nothing_offered_clears_the_domain(tracker: ActTracker) -> None:
    nothing: DialogueAct = ("NoOffer", "影院", "none", "none")
    wished = inform("影院", "票价", "免费"), inform("剧场", "票价", "免费")
    assert follow(tracker, ([], [*wished]), ([nothing], [])) == {"剧场": {"票价": "免费"}}
    for act in ("Inform", "Recommend"):
        offered: list[DialogueAct] = [nothing, (act, "影院", "名称", "清风影院")]
        assert follow(tracker, ([], [*wished]), (offered, [])) == {"影院": {"票价": "免费"}, "剧场": {"票价": "免费"}}


def test_a_search_near_an_entity_starts_from_the_one_spoken_of(tracker: ActTracker) -> None:
    near: DialogueAct = ("Select", "剧场", "来源", "影院")
    offer = [inform("影院", "名称", "望月影院")]
    assert follow(tracker, (offer, [near, inform("剧场", "票价", "免费")])) == {
        "剧场": {"附近影院": "望月影院", "票价": "免费"}
    }
    named = [near, inform("影院", "名称", "清风影院")]
    assert follow(tracker, (offer, named)) == {"剧场": {"附近影院": "清风影院"}}


def test_a_search_near_an_entity_ends_what_was_wished_of_a_named_one(tracker: ActTracker) -> None:
    near: DialogueAct = ("Select", "剧场", "来源", "影院")
    before = ([], [inform("剧场", "名称", "长亭剧场")])
    then = ([inform("影院", "名称", "望月影院")], [near, inform("剧场", "票价", "免费")])
    assert follow(tracker, before, then) == {"剧场": {"附近影院": "望月影院", "票价": "免费"}}


def test_a_word_that_is_asked_for_as_a_flag_is_no_name(tracker: ActTracker) -> None:
    asked: list[DialogueAct] = [inform("剧场", "名称", "巨幕"), ("Request", "影院", "厅-巨幕", "")]
    assert follow(tracker, ([], asked)) == {}


def test_a_name_that_the_user_brings_up_is_a_wish_and_one_that_was_offered_is_none(tracker: ActTracker) -> None:
    own = [inform("影院", "名称", "望月影院")]
    assert follow(tracker, ([], own)) == {"影院": {"名称": "望月影院"}}
    assert follow(tracker, (own, own)) == {}


def test_a_question_about_an_offered_entity_is_no_wish(tracker: ActTracker) -> None:
    asked = [inform("影院", "名称", "清风影院"), inform("影院", "厅-巨幕", "是")]
    assert follow(tracker, ([inform("影院", "名称", "清风影院")], asked)) == {}


@pytest.mark.parametrize(
    ("text", "offers", "is_wish"),
    [
        ("是免费的吗？", 1, False),
        ("哪家是免费的？", 1, True),
        ("要免费的", 1, True),
        ("有免费的吗？", 2, True),
        ("", 1, True),
    ],
)
def test_what_a_sentence_only_asks_of_the_entity_spoken_of_is_no_wish(
    tracker: ActTracker, text: str, offers: int, is_wish: bool
) -> None:
    names = ["望月影院", "清风影院"][:offers]
    named = tracker.update(Belief(), [inform("影院", "名称", "望月影院")], [ASK])
    said = tracker.update(
        named, [inform("影院", "名称", name) for name in names], [inform("影院", "票价", "免费")], text
    )
    assert (said.plain() == {"影院": {"票价": "免费"}}) == is_wish


def test_a_new_search_in_a_domain_drops_the_old_wishes(tracker: ActTracker) -> None:
    first, again = [inform("影院", "评分", "4.5分以上"), ASK], [inform("影院", "票价", "免费"), ASK]
    offered = ([inform("影院", "名称", "望月影院")], [("Request", "影院", "电话", "")])
    both = {"影院": {"票价": "免费", "评分": "4.5分以上"}}
    assert follow(tracker, ([], first), offered, ([], again)) == {"影院": {"票价": "免费"}}
    assert follow(tracker, ([], first), ([], again)) == both
    assert follow(tracker, ([], first), (offered[0], again)) == both, "a wish right after an offer narrows the search"


def test_wishes_of_a_domain_that_the_talk_comes_back_to_are_a_new_search(tracker: ActTracker) -> None:
    wished, offer = [inform("影院", "评分", "4.5分以上")], [inform("影院", "名称", "望月影院")]
    elsewhere, back = [inform("剧场", "票价", "免费")], [inform("影院", "票价", "免费")]
    state = follow(tracker, ([], wished), (offer, elsewhere), ([], back))
    assert state == {"影院": {"票价": "免费"}, "剧场": {"票价": "免费"}}
    assert follow(tracker, ([], wished), (offer, []), ([], back))["影院"] == {"评分": "4.5分以上", "票价": "免费"}


def test_a_state_in_plain_form_and_back_is_the_same(tracker: ActTracker) -> None:
    state = {"影院": {"厅": "巨幕 情侣", "名称": "A. Hotel 影院"}}
    assert tracker.belief(state).plain() == state


def test_folding_changes_no_belief_that_was_given(tracker: ActTracker) -> None:
    before = Belief({("影院", "票价"): ("免费",)})
    tracker.update(before, [inform("影院", "名称", "望月影院")], [inform("影院", "评分", "5分")])
    assert before == Belief({("影院", "票价"): ("免费",)})
