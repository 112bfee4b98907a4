"""Weights that were tampered with."""

import numpy as np
import pytest


@pytest.fixture
def rewritten(tmp_path):
    """`rewritten(file, **changed)`: a copy of the file with other arrays; None leaves one out."""

    def write(weights, **changed):
        with np.load(weights) as arrays:
            kept = {name: value for name, value in {**arrays, **changed}.items() if value is not None}
        np.savez(tmp_path / "weights.npz", **kept)
        return tmp_path / "weights.npz"

    return write
