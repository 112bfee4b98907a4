"""Sentences of a manual as its author wrote them, without code, tables and marks: what pairs are made from.

Before a question's path: a file of the corpus -> *sentences* -> turning. Of a PDF none are taken, since its lines say
nothing about where a paragraph ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_UNREAD = re.compile(r"\A---\n.*?\n---\n|```.*?```|<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)|linkgit:([\w-]+)\[\d\]")
_MARKS = re.compile(r"[`*]|(?<!\w)_|_(?!\w)")
_PARAGRAPH = re.compile(r"\n\s*\n|\n\+\n|::\n")
_CODE = re.compile(r"\||^\s*[$#]|^ {4}", re.MULTILINE)
_ENDS = {"en": re.compile(r"(?<=[.!?]) +(?=[A-Z-])"), "zh": re.compile(r"(?<=[。！？])")}


def sentences(path: Path, language: str) -> Iterator[str]:
    """Of one file of the corpus."""
    for paragraph in _paragraphs(path, language):
        clean = _MARKS.sub("", _LINK.sub(r"\1\2", paragraph))
        yield from (sentence.strip() for sentence in _ENDS[language].split(clean) if sentence.strip())


def _paragraphs(path: Path, language: str) -> Iterator[str]:
    if path.suffix == ".pdf":
        return
    text = path.read_text("utf-8")
    if path.suffix == ".html":
        yield from _of_page(text)
        return
    pieces = _UNREAD.sub("\n\n", text).split("\n") if language == "zh" else _PARAGRAPH.split(_UNREAD.sub("\n\n", text))
    for piece in pieces:
        if not _CODE.search(piece if language == "zh" else piece.replace("\n    ", "\n")):
            yield " ".join(piece.strip(" >-*+\t#").split())


def _of_page(page: str) -> Iterator[str]:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(page, "html.parser")
    for tag in soup(["pre", "script", "style", "table", "nav"]):
        tag.decompose()
    for tag in soup.find_all(["p", "li", "dd"]):
        yield " ".join(tag.get_text("").split())
