"""In which encoding bytes were written, where nobody says so.

Beside every path that begins with a user's file of text: documents, items of news, lists. UTF-8 and UTF-16 prove
themselves, though a few of their bytes may be broken; of older encodings the likeliest is taken where it stands out
(`legacy_encodings`), and everything else is refused rather than guessed. Imports no torch.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from pagoda.errors import PagodaError
from pagoda.files.legacy_encodings import likeliest

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
_CHUNK = 1 << 20
_BEFORE = 1 << 12
_BINARY = "is binary, not text: give it the suffix of its format, or leave it out"


class UnknownEncodingError(PagodaError):
    """Bytes that are no text, or text whose encoding is not certain."""


class BinaryFileError(UnknownEncodingError):
    """Bytes that are no text in any encoding."""


def encoding_of(path: Path) -> str:
    """The encoding of a file, which may be larger than memory, so that its lines can be read one at a time.

    A file that is UTF-8 but for some broken bytes is UTF-8: whoever reads it strictly finds the lines that are not.
    Raises UnknownEncodingError where it is binary or no encoding is certain, and OSError.
    """
    decoder, at, num_other = codecs.getincrementaldecoder("utf-8")(), 0, 0
    for number, chunk in enumerate(_chunks(path)):
        if number == 0 and (wide := _by_mark(chunk) or _wide(chunk[: len(chunk) // 2 * 2])):
            return wide
        if number == 0 and _is_binary(chunk):
            raise BinaryFileError(_BINARY)
        try:
            num_other += _num_other(decoder.decode(chunk))
        except UnicodeDecodeError as error:
            num_other += _num_other(error.object[: error.start].decode("utf-8"))
            return "utf-8" if num_other >= _PROOF else detect(_whole_lines(path, at + error.start))
        at += len(chunk)
    return "utf-8"


def _num_other(text: str) -> int:
    """How many characters are none of ASCII's."""
    return sum(1 for character in text if not character.isascii()) if not text.isascii() else 0


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_CHUNK), b"")


def _whole_lines(path: Path, at: int) -> bytes:
    """About a chunk from a little before a place on, in whole lines, since half a character is none."""
    with path.open("rb") as file:
        file.seek(max(0, at - _BEFORE))
        if at > _BEFORE:
            file.readline()
        taken = file.read(_CHUNK)
        return taken + file.readline()


def detect(data: bytes) -> str:
    """The encoding of `data`, by Python's name. Raises UnknownEncodingError where it is binary or none is certain."""
    if known := _by_mark(data) or _wide(data):
        return known
    if _is_binary(data):
        raise BinaryFileError(_BINARY)
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError as error:
        guess: str | None = "utf-8" if _is_nearly_utf8(data) else likeliest(data)
        if guess is None:
            raise UnknownEncodingError(
                f"is no UTF-8 (byte {error.start} cannot be read), and no other encoding is certain: save it as UTF-8"
            ) from error
        return guess


def _by_mark(data: bytes) -> str | None:
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def _is_nearly_utf8(data: bytes) -> bool:
    """Whether some bytes of it were broken, or its end cut off: what is whole is far more than chance would make."""
    text = data[:_SAMPLE].decode("utf-8", "replace")
    num_broken = text.count("\ufffd")
    num_other = _num_other(text) - num_broken
    return num_other >= _PROOF and num_broken <= max(1, _MOST_BROKEN * num_other)


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


def is_another(data: bytes, encoding: str) -> bool:
    """Whether bytes can be read in an encoding that somebody named, and are in another one.

    Nearly all bytes are something in UTF-16, and most are in the encodings of Chinese; but what is in none of these is
    rarely UTF-8 by chance.
    """
    name = codecs.lookup(encoding).name
    if name.startswith("utf-8") or _by_mark(data):
        return False
    is_wide = name.startswith(("utf-16", "utf-32"))
    try:
        num_other = _num_other(data.decode("utf-8"))
    except UnicodeDecodeError:
        return is_wide and not _is_text(data, name)
    return num_other >= _PROOF or (is_wide and b"\0" not in data)
