"""The network as recommender: it learns an order, the engine says the same, and one event costs one token."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pagoda.engine.args import EngineArgs
from pagoda.errors import CheckpointError, ConfigError
from pagoda.recommend.data.interactions import InteractionLog
from pagoda.recommend.sequence.curriculum import History
from pagoda.recommend.sequence.network import (
    SequenceModel,
    SequenceSettings,
    newest_checkpoint,
    read_settings,
    train_sequence_model,
)
from pagoda.recommend.sequence.serving import SequenceServer

SETTINGS = SequenceSettings(
    width=32, layers=1, length=16, epochs=12, tokens=512, dropout=0.1, learning_rate=1e-2, warmup_steps=5
)


@pytest.fixture(scope="module")
def log() -> InteractionLog:
    """Thirty things in a ring, taken one after the other from a place that is drawn."""
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 30, size=120)
    return InteractionLog.of(
        (f"u{user}", f"i{(start + step) % 30}", float(step))
        for user, start in enumerate(starts)
        for step in range(int(rng.integers(4, 14)))
    )


@pytest.fixture(scope="module")
def folder(log: InteractionLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sequence")
    train_sequence_model(log, SETTINGS, path)
    return path


@pytest.fixture
def server(folder: Path) -> SequenceServer:
    return SequenceServer(folder, SETTINGS.length, memory_mb=8)


def test_it_learns_what_comes_next(folder: Path) -> None:
    model = SequenceModel.load(folder)
    number = {item: place for place, item in enumerate(model.catalogue)}
    histories = [History(np.array([number[f"i{(start + step) % 30}"] for step in range(5)])) for start in range(30)]
    best = model.scores(histories).argmax(1)
    right = [model.catalogue[item] == f"i{(start + 5) % 30}" for start, item in enumerate(best)]
    assert np.mean(right) > 0.9


def test_the_engine_says_what_the_network_says(folder: Path, server: SequenceServer) -> None:
    model = SequenceModel.load(folder)
    number = {item: place for place, item in enumerate(model.catalogue)}
    long = [f"i{(7 * n) % 30}" for n in range(40)]
    histories = [["i1", "i2"], ["i7", "i8", "i9", "unheard of"], [], long[:22]]
    scores = model.scores([History(np.array([number[i] for i in h if i in number], dtype=int)) for h in histories])
    with server:
        for row, (history, found) in enumerate(zip(histories, server.recommend(histories, 6), strict=True)):
            expected = scores[row].copy()
            expected[[number[item] for item in history if item in number]] = -np.inf
            order = np.argsort(-expected)[:6]
            assert [one.item for one in found] == [model.catalogue[item] for item in order]
            np.testing.assert_allclose([one.logprob for one in found], expected[order], atol=1e-4)


def test_one_event_costs_one_token_of_work(server: SequenceServer) -> None:
    history = [f"i{n}" for n in range(3, 10)]
    with server:
        server.recommend([history])
        queried, hit = server.prefix_cache
        server.recommend([[*history, "i10"]])
        now_queried, now_hit = server.prefix_cache
    assert now_queried - queried == len(history) + 2, "the start, the history and the event"
    assert (now_queried - queried) - (now_hit - hit) == 1


def test_what_was_seen_or_blocked_is_never_shown(server: SequenceServer) -> None:
    history = ["i3", "i4", "i5"]
    with server:
        (found,) = server.recommend([history], 30, [["i6", "i20"]])
    assert {one.item for one in found} == {f"i{n}" for n in range(30)} - {*history, "i6", "i20"}


def test_a_long_history_keeps_its_prefix_for_many_events(server: SequenceServer) -> None:
    with server:
        history = [f"i{n % 30}" for n in range(60)]
        prompts = [server.prompt(server._known(history[:count])) for count in range(60)]
    assert all(len(prompt) <= SETTINGS.length for prompt in prompts)
    kept = [after[: len(before)] == before for before, after in pairwise(prompts)]
    assert kept.count(False) <= 60 / (SETTINGS.length // 2)
    assert all(
        prompt[-1] == server._numbers[f"i{(count - 1) % 30}"] + 1 for count, prompt in enumerate(prompts) if count
    )


def test_places_may_be_times(log: InteractionLog, tmp_path: Path) -> None:
    settings = SequenceSettings(
        width=16, layers=1, length=16, epochs=1, tokens=512, positions="times", time_unit=1.0, norm="layer_norm"
    )
    model = train_sequence_model(log, settings, tmp_path)
    one, other = (History(np.array([1, 2, 3]), np.array(times)) for times in ([0.0, 1.0, 2.0], [0.0, 1.0, 9.5]))
    later = History(np.array([1, 2, 3]), np.array([50.0, 51.0, 52.0]))
    scores = model.scores([one, other, later])
    assert not np.allclose(scores[0], scores[1])
    np.testing.assert_allclose(scores[0], scores[2], atol=1e-5)
    with pytest.raises(ConfigError, match="positions='times'"):
        SequenceServer(tmp_path)


def test_a_checkpoint_says_how_it_was_trained(folder: Path) -> None:
    assert read_settings(newest_checkpoint(folder)) == SETTINGS
    with SequenceServer(folder, memory_mb=8) as server:
        assert server.length == SETTINGS.length
        assert server.scores([]).shape == (0, len(server.catalogue))
        assert server.recommend([]) == []


def test_blocks_of_one_token_are_refused_to_kernels_that_lay_them_out_otherwise() -> None:
    """The native ones were tried: their logits were off by some hundredths."""
    assert EngineArgs(block_size=1, kernels="torch-reference").block_size == 1
    with pytest.raises(ConfigError, match="block_size=1 with kernels='auto'"):
        EngineArgs(block_size=1)


def test_settings_and_folders_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="width=30"):
        SequenceSettings(width=30, heads=4)
    with pytest.raises(ConfigError, match="widths=0"):
        SequenceSettings(widths=0)
    with pytest.raises(ConfigError, match="widths=60, but 1 to length=50"):
        SequenceSettings(widths=60)
    with pytest.raises(ConfigError, match="pass_tokens=4096"):
        SequenceSettings(pass_tokens=4096)
    with pytest.raises(ConfigError, match="positions='learned'"):
        SequenceSettings(positions="learned")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        SequenceModel.load(tmp_path)
