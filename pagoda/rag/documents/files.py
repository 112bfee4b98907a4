"""Which files an indexing run looks at, and what each is called.

Before the first station of a document's path: *file* -> Document -> Chunks -> index -> Hits -> answer. Nothing outside
the folders that were named is read. A link is followed where it leads to something in its folder that is not found
without it, as in the folders that Kubernetes mounts, where all is a link into a hidden folder; links that lead out or
nowhere are reported. Hidden and version control folders are passed over.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pagoda.rag.errors import RagError

_NEVER = frozenset({"CVS", "_darcs", "__pycache__", "__MACOSX", "node_modules"})


@dataclass(frozen=True)
class FileChoice:
    """Which of the files that are found are wanted.

    include: patterns of which a file must match one, where there are any; exclude: patterns of which it must match none
    A pattern with a "/" is compared with the path below the folder that was named, one without with the name of the
    file and of each folder above it; "*" stands for any characters.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def wants(self, path: PurePosixPath) -> bool:
        """Whether a file is wanted. path: below the folder that was named.

        >>> FileChoice(include=("*.md",), exclude=("drafts", "old/*")).wants(PurePosixPath("guide/a.md"))
        True
        """
        return (not self.include or _matches(path, self.include)) and not _matches(path, self.exclude)


@dataclass(frozen=True)
class FoundFile:
    """A file to look at.

    path: absolute, and without links but for a file that is found by a link alone: what it leads to may move
    base: the folder that names are relative to
    """

    path: Path
    base: Path

    @property
    def location(self) -> str:
        """What tells it apart from every other file."""
        return str(self.path)

    def names(self) -> Iterator[str]:
        """What it may be called: relative to the base, then with more and more of the folders above.

        >>> list(FoundFile(Path("/docs/a/x.md"), Path("/docs/a")).names())
        ['x.md', 'a/x.md', 'docs/a/x.md']
        """
        parts = self.path.parts[1:]
        shortest = len(self.path.relative_to(self.base).parts)
        for length in range(shortest, len(parts) + 1):
            yield "/".join(parts[-length:])


@dataclass
class Scan:
    """What was found. gone: paths that were named and do not exist; closed: folders that could not be read."""

    files: list[FoundFile] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    roots: list[Path] = field(default_factory=list)
    gone: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)

    def covers(self, location: str) -> bool:
        """Whether a file at this place would have been found: below a named path, and not in a closed folder."""
        return any(Path(location).is_relative_to(root) for root in self.roots) and not self.is_closed(location)

    def is_closed(self, location: str) -> bool:
        """Whether a file at this place is in a folder that could not be read."""
        return any(Path(location).is_relative_to(folder) for folder in self.closed)


def find_files(
    paths: Sequence[str | Path],
    root: str | Path | None = None,
    exclude: Path | None = None,
    choice: FileChoice | None = None,
) -> Scan:
    """Files and folders, sorted by name within each folder, each file once.

    root: names are relative to it and nothing outside it is read; else to each folder that was named
    exclude: a folder to leave out (the index itself); choice: which files are wanted, all but by default
    Raises RagError where a path is outside `root`.
    """
    scan = Scan()
    wanted = choice or FileChoice()
    seen: set[Path] = set()
    limit = None if root is None else _target(Path(root).expanduser())
    for given in paths:
        path = _target(Path(given).expanduser())
        if limit is not None and not path.is_relative_to(limit):
            raise RagError(f"{given} is outside the folder {root}: name files and folders within it")
        scan.roots.append(path)
        if not path.exists():
            scan.gone.append(path)
            continue
        base = limit or (path if path.is_dir() else path.parent)
        for file in _Walk(path, base, scan, exclude).files() if path.is_dir() else [path]:
            target = _target(file)
            if target not in seen and (file == path or wanted.wants(PurePosixPath(file.relative_to(path).as_posix()))):
                seen.add(target)
                scan.files.append(FoundFile(file, base))
    return scan


class _Walk:
    """One folder, from top to bottom: first what lies in it, then what only a link leads to."""

    def __init__(self, folder: Path, base: Path, scan: Scan, exclude: Path | None) -> None:
        self._folder = folder
        self._base = base
        self._scan = scan
        self._exclude = exclude and _target(exclude)
        self._entered: set[Path] = set()
        self._links: list[Path] = []

    def files(self) -> Iterator[Path]:
        """Absolute, and without links but for those that alone lead to a file."""
        yield from self._below(self._folder)
        # A folder behind a link may hold links itself.
        while self._links:
            yield from self._behind(self._links.pop(0))

    def _below(self, folder: Path) -> Iterator[Path]:
        for where, folders, files in os.walk(folder, onerror=self._note_closed):
            here = Path(where)
            self._entered.add(_target(here))
            names = [name for name in sorted(folders) if not (_is_hidden(name) or name in _NEVER)]
            self._links += [here / name for name in names if (here / name).is_symlink()]
            folders[:] = [name for name in names if not (here / name).is_symlink() and not self._is_index(here / name)]
            for name in sorted(files):
                if _is_hidden(name):
                    continue
                if (here / name).is_symlink():
                    self._links.append(here / name)
                elif _has_valid_name(here / name):
                    yield here / name
                else:
                    self._skip(here / name, "has a name that is no valid text: rename it")

    def _behind(self, link: Path) -> Iterator[Path]:
        """What a link leads to, if nothing else does; a file in a folder that was entered is found under its name."""
        target = _target(link)
        if not target.exists():
            self._skip(link, "is a link that leads nowhere: mend it, or remove it")
        elif not target.is_relative_to(self._folder):
            self._skip(link, "is a link out of the folder, which is not followed")
        elif target.is_dir():
            if target not in self._entered and not self._is_index(target):
                yield from self._below(link)
        elif _is_hidden(target.name) or target.parent not in self._entered:
            yield link

    def _is_index(self, folder: Path) -> bool:
        return self._exclude is not None and _target(folder).is_relative_to(self._exclude)

    def _note_closed(self, error: OSError) -> None:
        self._scan.closed.append(Path(error.filename))
        self._skip(Path(error.filename), f"folder cannot be read ({error.strerror})")

    def _skip(self, path: Path, reason: str) -> None:
        name = path.relative_to(self._base).as_posix().encode(errors="replace").decode()
        self._scan.skipped.append((name, reason))


def _matches(path: PurePosixPath, patterns: Sequence[str]) -> bool:
    """Whether a pattern is of the file, or of a folder that it lies in."""
    whole = path.as_posix()
    for pattern in (entry.removeprefix("./").rstrip("/") for entry in patterns):
        names = [whole] if "/" in pattern else path.parts
        if any(fnmatch.fnmatchcase(name, pattern) for name in names) or fnmatch.fnmatchcase(whole, f"{pattern}/*"):
            return True
    return False


def _target(path: Path) -> Path:
    """Absolute, links resolved; one that leads in a circle stays as it is, where `Path.resolve` raises."""
    return Path(os.path.realpath(path))


def _has_valid_name(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_hidden(name: str) -> bool:
    # "~$": what office programs leave beside an open document.
    return name.startswith((".", "~$"))
