"""Bytes to text, where nobody says in which encoding they were written.

Before the first station of a document's path: *file* -> Document -> Chunks -> index -> Hits -> answer. UTF-8 and
UTF-16 prove themselves, though a few of their bytes may be broken; of older encodings the likeliest is taken where it
stands out (`legacy_encodings`), and everything else is refused rather than guessed.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from pagoda.errors import ConfigError
from pagoda.rag.documents.legacy_encodings import likeliest
from pagoda.rag.errors import LoadError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # The mark of UTF-32 begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 16
# So many characters beyond ASCII are not UTF-8 by chance.
_PROOF = 4
# Of the characters that are none of ASCII's: so few bytes of a text in UTF-8 may be broken.
_MOST_BROKEN = 0.05
_USUAL = re.compile(r"[\t\n\r -~\u00a0-\u024f\u2010-\u203a\u3000-\u9fff\uff00-\uffee]")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"


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
    if encoding and _is_another(data, encoding):
        raise LoadError(f"is not {name}, read so it is no text: leave the encoding out for it, or name its own")
    # Python keeps the mark where the encoding was named without it ("utf-16-le").
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _is_another(data: bytes, encoding: str) -> bool:
    """Whether bytes can be read in an encoding that somebody named, and are in another one.

    Nearly all bytes are something in UTF-16, and most are in the encodings of Chinese; but what is in none of these is
    rarely UTF-8 by chance.
    """
    name = codecs.lookup(encoding).name
    if name.startswith("utf-8") or any(data.startswith(mark) for mark, _ in _MARKS):
        return False
    is_wide = name.startswith(("utf-16", "utf-32"))
    try:
        num_other = sum(1 for character in data.decode("utf-8") if not character.isascii())
    except UnicodeDecodeError:
        return is_wide and not _is_text(data, name)
    return num_other >= _PROOF or (is_wide and b"\0" not in data)


def detect(data: bytes) -> str:
    """The encoding of `data`, by Python's name. Raises LoadError where it is binary or none is certain."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    wide = _wide(data)
    if wide:
        return wide
    if _is_binary(data):
        raise LoadError("is binary, not text: give it the suffix of its format, or leave it out")
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError as error:
        guess: str | None = "utf-8" if _is_nearly_utf8(data) else likeliest(data)
        if guess is None:
            raise LoadError(
                f"is no UTF-8 (byte {error.start} cannot be read), and no other encoding is certain: save it as UTF-8, "
                "or name its encoding with --encoding, or LoaderSettings(encoding=...)"
            ) from error
        return guess


def _is_nearly_utf8(data: bytes) -> bool:
    """Whether some bytes of it were broken, or its end cut off: what is whole is far more than chance would make."""
    text = data[:_SAMPLE].decode("utf-8", "replace")
    num_broken = text.count("\ufffd")
    num_other = sum(1 for character in text if not character.isascii()) - num_broken
    return num_other >= 4 and num_broken <= max(1, _MOST_BROKEN * num_other)


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark: of each pair of bytes the same one is mostly zero (Latin), or hardly varies (Chinese)."""
    sample = data[:_SAMPLE]
    if len(data) % 2 or len(sample) < 4 or b"\0" not in sample:
        return None
    for name, high, low in (("utf-16-le", sample[1::2], sample[::2]), ("utf-16-be", sample[::2], sample[1::2])):
        zeros = high.count(0)
        if zeros and low.count(0) <= len(low) // 50 and _is_text(data, name):
            return name
    return None


def _is_text(data: bytes, name: str) -> bool:
    """Whether `data` decodes to letters, signs and Han characters rather than to a mixture of everything."""
    try:
        text = data.decode(name)
    except UnicodeDecodeError:
        return False
    sample = text[:_SAMPLE]
    usual = len(_USUAL.findall(sample))
    return usual >= 0.9 * len(sample)


def _is_binary(data: bytes) -> bool:
    """A zero byte, or more control characters than a stray one."""
    sample = data[:_SAMPLE]
    return b"\0" in sample or len(sample) - len(sample.translate(None, _CONTROLS)) > len(sample) // 100
