"""Markdown to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. The text stays as it is
written, line by line, so that lines can be counted; but a row of a table names its columns, because a chunk may begin
below the head of the table, and what no reader sees or what is struck out is blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.document import Document, Heading, heading_title, struck_warnings
from pagoda.rag.documents.markup.front_matter import split_front_matter
from pagoda.rag.documents.places import line_starts
from pagoda.rag.documents.tables import column_names, row_lines

MARKDOWN_SUFFIXES = (".md", ".markdown", ".mkd", ".mdown", ".rmd", ".qmd")
# What opens code within a line; a comment; what is struck out; and the mark of a note, whole.
_OPENING = re.compile(
    r"(?<!`)(?P<code>`+)|(?P<comment><!--)|(?P<struck>~~(?=\S))|<(?P<tag>del|s|strike)\b[^<>]*>"
    r"|(?P<note>\[\^[^\[\]\s]+\]:?)",
    re.IGNORECASE,
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def load_markdown(text: str, source: str) -> Document:
    """The text; front matter becomes metadata and blank lines."""
    metadata, start = split_front_matter(text)
    text = "\n" * text.count("\n", 0, start) + text[start:]
    tokens = _tokens(text)
    listings = [token.map for token in tokens if token.type in ("fence", "code_block")]
    tables = [token.map for token in tokens if token.type == "table_open"]
    seen = _Seen()
    lines = seen.lines(text.split("\n"), listings)
    for number, line in _table_lines(tokens):
        lines[number] = line
    offsets = line_starts(lines)
    text = "\n".join(lines)
    headings = tuple(_heading(token, offsets) for token in tokens if _is_heading(token))
    first = next((title for heading in headings if (title := heading_title(text[heading.start : heading.end]))), "")
    return Document(
        source,
        text,
        title=str(metadata.get("title") or first),
        metadata=metadata,
        headings=headings,
        # A row of a table stands for itself as a line of code does.
        listings=tuple((offsets[first], min(offsets[last], len(text))) for first, last in [*listings, *tables]),
        warnings=struck_warnings(seen.num_struck),
    )


def _tokens(text: str) -> Sequence[Any]:
    """The blocks, as CommonMark and GitHub's tables have them."""
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading Markdown (markdown-it-py)", "rag") from error
    return MarkdownIt("commonmark").enable("table").disable("inline").parse(text)


class _Seen:
    """What a reader of the page sees of its text: no comments, no marks of notes, nothing that is struck out.

    num_struck: how many places were
    """

    def __init__(self) -> None:
        self.num_struck = 0

    def lines(self, lines: list[str], listings: Sequence[Sequence[int]]) -> list[str]:
        """As many lines; listings stay as they are."""
        end = 0
        found: list[str] = []
        for first, last in [*listings, (len(lines), len(lines))]:
            if end < first:
                found += "".join(self._left("\n".join(lines[end:first]))).split("\n")
            found += lines[max(end, first) : last]
            end = max(end, last)
        return found

    def _left(self, text: str) -> Iterator[str]:
        """The text in pieces, of what is not seen the line breaks alone."""
        done = 0
        for opening, end in _places(text):
            if not opening["code"]:
                yield text[done : opening.start()] + "\n" * text.count("\n", opening.start(), end)
                done = end
                self.num_struck += bool(opening["struck"] or opening["tag"])
        yield text[done:]


def _places(text: str) -> Iterator[tuple[re.Match[str], int]]:
    """What opens each piece of code and each place that is not seen, and where it ends.

    Signs that nothing closes are text like any other. That there is none of a kind is found out once for all of them,
    so that the time grows with the text and no faster.
    """
    at = paragraph_end = 0
    missing_before: dict[str, int] = {}
    while (opening := _OPENING.search(text, at)) is not None:
        at = opening.start() + 1
        if at > paragraph_end:
            blank = _BLANK_LINE.search(text, at)
            paragraph_end = blank.start() if blank else len(text)
        if opening["note"]:
            at = opening.end()
            yield opening, at
            continue
        closing, limit = _closing(opening), len(text) if opening["comment"] or opening["tag"] else paragraph_end
        if missing_before.get(closing) == limit:
            continue
        found = re.compile(closing).search(text, opening.end() + bool(opening["struck"]), limit)
        if found is None:
            missing_before[closing] = limit
        else:
            at = found.end()
            yield opening, at


def _closing(opening: re.Match[str]) -> str:
    """The pattern of what closes it."""
    if opening["code"]:
        return f"(?<!`){opening['code']}(?!`)"
    if opening["tag"]:
        return f"(?i:</{opening['tag'].lower()}>)"
    return "-->" if opening["comment"] else r"(?<=\S)~~"


def _table_lines(tokens: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """(number of the line, what stands there instead) of the rows of all tables, but for their first."""
    rows: list[tuple[int, list[str]]] = []
    for i, token in enumerate(tokens):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append((token.map[0], []))
        elif token.type in ("th_open", "td_open"):
            rows[-1][1].append(_Seen().lines([tokens[i + 1].content], ())[0])
        elif token.type == "table_close" and len(rows) > 1:
            columns = column_names([rows[0][1]])
            yield from ((number, next(row_lines(columns, cells, longest=None))) for number, cells in rows[1:])


def _is_heading(token: Any) -> bool:
    """One that stands in a list or a quotation heads no section of the document."""
    return token.type == "heading_open" and token.level == 0


def _heading(token: Any, offsets: Sequence[int]) -> Heading:
    first, last = token.map
    # Without the line below the words that makes them a heading.
    last -= token.markup in ("=", "-")
    return Heading(offsets[first], offsets[last] - 1, int(token.tag[1:]))
