"""The judged questions over manuals are no part of the package: they stand with the benchmark that measures them."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The benchmarks' own packages, and what two test modules here share (tests/ itself is seen before this file is).
sys.path[:0] = [str(HERE.parents[2] / "benchmarks"), str(HERE)]
