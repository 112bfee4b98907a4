"""Whether what a citation quotes stands on the page, in the line that it names, as another program reads the file.

    python benchmarks/rag_citations.py FOLDER [--half a] [--each 10] [--show 20]

From each document of FOLDER, as an index cuts it, sentences are drawn by chance and cited as an answer cites them. Then
somebody else looks: Poppler's `pdftotext` for the page of a PDF (`apt-get install poppler-utils`), the file's own lines
for everything that is text (of HTML without its tags), the XML of the package for the slide of a presentation and the
row of a workbook. Right is a citation if its first word stands in that line and the others follow in order, or if all
of it stands on that page, of which pages where it crosses some. Formats that have neither page nor line (Word, EPUB,
RTF) count the converted text's own lines, which nobody else can check; they are left out.

Files are of half a or b by a hash of their name (as in `rag_loading`), so that one half can be left unseen.
"""

from __future__ import annotations

import argparse
import csv
import html
import random
import re
import subprocess
import time
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from machine import provenance
from rag_loading import half_of

from pagoda.rag.answer import Citation
from pagoda.rag.documents.loaders import load_bytes
from pagoda.rag.errors import LoadError
from pagoda.rag.splitting.splitter import Splitter

_WORD = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_TAG = re.compile(r"<!--.*?-->|<[a-zA-Z/!?](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>", re.DOTALL)
_INLINE = re.compile(r"</?(?:a|abbr|b|cite|code|em|i|kbd|s|samp|small|span|strong|sub|sup|tt|u|var)\b", re.IGNORECASE)
_ROW_START, _ROW_END = re.compile("<tr", re.IGNORECASE), re.compile("</tr|</table", re.IGNORECASE)
# Words of marks that a reader does not see (targets of links, roles) may stand between two words of a quotation.
_MOST_BETWEEN = 40
_BY_LINE = (".txt", ".md", ".rst", ".html", ".htm", ".csv", ".tsv", ".json", ".jsonl", ".adoc", ".org")
_XML_TEXT = re.compile(r"\}t$")
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


@dataclass(frozen=True)
class Checked:
    """One citation. place: as it was cited."""

    name: str
    place: str
    quote: str
    is_right: bool


def words_of(text: str) -> list[str]:
    """What is compared; an ampersand or a ligature is what it means.

    >>> words_of("The ﬁle&#39;s 年假")
    ['the', 'file', 's', '年', '假']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", html.unescape(text).replace("\u00ad", "")).casefold())


def begins_and_follows(quote: Sequence[str], first: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether `quote` begins among the words `first` of a line and goes on in order there and in the `rest`.

    >>> begins_and_follows(["a", "b", "c"], ["x", "a"], ["b", "link", "c"])
    True
    >>> begins_and_follows(["a", "b", "c"], ["x"], ["a", "b", "c"])
    False
    """
    there = [*first, *rest]
    return any(there[start] == quote[0] and _follows(quote, there, start) for start in range(len(first)) if quote)


def _follows(quote: Sequence[str], there: Sequence[str], start: int) -> bool:
    place = start
    for word in quote[1:]:
        try:
            place = there.index(word, place + 1, place + 2 + _MOST_BETWEEN)
        except ValueError:
            return False
    return True


def readings(quote: str) -> Iterator[list[str]]:
    """The words of a quotation; then without what the loader adds: an item's number, the names of columns."""
    yield words_of(quote)
    yield words_of(re.sub(r"^\s*\d{1,4}[.)]\s", "", quote))
    values = [part.partition(": ")[2] or part for part in quote.split("; ")]
    yield words_of(" ".join(values))


def in_line(lines: Sequence[str], citation: Citation) -> bool:
    """Whether the quotation begins in the line of the citation. lines: of the file, without tags."""
    if not 1 <= citation.line <= len(lines):
        return False
    line, after = html.unescape(lines[citation.line - 1]), lines[citation.line : citation.line + 60]
    first, rest = words_of(line), words_of("\n".join(after))
    if not words_of(citation.quote[0]) and citation.quote[0] in line:
        # A bullet may have the line to itself.
        first, rest = first + rest, []
    return any(begins_and_follows(words, first, rest) for words in readings(citation.quote))


def in_table_row(page: Sequence[str], citation: Citation) -> bool:
    """Whether a row of a table begins in the line of the citation that has the quotation's values. page: with tags."""
    if not 1 <= citation.line <= len(page):
        return False
    start = end = citation.line - 1
    while start > 0 and not _ROW_START.search(page[start]):
        start -= 1
    while end + 1 < len(page) and not _ROW_END.search(page[end]):
        end += 1
    before = without_tags("\n".join(page[start : citation.line - 1]))
    row = without_tags("\n".join(page[citation.line - 1 : end + 1]))
    there = set(words_of("\n".join(row)))
    begins = bool(words_of(row[0])) and not words_of("\n".join(before))
    return begins and any(w and set(w) <= there for w in readings(citation.quote))


