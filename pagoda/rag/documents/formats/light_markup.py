"""Texts with light marks (reStructuredText, AsciiDoc, Org) to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. As with Markdown the text
stays as it was written, line by line, so that a citation's line is the file's; marks that a reader would not see are
taken off, and lines that are nothing but marks become blank. Rules by what starts and ends a mark, after the quick
references of docutils, Asciidoctor and Org.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, pairwise

from pagoda.rag.documents.document import Document, Heading
from pagoda.rag.documents.places import line_starts

Rules = Sequence[tuple[re.Pattern[str], str]]
_OPENS_LISTING = re.compile(r"^\s*\.\. (?:code-block|sourcecode|code|parsed-literal|prompt)::|^(?!\s*\.\. ).*::\s*$")
_OPTION = re.compile(r"\s*:[\w-]+:")
_RULE_SIGNS = "=-`:.'\"~^_*+#<>"


def _rules(*pairs: tuple[str, str]) -> Rules:
    return [(re.compile(pattern, re.MULTILINE | re.IGNORECASE), replacement) for pattern, replacement in pairs]


# Inline marks stand at the borders of words.
_BEFORE, _AFTER = r"(?<![\w\\])", r"(?!\w)"
_RST = _rules(
    (r"^[ \t]*\.\.[ \t]+(?:_[^:\n]+:.*|\[[#\w]+\](?=[ \t]|$)|$)", ""),  # targets, marks of notes
    (
        r"^([ \t]*)\.\.[ \t]+(?:image|figure|include|literalinclude|toctree|contents|index|highlight|code-block)::.*$",
        "",
    ),
    (
        r"^([ \t]*)\.\.[ \t]+(?:sourcecode|code|parsed-literal|currentmodule|module|raw|rst-class|container|only)::.*$",
        "",
    ),
    # Of a version that began, changed or ended something the directive's name is part of what is said.
    (r"^([ \t]*)\.\.[ \t]+(deprecated(?:-removed)?|version(?:added|changed|removed))::(?=[ \t])", r"\1\2:"),
    (r"^([ \t]*)\.\.[ \t]+(?:py:|c:)?[\w-]+::[ \t]*(.*)$", r"\1\2"),  # a directive's own words
    (r"^[ \t]+:(?:maxdepth|caption|hidden|numbered|linenos|emphasize-lines|name|alt|width|align|class)[^:\n]*:.*$", ""),
    (r":[\w:+-]+:`~?!?([^`<]+?)[ \t]*(?:<[^`>]*>)?`", r"\1"),  # roles
    (r"`([^`<\n]+?)[ \t]*<([^`>\n]+)>`__?", r"\1 (\2)"),  # links
    (r"``([^`\n]+)``", r"\1"),
    (_BEFORE + r"`([^`\n]+)`_{0,2}" + _AFTER, r"\1"),
    (_BEFORE + r"\*{1,2}(?=\S)([^*\n]+?)(?<=\S)\*{1,2}" + _AFTER, r"\1"),
    (r"::[ \t]*$", ":"),
)
_ADOC = _rules(
    (r"^//(?!//).*$", ""),
    (r"^:[\w!-]+:.*$", ""),
    (r"^\[[^\]\n]*\][ \t]*$", ""),
    (r"^(?:-{4,}|={4,}|\.{4,}|\*{4,}|_{4,}|\+{4,}|/{4,}|\|={3,}|--|\+)[ \t]*$", ""),
    (r"^(?:include|ifdef|ifndef|ifeval|endif|toc|image)::.*$", ""),
    (r"(?:link:|xref:|mailto:)?(https?://[^\s\[]+|[\w./#-]+)\[([^\]\n]+)\]", r"\2"),
    (r"<<[^,>\n]+,[ \t]*([^>\n]+)>>", r"\1"),
    (_BEFORE + r"([*_`+]{1,2})(?=\S)([^*_`\n]+?)(?<=\S)\1" + _AFTER, r"\2"),
)
_ORG = _rules(
    (r"^[ \t]*#\+(?:title|subtitle|caption):[ \t]*(.*)$", r"\1"),
    (r"^[ \t]*#\+\w+.*$|^[ \t]*#[ \t].*$", ""),
    (r"^[ \t]*:(?:properties|end|logbook|\w+):[ \t]*\S*.*$", ""),
    (r"\[\[[^\]\n]+\]\[([^\]\n]+)\]\]", r"\1"),
    (r"\[\[([^\]\n]+)\]\]", r"\1"),
    (_BEFORE + r"([*/_=~+])(?=\S)([^*/_=~+\n]+?)(?<=\S)\1" + _AFTER, r"\2"),
)

# What only one of two formats has: directives, targets, roles, named links, literal blocks and titles below a roof
# as long as they are; and titles behind #, fences, links and rules of tables.
_ONLY_RST = re.compile(
    r"^[ \t]*\.\. (?:[\w:-]+::|_[^:\n]+:)|(?<![\w`]):[a-z][\w:+-]*:`[^`\n]+`|`[^`\n]+`__?(?!\w)"
    r"|::[ \t]*\n[ \t]*\n[ \t]+\S"
    r"|(?:\A|\n)(?P<roof>([=\-#*~^\"+])\2{2,})[ \t]*\n(?P<title>[^\n]+)\n(?P=roof)[ \t]*$",
    re.MULTILINE,
)
_ONLY_MARKDOWN = re.compile(r"^#{1,6}[ \t]|^ {0,3}```|\]\(|^ {0,3}\|?[ \t]*:?-{3,}:?[ \t]*\|", re.MULTILINE)


@dataclass
class _Marked:
    """Lines of a text and what they are, by their numbers: levels of headings, and lines of listings."""

    lines: list[str]
    levels: dict[int, int] = field(default_factory=dict)
    listed: set[int] = field(default_factory=set)

    def document(self, source: str, rules: Rules, title: str = "") -> Document:
        """Without marks. title: what the file says of itself; without one the first heading is it."""
        lines = list(self._unmarked(rules))
        starts = line_starts(lines)
        headings = [Heading(starts[i], starts[i] + len(lines[i]), level) for i, level in sorted(self.levels.items())]
        first = next((lines[i].strip() for i in sorted(self.levels)), "")
        listings = tuple((starts[part[0]], starts[part[-1]] + len(lines[part[-1]])) for part in _runs(self.listed))
        return Document(source, "\n".join(lines), title or first, headings=tuple(headings), listings=listings)

    def _unmarked(self, rules: Rules) -> Iterator[str]:
        """What looks like a mark in a listing is none."""
        for is_listed, part in groupby(enumerate(self.lines), key=lambda entry: entry[0] in self.listed):
            text = "\n".join(line for _, line in part)
            for pattern, replacement in () if is_listed else rules:
                text = pattern.sub(partial(_without_mark, replacement), text)
            yield from text.split("\n")


def _without_mark(replacement: str, mark: re.Match[str]) -> str:
    """What stays of a mark, with all of its line ends: a link's target may be on a line of its own."""
    told = mark.expand(replacement)
    return told + "\n" * (mark[0].count("\n") - told.count("\n"))


