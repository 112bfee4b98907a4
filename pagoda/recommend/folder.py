"""A recommender's folder: what lies in it, how a training fills it, and how a model is read again.

Under `desk`, beside `store`. `people.db` holds what people did, `things.jsonl` what things are, `model-N/` a model of
which `model.json` names the current one. A training writes all of a model first and its name last, so that whoever
reads finds a whole one; the two newest are kept, since somebody may be reading the one before. No person is in a model:
popularity is kept as counts per item and day, in which no single visit has a time.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.errors import CheckpointError, ConfigError
from pagoda.files.whole import write_text_whole, write_whole
from pagoda.recommend.candidates.ensemble import Ensemble, NextItems
from pagoda.recommend.candidates.linear import LinearModel
from pagoda.recommend.candidates.popularity import WindowedPopularity
from pagoda.recommend.candidates.recency import Recency
from pagoda.recommend.data.interactions import DAY_S, InteractionLog
from pagoda.recommend.data.things import CatalogueItem, write_things
from pagoda.recommend.people import Audience
from pagoda.recommend.recommender import Recommender
from pagoda.recommend.store import EventStore, StoredEvent, id_of_a_line

CURRENT, PEOPLE, THINGS = "model.json", "people.db", "things.jsonl"
_NETWORK, _CACHE_MB = "network", 64
"""Folder of a model's network, and what its engine may keep of histories."""
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, zipfile.BadZipFile)


