"""Documents as HTML to look at: Markdown and pages as they are meant, other formats from the text that was indexed.

Beside a question's path, behind the answer: citation -> *page with the passage marked*. Files are strangers': what
leaves here went through nh3 (the Rust library ammonia), which parses as a browser does and keeps a few elements without
styles, scripts, pictures, frames and forms; of a link only http, https and mailto stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.document import Heading
from pagoda.rag.documents.markup.tree import LINE_CLOSE, LINE_OPEN, page_tree, remove_unseen
from pagoda.rag.viewing.marking import MARK

Span = tuple[int, int]
_TAGS = {
    *(
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "dd",
        "del",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
    ),
    *("em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "ins", "kbd", "li", "mark", "ol"),
    *("p", "pre", "q", "s", "samp", "section", "small", "span", "strong", "sub", "summary", "sup", "table", "tbody"),
    *("td", "tfoot", "th", "thead", "tr", "u", "ul", "var"),
}
_ATTRIBUTES = {
    "a": {"href"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
    "ol": {"start"},
    "li": {"value"},
    "details": {"open"},
}
_SCHEMES = {"http", "https", "mailto"}
_LINE_MARK = re.compile(f"{LINE_OPEN}[^{LINE_CLOSE}]*{LINE_CLOSE}")
# XML has no such characters, and lxml takes none; old text files separate their pages by one of them.
_UNSHOWABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PARAGRAPH = re.compile(r"\S(?:[^\n]|\n(?![ \t]*\n))*")


def markdown_tree(text: str) -> Any:
    """The tree of a text in Markdown. Raises MissingExtraError."""
    try:
        import lxml.html
        from markdown_it import MarkdownIt
    except ModuleNotFoundError as error:
        raise MissingExtraError("showing Markdown (markdown-it-py, lxml)", "rag") from error
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(_showable(text))
    # A whole page of HTML may stand in it, and frames instead of a body.
    parser = lxml.html.HTMLParser(remove_comments=True, remove_pis=True, encoding="utf-8")
    tree = lxml.html.document_fromstring(f"<html><body><div>{page}</div></body></html>".encode(), parser=parser)
    return _shown_part(tree)


def html_tree(page: str) -> Any:
    """The tree of a page, without what no reader of it sees and what was not indexed therefore."""
    tree = page_tree(page)
    remove_unseen(tree)
    return _shown_part(tree)


def text_tree(
    text: str,
    window: Span,
    marked: Span,
    headings: Sequence[Heading] = (),
    listings: Sequence[Span] = (),
) -> Any:
    """The tree of a part of a text, headings, listings and paragraphs, with its `marked` characters in marks.

    window, marked: (start, end) in characters of `text`, as headings and listings count them
    """
    import lxml.html

    text = _showable(text)
    root = lxml.html.Element("div")
    for tag, start, end in _blocks(text, window, headings, listings):
        element = lxml.html.Element(tag)
        first, last = max(start, marked[0]), min(end, marked[1])
        if first < last and text[first:last].strip():
            mark = lxml.html.Element(MARK)
            element.text, mark.text, mark.tail = text[start:first], text[first:last], text[last:end]
            element.append(mark)
        else:
            element.text = text[start:end]
        root.append(element)
    return root


def safe_html(tree: Any) -> str:
    """The inside of a tree's element as HTML that does nothing but stand there. Raises MissingExtraError."""
    import lxml.html

    try:
        import nh3
    except ModuleNotFoundError as error:
        raise MissingExtraError("showing documents (nh3)", "rag") from error
    page = lxml.html.tostring(tree, encoding="unicode", with_tail=False)
    return nh3.clean(
        page,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_kept_attribute,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def _kept_attribute(tag: str, name: str, value: str) -> str | None:
    """A link within the document's own site leads nowhere from here, but to this server."""
    return value if name != "href" or value.partition(":")[0].strip().lower() in _SCHEMES else None


def _blocks(
    text: str, window: Span, headings: Sequence[Heading], listings: Sequence[Span]
) -> Iterator[tuple[str, int, int]]:
    """(tag, start, end) of each block within the window."""
    at, end = window
    named = [(heading.start, heading.end, f"h{min(heading.level, 6)}") for heading in headings]
    for first, last, tag in sorted([*named, *((first, last, "pre") for first, last in listings)]):
        if at < last and first < end:
            yield from _paragraphs(text, at, first)
            yield tag, max(first, at), min(last, end)
            at = min(last, end)
    yield from _paragraphs(text, at, end)


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    for match in _PARAGRAPH.finditer(text, start, end):
        yield "p", match.start(), match.end()


def _showable(text: str) -> str:
    """As many characters, all of which can be shown."""
    return _UNSHOWABLE.sub(" ", text)


def _shown_part(tree: Any) -> Any:
    """The body of a page, its texts without marks of lines and what cannot be shown.

    What a picture shows stands in its place, in words: nobody's picture is fetched.
    """
    for element in tree.iter():
        element.text = element.text and _showable(_LINE_MARK.sub("", element.text))
        element.tail = element.tail and _showable(_LINE_MARK.sub("", element.tail))
    for picture in list(tree.iter("img")):
        described = " ".join((picture.get("alt") or "").split())
        picture.tag, picture.text = "span", f"[{_showable(described)}]" if described else None
    body = tree.find("body")
    return tree if body is None else body
