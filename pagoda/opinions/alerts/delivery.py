"""Alerts on their way to people: what is due is told by `apprise`, and stays in the outbox until it was.

At the end of the path *window -> alert -> person*. An alert and its delivery enter the database in one transaction, so
that none is lost with the process; one that ends between telling and noting it tells once more. Addresses are apprise's
(mailto://, slack://, dingtalk://, wecombot://, json://...), and hold passwords: they stand in no message.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from pagoda.errors import ConfigError, MissingExtraError
from pagoda.language import Language
from pagoda.opinions.store.reading import titles
from pagoda.opinions.store.writing import OpinionWriter

MOST_TRIES = 5
_RETRY_S = 300
_NAMED = 5
"""Stories whose titles a message has."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AlertMessage:
    """What a person is told."""

    title: str
    body: str
    severity: str


class Notifier(Protocol):
    """Tells people."""

    def tell(self, message: AlertMessage) -> bool:
        """Whether it was told, to all."""
        ...


class AppriseNotifier:
    """By apprise. Raises MissingExtraError, ConfigError for an address that it does not know."""

    def __init__(self, addresses: Sequence[str]) -> None:
        try:
            import apprise
        except ModuleNotFoundError as error:
            raise MissingExtraError("telling alerts", "opinions") from error
        self._types = {"critical": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}
        self._usual, self._plain = apprise.NotifyType.INFO, apprise.NotifyFormat.TEXT
        self._apprise: Any = apprise.Apprise()
        for number, address in enumerate(addresses, start=1):
            if not self._apprise.add(address):
                kind = address.partition(":")[0]
                raise ConfigError(f"notify, entry {number}: apprise takes no address of this form ({kind}://...)")

    def tell(self, message: AlertMessage) -> bool:
        """Whether all addresses took it."""
        kind = self._types.get(message.severity, self._usual)
        # Titles are anybody's: a mail must not take them for HTML.
        return bool(
            self._apprise.notify(title=message.title, body=message.body, notify_type=kind, body_format=self._plain)
        )


def deliver(writer: OpinionWriter, notifier: Notifier, names: dict[str, str], language: Language = "en") -> int:
    """Tell all that is due by the writer's clock; how many were told. names: of companies by id.

    What was withdrawn before anybody heard of it waits on: it may hold again.
    """
    database, clock = writer.database, writer.clock
    due = database.rows(
        "SELECT d.alert, d.number, d.tries FROM deliveries d JOIN alerts a ON a.id = d.alert AND a.withdrawn = 0 "
        "WHERE d.sent IS NULL AND d.due <= ? AND d.tries < ? ORDER BY d.due, d.alert",
        [clock, MOST_TRIES],
    )
    told = 0
    for alert, number, tries in due:
        is_told = notifier.tell(_message(writer, alert, number, names, language))
        told += int(is_told)
        if not is_told:
            logger.warning("alert %s could not be told (try %d of %d)", alert, tries + 1, MOST_TRIES)
        with writer.transaction():
            database.rows(
                "UPDATE deliveries SET sent = ?, tries = tries + 1, due = ?, fault = ? WHERE alert = ? AND number = ?",
                [clock if is_told else None, clock if is_told else clock + _RETRY_S, "" if is_told else "refused",
                 alert, number],
            )  # fmt: skip
    return told


def _message(writer: OpinionWriter, alert: str, number: int, names: dict[str, str], language: Language) -> AlertMessage:
    rule, company, opened, severity, facts, stories = writer.database.rows(
        "SELECT rule, company, opened, severity, facts, stories FROM alerts WHERE id = ?", [alert]
    )[0]
    again = {"en": "again: ", "zh": "再次提醒："}[language] if number else ""
    values = ", ".join(f"{name} {value:g}" for name, value in json.loads(facts).items() if value is not None)
    since = datetime.fromtimestamp(opened, UTC).strftime("%Y-%m-%d %H:%M UTC")
    named = json.loads(stories)[:_NAMED]
    known = titles(writer.database, named)
    lines = [f"{since}: {values}", *(f"- {known[story]}" for story in named)]
    return AlertMessage(f"{again}{names.get(company, company)}: {rule}", "\n".join(lines), severity)
