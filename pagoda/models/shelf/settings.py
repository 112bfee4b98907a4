"""Where fetched models lie and whom they are asked of: what the environment says of it, read here alone.

Off the token's path: before a model is pulled onto the shelf, and when a name is looked for on it. The variables:

    PAGODA_HOME         folder whose `models` they lie in; else $XDG_CACHE_HOME/pagoda, else ~/.cache/pagoda
    HF_ENDPOINT         the hub, in place of the public one: what the hub's own library reads too
    PAGODA_HUB          a mirror that is asked where the hub does not answer
    HF_HUB_OFFLINE      ask neither
    REQUESTS_CA_BUNDLE  further certificate authorities, as CURL_CA_BUNDLE; the system's are trusted anyhow

Spec: XDG base directory specification.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PUBLIC_HUB = "https://huggingface.co"
_OFF = ("", "0", "no", "off", "false")


@dataclass(frozen=True)
class ShelfSettings:
    """Where models lie and whom they are asked of.

    folder: of the fetched models, one folder each. hub: address of the hub; mirror: of one that is asked after it.
    offline: ask neither. ca_file: further certificate authorities, PEM.
    timeout_s: seconds without an answer, or without a byte of one, after which a source counts as silent.
    max_retries: attempts in a row that bring no byte, after a transfer has begun; pause_s: before the first of them,
    doubled for each that follows.
    """

    folder: Path
    hub: str = PUBLIC_HUB
    mirror: str | None = None
    offline: bool = False
    ca_file: str | None = None
    timeout_s: float = 20.0
    max_retries: int = 5
    pause_s: float = 1.0


def shelf_settings(environ: Mapping[str, str] | None = None) -> ShelfSettings:
    """What the environment says; by default this process's.

    >>> shelf_settings({"PAGODA_HOME": "/srv/pagoda", "HF_ENDPOINT": "https://hub.example/"}).hub
    'https://hub.example'
    """
    environ = os.environ if environ is None else environ
    return ShelfSettings(
        folder=_home(environ) / "models",
        hub=environ.get("HF_ENDPOINT", "").rstrip("/") or PUBLIC_HUB,
        mirror=environ.get("PAGODA_HUB", "").rstrip("/") or None,
        offline=environ.get("HF_HUB_OFFLINE", "").lower() not in _OFF,
        ca_file=environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE"),
    )


def _home(environ: Mapping[str, str]) -> Path:
    if home := environ.get("PAGODA_HOME"):
        return Path(home).expanduser()
    cache_home = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache"
    return Path(cache_home) / "pagoda"
