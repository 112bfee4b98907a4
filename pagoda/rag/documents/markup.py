"""Markdown and HTML to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. Markdown stays as it is
written, line by line. Of a web page the main text is taken (trafilatura, Barbaresi 2021, ACL demo); where that finds
too little, all that a reader would see.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from pagoda.errors import MissingExtraError
from pagoda.rag.documents.decoding import LoaderSettings, decode
from pagoda.rag.documents.document import Document, Scalar

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)\n\1[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"([^\s:#][^:]*?)\s*:(?:\s+(.*))?")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_UNSEEN = ("script", "style", "noscript", "template", "svg", "iframe", "form", "nav", "header", "footer", "aside")
_BLOCKS = (
    *("address", "article", "blockquote", "br", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "h1", "h2"),
    *("h3", "h4", "h5", "h6", "hr", "li", "main", "ol", "option", "p", "pre", "section", "summary", "table", "title"),
    *("tr", "ul"),
)
# A character that no text uses on purpose (Unicode's private area).
_BREAK, _CELL = "\ue000", "\ue001"
# On a page of few characters the extractor guesses, and breaks lines at every inline element.
_SHORT_PAGE, _MAIN_SHARE = 2000, 0.25


def load_markdown(text: str, source: str) -> Document:
    """The text as it is; front matter becomes metadata and blank lines, so that lines keep their numbers."""
    metadata: dict[str, Scalar] = {}
    if match := _FRONT_MATTER.match(text):
        fields = _toml(match[2]) if match[1] == "+++" else _fields(match[2])
        if fields is not None:
            metadata = fields
            text = "\n" * match[0].count("\n") + text[match.end() :]
    return Document(source, text, title=str(metadata.get("title") or _first_heading(text)), metadata=metadata)


def load_html(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """The main text of a long page; all that is to be seen of a short one, or where no main text is to be found."""
    page = decode(data, settings.encoding or _declared(data))
    soup = _soup(page)
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    metadata = dict(_page_metadata(soup))
    seen = _visible_text(soup)
    main = _main_text(page) if len(seen) > _SHORT_PAGE else ""
    return Document(source, main if len(main) > _MAIN_SHARE * len(seen) else seen, title=title, metadata=metadata)


def _first_heading(text: str) -> str:
    """The first heading outside code, as CommonMark sees it."""
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading Markdown (markdown-it-py)", "rag") from error
    # A title stands near the beginning; parsing a whole book for it would be waste.
    tokens = MarkdownIt().disable("inline").parse(text[:20_000])
    headings = (tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open")
    return next((heading.strip() for heading in headings if heading.strip()), "")


def _toml(text: str) -> dict[str, Scalar] | None:
    try:
        return {key: _scalar(value) for key, value in tomllib.loads(text).items() if not isinstance(value, dict)}
    except tomllib.TOMLDecodeError:
        return None


def _fields(text: str) -> dict[str, Scalar] | None:
    """The part of YAML that front matter uses: scalars and lists of them. None where it is something else.

    >>> _fields("title: Leave\\ntags: [hr, 人事]\\nversion: 2\\nowners:\\n  - Li\\n  - Ann")
    {'title': 'Leave', 'tags': 'hr, 人事', 'version': 2, 'owners': 'Li, Ann'}
    """
    fields: dict[str, list[str]] = {}
    key = ""
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " -\t":
            if not key:
                return None
            fields[key].append(line.strip().removeprefix("-").strip())
        elif match := _FIELD.fullmatch(line.rstrip()):
            key = match[1].strip("\"'")
            fields[key] = [match[2]] if match[2] else []
        else:
            return None
    return {key: _value(parts) for key, parts in fields.items()}


def _value(parts: list[str]) -> Scalar:
    if len(parts) == 1 and parts[0].startswith("[") and parts[0].endswith("]"):
        parts = [part.strip() for part in parts[0][1:-1].split(",")]
    texts = [part[1:-1] if len(part) > 1 and part[0] == part[-1] and part[0] in "\"'" else part for part in parts]
    if texts != parts or len(texts) != 1:
        return ", ".join(text for text in texts if text not in ("|", ">"))
    (text,) = texts
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if match := _NUMBER.fullmatch(text):
        return float(text) if match[1] else int(text)
    return text


def _scalar(value: Any) -> Scalar:
    if isinstance(value, (str, int, float, bool)):
        return value
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _declared(data: bytes) -> str | None:
    """The encoding that a page names, where it is right about it."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return None
    match = _CHARSET.search(data[:4096])
    if not match:
        return None
    name = match[1].decode("ascii").lower()
    # Pages that say GB2312 mean its superset, as every browser takes them.
    name = "gb18030" if name in ("gb2312", "gbk", "x-gbk") else name
    try:
        data.decode(name)
    except (LookupError, UnicodeDecodeError):
        return None
    return name


def _soup(page: str) -> Any:
    try:
        from bs4 import BeautifulSoup
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading HTML (beautifulsoup4)", "rag") from error
    return BeautifulSoup(page, "html.parser")


def _main_text(page: str) -> str:
    try:
        import trafilatura
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading HTML (trafilatura)", "rag") from error
    return trafilatura.extract(page, output_format="txt", include_comments=False) or ""


def _page_metadata(soup: Any) -> Iterator[tuple[str, Scalar]]:
    for name in ("author", "description", "keywords", "date"):
        tag = soup.find("meta", attrs={"name": name})
        if tag and tag.get("content", "").strip():
            yield name, tag["content"].strip()
    if soup.html and soup.html.get("lang"):
        yield "language", soup.html["lang"]


def _visible_text(soup: Any) -> str:
    """What a reader sees, a line for each block; inline elements do not break lines. Changes `soup`."""
    from bs4 import Comment

    for tag in soup(_UNSEEN):
        tag.decompose()
    for comment in soup.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    for tag in soup(_BLOCKS):
        tag.insert_before(_BREAK)
        tag.insert_after(_BREAK)
    for tag in soup(("td", "th")):
        tag.insert_after(_CELL)
    body = soup.body or soup
    lines = (" ".join(line.split()).strip(_CELL + " ") for line in body.get_text("").split(_BREAK))
    return "\n".join(re.sub(rf"\s*{_CELL}\s*", " | ", line) for line in lines if line)


def metadata_of(pairs: Mapping[str, Any]) -> dict[str, Scalar]:
    """Fields of a file's own metadata that say something, as scalars."""
    return {key: _scalar(value) for key, value in pairs.items() if value not in (None, "", [])}
