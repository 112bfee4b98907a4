"""The package of an Office Open XML file: its parts and what each refers to.

Below the first station of a document's path: *file* -> Document -> Chunks -> index -> Hits -> answer. ECMA-376, part 2
(Open Packaging Conventions). A part is read when it is asked for, and one that is missing or broken is none: libraries
that load the whole package refuse a report of two hundred pages for a picture that is gone.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pagoda.rag.documents.office.archive import parse_xml
from pagoda.rag.errors import LoadError

# The same words under the names of ISO 29500 Strict.
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_DC = "{http://purl.org/dc/elements/1.1/}"
_CORE = "{http://schemas.openxmlformats.org/package/2006/metadata/core-properties}"


@dataclass(frozen=True)
class Relation:
    """kind: the last word of its type, such as "footnotes"; target: the name of a part."""

    kind: str
    target: str


class Package:
    """The parts of an archive by their names."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = {name.lower(): name for name in archive.namelist()}
        self._relations: dict[str, dict[str, Relation]] = {}

    @property
    def main(self) -> str:
        """The name of the part that everything else hangs on. Raises KeyError where there is none."""
        for relation in self.relations("").values():
            if relation.kind == "officeDocument":
                return relation.target
        raise KeyError("the package has no document")

    def xml(self, name: str) -> Any:
        """The root of a part; None where it is not there or is no XML."""
        found = self._names.get(name.lower())
        try:
            data = self._archive.read(found) if found else b""
        except (zipfile.BadZipFile, zlib.error, OSError, ValueError):
            return None
        return parse_xml(_STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", data)) if data else None

    def main_root(self) -> Any:
        """The root of the main part. Raises LoadError where it cannot be read: without it there is no file."""
        if (root := self.xml(self.main)) is None:
            raise LoadError("is broken: its main part cannot be read; save it anew")
        return root

    def referred(self, name: str, relation: str | None) -> Any:
        """The root of what a part refers to by an id; None where there is none."""
        found = self.relations(name).get(relation or "")
        return self.xml(found.target) if found else None

    def relations(self, name: str) -> dict[str, Relation]:
        """What a part refers to within the package, by the ids that it uses; "" is the package itself."""
        if name not in self._relations:
            self._relations[name] = self._read_relations(name)
        return self._relations[name]

    def _read_relations(self, name: str) -> dict[str, Relation]:
        folder, base = posixpath.split(name)
        root = self.xml(posixpath.join(folder, "_rels", f"{base}.rels"))
        return {
            element.get("Id", ""): Relation(
                element.get("Type", "").rsplit("/", 1)[-1], _resolved(folder, element.get("Target", ""))
            )
            for element in (() if root is None else root)
            if isinstance(element.tag, str) and element.get("TargetMode") != "External"
        }

    def related(self, name: str, kind: str) -> Iterator[Any]:
        """The roots of the parts of a kind that a part refers to."""
        for relation in self.relations(name).values():
            if relation.kind == kind and (root := self.xml(relation.target)) is not None:
                yield root

    def properties(self) -> dict[str, str]:
        """title, author and category, as far as the file says them."""
        root = next(self.related("", "core-properties"), None)
        tags = {"title": _DC + "title", "author": _DC + "creator", "category": _CORE + "category"}
        return {name: "" if root is None else (root.findtext(tag) or "").strip() for name, tag in tags.items()}


def _resolved(folder: str, target: str) -> str:
    """
    >>> _resolved("word", "../customXml/item1.xml"), _resolved("ppt", "/ppt/slides/slide1.xml")
    ('customXml/item1.xml', 'ppt/slides/slide1.xml')
    """
    return posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
