"""Words of a file and of what is shown, made alike, so that one can be looked for in the other; and where they stand.

Beside a question's path: the judge's own eyes. It reads the manuals without the loaders that are judged: plain text
line by line, of a web page what stands between tags, of a PDF page by page.
"""

from __future__ import annotations

import html.parser
import io
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

_MARKS = re.compile(r"[`*\\\"'“”‘’「」|<>\[\]#~]|__|::|（|）|[()]")
_WIDE = r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]"
_BESIDE_WIDE = re.compile(rf"(?<={_WIDE}) | (?={_WIDE})")
_NO_FLAG = re.compile(r"(?<![\w-])-[A-Za-z](?!\w)|[^-]+|-")
_HYPHENS = re.compile("[‐‑−]")
_INLINE = re.compile("a|abbr|b|cite|code|dfn|em|font|i|kbd|q|s|samp|small|span|strong|su[bp]|tt|u|var|wbr")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def plain(text: str) -> str:
    """Without marks of writing, quotes, brackets, capitals and the width of blanks; -x and -X stay two flags.

    >>> plain("The  **default** is `50`\\n(see [limits](#l))")
    'the default is 50 see limits l'
    >>> plain("默认值为 `4000`。")
    '默认值为4000。'
    >>> plain("Either -X or -x")
    'either -X or -x'
    """
    text = _HYPHENS.sub("-", unicodedata.normalize("NFKC", text)).replace("\u00ad", "")
    text = " ".join(_MARKS.sub(" ", text).split())
    return _BESIDE_WIDE.sub("", _NO_FLAG.sub(_lowered, text))


def _lowered(match: re.Match[str]) -> str:
    return match[0] if len(match[0]) == 2 and match[0][0] == "-" else match[0].casefold()


def places(wanted: str, text: str) -> list[int]:
    """Where `wanted` stands in `text`, both plain: never inside of a longer word or number.

    >>> places("50", "50 of 150, 50.5 or -50: 50."), places("默认", "默认值")
    ([0, 24], [0])
    """
    before = r"(?<![a-z0-9_])(?<!\d[.,])(?<!\^)" if wanted[:1].isascii() and wanted[:1].isalnum() else ""
    before += r"(?<!-)" if wanted[:1].isdigit() else ""
    after = r"(?![a-z0-9_])(?![.,]\d)" if wanted[-1:].isascii() and wanted[-1:].isalnum() else ""
    return [match.start() for match in re.finditer(before + re.escape(wanted) + after, text)] if wanted else []


def stands(wanted: str, text: str) -> bool:
    """Whether `wanted` is in `text`, marks aside; words of a PDF may have lost the blanks between them.

    >>> stands("toy story", "fromthe”ToyStory”movies"), stands("16", "fromthe116movies")
    (True, False)
    """
    wanted, text = plain(wanted), plain(text)
    return bool(places(wanted, text)) or (" " in wanted and wanted.replace(" ", "") in text.replace(" ", ""))


@dataclass(frozen=True)
class Lines:
    """A file's words with the line, or the page of a PDF, of each piece."""

    text: str
    starts: tuple[int, ...]
    numbers: tuple[int, ...]

    def find(self, wanted: str) -> list[int]:
        """Lines on which `wanted` begins."""
        found = places(plain(wanted), self.text) or self._squeezed(plain(wanted).replace(" ", ""))
        return [self.numbers[bisect_right(self.starts, at) - 1] for at in found]

    def _squeezed(self, wanted: str) -> list[int]:
        """Where it stands blanks aside; for the text of a PDF, which may have lost them."""
        kept = [at for at, character in enumerate(self.text) if character != " "]
        text = self.text.replace(" ", "")
        return [kept[match.start()] for match in re.finditer(re.escape(wanted), text)] if len(wanted) > 3 else []


def lines_of(path: Path) -> Lines:
    """Read a file of the corpus."""
    data = path.read_bytes()
    if path.suffix == ".pdf":
        return _joined(_pages(data))
    text = data.decode("utf-8")
    if path.suffix in (".html", ".htm"):
        reader = _Page()
        reader.feed(text)
        return _joined(reader.pieces)
    if path.suffix == ".md" and (match := _FRONT_MATTER.match(text)):
        text = "\n" * match[0].count("\n") + text[match.end() :]
    return _joined(list(enumerate(text.split("\n"), 1)))


def _joined(pieces: list[tuple[int, str]]) -> Lines:
    text, starts, numbers = "", [], []
    for number, piece in pieces:
        words = plain(piece)
        if not words:
            continue
        is_wide = re.match(_WIDE, words) or re.search(_WIDE + r"\Z", text)
        text += "" if not text or is_wide else " "
        starts.append(len(text))
        numbers.append(number)
        text += words
    return Lines(text, tuple(starts), tuple(numbers))


def _pages(data: bytes) -> list[tuple[int, str]]:
    import pypdf

    return [(number, page.extract_text()) for number, page in enumerate(pypdf.PdfReader(io.BytesIO(data)).pages, 1)]


class _Page(html.parser.HTMLParser):
    """What stands between the tags of a page, each piece with its line; inline elements break nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[tuple[int, str]] = []
        self._unseen = 0
        self._is_open = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._unseen += tag in ("script", "style")
        self._is_open &= _INLINE.fullmatch(tag) is not None

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in ("script", "style")
        self._is_open &= _INLINE.fullmatch(tag) is not None

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        first, *rest = data.split("\n")
        line = self.getpos()[0]
        if self._is_open:
            self.pieces[-1] = (self.pieces[-1][0], self.pieces[-1][1] + first)
        else:
            self.pieces.append((line, first))
        self.pieces += list(enumerate(rest, line + 1))
        self._is_open = True
