"""A page of a PDF as a picture, and where on it a passage stands.

Beside a question's path, behind the answer: citation -> *page with the passage marked*. PDFium draws the page (as in
Chrome) and knows the place of each of its letters; pillow writes the picture.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from pagoda.errors import InvalidRequestError, MissingExtraError
from pagoda.rag.documents.pdf.loader import opened_pdf
from pagoda.rag.viewing.passage import find_passage

Box = tuple[float, float, float, float]
"""left, top, width, height on the page as it is shown, as shares of its width and height, 0 to 1."""
PICTURE_WIDTH = 1400
"""Pixels."""
_MOST_PIXELS, _LONGEST_SIDE = 6_000_000, 20_000
_UNITS = 10_000


def passage_boxes(data: bytes, number: int, passage: str) -> tuple[int, list[Box]]:
    """How many pages a file has, and the boxes around the lines that say `passage` on one of them; none if it does not.

    number: counted from 1. Raises LoadError, MissingExtraError, InvalidRequestError for a page that is not there.
    """
    with opened_pdf(data) as pdf, closing(_page(pdf, number)) as page, closing(page.get_textpage()) as text:
        found = find_passage(text.get_text_range(), passage)
        boxes = list(_boxes(page, text, *found)) if found else []
        return len(pdf), boxes


def page_picture(data: bytes, number: int) -> bytes:
    """The page as PNG. Raises LoadError, MissingExtraError, InvalidRequestError for a page that is not there."""
    try:
        import PIL.Image  # noqa: F401 - PDFium's pictures become pillow's
    except ModuleNotFoundError as error:
        raise MissingExtraError("showing pages of PDF (pillow)", "rag") from error
    with opened_pdf(data) as pdf, closing(_page(pdf, number)) as page:
        width, height = page.get_size()
        most = math.sqrt(_MOST_PIXELS / max(width * height, 1))
        # A page may be a thread, a thousandth of a point wide and a kilometre long.
        scale = min(PICTURE_WIDTH / max(width, 1), _LONGEST_SIDE / max(height, 1), most)
        with closing(page.render(scale=scale)) as bitmap:
            file = io.BytesIO()
            bitmap.to_pil().save(file, "PNG")
    return file.getvalue()


def _page(pdf: Any, number: int) -> Any:
    if not 1 <= number <= len(pdf):
        raise InvalidRequestError(f"page is {number}, but the document has pages 1 to {len(pdf)}", param="page")
    return pdf[number - 1]


def _boxes(page: Any, text: Any, start: int, end: int) -> Iterator[Box]:
    """PDFium joins what stands side by side in a line."""
    from pypdfium2 import PdfPosConv

    shown = PdfPosConv(page, (0, 0, _UNITS, _UNITS, 0))
    for index in range(text.count_rects(start, end - start)):
        left, bottom, right, top = text.get_rect(index)
        (x0, y0), (x1, y1) = shown.to_bitmap(left, top), shown.to_bitmap(right, bottom)
        x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        if x1 > x0 and y1 > y0:
            yield x0 / _UNITS, y0 / _UNITS, (x1 - x0) / _UNITS, (y1 - y0) / _UNITS
