"""What a check leaves behind: its verdict, the two ways to end early, and the request that shows a fault.

Stands under the client and the checks, so that both may speak of it: the client keeps what it `Sent`, a check that
fails names it, and the report prints it as a command line that a person can repeat.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_MAX_SHOWN = 1500


class Verdict(StrEnum):
    """What became of a check."""

    HELD = "held"
    FAILED = "failed"
    SKIPPED = "skipped"


class CheckFailedError(Exception):
    """The server does not hold a check. `sent` is the request that showed it; otherwise the check's last one did."""

    def __init__(self, expected: str, got: object, *, sent: Sent | None = None) -> None:
        super().__init__(f"expected {expected}; got {got}")
        self.expected, self.got, self.sent = expected, str(got), sent


class NotApplicableError(Exception):
    """The check does not apply to this server; the message says why."""


@dataclass(frozen=True)
class Sent:
    """A request, as a person could repeat it. `authorized`: with the key."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes
    authorized: bool

    def curl(self) -> str:
        """The command line that sends the same, with the key left in the environment.

        >>> Sent("GET", "http://localhost/health", {}, b"", False).curl()
        'curl -i http://localhost/health'
        """
        words = ["curl -i"]
        if self.method not in ("GET", "POST") or (self.method == "POST" and not self.content):
            words.append(f"-X {self.method}")
        words.append(shlex.quote(self.url))
        words += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in self.headers.items()]
        if self.authorized:
            words.append('-H "Authorization: Bearer $API_KEY"')
        if self.content:
            words.append(f"--data-binary {_quoted(self.content)}")
        return " ".join(words)


def _quoted(content: bytes) -> str:
    """The body for a shell; a long one is cut, which the ending says."""
    shown = content[:_MAX_SHOWN].decode("utf-8", errors="backslashreplace")
    cut = f" # shortened, {len(content)} bytes in all" if len(content) > _MAX_SHOWN else ""
    return shlex.quote(shown) + cut
