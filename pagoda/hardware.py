"""Facts of the machine, each asked in one place: the device, whether it multiplies bfloat16, how much memory is free.

Foundation: engine, trainer and the readers of sentences ask here while they are built; nothing here is on the token's
path. torch is imported where a function needs it, so that a plan of memory, and a server's process, do without.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pagoda.errors import ConfigError

if TYPE_CHECKING:
    import torch

_PRODUCT_CACHES = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
_MAX_READY_PRODUCTS = 64


def has_bf16(device: torch.device | str) -> bool:
    """Whether bf16 matrix products run in hardware, which is where they pay: emulated, they are many times slower."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported()
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def available_memory_bytes() -> int:
    """Memory that a new process may take: what the system has free, or a container's limit leaves."""
    free = _meminfo_available() or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (maximum := limit.read_text().strip()) != "max":
        free = min(free, int(maximum) - int(used.read_text()))
    return max(0, free)


def _meminfo_available() -> int | None:
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def return_freed_memory() -> None:
    """Give the system back what was freed: glibc keeps it otherwise, and what converts weights is freed in pieces of
    all sizes. Nothing happens under another libc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def bound_product_caches() -> None:
    """Let torch keep no more than a few dozen ready-made matrix products; before the first one is made.

    It keeps 1,024 in each of two caches, one for every shape that a step ever had, of some hundred KiB each: with
    requests of all sizes coming and going, memory grows for days. What the operator set in the environment stays.
    """
    for name in _PRODUCT_CACHES:
        os.environ.setdefault(name, str(_MAX_READY_PRODUCTS))


def resolve_device(device: str) -> torch.device:
    """ "auto" takes a GPU where there is one. Raises ConfigError for a device that is not there."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise ConfigError(f"device={device!r} is not known: give auto, cpu or cuda")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device={device!r}, but torch sees no GPU: give device='cpu' or install torch with CUDA")
    return torch.device(device)
