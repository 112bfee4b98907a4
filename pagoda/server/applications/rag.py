"""/v1/rag: questions to collections of documents over HTTP, and the documents themselves: list, upload, delete.

Beside the token's path; the path of a question is `rag.pipeline`'s. Only files in the upload folder are ever written
or deleted, and only by a name that was cut down to a plain file name. Embedding and indexing run in threads, so that
no stream waits for them; a model answers through the engine that the server has.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StrictBool, StrictInt, StrictStr

from pagoda.chat.model import Message
from pagoda.chat.openai_types import ApiObject, Many, OpenAIRequest
from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.errors import InvalidRequestError, MissingExtraError
from pagoda.rag.answer import Answer
from pagoda.rag.documents.document import Hit
from pagoda.rag.query import AnswererName, RagQuery
from pagoda.server.applications import rag_feedback, rag_search, rag_sources
from pagoda.server.applications.application import Application, service_of
from pagoda.server.applications.rag_collections import RagCollections, Readable, Writable
from pagoda.server.applications.rag_service import RagOpening, RagService
from pagoda.server.config import ServerConfig
from pagoda.server.errors import ModelNotFoundError, UnsupportedMediaTypeError
from pagoda.server.fields import check_fields
from pagoda.server.generation import caller_of
from pagoda.server.routing import GENERATING, POSTING, READING, JsonRoute, documented
from pagoda.server.state import state_of
from pagoda.server.streaming import EventStream, event, resumed, unless_client_leaves

router = APIRouter(route_class=JsonRoute, prefix="/v1/rag")
uploads = APIRouter()
"""Apart from the other routes, because its bodies are no JSON."""
MAX_FILES = 16
MAX_QUESTION = 32_768
"""Characters. All of it is embedded, however little of it a model of passages reads."""


class EarlierTurn(ApiObject):
    """An earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    content: StrictStr


class RetrieveRequest(OpenAIRequest):
    """What to look for."""

    question: Annotated[StrictStr, Field(max_length=MAX_QUESTION)]
    k: StrictInt = Field(5, description="Chunks to find.")
    where: dict[str, Any] | None = Field(
        None,
        description="What must be known of a document: field to value, to a list of values, or to operators such as "
        '{"$gte": "1.2"}, {"$ne": ...}, {"$in": [...]}, {"$prefix": "guide/"}; $and, $or and $not join filters.',
    )


class QueryRequest(RetrieveRequest):
    """What to answer."""

    history: Many[EarlierTurn] = Field(default_factory=list, description="Earlier turns, oldest first.")
    answerer: AnswererName | None = Field(
        None,
        description="Who answers: guided is a small model that confirms and completes what extractive quotes. Left "
        "out, the model, unless it is the built-in one, which is not believed.",
    )
    stream: StrictBool = False


@router.post("/query", responses=GENERATING | documented(403))
async def query(body: QueryRequest, request: Request, documents: Readable) -> Response:
    """An answer with its citations, or the statement that the documents hold none."""
    state = state_of(request)
    # A field that nobody knows may be a filter that would not hold.
    check_fields(body, strict=True)
    state.check_ready()
    held = AsyncExitStack()
    await held.enter_async_context(state.admitted(caller_of(request)))
    try:
        events = _events(documents, body)
        first = await unless_client_leaves(request, anext(events)) if body.stream else None
        if first is not None:
            return EventStream(resumed(first, events), held, keep_alive_s=state.config.keep_alive_s)
        answer = await unless_client_leaves(request, documents.query(_query(body)))
    except BaseException:
        await held.aclose()
        raise
    await held.aclose()
    return JSONResponse(_answer_object(answer))


@router.post("/retrieve", responses=POSTING | documented(403))
async def retrieve(body: RetrieveRequest, request: Request, documents: Readable) -> Response:
    """The chunks that a question finds, best first."""
    state = state_of(request)
    # A field that nobody knows may be a filter that would not hold.
    check_fields(body, strict=True)
    async with state.admitted(caller_of(request)):
        hits = await documents.retrieve(body.question, body.k, body.where)
    return JSONResponse({"object": "list", "data": [_hit_object(hit) for hit in hits]})


