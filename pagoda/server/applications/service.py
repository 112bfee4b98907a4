"""/v1/service: one conversation over graph, documents and recommender, and the desk of the people who take over.

Beside the token's path; the path of a turn is `service.desk`'s. Customers' endpoints are for whoever may call the
server, and a conversation is its key's own; the queue is for staff keys alone, which `ServerConfig` asks for where
there are keys at all, and these open nothing else.
"""

from __future__ import annotations

import asyncio
from functools import partial
from importlib.resources import files
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, StrictStr

from pagoda.chat.openai_types import OpenAIRequest
from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.server.access import given_key, is_among, unauthorized
from pagoda.server.applications.application import Application, LazyService, service_of
from pagoda.server.applications.dialogue_service import own_session
from pagoda.server.config import ServerConfig
from pagoda.server.errors import ForbiddenError, ModelNotFoundError
from pagoda.server.fields import check_fields
from pagoda.server.generation import caller_of
from pagoda.server.routing import POSTING, READING, Documented, JsonRoute, documented
from pagoda.server.state import state_of
from pagoda.service.settings import MAX_NAME_LENGTH, ServiceSettings

if TYPE_CHECKING:
    from pagoda.service.desk import ServiceDesk

_MOST_TEXT, _MOST_ID = 2000, 128


class DeskService(LazyService["ServiceDesk"]):
    """The desk over the operator's folder. `start` raises what `ServiceDesk` does."""

    def __init__(self, path: FilePath, engine: AsyncEngine, settings: ServiceSettings, staff: tuple[str, ...]) -> None:
        super().__init__(path, engine, lambda folder, engine, loop: _desk_over(folder, settings))
        self.staff_keys = staff

    async def desk(self) -> ServiceDesk:
        """What conversations are held with; its calls go to threads."""
        return await self._opened()


def _desk_over(folder: FilePath, settings: ServiceSettings) -> ServiceDesk:
    """Imported here, since it loads what reads sentences."""
    from pagoda.service.desk import ServiceDesk

    return ServiceDesk(folder, settings)


def _service(request: Request) -> DeskService:
    """For a caller who is a customer, or speaks for one. Raises ForbiddenError."""
    service = service_of(request.app, DeskService)
    if is_among(given_key(request.headers), service.staff_keys) and not _is_servers(request):
        raise ForbiddenError("this key is the staff's and opens the queue alone: ask the operator for another one")
    return service


def _staffed(request: Request) -> DeskService:
    """For a caller who is staff. Raises UnauthorizedError, ForbiddenError."""
    service = service_of(request.app, DeskService)
    given = given_key(request.headers)
    if service.staff_keys and not is_among(given, service.staff_keys):
        if _is_servers(request):
            raise ForbiddenError("the queue is for staff keys: ask the operator for one")
        raise unauthorized(given)
    return service


def _is_servers(request: Request) -> bool:
    return is_among(given_key(request.headers), state_of(request).config.api_keys)


Customers = Annotated[DeskService, Depends(_service)]
Staff = Annotated[DeskService, Depends(_staffed)]
_Session = Annotated[str, Path(min_length=1, max_length=_MOST_ID)]
_Number = Annotated[int, Path(ge=1, le=2**62)]
router = APIRouter(route_class=JsonRoute, prefix="/v1/service")


class SayRequest(OpenAIRequest):
    """What a customer says. user: whose visits recommendations are made of; told once, another one is refused"""

    text: StrictStr = Field(min_length=1, max_length=_MOST_TEXT, description="A sentence in Chinese or English.")
    user: StrictStr = Field("", max_length=_MOST_ID)


class UnblockRequest(OpenAIRequest):
    """What may be shown again: an item, or things of a kind, as the turn that blocked names it in `details.blocked`."""

    item: StrictStr = Field("", max_length=_MOST_ID)
    kind: StrictStr = Field("", max_length=_MOST_ID)


class StaffRequest(OpenAIRequest):
    """Who does it."""

    name: StrictStr = Field(min_length=1, max_length=MAX_NAME_LENGTH)


class StaffAnswerRequest(StaffRequest):
    """What the customer is to read."""

    text: StrictStr = Field(min_length=1, max_length=_MOST_TEXT)


class ConversationObject(BaseModel):
    """A conversation in the order in which it was held.

    entries: turns of the machine (source "graph", "documents", "recommender", "dialogue"; user: the sentence; text: the
    reply) and lines that were said while a person had it (source "person"; speaker: "customer" or "staff")
    """

    object: str = "service.conversation"
    user: str
    staff: str = Field(description="Who has taken it over, empty for nobody.")
    waiting: bool = Field(description="It waits for a person, or has one.")
    entries: list[dict[str, Any]]


