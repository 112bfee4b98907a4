"""From windows to alerts, tick by tick of the clock, and what changes when a late item corrects a window.

On the path *window -> alert*. The clock is the time at which items came. At each tick the rules are asked of every
company that has something in their window or an alert that is open; of a company that got something late, of all ticks
since then as well. What comes out is held against the alerts that there are: one that met it in time is the same,
corrected; one that no longer holds is withdrawn, not deleted, since people were told of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from pagoda.opinions.alerts.machine import AlertSpan, TickSays, matched, run
from pagoda.opinions.alerts.rules import DEVIATIONS, AlertCondition, AlertRule
from pagoda.opinions.store.writing import OpinionWriter
from pagoda.opinions.windows.measures import (
    NO_COUNTS,
    WindowCounts,
    counts,
    deviation,
    event_counts,
    stories_in,
    stories_with_events,
)

HOLDS_AGAIN = "holds again"
"""Of a delivery that is no reminder: people were told of its alert before that was withdrawn."""
MOST_STORIES = 20
"""That one alert names."""


@dataclass(frozen=True)
class StoredAlert:
    """An alert as it is kept, as far as it can change."""

    id: str
    span: AlertSpan
    told: int
    revision: int


class AlertEvaluator:
    """Evaluates rules over a writer's database, in the writer's transactions.

    every: seconds from tick to tick; lateness: seconds after which a late item changes windows and no alert any more
    tells: put deliveries into the outbox
    """

    def __init__(
        self, writer: OpinionWriter, rules: Sequence[AlertRule], *, every: int, lateness: int, tells: bool
    ) -> None:
        self._writer, self._rules, self._tells = writer, rules, tells
        self._every, self._lateness = every, lateness
        self._counted: dict[tuple[int, int], dict[str, WindowCounts]] = {}
        self._events: dict[tuple[int, int, tuple[str, ...]], dict[str, int]] = {}

    def advance(self, clock: int) -> int:
        """Evaluate all ticks up to the clock; how many. In a transaction, before what came then is added."""
        writer = self._writer
        if not writer.tick:
            writer.tick = clock // self._every * self._every
        passed = 0
        while writer.tick + self._every <= clock:
            writer.tick += self._every
            self._evaluate(writer.tick)
            passed += 1
        writer.clock = max(writer.clock, clock)
        return passed

    def _evaluate(self, tick: int) -> None:
        self._counted.clear()
        self._events.clear()
        dirty = self._writer.dirty()
        is_open = {(rule, company) for rule, company in self._open_pairs()}
        for rule in self._rules:
            companies = {*dirty, *self._counts(tick, rule.window), *(c for name, c in is_open if name == rule.name)}
            for company in sorted(companies):
                if rule.companies and company not in rule.companies:
                    continue
                first = self._first_tick(dirty.get(company, tick), tick)
                # Most companies at most ticks: nothing is open, nothing came late, and nothing opens.
                is_quiet = first == tick and (rule.name, company) not in is_open
                if not is_quiet or self._says(rule, company, tick).opens:
                    self._evaluate_company(rule, company, first, tick)
        self._writer.clean()
        if self._tells:
            self._remind(tick)

    def _first_tick(self, since: int, tick: int) -> int:
        """The first tick whose windows hold what was published at `since`, and that may still change alerts."""
        earliest = max(since, tick - self._lateness, 0)
        return min(earliest // self._every * self._every + self._every, tick)

    def _evaluate_company(self, rule: AlertRule, company: str, first: int, tick: int) -> None:
        stored = self._stored(rule.name, company, first)
        before = [alert.span for alert in stored if alert.span.opened < first]
        is_open = bool(before) and (before[-1].closed is None or before[-1].closed >= first)
        ticks = range(first, tick + 1, self._every)
        says = [self._says(rule, company, at) for at in ticks]
        spans = run(before, says, rule.cooldown)
        touched = [alert for alert in stored if alert.span.closed is None or alert.span.closed >= first]
        if not spans and not touched:
            return
        assert not is_open or spans[0].opened == before[-1].opened
        self._settle(rule, company, touched, spans, ticks)

    def _settle(
        self, rule: AlertRule, company: str, old: Sequence[StoredAlert], new: Sequence[AlertSpan], ticks: range
    ) -> None:
        tick = ticks[-1]
        pairs, gone, fresh = matched([alert.span for alert in old], new)
        for index, place in pairs:
            if old[index].span != new[place]:
                self._correct(old[index], new[place], tick)
            if new[place].opened in ticks:
                self._refresh(rule, company, old[index].id, new[place].opened)
        for index in gone:
            self._writer.database.rows(
                "UPDATE alerts SET withdrawn = 1, revision = revision + 1 WHERE id = ?", [old[index].id]
            )
        for place in fresh:
            self._open(rule, company, new[place], tick)

    def _correct(self, alert: StoredAlert, span: AlertSpan, tick: int) -> None:
        # An end at this very tick is how an alert ends; any other change is a late item's.
        is_correction = span != replace(alert.span, closed=tick)
        self._writer.database.rows(
            "UPDATE alerts SET opened = ?, closed = ?, revision = revision + ? WHERE id = ?",
            [span.opened, span.closed, int(is_correction), alert.id],
        )

    def _refresh(self, rule: AlertRule, company: str, alert: str, opened: int) -> None:
        """Give an alert the figures and stories that its beginning has now."""
        database, found = self._writer.database, self._figures(rule, company, opened)
        if database.rows("SELECT facts, stories FROM alerts WHERE id = ?", [alert]) != [found]:
            database.rows(
                "UPDATE alerts SET facts = ?, stories = ?, revision = revision + 1 WHERE id = ?", [*found, alert]
            )

    def _figures(self, rule: AlertRule, company: str, opened: int) -> tuple[str, str]:
        """(facts, stories) of an alert that opens at a tick, as they are kept."""
        facts = {condition.measure: self._value(rule, condition, company, opened) for condition in rule.conditions}
        return json.dumps(facts), json.dumps(self._stories(rule, company, opened))

    def _open(self, rule: AlertRule, company: str, span: AlertSpan, tick: int) -> None:
        number, is_withdrawn = self._name(rule, company, span.opened)
        database = self._writer.database
        facts, stories = self._figures(rule, company, span.opened)
        if is_withdrawn:
            database.rows(
                "UPDATE alerts SET withdrawn = 0, revision = revision + 1, closed = ?, facts = ?, stories = ? "
                "WHERE id = ?",
                [span.closed, facts, stories, number],
            )
        else:
            database.rows(
                "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [number, rule.name, company, span.opened, span.closed, tick, rule.severity, facts, stories, 0, 0],
            )
        if self._tells:
            self._put_out(number, rule.quiet.after(tick) if rule.quiet else tick)

    def _put_out(self, alert: str, due: int) -> None:
        """Into the outbox; one that was told, withdrawn, and holds again, once more. What waits there waits on."""
        database = self._writer.database
        waiting, last = database.rows(
            "SELECT COUNT(CASE WHEN sent IS NULL AND NOT EXISTS (SELECT 1 FROM tellings t WHERE t.alert = d.alert AND "
            "t.number = d.number AND t.sent IS NOT NULL) THEN 1 END), COALESCE(MAX(number), -1) FROM deliveries d "
            "WHERE d.alert = ?",
            [alert],
        )[0]
        if not waiting:
            why = "" if last < 0 else HOLDS_AGAIN
            database.rows("INSERT INTO deliveries VALUES (?, ?, ?, NULL, 0, ?)", [alert, last + 1, due, why])

    def _name(self, rule: AlertRule, company: str, opened: int) -> tuple[str, bool]:
        """An id that is free, or that of an alert with this beginning that was withdrawn."""
        for attempt in count():
            name = f"{rule.name}\n{company}\n{opened}\n{attempt}".encode()
            number = hashlib.sha256(name).hexdigest()[:16]
            found = self._writer.database.rows("SELECT withdrawn FROM alerts WHERE id = ?", [number])
            if not found or found[0][0]:
                return number, bool(found)
        raise AssertionError("numbers do not end")

    def _says(self, rule: AlertRule, company: str, tick: int) -> TickSays:
        opens = stays = True
        # The cheap ones first: a deviation is asked for only where all else holds.
        for condition in sorted(rule.conditions, key=lambda condition: condition.measure in DEVIATIONS):
            value = self._value(rule, condition, company, tick)
            opens = opens and value is not None and value >= condition.at_least
            stays = stays and value is not None and value >= condition.until
            if not stays:
                break
        return TickSays(tick, opens and stays, stays)

    def _value(self, rule: AlertRule, condition: AlertCondition, company: str, tick: int) -> float | None:
        database = self._writer.database
        if condition.measure == "events":
            return self._happened(tick, rule.window, condition.events).get(company, 0)
        if condition.measure in DEVIATIONS:
            negative = condition.measure == "negative_deviation"
            found = deviation(database, company, tick, rule.window, rule.past, negative=negative)
            return None if found is None else round(found, 6)
        value: float = getattr(self._counts(tick, rule.window).get(company, NO_COUNTS), condition.measure)
        return value

    def _counts(self, tick: int, window: int) -> dict[str, WindowCounts]:
        key = (tick, window)
        if key not in self._counted:
            self._counted[key] = counts(self._writer.database, tick - window, tick)
        return self._counted[key]

    def _happened(self, tick: int, window: int, events: tuple[str, ...]) -> dict[str, int]:
        key = (tick, window, events)
        if key not in self._events:
            self._events[key] = event_counts(self._writer.database, tick - window, tick, events)
        return self._events[key]

    def _stories(self, rule: AlertRule, company: str, tick: int) -> list[int]:
        database, start = self._writer.database, tick - rule.window
        among = stories_with_events(database, company, start, tick, rule.events) if rule.events else []
        return stories_in(database, company, start, tick, MOST_STORIES, negative=rule.is_about_negative, among=among)

    def _open_pairs(self) -> list[tuple[str, str]]:
        rows = self._writer.database.rows("SELECT rule, company FROM alerts WHERE closed IS NULL AND withdrawn = 0")
        return [(rule, company) for rule, company in rows]

    def _stored(self, rule: str, company: str, first: int) -> list[StoredAlert]:
        """The last alert that ended before a tick, and all that live from there on, oldest first."""
        rows = self._writer.database.rows(
            "SELECT id, opened, closed, told, revision FROM alerts WHERE rule = ? AND company = ? AND withdrawn = 0 "
            "AND (closed IS NULL OR closed >= ? OR opened = (SELECT MAX(opened) FROM alerts WHERE rule = ? AND "
            "company = ? AND withdrawn = 0 AND closed < ?)) ORDER BY opened",
            [rule, company, first, rule, company, first],
        )
        return [StoredAlert(number, AlertSpan(opened, closed), told, rev) for number, opened, closed, told, rev in rows]

    def _remind(self, tick: int) -> None:
        """Tell again of what is open, acknowledged by nobody, and was last told long enough ago.

        Not while something of it still waits: after an outage nobody is reminded twice of what they never heard.
        """
        for rule in self._rules:
            if not rule.remind:
                continue
            rows = self._writer.database.rows(
                "SELECT d.alert, MAX(d.number), MAX(CASE WHEN d.sent > d.due THEN d.sent ELSE d.due END) FROM "
                "deliveries d JOIN alerts a ON a.id = d.alert LEFT JOIN acknowledgements k ON k.alert = a.id "
                "WHERE a.rule = ? AND a.closed IS NULL AND a.withdrawn = 0 AND k.alert IS NULL GROUP BY d.alert "
                "HAVING COUNT(CASE WHEN d.sent IS NULL THEN 1 END) = 0 ORDER BY d.alert",
                [rule.name],
            )
            again = [
                (alert, number + 1, rule.quiet.after(tick) if rule.quiet else tick)
                for alert, number, due in rows
                if tick >= due + rule.remind
            ]
            self._writer.database.many("INSERT INTO deliveries VALUES (?, ?, ?, NULL, 0, '')", again)
