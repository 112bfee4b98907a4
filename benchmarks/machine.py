"""Where and when a figure was measured: the line that stands under every table."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from pathlib import Path

import torch


def provenance() -> str:
    """Processor, cores, load, torch, date and the command. A load above 0 at the start means the machine was shared."""
    command = " ".join(["python", *map(_shown, sys.argv)])
    return (
        f"{_processor()}, {os.cpu_count()} cores ({torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}), "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"{datetime.datetime.now().astimezone().date().isoformat()}; `{command}`"
    )


def _shown(word: str) -> str:
    """Of an absolute path the last name: the rest is of one machine only."""
    return Path(word).name if word.startswith("/") else word


def _processor() -> str:
    """The processor's own name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
