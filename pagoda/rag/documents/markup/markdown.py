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

# Code within a line; a comment; what is struck out; the mark of a note, and that before the note itself.
_CODE, _COMMENT = r"(?P<code>(?<!`)(?P<ticks>`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)(?P=ticks)(?!`))", r"<!--.*?-->"
_STRUCK = r"(?P<struck>~~(?=\S)(?:(?!\n[ \t]*\n).)+?(?<=\S)~~|<(?P<tag>del|s|strike)\b[^>]*>.*?</(?P=tag)>)"
_UNSEEN = re.compile(rf"{_CODE}|{_COMMENT}|{_STRUCK}|\[\^[^\]\s]+\]:?", re.DOTALL | re.IGNORECASE)


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
                found += _UNSEEN.sub(self._left, "\n".join(lines[end:first])).split("\n")
            found += lines[max(end, first) : last]
            end = max(end, last)
        return found

    def _left(self, match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        self.num_struck += match["struck"] is not None
        return "\n" * match[0].count("\n")


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
