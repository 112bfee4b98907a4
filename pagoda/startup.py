"""A process that generates is there sooner: what its start does not need is not done.

Foundation room, used by whoever imports the engine. Half of the time to a first token is `import torch`. A quarter of
that registers what torch's compiler has to know of every operator, which an engine never asks for; an eighth, and a
third of our own imports, went to the garbage collector, which looks at all that has come whenever more has come.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_COMPILER_ONLY = "torch._meta_registrations"
"""Results of operators on tensors without data, in Python: for tracing. Those in C++ are there all the same."""


class _Later(ModuleType):
    """Stands for a module until somebody asks for something in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def leave_out_the_compiler() -> None:
    """For a process of our own that will never call torch.compile or torch.export; before its first `import torch`."""
    if "torch" not in sys.modules:
        sys.modules[_COMPILER_ONLY] = _Later(_COMPILER_ONLY)


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
