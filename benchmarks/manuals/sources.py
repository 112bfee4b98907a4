"""The manuals of the judged questions: which there are, where each is had, and under what licence.

Before a question's path: `data/manuals/sources.toml` -> *sources* -> corpus -> index. A manual comes from a Debian
package or from a repository at one commit, so that the same text is there for everybody.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

DATA = Path(__file__).resolve().parents[1] / "data" / "manuals"


@dataclass(frozen=True)
class Source:
    """One manual. files: below `base`; url, sha256: of the package that holds them; else repository and commit.

    half: "develop" or "report" where the set is split by manual; then each half is a corpus of its own
    """

    name: str
    language: str
    title: str
    licence: str
    base: str
    files: tuple[str, ...]
    url: str = ""
    sha256: str = ""
    repository: str = ""
    commit: str = ""
    half: str = ""

    def inside(self, file: str) -> str:
        """Path of a file in the package or repository."""
        return str(PurePosixPath(self.base) / file)

    def address(self, file: str) -> str:
        """Where a file of a repository is had."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.inside(file)}"

    def place(self, file: str) -> str:
        """Where a file lies in the corpus, below the language's folder; a manual page of man is made plain text."""
        path = PurePosixPath(file)
        name = path.name.removesuffix(".gz")
        is_roff = path.suffix == ".gz" and name[-2:-1] == "." and name[-1].isdigit()
        return str(PurePosixPath(self.name) / path.parent / (f"{name}.txt" if is_roff else name))


def sources(folder: Path = DATA, half: str | None = None) -> list[Source]:
    """All of them, or those of one half and those of both; a set may tell them in a file for each language."""
    files = sorted(folder.glob("sources*.toml"))
    rows = [row for file in files for row in tomllib.loads(file.read_text("utf-8"))["source"]]
    found = [Source(**{**row, "files": tuple(row["files"])}) for row in rows]
    return [each for each in found if half is None or each.half in ("", half)]


def places(found: list[Source]) -> Iterator[tuple[Source, str, str]]:
    """(manual, its file, where that lies in the corpus, with the language's folder)."""
    for source in found:
        for file in source.files:
            yield source, file, f"{source.language}/{source.place(file)}"
