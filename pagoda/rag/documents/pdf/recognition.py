"""The text of scanned pages, where a library for it is installed: RapidOCR (Apache-2.0, Chinese and English).

Beside the first step of a document's path: PDF -> *lines* -> without furniture -> paragraphs -> Document.
The models are in the library's package, so that nothing is fetched; it is an extra of its own (`ocr`), because few
need it and it is large.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pagoda.rag.documents.pdf.lines import Line

# Dots per inch that recognition wants; points are 72.
_DPI, _POINTS = 200, 72


def is_available() -> bool:
    """Whether pages can be recognised on this machine."""
    return _engine() is not None


def recognised(page: Any) -> tuple[Line, ...]:
    """The lines of a page of pypdfium2 as its picture shows them, from the top; none where there is no library."""
    engine = _engine()
    if engine is None:
        return ()
    found, _ = engine(page.render(scale=_DPI / _POINTS).to_numpy())
    return tuple(_line(box, text.strip(), page.get_size()[1]) for box, text, _ in found or () if text.strip())


@cache
def _engine() -> Any:
    """Loaded once, as it takes seconds; None where it is not installed."""
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError:
        return None
    return RapidOCR()


def _line(box: list[list[float]], text: str, height: float) -> Line:
    scale = _POINTS / _DPI
    xs, ys = [x * scale for x, _ in box], [height - y * scale for _, y in box]
    # Sizes that recognition sees differ by a little from line to line; so coarse, lines of a paragraph are alike.
    size = max(4.0, 4.0 * round((max(ys) - min(ys)) / 4.0))
    return Line(text, min(xs), max(xs), min(ys), max(ys), size)
