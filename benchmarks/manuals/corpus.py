"""The manuals as a folder of files: taken from a folder that has them already, or fetched, checked and unpacked.

Before a question's path: sources -> *corpus* -> index. FOLDER/sources holds what was fetched (packages by their file
name, repositories by their name), FOLDER/corpus/LANGUAGE/MANUAL what is indexed. Nothing that is there is fetched or
made again.
"""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from manuals.archive import files_of, plain
from manuals.sources import Source, places

TIMEOUT_S = 60


class Corpus:
    """Manuals below one folder. fetches: whether what is missing may be had from the network."""

    def __init__(self, folder: Path, checksums: Mapping[str, str], fetches: bool = True) -> None:
        self.folder = folder
        self._checksums = checksums
        self._fetches = fetches

    def path(self, place: str) -> Path:
        """Of a file of the corpus."""
        return self.folder / "corpus" / place

    def missing(self, sources: list[Source]) -> list[str]:
        """Places of files that are not there."""
        return [place for _, _, place in places(sources) if not self.path(place).is_file()]

    def build(self, source: Source) -> None:
        """Make the files of one manual. Raises OSError for what cannot be had, ValueError for other content."""
        if not self.missing([source]):
            return
        content = self._package(source) if source.url else self._repository(source)
        for _, file, place in places([source]):
            path = self.path(place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(plain(file, content[file]))

    def _package(self, source: Source) -> Mapping[str, bytes]:
        name = source.url.rpartition("/")[2]
        package = self._had(name, source.url, source.sha256)
        found = files_of(package, [source.inside(file) for file in source.files])
        return {file: found[source.inside(file)] for file in source.files}

    def _repository(self, source: Source) -> Mapping[str, bytes]:
        folder = source.repository.partition("/")[2]
        return {
            file: self._had(
                f"{folder}/{source.inside(file)}",
                source.address(file),
                self._checksums[f"{source.language}/{source.place(file)}"],
            )
            for file in source.files
        }

    def _had(self, name: str, url: str, sha256: str) -> bytes:
        """Content of FOLDER/sources/NAME, fetched from `url` where it is not there."""
        path = self.folder / "sources" / name
        if not path.is_file():
            if not self._fetches:
                raise FileNotFoundError(f"{path} is not there: have it from {url}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(fetched(url))
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise ValueError(f"{path} has the checksum {found}, expected {sha256}: take the version of {url}")
        return content


def fetched(url: str, opener: Callable[..., object] = urllib.request.urlopen) -> bytes:
    """What stands there. Raises OSError with the address."""
    scheme, _, rest = url.partition("://")
    try:
        with opener(f"{scheme}://{quote(rest)}", timeout=TIMEOUT_S) as reply:  # type: ignore[attr-defined]
            return bytes(reply.read())
    except OSError as error:
        raise OSError(f"{url} cannot be had ({error}): put it into FOLDER/sources by hand") from error


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of files of repositories by their place in the corpus; a set may have a file for each language."""
    lines = [line for file in sorted(folder.glob("checksums*.txt")) for line in file.read_text("utf-8").splitlines()]
    return {place: sha256 for sha256, _, place in (line.partition("  ") for line in lines)}
