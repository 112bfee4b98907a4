"""A page as a tree of what a reader sees.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. The tree is lxml's, which
takes broken pages as browsers do. Before it is built, the number of each line is written into the text, since a parser
keeps the line of a tag at most.
"""

from __future__ import annotations

import re
from typing import Any

from pagoda.errors import MissingExtraError

# Characters that no text uses on purpose (Unicode's private area), around the number of the line that begins.
LINE_OPEN, LINE_CLOSE = "\ue000", "\ue001"
_MARKS = re.compile(f"[{LINE_OPEN}{LINE_CLOSE}]")
_MARKED = re.compile(f"{LINE_OPEN}\\d+{LINE_CLOSE}")
# A tag, a comment, or a stretch of text up to one; in a quotation of a tag a bracket ends nothing.
_PIECE = re.compile(r"<!--.*?(?:-->|\Z)|<[a-zA-Z/!?](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>|[^<]+|<", re.DOTALL)
_RAW = re.compile(r"<(script|style|textarea|title)\b", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_UNSEEN = (
    *("script", "style", "noscript", "template", "svg", "iframe", "object", "embed", "canvas", "audio", "video"),
    *("select", "datalist", "input", "nav", "head", "rt", "rp", "annotation", "annotation-xml", "noframes"),
)
_ROLES = ("navigation", "search", "menu", "menubar")
# What a line is drawn through, as what held once.
_STRUCK = ("del", "s", "strike")
_STRIKING = re.compile(r"text-decoration(?:-line)?\s*:[^;]*line-through", re.IGNORECASE)
# The mark of a note within a sentence: a superscript link, or what says that it is one.
_NOTE_MARK = re.compile(r"[\[(]?(?:\d{1,3}|[a-z]|[ivx]{1,4}|[*†‡§¶#]{1,3})[\])]?", re.IGNORECASE)
_NOTE_NAMES = frozenset(
    ("footnote-ref", "footnote-reference", "footnoteref", "noteref", "doc-noteref", "footnote-back")
)
# What stands at a page's edges is content, unless it is there to lead elsewhere.
_EDGES = ("header", "footer", "aside")
_LINKED_SHARE = 0.6
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?:px|pt|em)?\s*(?:;|$|!)", re.I)
_AT_RULE = re.compile(r"@[^{;]+\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")


def page_tree(page: str) -> Any:
    """The root element. Its texts hold the numbers of lines between LINE_OPEN and LINE_CLOSE."""
    try:
        import lxml.html
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading HTML (lxml)", "rag") from error
    marked = numbered(_XML_DECLARATION.sub(lambda match: "\n" * match[0].count("\n"), _MARKS.sub("", page)))
    parser = lxml.html.HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True, encoding="utf-8")
    tree = lxml.html.document_fromstring(marked.encode("utf-8", "replace"), parser=parser)
    return tree


def numbered(page: str) -> str:
    """The page with the number of each new line in its texts; one that began within a tag follows that tag.

    >>> numbered("<p>a\\n<b\\n>b</p>").replace(LINE_OPEN, "[").replace(LINE_CLOSE, "]")
    '<p>a\\n[2]<b\\n>[3]b</p>'
    """
    line = 1
    parts: list[str] = []
    raw = ""
    for match in _PIECE.finditer(page):
        piece = match[0]
        first, line = line, line + piece.count("\n")
        if piece.startswith("<") and len(piece) > 1:
            parts.append(piece)
            was_raw, raw = raw, _raw_after(raw, piece)
            # Lines within a style or a script are not numbered: what follows it is.
            if (line > first or was_raw) and not raw:
                parts.append(_mark(line))
        elif raw or line == first:
            parts.append(piece)
        else:
            lines = piece.split("\n")
            parts.append(lines[0] + "".join(f"\n{_mark(first + i)}{text}" for i, text in enumerate(lines[1:], start=1)))
    return "".join(parts)


