"""The state machine of alerts against rules said otherwise, on ticks of all kinds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pagoda.opinions.alerts.machine import AlertSpan, TickSays, matched, run

# Whoever may open an alert may also keep it open.
SAYS = st.lists(st.sampled_from([(False, False), (False, True), (True, True)]), min_size=1, max_size=40)


def ticks(says: list[tuple[bool, bool]], first: int = 1) -> list[TickSays]:
    return [TickSays(first + number, *said) for number, said in enumerate(says)]


@given(SAYS, st.integers(0, 6))
def test_alerts_open_at_opens_stay_while_stays_and_cool_down(says: list[tuple[bool, bool]], cooldown: int) -> None:
    spans = run([], ticks(says), cooldown)
    said = {each.tick: each for each in ticks(says)}
    for span in spans:
        end = span.closed if span.closed is not None else len(says) + 1
        assert said[span.opened].opens
        assert all(said[tick].stays for tick in range(span.opened, end))
        assert span.closed is None or not said[span.closed].stays
    for before, after in pairwise(spans):
        assert before.closed is not None
        assert after.opened >= before.closed + cooldown
    is_covered = {tick for span in spans for tick in range(span.opened, (span.closed or len(says)) + 1)}
    cooling = {t for span in spans if span.closed for t in range(span.closed, span.closed + cooldown)}
    assert all(tick in is_covered | cooling for tick, each in said.items() if each.opens)


@given(SAYS, st.integers(0, 6), st.data())
def test_running_again_from_any_tick_gives_what_running_through_gave(
    says: list[tuple[bool, bool]], cooldown: int, data: st.DataObject
) -> None:
    whole = run([], ticks(says), cooldown)
    first = data.draw(st.integers(1, len(says)))
    before = [span for span in whole if span.opened < first]
    again = run(before, ticks(says)[first - 1 :], cooldown)
    kept = [span for span in before if span.closed is not None and span.closed < first]
    assert [*kept, *again] == whole


def test_hysteresis_keeps_an_alert_between_both_figures() -> None:
    says = [(True, True), (False, True), (False, True), (False, False), (True, True)]
    assert run([], ticks(says), 0) == [AlertSpan(1, 4), AlertSpan(5)]
    assert run([], ticks(says), 3) == [AlertSpan(1, 4)]


def test_the_same_alert_is_what_was_open_at_one_time() -> None:
    old = [AlertSpan(1, 4), AlertSpan(8, 9)]
    assert matched(old, [AlertSpan(2, 5), AlertSpan(12)]) == ([(0, 0)], [1], [1])
    assert matched([AlertSpan(3)], [AlertSpan(1, 3), AlertSpan(5)]) == ([(0, 1)], [], [0])
