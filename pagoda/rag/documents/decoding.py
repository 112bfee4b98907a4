"""A file's bytes to text, in the encoding that somebody names or that is certain.

Before the first station of a document's path: *file* -> Document -> Chunks -> index -> Hits -> answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.errors import ConfigError
from pagoda.files import encodings
from pagoda.files.encodings import BinaryFileError, UnknownEncodingError, is_another
from pagoda.rag.errors import LoadError

HIGHER_LIMIT = "raise the limit with --max-bytes, or LoaderSettings(max_bytes=...)"
"""What else to do about a file that is too large."""


@dataclass(frozen=True)
class LoaderSettings:
    """What files may be like.

    max_bytes: of a file, and of what it unpacks to
    encoding: of text files, where somebody knows it; else it is detected, and refused where it is not certain
    """

    max_bytes: int = 64 << 20
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ConfigError(f"max_bytes is {self.max_bytes}, expected at least 1")


def decode(data: bytes, encoding: str | None = None) -> str:
    """The text, with "\\n" at the end of lines and without a byte order mark.

    encoding: where somebody knows it; else single bytes that are broken become U+FFFD
    Raises LoadError where bytes are no text, or no encoding is certain.

    >>> decode("中文".encode("gb18030")), decode(b"\\xff\\xfea\\x00")
    ('中文', 'a')
    """
    name = encoding or detect(data)
    try:
        # Whoever names an encoding wants to know that it is another one.
        text = data.decode(name, "strict" if encoding else "replace")
    except LookupError as error:
        raise LoadError(
            f"encoding {name!r} is unknown: name one that Python knows, such as gb18030 or cp1252"
        ) from error
    except UnicodeDecodeError as error:
        raise LoadError(f"is not {name}: byte {error.start} cannot be read; save it as UTF-8") from error
    if encoding and is_another(data, encoding):
        raise LoadError(f"is not {name}, read so it is no text: leave the encoding out for it, or name its own")
    # Python keeps the mark where the encoding was named without it ("utf-16-le").
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def detect(data: bytes) -> str:
    """The encoding of `data`, by Python's name. Raises LoadError where it is binary or none is certain."""
    try:
        return encodings.detect(data)
    except BinaryFileError as error:
        raise LoadError(str(error)) from error
    except UnknownEncodingError as error:
        raise LoadError(f"{error}, or name its encoding with --encoding, or LoaderSettings(encoding=...)") from error
