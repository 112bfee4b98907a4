"""MDX to documents: Markdown with imports and JSX comments, as documentation sites write it.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. What a reader of the page
does not see is blank, line by line, so that lines can be counted. What is exported stays, for sites keep whole pages of
questions and answers there. Source: mdxjs.com, "What is MDX?" (ESM, expressions).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pagoda.rag.documents.document import Document
from pagoda.rag.documents.markup.front_matter import split_front_matter
from pagoda.rag.documents.markup.markdown import load_markdown

_IMPORT = re.compile(r"""import\s*(?:\{|\*|['"]|\w+\s*(?:,\s*[{*]|\bfrom\b)|type\s+[{\w])""")
_END = re.compile(r"""['"]\s*(?:(?:with|assert)\s*\{[^}]*\}\s*)?;?\s*(?://.*)?$""")
_COMMENT, _OPENED = re.compile(r"\{/\*.*?\*/\}"), re.compile(r"\{/\*.*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def load_mdx(text: str, source: str) -> Document:
    """The text; imports and comments are blank lines."""
    _, start = split_front_matter(text)
    return load_markdown(text[:start] + "\n".join(_seen(text[start:].split("\n"))), source)


def _seen(lines: list[str]) -> Iterator[str]:
    """As many lines, without comments and imports; what is code stays.

    Imports begin a paragraph or follow each other, and each ends with the name of a module.
    """
    last_end = max((number for number, line in enumerate(lines) if "*/}" in line), default=-1)
    fence, is_open, may_begin, in_comment = "", False, True, False
    for number, line in enumerate(lines):
        if in_comment:
            _, end, line = line.partition("*/}")
            in_comment = not end
        if fence:
            fence = "" if line.strip().startswith(fence) and not line.strip().strip(fence[0]) else fence
        elif opened := _FENCE.match(line):
            fence = opened[1]
        elif not in_comment:
            line = _COMMENT.sub("", line)
            in_comment = number < last_end and _OPENED.search(line) is not None
            line = _OPENED.sub("", line) if in_comment else line
        is_import = not fence and (is_open or (may_begin and _IMPORT.match(line) is not None))
        is_open = is_import and bool(line.strip()) and _END.search(line) is None
        may_begin = is_import or not line.strip()
        yield "" if is_import else line
