"""Jupyter notebooks to documents.

First station of a document's path: *file -> Document* -> Chunks -> index -> Hits -> answer. nbformat 4 (and 3): cells
of text as they are written, cells of code with what they printed, tables by their columns; pictures are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pagoda.rag.documents.composition import Composition
from pagoda.rag.documents.decoding import LoaderSettings, decode
from pagoda.rag.documents.document import Document
from pagoda.rag.documents.markup.html import html_document
from pagoda.rag.documents.markup.markdown import load_markdown
from pagoda.rag.errors import LoadError

# What colours a terminal.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def load_ipynb(data: bytes, source: str, settings: LoaderSettings) -> Document:
    """The cells in their order."""
    try:
        notebook = json.loads(decode(data, settings.encoding))
    except json.JSONDecodeError as error:
        raise LoadError(f"is no notebook ({error.msg} in line {error.lineno}): save it anew") from error
    composition = Composition(settings.max_bytes)
    for cell in _cells(notebook):
        text = _joined(cell.get("source", cell.get("input", "")))
        if cell.get("cell_type") == "markdown":
            composition.add_document(load_markdown(text, source))
        else:
            composition.add(text, is_listing=True)
        for output in cell.get("outputs", ()):
            _add_output(output, composition)
    return composition.document(source)


def _cells(notebook: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(notebook, dict):
        raise LoadError("is no notebook: it has no cells")
    yield from notebook.get("cells", ())
    for sheet in notebook.get("worksheets", ()):
        yield from sheet.get("cells", ())


def _add_output(output: dict[str, Any], composition: Composition) -> None:
    """What a reader sees of one output: a table as the page has it; its plain text is cut to a width."""
    page = _joined(output.get("data", {}).get("text/html", ""))
    if "<table" in page:
        composition.add_document(html_document(page, ""))
    else:
        composition.add_all(_printed(output))


def _printed(output: dict[str, Any]) -> Iterator[str]:
    """The text of one output: what was printed, the value, or the error."""
    if output.get("output_type") in ("error", "pyerr"):
        yield f"{output.get('ename', '')}: {output.get('evalue', '')}"
        return
    data = output.get("data", {})
    text = output.get("text") or data.get("text/markdown") or data.get("text/plain") or ""
    yield _COLOURS.sub("", _joined(text))


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
