"""GET /v1/rag/documents/NAME and /v1/rag/pictures/NAME: a document with the passage that an answer cites marked.

Beside the token's path. Documents are asked for by the names that the index has for them, and by nothing else; what
leaves is text, HTML that does nothing (see `rag.viewing.pages`), and pictures that this server drew.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from pagoda.server.applications.rag_collections import Readable
from pagoda.server.generation import caller_of
from pagoda.server.routing import READING, Documented, documented
from pagoda.server.state import state_of

router = APIRouter()
_LOOKING = READING | documented(400, 403, 404, 429)
_PNG: Documented = {
    200: {"description": "The page, PNG", "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}
_PICTURE_HEADERS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
Offset = Annotated[int, Query(ge=0, description="Characters of the document, as a citation's `start` and `end`.")]
Page = Annotated[int | None, Query(ge=1, description="Of a PDF; left out, that of the passage.")]


@router.get("/documents/{source:name}", responses=_LOOKING)
async def view(
    request: Request, documents: Readable, source: str, start: Offset = 0, end: Offset = 0, page: Page = None
) -> Response:
    """A document as a person looks at it: safe HTML, the passage in `mark` elements; of a PDF one page."""
    async with state_of(request).admitted(caller_of(request)):
        found = await documents.view(source, start, end, page)
    return JSONResponse({"object": "rag.document.view", **asdict(found)})


@router.get("/pictures/{source:name}", responses=_LOOKING | _PNG, response_class=Response)
async def picture(request: Request, documents: Readable, source: str, page: Annotated[int, Query(ge=1)]) -> Response:
    """A page of a PDF as it looks."""
    async with state_of(request).admitted(caller_of(request)):
        drawn = await documents.page_picture(source, page)
    return Response(drawn, media_type="image/png", headers=_PICTURE_HEADERS)
