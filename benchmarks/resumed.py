"""Arguments beside what a stopped run left, so that no run goes on from another one's state.

Beside every benchmark whose state stays in a folder. A figure is of one set of arguments; a run over half a database of
other texts, or by a model of other sizes, would print one that is of none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

ARGUMENTS = "arguments.json"


def claim(folder: Path, **arguments: str | float | bool) -> None:
    """Keep the arguments of a run in its folder, which is made if it is not there.

    Raises SystemExit, with what differs, where the folder holds a run of other arguments, or of unknown ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ARGUMENTS
    if not path.is_file():
        if any(folder.iterdir()):
            raise SystemExit(f"{folder} holds a run whose arguments are not known: name an empty folder")
        path.write_text(json.dumps(arguments, indent=1) + "\n", encoding="utf-8")
        return
    known = json.loads(path.read_text(encoding="utf-8"))
    names = sorted(known.keys() | arguments.keys())
    others = [f"{name} {known.get(name)!r}" for name in names if known.get(name) != arguments.get(name)]
    if others:
        raise SystemExit(f"{folder} holds a run of other arguments ({', '.join(others)}): name another folder")


def digest(texts: Iterable[str]) -> str:
    """Equal for equal texts in the same order; 16 hexadecimal digits."""
    found = hashlib.sha256()
    for text in texts:
        found.update(f"{len(text)} {text}".encode(errors="surrogatepass"))
    return found.hexdigest()[:16]