_FOUND: Documented = READING | documented(403)
_SEEN: Documented = _FOUND | {200: {"model": ConversationObject, "description": "The conversation"}}
_QUEUED: Documented = POSTING | documented(403)


@router.get("", responses=_FOUND)
async def status(service: Customers) -> Response:
    """What this desk answers from, and how many conversations wait for a person."""
    facts = await asyncio.to_thread((await service.desk()).facts)
    return JSONResponse({"object": "service.status", **facts})


@router.post("/conversations/{session}/turns", responses=_QUEUED)
async def say(session: _Session, body: SayRequest, request: Request, service: Customers) -> Response:
    """Say something; the answer comes when it is on disk. A conversation begins with its first sentence."""
    state = state_of(request)
    check_fields(body, strict=state.config.strict)
    # The desk answers from what it has; the chat model, which may still be loading, has no part in it.
    async with state.admitted(caller := caller_of(request), needs_model=False):
        desk = await service.desk()
        entry = await asyncio.to_thread(desk.say, own_session(caller.key, session), body.text, body.user)
    return JSONResponse({"object": "service.entry", **entry})


@router.get("/conversations/{session}", responses=_SEEN)
async def conversation(session: _Session, request: Request, service: Customers) -> Response:
    """All of it; what staff say appears here."""
    desk = await service.desk()
    found = await asyncio.to_thread(desk.conversation, own_session(caller_of(request).key, session))
    return JSONResponse({"object": "service.conversation", **found})


@router.delete("/conversations/{session}", responses=_QUEUED | documented(404))
async def delete(session: _Session, request: Request, service: Customers) -> Response:
    """Forget a conversation."""
    desk = await service.desk()
    if not await asyncio.to_thread(desk.forget, own_session(caller_of(request).key, session)):
        raise ModelNotFoundError(f"there is no conversation {session!r:.80}: there is nothing to delete")
    return JSONResponse({"object": "service.conversation.deleted", "deleted": True})


@router.post("/conversations/{session}/unblock", responses=_QUEUED | documented(404))
async def unblock(session: _Session, body: UnblockRequest, request: Request, service: Customers) -> Response:
    """Take back "not this one" or "not this kind"; the next list may have it again."""
    check_fields(body, strict=state_of(request).config.strict)
    desk, own = await service.desk(), own_session(caller_of(request).key, session)
    if not await asyncio.to_thread(partial(desk.unblock, own, item=body.item, kind=body.kind)):
        raise ModelNotFoundError(f"{(body.item or body.kind)!r:.80} is not blocked here: there is nothing to take back")
    return JSONResponse({"object": "service.unblocked", "item": body.item, "kind": body.kind})


@router.get("/queue", responses=_FOUND)
async def queue(service: Staff) -> Response:
    """Conversations that wait for a person or have one, the longest waiting first, each with its summary."""
    found = await asyncio.to_thread((await service.desk()).queue)
    return JSONResponse({"object": "list", "data": found})


@router.get("/queue/{number}", responses=_SEEN | documented(400))
async def look(number: _Number, service: Staff) -> Response:
    """One of them, whole."""
    found = await asyncio.to_thread((await service.desk()).look, number)
    return JSONResponse({"object": "service.conversation", **found})


@router.post("/queue/{number}/take", responses=_QUEUED)
async def take(number: _Number, body: StaffRequest, request: Request, service: Staff) -> Response:
    """Take a conversation over: from now on the customer writes to this person. Whoever comes second is told."""
    check_fields(body, strict=state_of(request).config.strict)
    found = await asyncio.to_thread((await service.desk()).take, number, body.name)
    return JSONResponse({"object": "service.conversation", **found})


@router.post("/queue/{number}/answers", responses=_QUEUED)
async def answer(number: _Number, body: StaffAnswerRequest, request: Request, service: Staff) -> Response:
    """Say something to the customer."""
    check_fields(body, strict=state_of(request).config.strict)
    line = await asyncio.to_thread((await service.desk()).answer, number, body.name, body.text)
    return JSONResponse({"object": "service.entry", "source": "person", **line})


@router.post("/queue/{number}/give_back", responses=_QUEUED)
async def give_back(number: _Number, body: StaffRequest, request: Request, service: Staff) -> Response:
    """The machine goes on with the conversation."""
    check_fields(body, strict=state_of(request).config.strict)
    await asyncio.to_thread((await service.desk()).give_back, number, body.name)
    return JSONResponse({"object": "service.given_back", "number": number})


def application(config: ServerConfig, engine: AsyncEngine) -> Application | None:
    """The service desk over the operator's folder."""
    if config.service is None:
        return None
    settings = ServiceSettings(documents=config.service_documents, timezone=config.timezone or "")
    page = files("pagoda.server") / "page" / "service.html"
    desk = DeskService(config.service, engine, settings, config.staff_keys)
    return Application("service", router, desk, page, keys=config.staff_keys)
