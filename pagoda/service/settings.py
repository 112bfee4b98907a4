"""How a service desk works, apart from what it is made of: what it answers from, when it is sure, what time it is.

Beside the path of a turn; read by the server and the command line, and loads nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pagoda.errors import ConfigError

MAX_NAME_LENGTH = 80
"""Characters of a staff member's name."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """documents: folders and files that are asked, none for the shipped handbook

    timezone: IANA name of the zone of "tonight", "" for the machine's own
    Raises ConfigError.
    """

    documents: tuple[Path, ...] = ()
    timezone: str = ""

    def __post_init__(self) -> None:
        missing = next((path for path in self.documents if not path.exists()), None)
        if missing is not None:
            raise ConfigError(f"{missing} is not there: name a folder or a file of documents that is")
