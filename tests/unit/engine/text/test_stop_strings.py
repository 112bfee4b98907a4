"""Stop strings across token borders: what is held back, what ends a text, and what a character costs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pagoda.engine.text.stop_strings import StopStringMatcher, StopStrings


def matcher_of(stop: Sequence[str], **settings: bool) -> StopStringMatcher:
    return StopStringMatcher(StopStrings(stop), **settings)


def pushed(matcher: StopStringMatcher, *texts: str) -> list[tuple[str, str | None]]:
    return [tuple(matcher.push(text)) for text in texts]


def test_nothing_of_a_stop_string_leaks_before_it_is_complete() -> None:
    matcher = matcher_of(["</end>"])
    assert pushed(matcher, "text<", "/e", "nd", "> more") == [("text", None), ("", None), ("", None), ("", "</end>")]


def test_what_was_held_for_nothing_comes_out() -> None:
    matcher = matcher_of(["abc"])
    assert pushed(matcher, "ab", "x", "a") == [("", None), ("abx", None), ("", None)]
    assert matcher.flush() == "a"
    assert matcher.flush() == ""


def test_text_that_cannot_begin_a_stop_string_is_not_held() -> None:
    assert pushed(matcher_of(["a very long stop string"]), "hello") == [("hello", None)]


def test_the_stop_string_that_completes_first_wins() -> None:
    assert pushed(matcher_of(["bcd", "b"]), "abcd") == [("a", "b")]


def test_of_two_that_complete_together_the_longer_wins() -> None:
    assert pushed(matcher_of(["c", "bc"]), "abc") == [("a", "bc")]


def test_the_stop_string_can_be_kept() -> None:
    assert pushed(matcher_of(["bc"], include_stop_str_in_output=True), "abcd") == [("abc", "bc")]


def test_before_min_tokens_a_stop_string_is_only_text() -> None:
    matcher = matcher_of(["bc"])
    assert matcher.push("abc b", may_stop=False) == ("abc ", None)
    assert matcher.push("c", may_stop=True) == ("", "bc")


def test_a_match_that_came_too_early_is_not_found_later() -> None:
    matcher = matcher_of(["abX", "b"])
    assert matcher.push("ab", may_stop=False) == ("", None)
    assert matcher.push("c", may_stop=True) == ("abc", None)


def test_a_stop_string_that_came_too_early_is_not_held_back() -> None:
    assert matcher_of(["abc", "xyzzy"]).push("abc", may_stop=False) == ("abc", None)


@pytest.mark.parametrize("text", ["", "abc"])
def test_without_stop_strings_text_passes_through(text: str) -> None:
    assert matcher_of([]).push(text) == (text, None)


class _Counting(StopStrings):
    """Counts the moves of the automaton."""

    num_steps = 0

    def step(self, state: int, character: str) -> int:
        self.num_steps += 1
        return super().step(state, character)


def test_a_character_is_one_move_however_many_strings_there_are_and_whatever_they_share() -> None:
    text = "aaaaaaab" * 50
    for count in (10, 1000):
        strings = _Counting(["a" * 60 + str(number) for number in range(count)])
        strings.num_steps = 0
        matcher = StopStringMatcher(strings)
        for character in text:
            assert matcher.push(character).stop is None
        assert strings.num_steps == len(text)


def test_an_automaton_is_as_large_as_its_strings_together() -> None:
    strings = [f"{number:05}" for number in range(2000)]
    assert len(StopStrings(strings)._next) <= 1 + sum(map(len, strings))