def save_model(recommender: Recommender, folder: Path) -> str:
    """Write the models as the folder's next, and make it the current one; its name. No person is in it."""
    directory = _next_directory(folder)
    ensemble = recommender.ensemble
    matrices = {id(model.matrix): model.matrix for model in ensemble.linear}
    files = {key: f"matrix-{place}.npy" for place, key in enumerate(matrices)}
    for key, matrix in matrices.items():
        np.save(directory / files[key], matrix)
    days = ensemble.popularity[0].by_day(DAY_S * recommender.unit)
    np.savez(
        directory / "popularity.npz",
        times=days.times, items=days.items, counts=np.asarray(days.counts), weights=recommender.weights,
    )  # fmt: skip
    told = {
        "catalogue": recommender.catalogue,
        "unit": recommender.unit,
        "linear": [
            {"name": one.name, "matrix": files[id(one.matrix)], "last": one.recency.last, "decay": one.recency.decay}
            for one in ensemble.linear
        ],
        "half_lives": [model.half_life for model in ensemble.popularity],
        "network": _NETWORK if ensemble.network is not None else "",
    }
    if ensemble.network is not None:
        ensemble.network.write(directory / _NETWORK)
    with _alone(folder):
        (directory / "models.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        write_text_whole(folder / CURRENT, json.dumps({"current": directory.name}))
        _drop_old(folder, directory.name)
    return directory.name


def _next_directory(folder: Path) -> Path:
    """An empty one of a number that is larger than all others; of two trainings at once each gets its own."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        directory = folder / f"model-{1 + max(_numbers(folder), default=0)}"
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory


def _numbers(folder: Path) -> list[int]:
    return [int(path.name[6:]) for path in folder.glob("model-*") if path.name[6:].isdigit()]


def _drop_old(folder: Path, current: str) -> None:
    """All whole models before the one before the current one; what another training is writing is not whole yet."""
    before = sorted(number for number in _numbers(folder) if number < int(current[6:]))
    for number in before[:-1]:
        directory = folder / f"model-{number}"
        if (directory / "models.json").is_file():
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One training at a time names its model and drops old ones."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def current_model(folder: Path) -> str:
    """Name of the current model. Raises CheckpointError where `model.json` names none."""
    try:
        return str(json.loads((folder / CURRENT).read_text(encoding="utf-8"))["current"])
    except _UNREADABLE as error:
        raise CheckpointError(f"{folder / CURRENT} names no model ({error!r}): train it again") from error


def load_model(directory: Path, people: Audience) -> Recommender:
    """Read what `save_model` wrote. Raises CheckpointError for a folder that holds none, or a broken one."""
    try:
        told = json.loads((directory / "models.json").read_text(encoding="utf-8"))
        return _recommender(directory, told, people)
    except _UNREADABLE as error:
        raise CheckpointError(
            f"{directory} holds no whole model of a recommender ({error!r}): train it again"
        ) from error


def _recommender(directory: Path, told: dict[str, Any], people: Audience) -> Recommender:
    catalogue = tuple(told["catalogue"])
    with np.load(directory / "popularity.npz") as file:
        arrays = {name: file[name] for name in ("times", "items", "counts", "weights")}
    matrices = {one["matrix"]: np.load(directory / one["matrix"]) for one in told["linear"]}
    if any(matrix.shape != (len(catalogue), len(catalogue)) for matrix in matrices.values()):
        raise ValueError(f"a matrix is not of {len(catalogue)} items")
    linear = tuple(
        LinearModel(one["name"], matrices[one["matrix"]], Recency(one["last"], one["decay"])) for one in told["linear"]
    )
    popularity = tuple(
        WindowedPopularity(arrays["times"], arrays["items"], len(catalogue), half_life, arrays["counts"])
        for half_life in told["half_lives"]
    )
    has_network = bool(told.get("network"))
    weights, num_models, unit = arrays["weights"], len(linear) + len(popularity) + has_network, float(told["unit"])
    if len(weights) != num_models:
        raise ValueError(f"there are {len(weights)} weights of {num_models} models")
    # Last, since it opens an engine, which nobody would close if what comes behind failed.
    network = _served_network(directory, catalogue) if has_network else None
    return Recommender(catalogue, Ensemble(linear, popularity, network), weights, people, unit)


def _served_network(directory: Path, catalogue: tuple[str, ...]) -> NextItems:
    """The network of a model, under an engine of its own."""
    from pagoda.recommend.sequence.serving import SequenceServer

    server = SequenceServer(directory / _NETWORK, memory_mb=_CACHE_MB)
    if server.catalogue != catalogue:
        server.close()
        raise ValueError("the network is of other items")
    return server


def set_up(
    folder: Path, log: InteractionLog | None, things: Iterable[CatalogueItem] | None, recommender: Recommender
) -> str:
    """Fill a folder with events, things and a model; the model's name.

    log: events that it has already are not doubled, those of people who were deleted from it are left out; None adds
        none
    things: None keeps those that are there
    """
    folder.mkdir(parents=True, exist_ok=True)
    if log is not None:
        _write_events(folder, log)
    path = folder / THINGS
    if things is not None or not path.is_file():
        write_whole(path, lambda temporary: write_things(temporary, things or ()))
    return save_model(recommender, folder)


def _write_events(folder: Path, log: InteractionLog) -> None:
    """The place among a person's equal events tells two visits at one time apart.

    Who was forgotten is asked here, too, not before a training alone: it may take minutes, in which somebody leaves.
    """
    store = EventStore(folder / PEOPLE)
    try:
        counts = Counter(_without_gone(store, log).events())
        store.append(
            StoredEvent(id_of_a_line(*event, number), event)
            for event, count in counts.items()
            for number in range(count)
        )
    finally:
        store.close()


def events_of(folder: Path) -> InteractionLog:
    """What people did, as it is kept in a folder. Raises ConfigError where nothing is."""
    if not (folder / PEOPLE).is_file():
        raise ConfigError(f"{folder} holds no events of people: `pagoda recommend train EVENTS --out {folder}` first")
    store = EventStore(folder / PEOPLE)
    try:
        return InteractionLog.of(store.events())
    finally:
        store.close()


def without_forgotten(folder: Path, log: InteractionLog) -> InteractionLog:
    """The log without people who were deleted from the folder."""
    if not (folder / PEOPLE).is_file():
        return log
    store = EventStore(folder / PEOPLE)
    try:
        return _without_gone(store, log)
    finally:
        store.close()


def _without_gone(store: EventStore, log: InteractionLog) -> InteractionLog:
    gone = store.forgotten(log.users)
    return InteractionLog.of(event for event in log.events() if event.user not in gone) if gone else log


def holds_other_items(folder: Path, items: Collection[str]) -> bool:
    """Whether somebody took something in this folder that is not among these."""
    return (folder / PEOPLE).is_file() and not set(events_of(folder).items) <= set(items)
