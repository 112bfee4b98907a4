"""Where a command speaks: results go to stdout, everything meant for the person goes to stderr.

Last station of the token's path on the command line. Every command gets one `Terminal` as its context object.
"""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pagoda.cli.console.messages import Messages

_WIDEST = 1000
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Terminal:
    """The two streams and the language of one run of the command."""

    say: Messages
    out: Console = field(default_factory=Console)
    err: Console = field(default_factory=lambda: Console(stderr=True))

    def result(self, text: str) -> None:
        """A line of the result, exactly as it is."""
        sys.stdout.write(text + "\n")

    def piece(self, text: str, style: str = "") -> None:
        """A piece of streamed text, shown at once. A person's terminal gets no control characters of a model's."""
        shown = printable(text) if self.out.is_terminal else text
        self.out.print(Text(shown, style=style), end="", soft_wrap=True)
        sys.stdout.flush()

    def table(self, table: Table) -> None:
        """A table of the result. What goes to a file or another program is as wide as it is: no figure is cut there."""
        console = self.out if self.out.is_terminal else Console(file=self.out.file, width=_WIDEST)
        console.print(table)

    def note(self, text: str, style: str = "dim") -> None:
        """A line for the person."""
        self.err.print(Text(text, style=style), soft_wrap=True)

    def error(self, text: str) -> None:
        """A line about what went wrong."""
        self.note(self.say.error.format(message=text), style="bold red")


class NoteHandler(logging.Handler):
    """Shows what pagoda logs (the start-up line, warnings) as notes."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record, the message alone."""
        self._terminal.note(record.getMessage())


def printable(text: str) -> str:
    """Text with control characters made visible, all but tab and newline.

    >>> printable("\\x1b[2J ok")
    '\\ufffd[2J ok'
    """
    return _CONTROL_CHARACTERS.sub("\ufffd", text)