def remove_unseen(tree: Any) -> int:
    """Take out of the tree what no reader of the page sees, what only leads him elsewhere, and what is struck out.

    Of the last, how many places there were.
    """
    hidden = _hidden_names(tree)
    num_struck = 0
    for element in list(tree.iter()):
        if not isinstance(element.tag, str) or _is_unseen(element, hidden) or _is_note_mark(element):
            _drop(element)
        elif element.tag in _STRUCK or _STRIKING.search(element.get("style") or ""):
            num_struck += bool(_MARKED.sub("", element.text_content()).strip())
            _drop(element)
    for element in list(tree.iter(*_EDGES)):
        if _leads_elsewhere(element):
            _drop(element)
    return num_struck


def _raw_after(raw: str, tag: str) -> str:
    """In which element, whose text is no markup, what follows a tag stands: "" outside of them."""
    if raw:
        return "" if tag.lower().startswith(f"</{raw}") else raw
    match = _RAW.match(tag)
    return match[1].lower() if match and not tag.endswith("/>") else ""


def line_marked(text: str | None, line: int) -> int:
    """The line that a text ends in, which begins in `line`."""
    found = _last_mark(text or "")
    return int(found[1:-1]) if found else line


def _last_mark(text: str) -> str:
    """The mark of the last line that begins in a text; "" where none does."""
    start = text.rfind(LINE_OPEN)
    return "" if start < 0 else text[start : text.index(LINE_CLOSE, start) + 1]


def _mark(line: int) -> str:
    return f"{LINE_OPEN}{line}{LINE_CLOSE}"


def _is_unseen(element: Any, hidden: frozenset[str]) -> bool:
    if element.tag in _UNSEEN or element.get("hidden") is not None or element.get("role") in _ROLES:
        return element.tag not in ("html", "body")
    if element.tag == "dialog" and element.get("open") is None:
        return True
    names = [f"#{element.get('id')}", *(f".{name}" for name in element.get("class", "").split())]
    if not hidden.isdisjoint(names):
        return True
    return bool(_HIDING.search(element.get("style") or ""))


def _is_note_mark(element: Any) -> bool:
    """Whether it is the number of a note, which would be read as one of the sentence."""
    if element.tag not in ("a", "sup"):
        return False
    text = _MARKED.sub("", element.text_content()).strip()
    says_so = {*element.get("class", "").split(), element.get("role"), element.get("epub:type")}
    if not _NOTE_NAMES.isdisjoint(says_so):
        return True
    links = [element, *element.iter("a")]
    is_link = any((link.get("href") or "").startswith("#") or "#ftn" in (link.get("href") or "") for link in links)
    is_raised = element.tag == "sup" or element.find("sup") is not None or element.getparent().tag == "sup"
    return is_link and is_raised and _NOTE_MARK.fullmatch(text) is not None


def _hidden_names(tree: Any) -> frozenset[str]:
    """Classes and ids that the page's own style hides, but for a certain medium."""
    found: set[str] = set()
    for style in tree.iter("style"):
        for selectors, rules in _RULE.findall(_AT_RULE.sub("", style.text or "")):
            if _HIDING.search(rules):
                found |= {name for name in map(str.strip, selectors.split(",")) if re.fullmatch(r"[.#][\w-]+", name)}
    return frozenset(found)


def _leads_elsewhere(element: Any) -> bool:
    """Whether most of a text are links, as in a menu."""
    whole = _num_characters(element)
    linked = sum(_num_characters(link) for link in element.iter("a") if link.get("href"))
    return whole > 0 and linked > _LINKED_SHARE * whole and not any(True for _ in element.iter("h1"))


def _num_characters(element: Any) -> int:
    return sum(len(text.strip()) for text in element.itertext())


def _drop(element: Any) -> None:
    """Without what follows it, which stands in the line that the element ends in."""
    parent = element.getparent()
    if parent is None:
        return
    tail = _last_mark("".join(element.itertext())) + (element.tail or "")
    if tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + tail
        else:
            parent.text = (parent.text or "") + tail
    parent.remove(element)
