"""HTML to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. All that a reader sees of
the page is taken, in its order: `tree` leaves out what he does not see and what only leads elsewhere, `rendering` makes
lines of the rest. Extractors of main text guess, and what they guess wrong is lost without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pagoda.rag.documents.decoding import LoaderSettings, decode
from pagoda.rag.documents.document import Document, Scalar, struck_warnings
from pagoda.rag.documents.markup.rendering import rendered
from pagoda.rag.documents.markup.tree import page_tree, remove_unseen

_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_FIELDS = {
    "author": "author",
    "description": "description",
    "keywords": "keywords",
    "date": "date",
    "dcterms.date": "date",
    "article:published_time": "date",
    "last-modified": "date",
    "version": "version",
    "docsearch:version": "version",
}
"""What a page may say of itself -> what a filter calls it; the first that is there counts."""


# Pages that say GB2312 mean its superset, as every browser takes them; the same of Latin-1, Shift-JIS and Korean.
_SUPERSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
}


def load_html(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """All that is to be seen of a page."""
    return html_document(decode(data, settings.encoding or declared_encoding(data)), source)


def html_document(page: str, source: str) -> Document:
    """The document of a page that is text already."""
    tree = page_tree(page)
    title = " ".join("".join(tree.xpath("//head/title//text()")).split()) or _first_title(tree)
    metadata = dict(_page_metadata(tree))
    num_struck = remove_unseen(tree)
    document = rendered(tree)
    return replace(
        document,
        source=source,
        title=title or document.title,
        metadata=metadata,
        warnings=struck_warnings(num_struck),
    )


def declared_encoding(data: bytes) -> str | None:
    """The encoding that a page names, where it is right about it."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return None
    match = _CHARSET.search(data[:4096])
    if not match:
        return None
    name = match[1].decode("ascii").lower()
    name = _SUPERSETS.get(name, name)
    try:
        data.decode(name)
    except (LookupError, UnicodeDecodeError):
        return None
    return name


def _first_title(tree: Any) -> str:
    """Some pages have it where it does not belong."""
    return " ".join("".join(tree.xpath("(//title[not(ancestor::*[local-name()='svg'])])[1]//text()")).split())


def _page_metadata(tree: Any) -> Iterator[tuple[str, Scalar]]:
    seen = set()
    for tag in tree.iter("meta"):
        said = str(tag.get("name") or tag.get("property") or "").lower()
        name, content = _FIELDS.get(said), " ".join(str(tag.get("content") or "").split())
        if name and content and name not in seen:
            seen.add(name)
            yield name, content
    if language := str(tree.get("lang") or tree.get("{http://www.w3.org/XML/1998/namespace}lang") or "").strip():
        yield "language", language