def without_tags(page: str) -> list[str]:
    """The lines of a page; a tag leaves the ends of lines that it holds, and a blank if it divides words."""

    def left(match: re.Match[str]) -> str:
        return ("" if _INLINE.match(match[0]) else " ") + "\n" * match[0].count("\n")

    return _TAG.sub(left, page).split("\n")


@cache
def page_words(path: Path, first: int, last: int) -> tuple[str, ...]:
    """What Poppler reads on some pages, in letters."""
    command = ["pdftotext", "-q", "-f", str(first), "-l", str(last), str(path), "-"]
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8", "replace")
    return tuple(words_of(text))


def on_pages(path: Path, citation: Citation) -> bool:
    """Whether all letters of the quotation stand on its pages: in a row, or at least each word of it."""
    first, last = citation.page or 0, citation.last_page or citation.page or 0
    quote = words_of(citation.quote)
    pages = [page_words(path, page, page) for page in range(first, last + 1)]
    letters = "".join(quote)
    if len(pages) == 1:
        return letters in "".join(pages[0]) or _all_there(quote, pages[0])
    # It must need each of its pages: begin on the first and end on the last.
    cuts = (k for k in range(1, len(letters)) if letters[:k] in "".join(pages[0]) and letters[k:] in "".join(pages[-1]))
    return (len(pages) == 2 and next(cuts, None) is not None) or _crosses(quote, pages)


def _crosses(quote: Sequence[str], pages: Sequence[Sequence[str]]) -> bool:
    joined = [word for page in pages for word in page]
    return quote[0] in pages[0] and quote[-1] in pages[-1] and _all_there(quote, joined)


def _all_there(quote: Sequence[str], page: Sequence[str]) -> bool:
    """Words that Poppler breaks at the end of a line are there in letters."""
    known, letters = set(page), "".join(page)
    return all(word in known or (len(word) > 3 and word in letters) for word in quote)


def in_row(path: Path, citation: Citation) -> bool:
    """Whether the values of the quotation are those of a row of a sheet."""
    sheets = _sheets(path)
    sheet = sheets[(citation.page or 1) - 1] if (citation.page or 1) <= len(sheets) else {}
    there = set(sheet.get(citation.line, ()))
    return any(words and set(words) <= there for words in readings(citation.quote)) or _is_name(citation)


def _is_name(citation: Citation) -> bool:
    """The name of a sheet is in no row of it."""
    return citation.line == 1 and citation.quote.strip() == citation.section.rpartition(" > ")[2]


@cache
def _sheets(path: Path) -> list[dict[int, list[str]]]:
    """Of each visible sheet the words by row, from the XML."""
    with zipfile.ZipFile(path) as archive:
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        targets = _targets(archive, "xl/_rels/workbook.xml.rels")
        shared = []
        if "xl/sharedStrings.xml" in archive.namelist():
            root = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
            shared = [_text(item) for item in root.iter(_SHEET + "si")]
        visible = [s for s in book.iter(_SHEET + "sheet") if s.get("state", "visible") == "visible"]
        parts = [targets[sheet.get(_RELATION + "id", "")] for sheet in visible]
        return [_rows(ElementTree.fromstring(archive.read(part)), shared) for part in parts if "worksheets" in part]


