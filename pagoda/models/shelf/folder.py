"""The shelf itself: one folder a model, with a manifest that says what lies there, and a lock for whoever changes it.

Off the token's path: written by `pulling`, read where a name becomes a path. A folder counts once its manifest is
there, and the manifest is written last: what was cut short is told apart from what is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pagoda.errors import CheckpointError

MANIFEST = "pagoda-manifest.json"
_FORMAT = 1
_KEY = re.compile(r"[a-z0-9_][a-z0-9._+-]{0,200}")  # never "..", and nothing hidden


@dataclass(frozen=True)
class ShelvedFile:
    """name: below the model's folder; size: bytes; sha256: hex digits."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ShelvedModel:
    """A model that lies on the shelf.

    model: the file to load, below its folder; empty for the folder itself. source: whom it came from, in words;
    revision: the hub's commit, or a package's version. pulled_at: ISO 8601, UTC.
    """

    name: str
    model: str
    source: str
    revision: str
    licence: str
    languages: tuple[str, ...]
    quantisation: str
    pulled_at: str
    files: tuple[ShelvedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Shelf:
    """The folder of fetched models. Names are told apart without regard to case, as the hub does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, name: str) -> Path:
        """The folder of a model, whether or not it is there.

        >>> Shelf(Path("/models")).place("Qwen/Qwen3-0.6B-GGUF:Q8_0").name
        'qwen--qwen3-0.6b-gguf+q8_0'
        """
        if not _KEY.fullmatch(_key(name)):
            raise CheckpointError(f"{name!r} is no name of a model")
        return self.folder / _key(name)

    def models(self) -> list[ShelvedModel]:
        """All that are whole, by name."""
        manifests = sorted(self.folder.glob(f"*/{MANIFEST}"))
        return [model for manifest in manifests if (model := _read(manifest)) is not None]

    def unfinished(self) -> list[str]:
        """Folders of pulls that were cut short."""
        folders = [path for path in sorted(self.folder.glob("[!.]*/")) if path.is_dir()]
        return [path.name for path in folders if not (path / MANIFEST).is_file()]

    def get(self, name: str) -> ShelvedModel | None:
        """A model that is whole: what its manifest lists is there, in its size. None for what is no name, too."""
        model = _read(self.folder / _key(name) / MANIFEST) if _KEY.fullmatch(_key(name)) else None
        if model is None or any(self._size(model, file) != file.size for file in model.files):
            return None
        return model

    def path(self, model: ShelvedModel) -> Path:
        """What is loaded: a .gguf file, the first of a split set, or a checkpoint directory."""
        return self.place(model.name) / model.model

    def add(self, model: ShelvedModel) -> None:
        """Write the manifest, the last step of a pull."""
        manifest = self.place(model.name) / MANIFEST
        draft = manifest.with_suffix(".part")
        draft.write_text(json.dumps({"format": _FORMAT, **asdict(model)}, indent=2, ensure_ascii=False) + "\n")
        os.replace(draft, manifest)

    def size(self, name: str) -> int | None:
        """Bytes that a model takes, or what came of one; None where nothing is there."""
        place = self.place(name)
        return sum(path.lstat().st_size for path in place.rglob("*") if path.is_file()) if place.is_dir() else None

    def remove(self, name: str) -> None:
        """Delete a model, or what came of one."""
        place = self.place(name)
        (place / MANIFEST).unlink(missing_ok=True)  # first: a folder that is half deleted must not count
        shutil.rmtree(place)

    @contextlib.contextmanager
    def locked(self, name: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """Keep other processes from pulling or deleting a model; on_wait is called once where one does so already."""
        from filelock import FileLock, Timeout

        locks = self.folder / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{self.place(name).name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _size(self, model: ShelvedModel, file: ShelvedFile) -> int | None:
        try:
            return (self.place(model.name) / file.name).stat().st_size
        except OSError:
            return None


def _key(name: str) -> str:
    return name.lower().replace("/", "--").replace(":", "+")


def _read(manifest: Path) -> ShelvedModel | None:
    """None where there is no manifest. Raises CheckpointError for one that cannot be read."""
    try:
        text = manifest.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        told: dict[str, Any] = json.loads(text)
        if told.pop("format") != _FORMAT:
            raise ValueError("it is of another version of pagoda's")
        files = tuple(ShelvedFile(**file) for file in told.pop("files"))
        return ShelvedModel(**{**told, "languages": tuple(told["languages"])}, files=files)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{manifest} cannot be read ({error}): delete the folder and pull the model anew"
        ) from error
