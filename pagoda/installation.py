"""How this copy of pagoda came here and how it is called: commands that a person can type as they are shown.

Foundation room, off the token's path: what errors and hints print goes through here. `pip install 'pagoda-llm[rag]'`
and a bare `pagoda` work where pagoda came from an index into an active environment; from a clone with a `.venv` of its
own neither does.

Specs: PEP 610 (direct_url.json: where an installed distribution came from).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

DISTRIBUTION, PROGRAM = "pagoda-llm", "pagoda"
_ROOT = Path(__file__).parents[1]


def program() -> str:
    """What runs the command line from this folder, in this shell: `pagoda`, `.venv/bin/pagoda`, `python -m pagoda`."""
    called = Path(sys.argv[0] if sys.argv else "")
    script = called if called.stem == PROGRAM else Path(sys.executable).with_name(PROGRAM)
    if called.name != "__main__.py" and script.is_file():
        return typed(script)
    return f"{typed(sys.executable or 'python3')} -m {PROGRAM}"


def install_command(extra: str) -> str:
    """The command that adds an optional dependency to this interpreter's environment, however pagoda came there."""
    python = sys.executable or "python3"
    pip = f"{typed(python)} -m pip install"
    if find_spec("pip") is None:  # an environment that uv made
        pip = f"uv pip install --python {typed(python)}"
    return f"{pip} {requirement(extra, _ROOT, _origin())}"


def requirement(extra: str, root: Path, origin: dict[str, Any]) -> str:
    """What pip is given for pagoda with an extra.

    root: the folder that holds the package; a clone's has a pyproject.toml, and then pagoda runs from there
    origin: content of direct_url.json; empty where pagoda came from an index

    >>> requirement("rag", Path("/opt/site-packages"), {})
    "'pagoda-llm[rag]'"
    >>> requirement("rag", Path("/opt/site-packages"), {"url": "file:///src/my%20pagoda", "dir_info": {}})
    "'/src/my pagoda[rag]'"
    """
    if (root / "pyproject.toml").is_file():
        place = "." if root == Path.cwd() else root
        return f"-e {_quoted(f'{place}[{extra}]')}"
    url = origin.get("url", "")
    if "dir_info" in origin:
        editable = "-e " if origin["dir_info"].get("editable") else ""
        return editable + _quoted(f"{url2pathname(urlsplit(url).path)}[{extra}]")
    if "vcs_info" in origin:
        url = "{vcs}+{url}@{commit_id}".format(url=url, **origin["vcs_info"])
    return _quoted(f"{DISTRIBUTION}[{extra}]" + (f" @ {url}" if url else ""))


def typed(path: str | Path) -> str:
    """A program as a person types it here: by its name where PATH finds it, else from this folder, else in full.

    Links are not followed: an environment's interpreter is a link to one that lacks its packages.
    """
    full = Path(os.path.abspath(path))
    found = shutil.which(full.name)
    if found and Path(os.path.abspath(found)) == full:
        return full.name
    return shlex.quote(str(full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full))


def _quoted(text: str) -> str:
    """Always in quotes: a shell reads brackets as a pattern, some only at times."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _origin() -> dict[str, Any]:
    try:
        return dict(json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}"))
    except (PackageNotFoundError, ValueError):
        return {}
