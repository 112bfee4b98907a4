"""A passage of a page's tree, wrapped into <mark> elements.

Beside a question's path, behind the answer: citation -> *mark in the page*. A passage may begin in one element and end
in another, so each of its stretches of text gets a mark of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MARK = "mark"
_INLINE = frozenset(
    (
        *(
            "a",
            "abbr",
            "b",
            "bdi",
            "bdo",
            "big",
            "cite",
            "code",
            "del",
            "dfn",
            "em",
            "font",
            "i",
            "ins",
            "kbd",
            "label",
        ),
        *(
            "mark",
            "q",
            "rp",
            "rt",
            "ruby",
            "s",
            "samp",
            "small",
            "span",
            "strike",
            "strong",
            "sub",
            "sup",
            "time",
            "tt",
        ),
        *("u", "var", "wbr"),
    )
)
"""Elements between whose letters no blank is to be seen."""
_LINES = _INLINE | {"p", "pre"}


@dataclass(frozen=True)
class _Piece:
    """Text of a tree. start: in the text of all of it; is_tail: whether it follows the element, or stands in it."""

    element: Any
    is_tail: bool
    start: int
    text: str

    @property
    def is_within_a_line(self) -> bool:
        """Whether it is a blank between words, not one between blocks, where a mark would break a table."""
        holder = self.element.getparent() if self.is_tail else self.element
        return "\n" not in self.text and holder is not None and holder.tag in _LINES


def plain_text(root: Any) -> str:
    """The text of a tree, a blank where two blocks meet: what `mark` counts its characters in."""
    pieces = list(_pieces(root))
    length = pieces[-1].start + len(pieces[-1].text) if pieces else 0
    characters = [" "] * length
    for piece in pieces:
        characters[piece.start : piece.start + len(piece.text)] = piece.text
    return "".join(characters)


def mark(root: Any, start: int, end: int) -> int:
    """Wrap the characters of `plain_text` from `start` to `end`; how many marks that took."""
    pieces = [piece for piece in _pieces(root) if piece.start < end and piece.start + len(piece.text) > start]
    num_marks = 0
    # From the end, so that what is still to be wrapped stays where it is.
    for piece in reversed(pieces):
        first, last = max(start - piece.start, 0), min(end - piece.start, len(piece.text))
        if piece.text[first:last].strip() or piece.is_within_a_line:
            _wrap(piece, first, last)
            num_marks += 1
    return num_marks


def _pieces(root: Any) -> Iterator[_Piece]:
    """In the order of reading; pages nest deeper than Python's stack."""
    at = 0
    waiting: list[tuple[Any, bool]] = [(root, False)]
    while waiting:
        element, is_tail = waiting.pop()
        at += element.tag not in _INLINE
        text = (element.tail if is_tail else element.text) or ""
        if text:
            yield _Piece(element, is_tail, at, text)
            at += len(text)
        if not is_tail:
            if element is not root:
                waiting.append((element, True))
            waiting += [(child, False) for child in reversed(element)]


def _wrap(piece: _Piece, first: int, last: int) -> None:
    element, text = piece.element, piece.text
    wrapped = element.makeelement(MARK)
    wrapped.text, wrapped.tail = text[first:last], text[last:] or None
    before = text[:first] or None
    if piece.is_tail:
        # Directly behind the element, wherever it stands among its siblings; then what comes before in between.
        element.tail = None
        element.addnext(wrapped)
        element.tail = before
    else:
        element.text = before
        element.insert(0, wrapped)
