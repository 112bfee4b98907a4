"""What can go wrong with documents and their index, below `PagodaError`.

    RagError                 an index cannot be read, written or kept
    |-- LoadError              one file cannot be turned into a document; the others go on
    |   `-- EmptyFileError       there is no text in it
    |-- StoreError             the vector store cannot be reached, or refuses to write
    |   `-- MissingVectorsError  it lost vectors that the catalog names
    `-- IndexLockedError       another process writes to the index

A document that is asked for and that the index does not hold is an UnknownDocumentError, an InvalidRequestError. A
setting that contradicts the index (another embedding model, a folder that is no index) is a ConfigError. Stands beside
the whole path file -> Document -> Chunks -> index -> Hits -> answer.
"""

from __future__ import annotations

from pagoda.errors import InvalidRequestError, PagodaError


class RagError(PagodaError):
    """An index of documents cannot be read, written or kept."""


class LoadError(RagError):
    """A file that cannot become a document: broken, binary, empty, encrypted, too large, of an unknown kind."""


class UnknownKindError(LoadError):
    """A file has a suffix that nothing reads. brief: the same without the list of those that are read."""

    def __init__(self, brief: str, known: str) -> None:
        super().__init__(f"{brief}: convert it to one of {known}")
        self.brief = brief


class EmptyFileError(LoadError):
    """A file without text: what was indexed of it before is out of date."""


class StoreError(RagError):
    """The vector store cannot be reached, or does not take what it is given; what was committed is untouched."""


class MissingVectorsError(StoreError):
    """The store does not hold vectors that the catalog names; the next indexing run embeds them anew."""


class IndexLockedError(RagError):
    """Another process writes to the index; nothing was changed."""


class UnknownDocumentError(InvalidRequestError):
    """A document that the index does not hold."""
