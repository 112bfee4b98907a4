"""What is kept of conversations that people take over: once, in order, and after the process has gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pagoda.errors import InvalidRequestError
from pagoda.service.takeovers import Takeovers


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Takeovers]:
    made = Takeovers(tmp_path / "takeovers.sqlite")
    yield made
    made.close()


def test_a_conversation_keeps_the_user_of_its_first_sentence(kept: Takeovers) -> None:
    first = kept.begun("open/a", "person-001")
    assert kept.begun("open/a", "person-002") == first
    assert (first.user, first.staff) == ("person-001", "")
    assert kept.numbered(first.number) == first
    assert kept.begun("open/b", "b").number == first.number + 1


def test_two_cannot_have_one_conversation_and_it_can_be_given_back(kept: Takeovers) -> None:
    number = kept.begun("open/a", "a").number
    assert kept.take(number, "Ann")
    assert kept.take(number, "Ann")
    assert not kept.take(number, "Bob")
    assert kept.numbered(number).staff == "Ann"
    assert kept.release(number)
    assert not kept.release(number)
    assert kept.take(number, "Bob")


def test_lines_are_there_in_order_for_whoever_opens_the_file_next(kept: Takeovers, tmp_path: Path) -> None:
    kept.begun("open/a", "a")
    kept.say("open/a", 2, "staff", "Ann", "你好")
    kept.say("open/b", 1, "staff", "Ann", "another one's")
    kept.say("open/a", 2, "customer", "", "hello")
    other = Takeovers(tmp_path / "takeovers.sqlite")
    assert [(line.turn, line.speaker, line.text) for line in other.lines("open/a")] == [
        (2, "staff", "你好"),
        (2, "customer", "hello"),
    ]
    assert other.forget("open/a")
    assert not other.forget("open/a")
    other.close()
    assert (kept.of("open/a"), kept.lines("open/a")) == (None, [])


def test_a_number_that_nobody_has_is_told(kept: Takeovers) -> None:
    with pytest.raises(InvalidRequestError, match="no conversation 7"):
        kept.numbered(7)
