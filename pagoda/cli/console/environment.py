"""What the environment says: how to speak to the person, and keys. Beside it only `models/shelf/settings` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pagoda.errors import ConfigError


class Language(StrEnum):
    """Languages that messages are written in."""

    EN = "en"
    ZH = "zh"


def preferred_language(environ: Mapping[str, str]) -> Language:
    """The language of the locale, by POSIX's precedence.

    >>> preferred_language({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}).value
    'zh'
    """
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := environ.get(name))), "")
    return Language.ZH if locale.lower().startswith("zh") else Language.EN


def wants_traceback(environ: Mapping[str, str]) -> bool:
    """Whether PAGODA_TRACEBACK asks for the whole traceback of an error."""
    return environ.get("PAGODA_TRACEBACK", "") not in ("", "0")


def api_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Keys for a server, from PAGODA_API_KEY; several are separated by commas.

    >>> api_keys({"PAGODA_API_KEY": "one, two"})
    ('one', 'two')
    """
    return tuple(key.strip() for key in environ.get("PAGODA_API_KEY", "").split(",") if key.strip())


def staff_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Keys of a service desk's staff, from PAGODA_STAFF_KEY; several are separated by commas."""
    return tuple(key.strip() for key in environ.get("PAGODA_STAFF_KEY", "").split(",") if key.strip())


def client_api_key(environ: Mapping[str, str], variable: str | None) -> str | None:
    """A client's key, from the variable that `--api-key-env` names, so that it stands in no list of processes.

    Raises ConfigError where the variable is not set.

    >>> client_api_key({"TEAM_KEY": " secret "}, "TEAM_KEY")
    'secret'
    """
    if variable is None:
        return None
    key = environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"--api-key-env names {variable}, but no such variable is set: export it first")
    return key


def chat_history_file(environ: Mapping[str, str]) -> Path:
    """Where the lines typed into `pagoda chat` are remembered, by the XDG base directory rules."""
    state_home = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return Path(state_home) / "pagoda" / "chat_history"
