"""What was asked for when an index was made: the next run does the same without being told again.

Beside a document's path, file -> Document -> Chunks -> index: which files are taken, how they are read and cut. The
catalog keeps the options beside the documents.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from pagoda.errors import ConfigError
from pagoda.rag.documents.decoding import LoaderSettings
from pagoda.rag.documents.files import FileChoice

_DEFAULTS: Mapping[str, Any] = {
    "max_chunk_tokens": 200,
    "overlap_sentences": 1,
    "encoding": "",
    "max_bytes": LoaderSettings().max_bytes,
    "include": (),
    "exclude": (),
}


@dataclass(frozen=True, kw_only=True)
class IndexOptions:
    """How documents are chosen, read and cut. None: as the index has it; where it has nothing, the default.

    max_chunk_tokens, overlap_sentences: see Splitter; max_bytes, encoding: see LoaderSettings, "" detects the encoding
    again; include, exclude: see FileChoice, () takes all files again
    Another size, overlap or encoding makes every document anew. Raises ConfigError.
    """

    max_chunk_tokens: int | None = None
    overlap_sentences: int | None = None
    encoding: str | None = None
    max_bytes: int | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, least in (("max_chunk_tokens", 8), ("overlap_sentences", 0), ("max_bytes", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}, expected at least {least}")
        if self.encoding and not _is_encoding(self.encoding):
            raise ConfigError(f"encoding is {self.encoding!r}, expected one that Python knows: utf-8, gb18030, big5")

    def over(self, kept: IndexOptions) -> IndexOptions:
        """These, and where nothing was said those of `kept`.

        >>> IndexOptions(encoding="gbk").over(IndexOptions(encoding="big5", max_bytes=9)).said()
        {'encoding': 'gbk', 'max_bytes': 9}
        """
        told: dict[str, Any] = {**kept.said(), **self.said()}
        return IndexOptions(**told)

    def said(self) -> dict[str, Any]:
        """What is not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def changes(self, kept: IndexOptions) -> dict[str, tuple[Any, Any]]:
        """Name -> (as it was, as it is here) of what was said and is not as in `kept`; None: nothing was said before.

        >>> IndexOptions(max_chunk_tokens=100, overlap_sentences=1).changes(IndexOptions())
        {'max_chunk_tokens': (200, 100)}
        """
        before = {**_DEFAULTS, **kept.said()}
        return {name: (before[name], value) for name, value in self.said().items() if value != before[name]}

    @property
    def loading(self) -> LoaderSettings:
        """How files are read."""
        return LoaderSettings(max_bytes=self._of("max_bytes"), encoding=self._of("encoding") or None)

    @property
    def choice(self) -> FileChoice:
        """Which files are taken."""
        return FileChoice(self._of("include"), self._of("exclude"))

    @property
    def cutting(self) -> tuple[int, int]:
        """Most tokens of a chunk, and the sentences that it takes over from the one before."""
        return self._of("max_chunk_tokens"), self._of("overlap_sentences")

    def _of(self, name: str) -> Any:
        return {**_DEFAULTS, **self.said()}[name]

    def as_json(self) -> str:
        """As the catalog keeps it."""
        return json.dumps(self.said(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `as_json` gave; names that this version does not know are left out."""
        known = {f.name for f in fields(cls)}
        told: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(text).items()
            if name in known
        }
        return cls(**told)


def _is_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True
