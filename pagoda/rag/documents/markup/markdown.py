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
from pagoda.rag.documents.document import ADDRESS, Document, Heading, heading_title, struck_warnings
from pagoda.rag.documents.markup.containers import NamedParts
from pagoda.rag.documents.markup.front_matter import split_front_matter
from pagoda.rag.documents.places import Mark, Places, line_starts
from pagoda.rag.documents.tables import column_names, row_lines

MARKDOWN_SUFFIXES = (".md", ".markdown", ".mkd", ".mdown", ".rmd", ".qmd")
# What opens code within a line; a comment; what is struck out; and the mark of a note, whole.
_OPENING = re.compile(
    r"(?<!`)(?P<code>`+)|(?P<comment><!--)|(?P<struck>~~(?=\S))|<(?P<tag>del|s|strike)\b[^<>]*>"
    r"|(?P<note>\[\^[^\[\]\s]+\]:?)",
    re.IGNORECASE,
)
# Code within a line; a link to what is defined elsewhere; its definition.
_LINK = re.compile(r"`+(?:[^`\n]|\n(?![ \t]*\n))+`+|!?\[(?P<text>[^\[\]]+)\](?:\[(?P<name>[^\[\]]*)\])?(?![(\[:])")
_DEFINITION = re.compile(
    rf"^ {{0,3}}\[([^\[\]\n]+)\]:[ \t]*+(?:\n[ \t]*+)?{ADDRESS}(?:[ \t]*+(?:\n[ \t]*+)?[\"'(][^\n]*[\"')])?[ \t]*+$",
    re.MULTILINE,
)
_LEVELS = 7
"""Of headings in a part that has a name, with that name."""
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def load_markdown(text: str, source: str) -> Document:
    """The text; front matter becomes metadata and blank lines."""
    metadata, start = split_front_matter(text)
    text = "\n" * text.count("\n", 0, start) + text[start:]
    parts = NamedParts.of(text.split("\n"))
    tokens, references = _tokens("\n".join(parts.lines))
    listings = [token.map for token in tokens if token.type in ("fence", "code_block")]
    tables = [token.map for token in tokens if token.type == "table_open"]
    seen = _Seen()
    lines = seen.lines(parts.lines, listings, references)
    for number, line in _table_lines(tokens):
        lines[number] = line
    offsets = line_starts(lines)
    text = "\n".join(lines)
    headings = tuple(_headings(tokens, parts, offsets))
    first = next(
        (
            title
            for heading in headings
            if not heading.is_label and (title := heading_title(text[heading.start : heading.end]))
        ),
        "",
    )
    return Document(
        source,
        text,
        title=str(metadata.get("title") or first),
        places=Places(code=tuple(_code_marks(tokens, offsets))),
        metadata=metadata,
        headings=headings,
        # A row of a table stands for itself as a line of code does.
        listings=tuple((offsets[first], min(offsets[last], len(text))) for first, last in [*listings, *tables]),
        warnings=struck_warnings(seen.num_struck),
    )


def _tokens(text: str) -> tuple[Sequence[Any], frozenset[str]]:
    """The blocks, as CommonMark and GitHub's tables have them, and what links refer to."""
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading Markdown (markdown-it-py)", "rag") from error
    found: dict[str, Any] = {}
    tokens = MarkdownIt("commonmark").enable("table").disable("inline").parse(text, found)
    return tokens, frozenset(map(_reference, found.get("references", ())))


def _reference(name: str) -> str:
    return " ".join(name.split()).casefold()


class _Seen:
    """What a reader of the page sees of its text: no comments, no marks of notes, nothing that is struck out.

    num_struck: how many places were
    """

    def __init__(self) -> None:
        self.num_struck = 0

    def lines(
        self, lines: list[str], listings: Sequence[Sequence[int]], references: frozenset[str] = frozenset()
    ) -> list[str]:
        """As many lines; listings stay as they are. references: names of links whose targets stand elsewhere."""
        end = 0
        found: list[str] = []
        for first, last in [*listings, (len(lines), len(lines))]:
            if end < first:
                left = "".join(self._left("\n".join(lines[end:first])))
                found += (_without_references(left, references) if references else left).split("\n")
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


def _without_references(text: str, references: frozenset[str]) -> str:
    """The words of links whose targets stand elsewhere, and no targets; of both the line breaks stay."""

    def seen(match: re.Match[str]) -> str:
        if match["text"] is None or _reference(match["name"] or match["text"]) not in references:
            return match[0]
        return match["text"] + "\n" * (match["name"] or "").count("\n")

    def without_target(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n") if _reference(match[1]) in references else match[0]

    return _LINK.sub(seen, _DEFINITION.sub(without_target, text))


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


def _headings(tokens: Sequence[Any], parts: NamedParts, offsets: Sequence[int]) -> Iterator[Heading]:
    """Those of sections and the names of parts, which stand below the headings around them."""
    found = [_heading(token, parts.depths.get(token.map[0], 0), offsets) for token in tokens if _is_heading(token)]
    for part in parts.named:
        start = offsets[part.line]
        end = offsets[part.line + 1] - 1 if part.has_name else start
        found.append(Heading(start, end, part.depth * _LEVELS, is_label=True))
    yield from sorted(found, key=lambda heading: (heading.start, heading.end))


def _is_heading(token: Any) -> bool:
    """One that stands in a list or a quotation heads no section of the document."""
    return token.type == "heading_open" and token.level == 0


def _heading(token: Any, depth: int, offsets: Sequence[int]) -> Heading:
    first, last = token.map
    # Without the line below the words that makes them a heading.
    last -= token.markup in ("=", "-")
    return Heading(offsets[first], offsets[last] - 1, int(token.tag[1:]) + depth * _LEVELS)


def _code_marks(tokens: Sequence[Any], offsets: Sequence[int]) -> Iterator[Mark]:
    """Where fenced code begins and ends, the fence that closes it included."""
    for token in tokens:
        if token.type == "fence":
            first, last = token.map
            yield offsets[first + 1], 1
            yield offsets[last], 0
