"""The linear chain against every path, counted one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from pagoda.nlu import crf

NUM_TAGS = 3


def random_sentence(num_words: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(num_words)
    return rng.normal(size=(num_words, NUM_TAGS)), rng.normal(size=(NUM_TAGS + 1, NUM_TAGS))


def path_score(path: tuple[int, ...], emissions: np.ndarray, transitions: np.ndarray) -> float:
    before = [NUM_TAGS, *path[:-1]]
    return sum(
        emissions[i, tag] + transitions[last, tag] for i, (last, tag) in enumerate(zip(before, path, strict=True))
    )


@pytest.mark.parametrize("num_words", [1, 2, 4])
def test_the_loss_is_minus_the_log_of_the_paths_share(num_words: int) -> None:
    emissions, transitions = random_sentence(num_words)
    paths = list(itertools.product(range(NUM_TAGS), repeat=num_words))
    scores = np.array([path_score(path, emissions, transitions) for path in paths])
    shares = np.exp(scores) / np.exp(scores).sum()
    batch = torch.from_numpy(emissions)[None].expand(len(paths), -1, -1)
    there = torch.ones(len(paths), num_words, dtype=torch.bool)
    loss = crf.negative_log_likelihood(batch, torch.tensor(paths), there, torch.from_numpy(transitions))
    np.testing.assert_allclose(np.exp(-loss.numpy()), shares, rtol=1e-9)


def test_words_that_are_padding_change_nothing() -> None:
    emissions, transitions = random_sentence(4)
    moves, tags = torch.from_numpy(transitions), torch.tensor([[0, 2, 1, 1]])
    alone = crf.negative_log_likelihood(
        torch.from_numpy(emissions[None, :2]), tags[:, :2], torch.ones(1, 2, dtype=torch.bool), moves
    )
    there = torch.tensor([[True, True, False, False]])
    assert crf.negative_log_likelihood(torch.from_numpy(emissions[None]), tags, there, moves) == pytest.approx(
        alone.item()
    )


@pytest.mark.parametrize("num_words", [1, 3, 5])
def test_the_best_path_is_the_best_of_all(num_words: int) -> None:
    emissions, transitions = random_sentence(num_words)
    paths = itertools.product(range(NUM_TAGS), repeat=num_words)
    best = max(paths, key=lambda path: path_score(path, emissions, transitions))
    assert crf.best_path(emissions, transitions) == list(best)


def test_a_forbidden_move_is_never_taken_however_good_the_words_look() -> None:
    forbidden = crf.forbidden_moves([[True, False], [True, True], [True, False]])
    assert crf.best_path(np.array([[0.0, 50.0], [0.0, 50.0]]), forbidden) == [0, 0]
