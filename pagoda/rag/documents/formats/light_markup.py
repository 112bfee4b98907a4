"""Texts with light marks (reStructuredText, AsciiDoc, Org) to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. As with Markdown the text
stays as it was written, line by line, so that a citation's line is the file's; marks that a reader would not see are
taken off, and lines that are nothing but marks become blank. Rules by what starts and ends a mark, after the quick
references of docutils, Asciidoctor and Org.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from pagoda.rag.documents.document import Document

Rules = Sequence[tuple[re.Pattern[str], str]]
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


def load_rst(text: str, source: str) -> Document:
    """reStructuredText: a title is a line with a rule of signs below it."""
    lines = text.split("\n")
    title = ""
    for number, (line, below) in enumerate(pairwise(lines), start=1):
        if _is_rule(below) and line.strip() and not _is_rule(line) and len(below.rstrip()) >= min(3, len(line.strip())):
            title = title or line.strip()
            lines[number] = ""
            if number > 1 and _is_rule(lines[number - 2]):
                lines[number - 2] = ""
    return _unmarked("\n".join(lines), source, _RST, lambda plain: title)


def load_adoc(text: str, source: str) -> Document:
    """AsciiDoc: a title begins with signs of equality."""
    return _unmarked(text, source, _ADOC, _first(re.compile(r"^=+[ \t]+(.+)$", re.MULTILINE)))


def load_org(text: str, source: str) -> Document:
    """Org: the title is named, or the first heading, which begins with stars."""
    named = re.compile(r"^#\+title:[ \t]*(.+)$", re.MULTILINE | re.IGNORECASE).search(text)
    heading = _first(re.compile(r"^\*+[ \t]+(.+)$", re.MULTILINE))
    return _unmarked(text, source, _ORG, lambda plain: named[1].strip() if named else heading(plain))


def _unmarked(text: str, source: str, rules: Rules, title_of: Callable[[str], str]) -> Document:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return Document(source, text, title_of(text))


def _first(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def found(text: str) -> str:
        match = pattern.search(text)
        return match[1].strip() if match else ""

    return found


def _is_rule(line: str) -> bool:
    line = line.rstrip()
    return len(line) > 1 and line[0] in _RULE_SIGNS and line == line[0] * len(line)
