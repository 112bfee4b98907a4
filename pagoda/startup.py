"""What comes into being while a process starts mostly stays: the garbage collector need not look at it again and again.

Foundation room, used by whoever imports the engine or loads a model: an eighth of torch's import and a third of our own
went to a collector that runs whenever more has come.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """While much comes into being that stays."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
