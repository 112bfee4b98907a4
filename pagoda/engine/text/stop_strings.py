"""Stop strings: found across token borders, and what may become one is held back.

On the token's path: between the detokenizer and the stream. All of a request's strings are one automaton (Aho and
Corasick 1975, "Efficient string matching"), whose state is the longest end of the text that begins one of them: at once
what must be held back, and all that has to be known of the text before. So a character costs the same whether one
string is looked for or thousands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple


class StopStrings:
    """The automaton of some non-empty strings; unchanging, so the n completions of a request share one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._depth = [0]
        self._found: list[str | None] = [None]
        """By state, the longest string that ends there."""
        for string in stop:
            self._add(string)
        self._fallback = [0] * len(self._next)
        """By state, that of the longest shorter end."""
        self._link()

    def __bool__(self) -> bool:
        return len(self._next) > 1

    def depth(self, state: int) -> int:
        """Length of the end of the text that a state stands for."""
        return self._depth[state]

    def found(self, state: int) -> str | None:
        """The string that has just been completed; of several the longest."""
        return self._found[state]

    def step(self, state: int, character: str) -> int:
        """The state after one more character."""
        while character not in self._next[state]:
            if not state:
                return 0
            state = self._fallback[state]
        return self._next[state][character]

    def unfinished(self, state: int) -> int:
        """The state of the longest end that may still grow into some string."""
        while state and not self._next[state]:
            state = self._fallback[state]
        return state

    def _add(self, string: str) -> None:
        state = 0
        for character in string:
            if character not in self._next[state]:
                self._next[state][character] = len(self._next)
                self._next.append({})
                self._depth.append(self._depth[state] + 1)
                self._found.append(None)
            state = self._next[state][character]
        self._found[state] = string

    def _link(self) -> None:
        """Shorter ends first, so that each state finds those of its fallback ready."""
        waiting = deque(self._next[0].values())
        while waiting:
            state = waiting.popleft()
            for character, longer in self._next[state].items():
                self._fallback[longer] = self.step(self._fallback[state], character)
                self._found[longer] = self._found[longer] or self._found[self._fallback[longer]]
                waiting.append(longer)


class StopMatch(NamedTuple):
    """What the matcher made of new text."""

    text: str
    """Safe to show: no stop string can begin in it any more."""
    stop: str | None = None
    """The stop string that ended the completion; everything after it is dropped."""


class StopStringMatcher:
    """One completion's text, read for stop strings.

    include_stop_str_in_output: leave the stop string at the end of the text.
    Of several stop strings the one that completes first wins, the longer one where two complete together.
    """

    def __init__(self, stop: StopStrings, include_stop_str_in_output: bool = False) -> None:
        self._stop = stop
        self._include = include_stop_str_in_output
        self._state = 0
        self._held = ""

    def push(self, text: str, *, may_stop: bool = True) -> StopMatch:
        """Take new text. may_stop: False while fewer than min_tokens have come; no match completes in this text."""
        if not self._stop:
            return StopMatch(text)
        window, state = self._held + text, self._state
        for end, character in enumerate(text, start=len(self._held) + 1):
            state = self._stop.step(state, character)
            found = self._stop.found(state) if may_stop else None
            if found is not None:
                self._held = ""
                return StopMatch(window[: end if self._include else end - len(found)], found)
        self._state = self._stop.unfinished(state)
        shown = len(window) - self._stop.depth(self._state)
        self._held = window[shown:]
        return StopMatch(window[:shown])

    def flush(self) -> str:
        """What was held back, when the completion ended for another reason."""
        held, self._held = self._held, ""
        return held
