"""Alerts on their way to people: what is due is told to each address, and stays in the outbox until each took it.

At the end of the path *window -> alert -> person*. An alert and its delivery enter the database in one transaction, so
that none is lost with the process. Each (alert, address) is noted by itself as soon as it was told: an address that is
dead is tried again later and later, and given up, while the others are told once and not again; a process that ends
between telling and noting repeats that one message. The network is waited for without any lock. What came together for
one address, as after an outage or quiet hours, is one message.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pagoda.language import Language
from pagoda.opinions.alerts.addresses import AlertMessage, Notifier
from pagoda.opinions.alerts.evaluation import HOLDS_AGAIN
from pagoda.opinions.alerts.messages import Due, message
from pagoda.opinions.store.database import Database
from pagoda.opinions.store.writing import OpinionWriter

MOST_TRIES = 12
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 300, 3600
"""Between tries, doubled each time: the eleven pauses between twelve tries are eight hours and a quarter."""
_MOST_APART = 5
"""New alerts that are told each by itself; more at once are one message, as reminders are from two on."""
_MOST_THREADS = 8
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    """One message for one address: of which deliveries it tells, and how often each was tried."""

    about: tuple[Due, ...]
    message: AlertMessage

    @property
    def tries(self) -> int:
        return max(due.tries for due in self.about)


def deliver(
    writer: OpinionWriter, notifiers: Sequence[Notifier], names: dict[str, str], language: Language = "en"
) -> int:
    """Tell all that is due by the writer's clock; how many alerts were told to anybody. names: of companies by id.

    What was withdrawn before anybody heard of it waits on: it may hold again.
    """
    if not notifiers:
        return 0
    with writer.lock:
        _drop_what_is_over(writer)
        work = [(notifier, _jobs(writer, notifier, names, language)) for notifier in notifiers]
    waiting = [(notifier, jobs) for notifier, jobs in work if jobs]
    told: set[tuple[str, int]] = set()
    if waiting:
        with ThreadPoolExecutor(min(len(waiting), _MOST_THREADS), "alerts") as threads:
            for found in threads.map(lambda each: _tell(writer, *each), waiting):
                told |= found
    with writer.lock:
        _settle(writer, [notifier.key for notifier in notifiers])
    return len(told)


def _drop_what_is_over(writer: OpinionWriter) -> None:
    """Reminders of what ended, or was acknowledged, before they were told."""
    with writer.transaction():
        writer.database.rows(
            "UPDATE deliveries SET sent = ?, fault = 'over' WHERE sent IS NULL AND number > 0 AND fault <> ? "
            "AND due <= ? AND (alert IN (SELECT id FROM alerts WHERE closed IS NOT NULL) OR "
            "alert IN (SELECT alert FROM acknowledgements))",
            [writer.clock, HOLDS_AGAIN, writer.clock],
        )


def _jobs(writer: OpinionWriter, notifier: Notifier, names: dict[str, str], language: Language) -> list[_Job]:
    """What an address is to be told now, what it never refused first."""
    rows = writer.database.rows(
        "SELECT d.alert, d.number, d.due, COALESCE(t.tries, 0) FROM deliveries d JOIN alerts a ON a.id = d.alert AND "
        "a.withdrawn = 0 LEFT JOIN tellings t ON t.alert = d.alert AND t.number = d.number AND t.address = ? "
        "WHERE d.sent IS NULL AND d.due <= ? AND t.sent IS NULL AND COALESCE(t.due, 0) <= ? AND "
        "COALESCE(t.tries, 0) < ? ORDER BY 4, d.due, d.alert, d.number",
        [notifier.key, writer.clock, writer.clock, MOST_TRIES],
    )
    found = [Due(*row) for row in rows]
    new, again = [due for due in found if not due.number], [due for due in found if due.number]
    groups = ([new] if len(new) > _MOST_APART else [[due] for due in new]) + ([again] if again else [])
    jobs = [_Job(tuple(group), message(writer, group, names, language)) for group in groups]
    return sorted(jobs, key=lambda job: job.tries)


def _tell(writer: OpinionWriter, notifier: Notifier, jobs: Sequence[_Job]) -> set[tuple[str, int]]:
    """(alert, number) of all that an address took. One that takes nothing is not asked for the rest."""
    told: set[tuple[str, int]] = set()
    for place, job in enumerate(jobs):
        if notifier.tell(job.message):
            _note(writer, notifier, job.about, is_told=True)
            told |= {(due.alert, due.number) for due in job.about}
        elif told:
            _note(writer, notifier, job.about, is_told=False)
        else:
            _note(writer, notifier, [due for each in jobs[place:] for due in each.about], is_told=False)
            break
    return told


def _note(writer: OpinionWriter, notifier: Notifier, about: Sequence[Due], *, is_told: bool) -> None:
    with writer.transaction():
        clock = writer.clock
        for due in about:
            tries = due.tries + 1
            later = clock + min(_FIRST_PAUSE_S * 2 ** (tries - 1), _LONGEST_PAUSE_S)
            writer.database.rows(
                "INSERT INTO tellings VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (alert, number, address) DO UPDATE SET "
                "due = excluded.due, sent = excluded.sent, tries = excluded.tries",
                [due.alert, due.number, notifier.key, clock if is_told else later, clock if is_told else None, tries],
            )
    for due in about if not is_told else ():
        if due.tries + 1 >= MOST_TRIES:
            logger.error("alert %s is given up for address %s after %d tries", due.alert, notifier.name, MOST_TRIES)
        else:
            logger.warning(
                "address %s does not take alert %s (try %d of %d)", notifier.name, due.alert, due.tries + 1, MOST_TRIES
            )


def _settle(writer: OpinionWriter, keys: Sequence[str]) -> None:
    """What every address took, or was given up for, has left the outbox."""
    marks = ", ".join("?" * len(keys))
    with writer.transaction():
        writer.database.rows(
            "UPDATE deliveries SET sent = ?, tries = 1, fault = CASE WHEN (SELECT COUNT(*) FROM tellings t WHERE "
            "t.alert = deliveries.alert AND t.number = deliveries.number AND t.sent IS NULL) > 0 THEN 'given up' "
            "ELSE '' END WHERE sent IS NULL AND (SELECT COUNT(*) FROM tellings t WHERE t.alert = deliveries.alert AND "
            f"t.number = deliveries.number AND t.address IN ({marks}) AND (t.sent IS NOT NULL OR t.tries >= ?)) >= ?",
            [writer.clock, *keys, MOST_TRIES, len(set(keys))],
        )


@dataclass(frozen=True)
class Outbox:
    """What is in it. waiting: deliveries that not every address took; given_up: (alert, address) that never will be

    failing: by the keys of addresses whose last try failed, how many deliveries wait for each
    """

    waiting: int
    given_up: int
    failing: dict[str, int]


def outbox(database: Database) -> Outbox:
    """What is in it now."""
    waiting = database.rows(
        "SELECT COUNT(*) FROM deliveries d JOIN alerts a ON a.id = d.alert AND a.withdrawn = 0 WHERE d.sent IS NULL"
    )[0][0]
    given_up = database.rows("SELECT COUNT(*) FROM tellings WHERE sent IS NULL AND tries >= ?", [MOST_TRIES])[0][0]
    failing = database.rows(
        "SELECT t.address, COUNT(*) FROM tellings t JOIN deliveries d ON d.alert = t.alert AND d.number = t.number "
        "WHERE t.sent IS NULL AND d.sent IS NULL GROUP BY t.address ORDER BY t.address"
    )
    return Outbox(int(waiting), int(given_up), {key: int(count) for key, count in failing})