def load_rst(text: str, source: str) -> Document:
    """reStructuredText: a title is a line with a rule of signs below it; each new kind of rule is a lower level."""
    marked = _Marked(text.split("\n"))
    marked.listed = set(_indented_listings(marked.lines))
    kinds: list[tuple[str, bool]] = []
    for i, (line, below) in enumerate(pairwise(marked.lines)):
        is_title = line.strip() and not _is_rule(line) and _is_rule(below) and len(below.rstrip()) >= len(line.strip())
        if not is_title or i in marked.listed:
            continue
        has_roof = i > 0 and _is_rule(marked.lines[i - 1])
        kind = (below[0], has_roof)
        kinds += [] if kind in kinds else [kind]
        marked.levels[i] = 1 + kinds.index(kind)
        marked.lines[i + 1] = ""
        marked.lines[i - has_roof] = marked.lines[i - has_roof] if not has_roof else ""
        marked.lines[i] = line.strip()
    return marked.document(source, _RST)


def is_rst(text: str) -> bool:
    """Whether a text is reStructuredText, whatever its file is called: it has more of its marks than of Markdown's.

    >>> is_rst("Ports\\n=====\\n\\n.. note::\\n\\n   See :ref:`here`."), is_rst("# Ports\\n\\nSee [here](x.md).")
    (True, False)
    """
    found = (match for match in _ONLY_RST.finditer(text) if len(match["title"] or "") <= len(match["roof"] or ""))
    return sum(1 for _ in found) > len(_ONLY_MARKDOWN.findall(text))


def load_adoc(text: str, source: str) -> Document:
    """AsciiDoc: a title begins with signs of equality."""
    marked = _Marked(text.split("\n"))
    marked.listed = set(_fenced(marked.lines, re.compile(r"(-{4,}|\.{4,})\s*$"), None))
    return _headed(marked, re.compile(r"(=+)[ \t]+(\S.*)")).document(source, _ADOC)


def load_org(text: str, source: str) -> Document:
    """Org: the title is named, or the first heading, which begins with stars."""
    marked = _Marked(text.split("\n"))
    opens, closes = (re.compile(rf"\s*#\+{word}_(?:src|example)", re.IGNORECASE) for word in ("begin", "end"))
    marked.listed = set(_fenced(marked.lines, opens, closes))
    named = re.search(r"^#\+title:[ \t]*(.+)$", text, re.MULTILINE | re.IGNORECASE)
    headed = _headed(marked, re.compile(r"(\*+)[ \t]+(\S.*)"))
    return headed.document(source, _ORG, named[1].strip() if named else "")


def _headed(marked: _Marked, heading: re.Pattern[str]) -> _Marked:
    """With the headings that begin with as many signs as their level."""
    for i, line in enumerate(marked.lines):
        match = heading.fullmatch(line.rstrip())
        if match and i not in marked.listed:
            marked.levels[i], marked.lines[i] = len(match[1]), match[2]
    return marked


def _fenced(lines: Sequence[str], opens: re.Pattern[str], closes: re.Pattern[str] | None) -> Iterator[int]:
    """The lines between two fences. closes: None where the fence that opened closes."""
    fence = ""
    for i, line in enumerate(lines):
        if fence:
            if closes.match(line) if closes else line.rstrip() == fence:
                fence = ""
            else:
                yield i
        elif opens.match(line):
            fence = line.rstrip()


def _indented_listings(lines: Sequence[str]) -> Iterator[int]:
    """The lines that are indented below a line that says so."""
    depth: int | None = None
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if depth is not None and line.strip() and indent <= depth:
            depth = None
        if depth is not None and line.strip() and not _OPTION.match(line):
            yield i
        elif depth is None and _OPENS_LISTING.search(line):
            depth = indent


def _runs(numbers: set[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for number in sorted(numbers):
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _is_rule(line: str) -> bool:
    line = line.rstrip()
    return len(line) > 1 and line[0] in _RULE_SIGNS and line == line[0] * len(line)
