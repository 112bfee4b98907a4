"""Which kernels run: decided once at start, by device and by what was asked for, and said aloud.

Off the token's path; the engine and the trainer call it while they are built. A request that cannot be
met is an error, never a silent fallback.
"""

from __future__ import annotations

from pagoda.errors import ConfigError, nearest
from pagoda.kernels.interface import Kernels
from pagoda.kernels.reference import ReferenceKernels

KERNELS = {"torch-reference": ReferenceKernels}


def select_kernels(name: str = "auto") -> Kernels:
    """The kernels called `name`; "auto" takes the fastest that runs everywhere. Raises ConfigError."""
    if name == "auto":
        return ReferenceKernels()
    if name not in KERNELS:
        raise ConfigError(f"kernels={name!r} is not one that pagoda has: {nearest(name, ['auto', *KERNELS])}")
    return KERNELS[name]()
