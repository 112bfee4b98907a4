"""The text of scanned pages, where a library for it is installed: RapidOCR (Apache-2.0, Chinese and English).

Beside the first step of a document's path: PDF -> *lines* -> without furniture -> paragraphs -> Document.
The models are in the library's package, so that nothing is fetched; it is an extra of its own (`ocr`), because few
need it and it is large.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pagoda.rag.documents.pdf.lines import Line

# Dots per inch that are tried: some more than letters need, and fewer for a page that is nearly empty. Points are 72.
_RESOLUTIONS, _POINTS = (144, 96), 72


def recognised(page: Any) -> tuple[Line, ...]:
    """The lines of a page of pypdfium2 as its picture shows them, from the top; none where there is no library."""
    engine = _engine()
    if engine is None:
        return ()
    for resolution in _RESOLUTIONS:
        scale = resolution / _POINTS
        found = engine(page.render(scale=scale).to_numpy())
        if found.txts:
            height = page.get_size()[1]
            return tuple(_line(box, text, scale, height) for box, text in zip(found.boxes, found.txts, strict=True))
    return ()


@cache
def _engine() -> Any:
    """Loaded once, as it takes seconds; None where it is not installed."""
    try:
        from rapidocr import RapidOCR
    except ImportError:
        return None
    # It tells of every step that it takes.
    return RapidOCR(params={"Global.log_level": "critical"})


def _line(box: Any, text: str, scale: float, height: float) -> Line:
    """box: the four corners in the picture, from its upper left corner."""
    xs, ys = [float(x) / scale for x, _ in box], [height - float(y) / scale for _, y in box]
    # Sizes that recognition sees differ by a little from line to line; so coarse, lines of a paragraph are alike.
    size = max(4.0, 4.0 * round((max(ys) - min(ys)) / 4.0))
    return Line(" ".join(text.split()), min(xs), max(xs), min(ys), max(ys), size)
