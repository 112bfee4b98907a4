"""What stands in a paragraph of Word, and what hangs on it: notes, comments, text boxes.

First station of a document's path: *Word file -> blocks -> Document*. ECMA-376 (Office Open XML), part 1, chapter 17:
text is taken wherever it is wrapped (smart tags, content controls, insertions, links, fields, bidirectional runs) and
as it reads with all changes accepted: what was deleted or moved away is gone, and so is what is hidden or
struck out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_GONE = frozenset(
    W + name for name in ("del", "moveFrom", "delText", "instrText", "rPr", "pPr", "sdtPr", "rt", "fldChar", "tblPr")
)
_AS_TEXT = {
    W + "tab": " ",
    W + "ptab": " ",
    W + "br": "\n",
    W + "cr": "\n",
    W + "noBreakHyphen": "-",
}
_NOTES = {W + "footnoteReference": "footnotes", W + "endnoteReference": "endnotes", W + "commentReference": "comments"}
_OFF = ("0", "false", "off")


@dataclass
class Attached:
    """What hangs on a paragraph.

    notes: (part, id) of each; boxes: elements with blocks; diagrams: relations; num_struck: runs that are struck out
    """

    notes: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[Any] = field(default_factory=list)
    diagrams: list[str] = field(default_factory=list)
    num_struck: int = 0


def paragraph_text(paragraph: Any, attached: Attached) -> str:
    """The text of a paragraph; what hangs on it is added to `attached`."""
    text = "".join(_pieces(paragraph, attached))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _pieces(element: Any, attached: Attached) -> Iterator[str]:
    for child in element:
        tag = child.tag
        if tag in _GONE or not isinstance(tag, str) or (tag == W + "r" and _is_marked(child, "vanish")):
            continue
        if tag == W + "r" and (_is_marked(child, "strike") or _is_marked(child, "dstrike")):
            attached.num_struck += child.find(W + "t") is not None
            continue
        if tag in (W + "t", _M + "t"):
            yield child.text or ""
        elif tag in _AS_TEXT:
            yield _AS_TEXT[tag]
        elif tag in _NOTES:
            attached.notes.append((_NOTES[tag], child.get(W + "id")))
        elif tag == W + "txbxContent":
            attached.boxes.append(child)
        elif tag == _DIAGRAM + "relIds":
            attached.diagrams.append(child.get(_RELATION + "dm"))
        elif tag == _MC + "AlternateContent":
            # The same content in several forms; the first is the newest.
            yield from _pieces(child[0], attached) if len(child) else ()
        else:
            yield from _pieces(child, attached)


def _is_marked(run: Any, name: str) -> bool:
    return is_on(run.find(f"{W}rPr/{W}{name}"))


def is_on(switch: Any) -> bool:
    """Whether an element that turns something on is there, and does not turn it off."""
    return switch is not None and switch.get(W + "val", "1") not in _OFF
