"""Which files an indexing run looks at, and what each is called.

Before the first station of a document's path: *file* -> Document -> Chunks -> index -> Hits -> answer. Nothing outside
the folders that were named is read: links that lead out of them are reported, hidden and version control folders are
passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pagoda.rag.errors import RagError

_NEVER = frozenset({"CVS", "_darcs", "__pycache__", "__MACOSX", "node_modules"})


@dataclass(frozen=True)
class FoundFile:
    """A file to look at. path: absolute, links resolved; base: the folder that names are relative to."""

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
        path = Path(location)
        return any(path.is_relative_to(root) for root in self.roots) and not any(
            path.is_relative_to(folder) for folder in self.closed
        )


def find_files(paths: Sequence[str | Path], root: str | Path | None = None, exclude: Path | None = None) -> Scan:
    """Files and folders, sorted by name within each folder, each file once.

    root: names are relative to it and nothing outside it is read; else to each folder that was named
    exclude: a folder to leave out (the index itself)
    Raises RagError where a path is outside `root`.
    """
    scan = Scan()
    seen: set[Path] = set()
    limit = None if root is None else Path(root).expanduser().resolve()
    for given in paths:
        path = Path(given).expanduser().resolve()
        if limit is not None and not path.is_relative_to(limit):
            raise RagError(f"{given} is outside the folder {root}: name files and folders within it")
        scan.roots.append(path)
        if not path.exists():
            scan.gone.append(path)
            continue
        base = limit or (path if path.is_dir() else path.parent)
        for file in _walk(path, base, scan, exclude) if path.is_dir() else [path]:
            if file not in seen:
                seen.add(file)
                scan.files.append(FoundFile(file, base))
    return scan


def _walk(folder: Path, base: Path, scan: Scan, exclude: Path | None) -> Iterator[Path]:
    def closed(error: OSError) -> None:
        scan.closed.append(Path(error.filename))
        scan.skipped.append((_name(Path(error.filename), base), f"folder cannot be read ({error.strerror})"))

    for where, folders, files in os.walk(folder, onerror=closed):
        here = Path(where)
        folders[:] = sorted(name for name in folders if _is_open(here / name, exclude))
        for name in sorted(files):
            reason = _obstacle(here / name, folder)
            if reason is None:
                yield here / name
            elif reason:
                scan.skipped.append((_name(here / name, base), reason))


def _obstacle(path: Path, folder: Path) -> str | None:
    """Why a file is left out; "" where nobody needs to be told, None where it is not."""
    if _is_hidden(path.name):
        return ""
    if path.is_symlink():
        # Within the folder the link's target is found under its own name.
        return "" if path.resolve().is_relative_to(folder) else "is a link out of the folder, which is not followed"
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "has a name that is no valid text: rename it"
    return None


def _is_open(folder: Path, exclude: Path | None) -> bool:
    return not (_is_hidden(folder.name) or folder.name in _NEVER or folder.is_symlink() or folder == exclude)


def _is_hidden(name: str) -> bool:
    # "~$": what office programs leave beside an open document.
    return name.startswith((".", "~$"))


def _name(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix().encode(errors="replace").decode()
