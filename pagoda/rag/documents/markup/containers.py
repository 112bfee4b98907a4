"""Named parts of a Markdown page: content tabs, admonitions, and what a reader unfolds, whose name heads what is in it.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. What one tab says holds of
the person, the system or the version that it is named after and of no other, so its name must stay with every piece of
it, as a heading's does. Read are Python-Markdown's blocks (`=== "name"`, `!!! note "title"`, `???`), that end where
the text is no longer indented; containers between colons (`:::tip title`, as Docusaurus, VitePress and MyST have them);
components with a label or a title (`<TabItem label="name">`) and `<summary>`. Sources: Python-Markdown's and PyMdown's
manuals, mdxjs.com.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pagoda.rag.documents.fences import Fences

_TAB = re.compile(r"""\s*===[!+]?\s+(?:"([^"]+)"|'([^']+)')\s*""")
_NOTE = re.compile(r"""\s*(?:!!!|\?\?\?\+?)\s*([\w-]+)(?:\s+[\w-]+)*(?:\s+(?:"([^"]*)"|'([^']*)'))?\s*""")
_COLONS = re.compile(r"\s*(:{3,})\s*(?:\{?([A-Za-z][\w-]*)\}?)?\s*(.*?)\s*")
_LAST_COLONS = re.compile(r"\s*(:{3,})\s*")
_ATTRIBUTE = r"""\s(?:%s)\s*=\s*\{?\s*(?:"([^"]+)"|'([^']+)'|`([^`]+)`)"""
_NAMED, _VALUED = (re.compile(_ATTRIBUTE % names) for names in ("label|title", "value"))
_TAG = re.compile(r"\s*<([A-Z]\w*)(\s[^<>]*[^<>/\s]|\s*)\s*>\s*")
_ONE_LINE = re.compile(r"\s*<([A-Z]\w*)(\s[^<>]*[^<>/\s])\s*>(.*)</\1>\s*")
_SUMMARY = re.compile(r"\s*(?:<details[^<>]*>)?\s*<summary[^<>]*>\s*(.+?)\s*</summary>\s*", re.IGNORECASE)
_INLINE_TAG = re.compile(r"</?\w+[^<>]*>")
_INDENT, _TAB_WIDTH, _LINES_OF_TAG = 4, 4, 8
_MOST_OPEN, _LONGEST_MARK = 32, 4_000
"""Parts in one another, and characters of what opens one: more is text, for the time must not outgrow the page."""


@dataclass(frozen=True)
class PartEdge:
    """A line that names a part of the page, or, without a name, the line in front of which one ends.

    depth: 1 of a part that stands in no other
    """

    line: int
    depth: int
    has_name: bool


@dataclass(frozen=True)
class _Open:
    """A part that has begun. indent: least of its lines, 0 where a line closes it; closing: what that one is."""

    is_named: bool
    indent: int = 0
    closing: str = ""


