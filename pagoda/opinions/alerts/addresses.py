"""Where people are told: an address of `apprise`, one notifier each.

Under `alerts.delivery`, at the end of the path *window -> alert -> person*. Addresses (mailto://, slack://, dingtalk://,
wecombot://, json://...) hold passwords: what is said of one is its kind and its place in the list, and apprise, which
repeats those that it cannot read, is silenced while it reads one.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import Any, Protocol

from pagoda.errors import ConfigError, MissingExtraError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AlertMessage:
    """What a person is told."""

    title: str
    body: str
    severity: str


class Notifier(Protocol):
    """Tells people at one address. key: what the outbox knows it by; name: what may be said of it."""

    key: str
    name: str

    def tell(self, message: AlertMessage) -> bool:
        """Whether the address took it."""
        ...


class AppriseNotifier:
    """By apprise. number: of the address, from 1. Raises MissingExtraError, ConfigError for what it cannot read."""

    def __init__(self, address: str, number: int = 1) -> None:
        apprise = _apprise()
        self.key, self.name = address_key(address), f"{number} ({_kind(address)})"
        self._types = {"critical": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}
        self._usual, self._plain = apprise.NotifyType.INFO, apprise.NotifyFormat.TEXT
        self._apprise: Any = apprise.Apprise()
        if not self._apprise.add(_read(apprise, address)):
            raise ConfigError(f"notify, entry {number}: {unreadable(address)}")

    def tell(self, message: AlertMessage) -> bool:
        """Whether the address took it; what goes wrong on the way is a no."""
        kind = self._types.get(message.severity, self._usual)
        try:
            # Titles are anybody's: a mail must not take them for HTML.
            return bool(
                self._apprise.notify(title=message.title, body=message.body, notify_type=kind, body_format=self._plain)
            )
        except Exception as error:
            # Its words may hold the address.
            logger.warning("address %s: %s", self.name, type(error).__name__)
            return False


def is_readable(address: str) -> bool:
    """Whether apprise can read an address; nothing is sent. Raises MissingExtraError."""
    return _read(_apprise(), address) is not None


def unreadable(address: str) -> str:
    """What is wrong with one that it cannot read."""
    return (
        f"apprise takes no address of this form ({_kind(address)}): write one such as mailto://user:password@host, "
        "slack://..., dingtalk://..."
    )


def address_key(address: str) -> str:
    """What the outbox knows an address by, from which nobody reads it."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def _kind(address: str) -> str:
    kind, sign, _ = address.partition("://")
    return f"{kind}://..." if sign and kind.isalnum() else "no kind://"


def _read(apprise: Any, address: str) -> Any:
    """apprise's own object of an address, None where there is none."""
    told = logging.getLogger("apprise")
    before, told.disabled = told.disabled, True
    try:
        return apprise.Apprise.instantiate(address, suppress_exceptions=True)
    finally:
        told.disabled = before


def _apprise() -> Any:
    try:
        import apprise
    except ModuleNotFoundError as error:
        raise MissingExtraError("telling alerts", "opinions") from error
    return apprise
