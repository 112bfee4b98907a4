"""Which files an index knows already, under which names, and whether they have changed since.

Between file and Document on a document's path: *file* -> Document -> Chunks -> index -> Hits -> answer. A file is
told by its place, its contents by a hash; time and size only save reading it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pagoda.rag.documents.files import FoundFile
from pagoda.rag.index.catalog import DocumentRecord, now

# A file that was written this shortly before it was indexed may have been written again within the same tick.
_RACY_NS = 2 * 10**9


@dataclass(frozen=True)
class Sighting:
    """A file as it is now. before: what the index knows of it; source: what it is to be called."""

    file: FoundFile
    source: str
    mtime_ns: int
    size: int
    before: DocumentRecord | None

    def is_untouched(self, recipe: str) -> bool:
        """Whether time and size say that nothing changed."""
        before = self.before
        if before is None or (before.source, before.location, before.recipe) != (
            self.source,
            self.file.location,
            recipe,
        ):
            return False
        checked_ns = datetime.fromisoformat(before.checked_at).timestamp() * 1e9
        return (before.mtime_ns, before.size) == (self.mtime_ns, self.size) and self.mtime_ns < checked_ns - _RACY_NS

    def has_hash(self, recipe: str, *, file_hash: str | None = None, content_hash: str | None = None) -> bool:
        """Whether the index holds this very file, or this very text, already."""
        before = self.before
        if before is None or (before.source, before.recipe) != (self.source, recipe):
            return False
        return before.file_hash == file_hash if content_hash is None else before.content_hash == content_hash

    def refreshed(self, file_hash: str) -> DocumentRecord:
        """The known record with the file's present place, time and hash."""
        assert self.before is not None, "only a known document can be refreshed"
        return replace(
            self.before,
            location=self.file.location,
            file_hash=file_hash,
            mtime_ns=self.mtime_ns,
            size=self.size,
            checked_at=now(),
        )


class KnownFiles:
    """The documents of an index at the beginning of a run; names are given so that no two files share one."""

    def __init__(self, records: Iterable[DocumentRecord]) -> None:
        self.by_location = {record.location: record for record in records}
        self._by_source = {record.source: record for record in self.by_location.values()}
        self._given: dict[str, str] = {}

    def sight(self, file: FoundFile) -> Sighting:
        """Look at a file. Raises OSError where it is gone."""
        stat = file.path.stat()
        source = self._name(file)
        self._given[source] = file.location
        # A document under this name whose file is gone: the file was moved here.
        before = self.by_location.get(file.location) or self._by_source.get(source)
        return Sighting(file, source, stat.st_mtime_ns, stat.st_size, before)

    def replaced(self, sighting: Sighting) -> set[str]:
        """Names in the index that this file's document takes the place of."""
        known = (self.by_location.get(sighting.file.location), self._by_source.get(sighting.source))
        return {record.source for record in known if record is not None}

    def is_given(self, source: str) -> bool:
        """Whether a file of this run has this name."""
        return source in self._given

    def _name(self, file: FoundFile) -> str:
        """The name it has; else the shortest that no other file has."""
        known = self.by_location.get(file.location)
        names = list(file.names())
        if known is not None and known.source in names:
            return known.source
        return next((name for name in names if self._is_free(name, file.location)), file.location)

    def _is_free(self, name: str, location: str) -> bool:
        holder = self._by_source.get(name)
        taken = holder is not None and holder.location != location and Path(holder.location).is_file()
        return not taken and self._given.get(name, location) == location