@dataclass
class NamedParts:
    """Takes the lines of a page. lines: as many, with names in place of marks, and nothing indented by a part.

    named: where parts begin and end, in order; depths: of the lines in such a part, how many names stand above
    """

    lines: list[str] = field(default_factory=list)
    named: list[PartEdge] = field(default_factory=list)
    depths: dict[int, int] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)
    _fences: Fences = field(default_factory=Fences)

    @classmethod
    def of(cls, lines: Sequence[str]) -> NamedParts:
        """What a page has of them."""
        parts, text = cls(), [*lines]
        last = _last_closings(lines)
        for number, raw in enumerate(text):
            parts._close_indented(number, raw)
            if depth := parts._depth:
                parts.depths[number] = depth
            line = _dedented(raw, _INDENT * sum(1 for part in parts._open if part.indent))
            if not parts._fences.told(line) and not parts._closes(number, line):
                line = parts._opened(number, raw, line, text, last)
            elif not parts._fences.in_code and _is_closing(line):
                line = ""
            parts.lines.append(line)
        parts.named = [edge for edge in parts.named if edge.line < len(text)]
        return parts

    @property
    def _depth(self) -> int:
        return sum(part.is_named for part in self._open)

    def _close_indented(self, number: int, raw: str) -> None:
        """End the parts that a line is no longer indented for."""
        if not raw.strip():
            return
        indent = _indent(raw)
        for place, part in enumerate(self._open):
            if part.indent > indent:
                self._close(number, place)
                self._fences = Fences()
                return

    def _closes(self, number: int, line: str) -> bool:
        """End the innermost part that a line closes; False where it closes none."""
        closing = line.strip()
        for place in range(len(self._open) - 1, -1, -1):
            wanted = self._open[place].closing
            if wanted and (closing == wanted or (wanted.startswith("</") and closing.endswith(wanted))):
                # What stands before a closing tag in its line is still of the part.
                self._close(number + (closing != wanted), place)
                return True
        return False

    def _close(self, number: int, place: int) -> None:
        named = [depth for depth, part in enumerate(self._open, 1) if depth > place and part.is_named]
        depth = sum(part.is_named for part in self._open[:place])
        del self._open[place:]
        if named:
            self.named.append(PartEdge(number, depth + 1, has_name=False))

    def _opened(self, number: int, raw: str, line: str, lines: list[str], last: dict[str, int]) -> str:
        """What stands in place of a line, which may open a part."""
        if len(self._open) >= _MOST_OPEN or len(line) > _LONGEST_MARK:
            return line
        tab, note = _TAB.fullmatch(line), _NOTE.fullmatch(line)
        if tab or note:
            name = _first(tab.groups()) if tab else _first(note.groups()[1:]) if note else ""
            if not _has_body(number, lines):
                return name or line
            told = name or (note[1].capitalize() if note else "")
            return self._begin(number, _Open(bool(name), indent=_indent(raw) + _INDENT), told)
        if (colons := _COLONS.fullmatch(line)) and (colons[2] or colons[3]) and last.get(colons[1], -1) > number:
            name = _colons_name(colons[3])
            told = name or (colons[2] or "").capitalize()
            return self._begin(number, _Open(bool(name), closing=colons[1]), told)
        if (summary := _SUMMARY.fullmatch(line)) and last.get("</details>", -1) > number:
            name = _INLINE_TAG.sub("", summary[1]).strip()
            return self._begin(number, _Open(bool(name), closing="</details>"), name)
        if (tag := _ONE_LINE.fullmatch(line)) and (name := _tag_name(tag)):
            return f"{name}: {tag[3].strip()}"
        whole = _whole_tag(number, line, lines)
        tag = _TAG.fullmatch(whole) if len(whole) <= _LONGEST_MARK else None
        if tag and (name := _tag_name(tag)) and last.get(f"</{tag[1]}>", -1) > number:
            for below in range(number + 1, number + 1 + whole.count("\n")):
                lines[below] = ""
            return self._begin(number, _Open(True, closing=f"</{tag[1]}>"), name)
        return line

    def _begin(self, number: int, part: _Open, told: str) -> str:
        self._open.append(part)
        if part.is_named:
            self.named.append(PartEdge(number, self._depth, has_name=True))
            self.depths[number] = self._depth
        return told


def _last_closings(lines: Sequence[str]) -> dict[str, int]:
    """The last line of each that closes something: what nothing closes opens nothing."""
    found: dict[str, int] = {}
    for number, line in enumerate(lines):
        if _LAST_COLONS.fullmatch(line):
            found[line.strip()] = number
        elif "</" in line:
            found |= dict.fromkeys(re.findall(r"</\w+>", line), number)
    return found


def _has_body(number: int, lines: Sequence[str]) -> bool:
    """Whether what follows a line is indented under it; else its signs may be a person's ("!!! never mix them")."""
    below = next((lines[at] for at in range(number + 1, len(lines)) if lines[at].strip()), "")
    return _indent(below) >= _indent(lines[number]) + _INDENT


def _is_closing(line: str) -> bool:
    return _LAST_COLONS.fullmatch(line) is not None or re.fullmatch(r"\s*</(?:[A-Z]\w*|details)>\s*", line) is not None


def _whole_tag(number: int, line: str, lines: Sequence[str]) -> str:
    """A tag with the lines that it goes on in; the line where it is none."""
    if not re.match(r"\s*<[A-Z]", line) or ">" in line:
        return line
    for last in range(number + 1, min(number + _LINES_OF_TAG, len(lines))):
        line += "\n" + lines[last]
        if ">" in lines[last]:
            break
    return line


def _tag_name(tag: re.Match[str]) -> str:
    named = _NAMED.search(tag[2]) or (_VALUED.search(tag[2]) if tag[1].startswith("Tab") else None)
    return _first(named.groups()) if named else ""


def _colons_name(rest: str) -> str:
    """The name behind the kind of a container: in brackets, as an attribute, or as it stands."""
    if rest.startswith("["):
        return rest[1:].partition("]")[0].strip()
    if rest.startswith("{") or "=" in rest:
        named = _NAMED.search(f" {rest.lstrip('{')}")
        return _first(named.groups()) if named else ""
    return rest.partition("{")[0].strip().strip('"')


def _first(groups: Sequence[str | None]) -> str:
    return next((group.strip() for group in groups if group), "")


def _indent(line: str) -> int:
    line = line.expandtabs(_TAB_WIDTH)
    return len(line) - len(line.lstrip())


def _dedented(line: str, by: int) -> str:
    """Without so many of the blanks before it."""
    if not by:
        return line
    line = line.expandtabs(_TAB_WIDTH) if "\t" in line[:by] else line
    return line[min(by, len(line) - len(line.lstrip())) :]
