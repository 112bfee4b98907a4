"""The judged conversations are no part of the package: they stand with the benchmark that measures them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from judged.town import Town


@pytest.fixture(scope="session")
def town() -> Town:
    """The shipped city and its domain, as the judge knows them."""
    return Town()
