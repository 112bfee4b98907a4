"""The judged questions over manuals are no part of the package: they stand with the benchmark that measures them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