def _rows(sheet: ElementTree.Element, shared: Sequence[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    texts: dict[str, str] = {}
    for row in sheet.iter(_SHEET + "row"):
        for cell in row.iter(_SHEET + "c"):
            value, place = cell.findtext(_SHEET + "v") or "", cell.get("r", "")
            value = {"0": "false", "1": "true"}[value] if cell.get("t") == "b" else value
            text = shared[int(value)] if cell.get("t") == "s" and value else f"{_shown(value)} {_text(cell)}"
            texts[place] = text
            found[int(row.get("r") or 0)] += words_of(text)
    for area in sheet.iter(_SHEET + "mergeCell"):
        first, _, last = area.get("ref", "").partition(":")
        for number in range(_number(first), _number(last or first) + 1):
            found[number] += words_of(texts.get(first, ""))
    return found


def _number(place: str) -> int:
    """The row of a cell."""
    return int(re.sub("[^0-9]", "", place) or 0)


def _shown(value: str) -> str:
    """A number as it may be read: rounded, as a share, as a day of the two calendars that workbooks count."""
    try:
        number = float(value)
    except ValueError:
        return value
    told = [value, f"{number:.12g}", f"{number:.15g}", f"{100 * number:.12g}"]
    if 0 <= number < 2**21:
        for first in ("1899-12-30", "1904-01-01"):
            moment = datetime.fromisoformat(first) + timedelta(days=number, microseconds=500)
            told += [moment.isoformat(" ", "minutes"), f"{moment:%H:%M:%S}"]
    return " ".join(told)


def on_slide(path: Path, citation: Citation) -> bool:
    """Whether the quotation stands on the slide or in its notes."""
    return _all_there(words_of(citation.quote), _slides(path)[(citation.page or 0) - 1])


@cache
def _slides(path: Path) -> list[list[str]]:
    """The words of each slide with what hangs on it (notes, charts, diagrams), from the XML."""
    with zipfile.ZipFile(path) as archive:
        deck = ElementTree.fromstring(archive.read("ppt/presentation.xml"))
        targets = _targets(archive, "ppt/_rels/presentation.xml.rels")
        order = [targets[e.get(_RELATION + "id", "")] for e in deck.iter() if e.tag.endswith("}sldId")]
        return [[word for part in _with_parts(archive, name) for word in _part_words(archive, part)] for name in order]


def _with_parts(archive: zipfile.ZipFile, name: str) -> Iterator[str]:
    yield name
    relations = name.replace("slides/", "slides/_rels/") + ".rels"
    if relations in archive.namelist():
        yield from (part for part in _targets(archive, relations).values() if re.search("notesSlide|chart|data", part))


def _part_words(archive: zipfile.ZipFile, part: str) -> list[str]:
    if part not in archive.namelist() or not part.endswith(".xml"):
        return []
    return words_of(" ".join(e.text or "" for e in ElementTree.fromstring(archive.read(part)).iter()))


def _targets(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    folder = Path(name).parent.parent
    root = ElementTree.fromstring(archive.read(name))
    found = {e.get("Id", ""): e.get("Target", "") for e in root}
    return {key: str((Path("/") / folder / target).resolve()).lstrip("/") for key, target in found.items()}


def _text(element: ElementTree.Element) -> str:
    return "".join(e.text or "" for e in element.iter() if _XML_TEXT.search(e.tag))


def checker(path: Path, data: bytes) -> Callable[[Citation], bool] | None:
    """Who looks at a citation of a file; None where nobody can."""
    suffix = path.suffix.lower()
    if suffix == ".pdf":
        return lambda citation: on_pages(path, citation)
    if suffix in (".xlsx", ".xlsm"):
        return lambda citation: in_row(path, citation)
    if suffix == ".pptx":
        return lambda citation: on_slide(path, citation)
    if suffix not in _BY_LINE:
        return None
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    if not suffix.startswith(".htm"):
        lines = text.split("\n")
        return lambda citation: in_line(lines, citation)
    plain, page = without_tags(text), text.split("\n")
    return lambda citation: in_line(plain, citation) or in_table_row(page, citation)


def citations(data: bytes, name: str, count: int) -> Iterator[Citation]:
    """So many sentences of a document, each time the same."""
    splitter = Splitter(lambda texts: [1 + len(words_of(text)) for text in texts])
    chunks = splitter.split(load_bytes(data, name))
    places = [(chunk, span) for chunk in chunks for span in chunk.sentences]
    chosen = random.Random(name).sample(places, min(count, len(places)))
    for chunk, (start, end) in chosen:
        citation = Citation.of_span(1, chunk, start, end, 1.0)
        if words_of(citation.quote):
            yield citation


def checked(folder: Path, half: str, each: int) -> Iterator[Checked]:
    """The citations of every document of a half."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or (half != "both" and half_of(path.name) != half):
            continue
        data = path.read_bytes()
        look = checker(path, data)
        if look is None:
            continue
        try:
            found = list(citations(data, path.name, each))
        except LoadError:
            continue
        for citation in found:
            place = f"page {citation.pages}" if citation.page is not None else ""
            yield Checked(path.name, f"{place} line {citation.line}".strip(), citation.quote, look(citation))


def main() -> None:
    csv.field_size_limit(2**31 - 1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=("a", "b", "both"), default="both")
    parser.add_argument("--each", type=int, default=10, help="citations of each document")
    parser.add_argument("--show", type=int, default=0, help="so many citations that are wrong")
    options = parser.parse_args()
    began = time.perf_counter()
    print(provenance())
    found = list(checked(options.folder, options.half, options.each))
    by_format: dict[str, list[Checked]] = defaultdict(list)
    for entry in found:
        by_format[Path(entry.name).suffix.lower()].append(entry)
    print("| format | files | citations | right | share |\n|---|--:|--:|--:|--:|")
    for name, entries in (*sorted(by_format.items()), ("all", found)):
        right = sum(entry.is_right for entry in entries)
        share = right / max(1, len(entries))
        print(f"| {name} | {len({e.name for e in entries})} | {len(entries):,} | {right:,} | {share:.4f} |")
    for entry in [entry for entry in found if not entry.is_right][: options.show]:
        print(f"{entry.name}, {entry.place}: {entry.quote[:160]!r}")
    print(f"half {options.half}, {time.perf_counter() - began:.0f} s; aim 1.0")


if __name__ == "__main__":
    main()