@router.get("/collections", responses=READING | documented(403))
async def list_collections(request: Request) -> Response:
    """The collections that the caller may read; the first is asked where a request names none."""
    return JSONResponse({"object": "list", "data": service_of(request.app, RagCollections).listed(request)})


@router.get("/status", responses=READING | documented(403, 404))
async def status(documents: Readable) -> Response:
    """What is indexed, and by which embedder."""
    facts = await documents.status()
    return JSONResponse({"object": "rag.status", **facts})


@router.get("/documents", responses=READING | documented(403, 404))
async def list_documents(documents: Readable) -> Response:
    """All documents. `deletable`: it was uploaded here."""
    found = await documents.documents()
    return JSONResponse({"object": "list", "data": found})


@uploads.post("/documents", responses=POSTING | documented(403))
async def upload(request: Request, documents: Writable) -> Response:
    """Files as multipart/form-data, which enter the index; one of the same name is replaced."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UnsupportedMediaTypeError("files are expected as multipart/form-data")
    report = await documents.upload(await _files(request))
    return JSONResponse({"object": "rag.report", **asdict(report)})


@router.delete("/documents/{name:name}", responses=POSTING | documented(403))
async def delete(name: str, documents: Writable) -> Response:
    """Remove a document that was uploaded, its file included."""
    is_deleted = await documents.delete(name)
    if not is_deleted:
        raise ModelNotFoundError(
            f"there is no uploaded document {name!r}: GET /v1/rag/documents lists them", param="name"
        )
    return JSONResponse({"object": "rag.document.deleted", "source": name, "deleted": True})


def _query(body: QueryRequest) -> RagQuery:
    history = tuple(Message(turn.role, turn.content) for turn in body.history)
    return RagQuery(body.question, body.k, body.where, history, body.answerer)


async def _events(service: RagService, body: QueryRequest) -> AsyncGenerator[bytes]:
    async with aclosing(service.stream(_query(body))) as items:
        async for item in items:
            if isinstance(item, Answer):
                yield event(_answer_object(item))
            else:
                yield event({"object": "rag.answer.delta", "delta": item})


async def _files(request: Request) -> list[tuple[str, bytes]]:
    """(name, contents) of each file of a form. Raises InvalidRequestError."""
    try:
        import python_multipart  # noqa: F401 - starlette asserts that it is there, which would be a fault of ours
    except ModuleNotFoundError as error:
        raise MissingExtraError("uploading documents", "rag") from error
    found: list[tuple[str, bytes]] = []
    async with request.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
        for _, value in form.multi_items():
            if not isinstance(value, str):
                found.append((value.filename or "", await value.read()))
    if not found:
        raise InvalidRequestError("the form holds no file: send at least one", param="file")
    return found


def _answer_object(answer: Answer) -> dict[str, Any]:
    return {"object": "rag.answer", **answer.as_dict()}


def _hit_object(hit: Hit) -> dict[str, Any]:
    chunk = {k: v for k, v in asdict(hit.chunk).items() if k != "sentences"}
    scores = {"score": float(hit.score), "parts": {name: float(value) for name, value in hit.parts.items()}}
    return {"object": "rag.hit", **json.loads(json.dumps(chunk)), **scores}


router.include_router(uploads)
router.include_router(rag_sources.router)
router.include_router(rag_feedback.router)


def application(config: ServerConfig, engine: AsyncEngine) -> Application | None:
    """The operator's collections of documents. Their page is a panel of the chat page."""
    collections, opening = config.all_collections, RagOpening()
    if not collections:
        return None
    services = [(collection, RagService(collection.path, engine, opening)) for collection in collections]
    keys = tuple(key for collection in collections for key in collection.keys)
    service = RagCollections(services, config.api_keys)
    return Application("rag", router, service, panel="data-documents", keys=keys, file_search=rag_search.open_search)
