"""Markdown to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. The text stays as it is
written, line by line, so that lines can be counted; but a row of a table names its columns, because a chunk may begin
below the head of the table, and comments, which no reader sees, are blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.document import Document, Heading
from pagoda.rag.documents.markup.front_matter import split_front_matter
from pagoda.rag.documents.tables import column_names, row_lines

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ANCHOR = re.compile(r"\s*\{#[\w-]+\}\s*$")


def load_markdown(text: str, source: str) -> Document:
    """The text; front matter becomes metadata and blank lines."""
    metadata, start = split_front_matter(text)
    text = "\n" * text.count("\n", 0, start) + text[start:]
    tokens = _tokens(text)
    listings = [token.map for token in tokens if token.type in ("fence", "code_block")]
    lines = _without_comments(text.split("\n"), listings)
    for number, line in _table_lines(tokens):
        lines[number] = line
    # offsets[n]: where line n begins.
    offsets = [0, *accumulate(len(line) + 1 for line in lines)]
    text = "\n".join(lines)
    headings = tuple(_heading(token, offsets) for token in tokens if _is_heading(token))
    first = next((title for heading in headings if (title := _title(text[heading.start : heading.end]))), "")
    return Document(
        source,
        text,
        title=str(metadata.get("title") or first),
        metadata=metadata,
        headings=headings,
        listings=tuple((offsets[first], min(offsets[last], len(text))) for first, last in listings),
    )


def _tokens(text: str) -> Sequence[Any]:
    """The blocks, as CommonMark and GitHub's tables have them."""
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading Markdown (markdown-it-py)", "rag") from error
    return MarkdownIt("commonmark").enable("table").disable("inline").parse(text)


def _without_comments(lines: list[str], listings: Sequence[Sequence[int]]) -> list[str]:
    """Comments outside of listings as blanks."""
    end = 0
    found: list[str] = []
    for first, last in [*listings, (len(lines), len(lines))]:
        part = "\n".join(lines[end:first])
        if end < first:
            found += _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), part).split("\n")
        found += lines[max(end, first) : last]
        end = max(end, last)
    return found


def _table_lines(tokens: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """(number of the line, what stands there instead) of the rows of all tables, but for their first."""
    rows: list[tuple[int, list[str]]] = []
    for i, token in enumerate(tokens):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append((token.map[0], []))
        elif token.type in ("th_open", "td_open"):
            rows[-1][1].append(tokens[i + 1].content)
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


def _title(line: str) -> str:
    return _ANCHOR.sub("", line.strip().strip("#").strip())
