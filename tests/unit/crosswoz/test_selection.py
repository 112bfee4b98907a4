"""A choice among results, learnt without its domains and given them again."""

from __future__ import annotations

import pytest
from crosswoz.context import ActContext
from crosswoz.ontology import ActOntology, DialogueAct
from crosswoz.selection import with_domains, without_domains

ANY: DialogueAct = ("Select", "", "来源", "")
WISH: DialogueAct = ("Inform", "剧场", "票价", "免费")


@pytest.fixture(scope="module")
def ontology() -> ActOntology:
    return ActOntology.from_dict(
        {
            "domains": {"影院": [], "剧场": [], "茶馆": []},
            "name": "名称",
            "select": {"act": "Select", "slot": "来源"},
            "relations": {"附近剧场": "剧场", "附近影院": "影院"},
        }
    )


def test_choices_of_all_domains_are_learnt_as_one(ontology: ActOntology) -> None:
    acts: list[DialogueAct] = [("Select", "剧场", "来源", "影院"), WISH, ("Select", "影院", "来源", "影院")]
    assert without_domains(ontology, acts) == (ANY, WISH)


@pytest.mark.parametrize(
    ("named", "said", "source"),
    [
        ([("Inform", "影院", "名称", "望月影院")], [], "影院"),
        ([], [("Inform", "影院", "附近剧场", "长亭剧场")], "影院"),
        ([], [("Inform", "影院", "附近影院", "清风影院")], "茶馆"),
        ([], [], "茶馆"),
    ],
)
def test_results_are_of_what_is_wished_near_what_is_named_or_listed_or_spoken_of(
    ontology: ActOntology, named: list[DialogueAct], said: list[DialogueAct], source: str
) -> None:
    context = ActContext(domain="茶馆", system_acts=tuple(said))
    assert with_domains(ontology, [*named, ANY, WISH], context)[-1] == ("Select", "剧场", "来源", source)


def test_a_wish_of_what_was_listed_near_a_named_entity_is_a_choice_however_it_is_said(ontology: ActOntology) -> None:
    listed: DialogueAct = ("Inform", "影院", "附近剧场", "长亭剧场")
    named: DialogueAct = ("Inform", "影院", "名称", "望月影院")
    choice: DialogueAct = ("Select", "剧场", "来源", "影院")
    assert with_domains(ontology, [named, WISH], ActContext(system_acts=(listed,))) == [named, WISH, choice]
    assert with_domains(ontology, [named, WISH], ActContext()) == [named, WISH]
    assert with_domains(ontology, [WISH], ActContext(system_acts=(listed,))) == [WISH]


def test_without_a_wish_or_a_choice_there_is_none(ontology: ActOntology) -> None:
    assert with_domains(ontology, [ANY], ActContext()) == []
    assert with_domains(ontology, [WISH], ActContext()) == [WISH]
