"""What a token sees: the one rule, for numbers and for tensors."""

from __future__ import annotations

import itertools

import pytest
import torch

from pagoda.errors import ConfigError
from pagoda.kernels.window import AttentionWindow

WINDOWS = [
    AttentionWindow(size, chunk)
    for size, chunk in itertools.product((None, 1, 3, 8, 100), (None, 1, 4, 8, 100))
    if size or chunk
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_token_sees_its_window_and_its_chunk_and_nothing_else(window: AttentionWindow) -> None:
    for query in range(40):
        by_size = {key for key in range(query + 1) if window.size and query - key < window.size}
        by_chunk = {key for key in range(query + 1) if window.chunk and query // window.chunk == key // window.chunk}
        seen = {key for key in range(query + 1) if window.sees(query, key)}
        assert seen == by_size | by_chunk
        assert seen == set(range(window.first(query), query + 1)), "from the first one on, all"


def test_tensors_are_asked_as_numbers_are() -> None:
    positions = torch.arange(30)
    for window in WINDOWS:
        seen = window.sees(positions[:, None], positions)
        assert seen.tolist() == [[bool(window.sees(query, key)) for key in range(30)] for query in range(30)]


@pytest.mark.parametrize(("size", "chunk"), [(None, None), (0, None), (None, 0), (4, -1)])
def test_a_window_that_shows_nothing_or_everything_is_refused(size: int | None, chunk: int | None) -> None:
    with pytest.raises(ConfigError, match=rf"size={size} and chunk={chunk}"):
        AttentionWindow(size, chunk)
