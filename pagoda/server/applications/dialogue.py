"""/v1/dialogue: conversations over a graph, turn by turn, each turn told in full: what was understood, asked and found.

Beside the token's path; the path of a turn is `dialogue.agent`'s. A turn that the graph fails is an answer all the
same, an apology with the state kept; errors are for requests that are none and for a dialogue that cannot be opened.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, StrictStr

from pagoda.chat.openai_types import OpenAIRequest
from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.graph.access import GraphAddress
from pagoda.server.applications.application import Application, service_of
from pagoda.server.applications.dialogue_service import DialogueService, Opening
from pagoda.server.config import ServerConfig
from pagoda.server.errors import ModelNotFoundError
from pagoda.server.fields import check_fields
from pagoda.server.generation import caller_of
from pagoda.server.routing import POSTING, READING, Documented, JsonRoute, documented
from pagoda.server.state import state_of
from pagoda.server.streaming import unless_client_leaves

router = APIRouter(route_class=JsonRoute, prefix="/v1/dialogue")


class TurnRequest(OpenAIRequest):
    """What a person says."""

    text: StrictStr = Field(description="A sentence in Chinese or English, at most 2,000 characters.")


class SlotObject(BaseModel):
    """A value as it was said. start, end: characters of the sentence, -1 where it is no stretch of it."""

    slot: str
    value: str
    start: int
    end: int
    confidence: float


class UnderstandingObject(BaseModel):
    """One reading of the sentence."""

    intent: str
    confidence: float
    language: str
    slots: list[SlotObject]
    acts: list[dict[str, str]]
    candidates: list[tuple[str, float]]
    route: str


class StateObject(BaseModel):
    """What the dialogue remembers after the turn."""

    intent: str
    slots: dict[str, Any]
    requested: str
    missing: list[str]
    suspended: list[str]
    results: list[str]


class TurnObject(BaseModel):
    """A turn, from the sentence to the reply. statement: Cypher, whose only values are its parameters."""

    object: str = "dialogue.turn"
    session: str
    number: int
    user: str
    text: str = Field(description="The reply.")
    language: str
    understanding: UnderstandingObject | None
    state: StateObject
    action: str
    source: str = Field("", description="Who made the reply, where it was not the dialogue: documents, say.")
    details: dict[str, Any] = Field(default_factory=dict)
    statement: str
    parameters: dict[str, Any]
    rows: list[dict[str, Any]]
    subgraph: dict[str, list[dict[str, Any]]]
    timings: dict[str, float] = Field(description="Seconds of each step.")


class TurnListObject(BaseModel):
    """A session's turns, oldest first."""

    object: str = "list"
    data: list[TurnObject]


_TURN: Documented = POSTING | {200: {"model": TurnObject, "description": "The turn"}}
_TURNS: Documented = READING | {200: {"model": TurnListObject, "description": "The turns"}}


@router.get("", responses=READING)
async def status(request: Request) -> Response:
    """What can be asked: the domain, its intents and slots."""
    return JSONResponse(await service_of(request.app, DialogueService).status())


@router.get("/hand_offs", responses=READING)
async def hand_offs(request: Request) -> Response:
    """Conversations of this API key that wait for a person."""
    found = await service_of(request.app, DialogueService).hand_offs(caller_of(request).key)
    return JSONResponse({"object": "list", "data": found})


@router.delete("/{session}/hand_off", responses=POSTING | documented(404))
async def end_hand_off(session: str, request: Request) -> Response:
    """Give a conversation that a person took over back to the dialogue; what was said in it stays."""
    if not await service_of(request.app, DialogueService).end_hand_off(caller_of(request).key, session):
        raise ModelNotFoundError(
            f"session {session!r:.80} waits for no person: nothing is to be ended", param="session"
        )
    return JSONResponse({"object": "dialogue.hand_off.ended", "session": session, "ended": True})


@router.post("/{session}/turns", responses=_TURN)
async def reply(session: str, body: TurnRequest, request: Request) -> Response:
    """Say something in a session, which begins with its first turn. Turns of one session are taken in order."""
    state = state_of(request)
    check_fields(body, strict=state.config.strict)
    caller = caller_of(request)
    async with state.admitted(caller):
        service = service_of(request.app, DialogueService)
        turn = await unless_client_leaves(request, service.reply(caller.key, session, body.text))
    return JSONResponse(turn)


@router.get("/{session}/turns", responses=_TURNS)
async def turns(session: str, request: Request) -> Response:
    """What was said in a session."""
    found = await service_of(request.app, DialogueService).turns(caller_of(request).key, session)
    return JSONResponse({"object": "list", "data": found})


@router.delete("/{session}", responses=POSTING | documented(404))
async def delete(session: str, request: Request) -> Response:
    """Forget a session."""
    is_deleted = await service_of(request.app, DialogueService).delete(caller_of(request).key, session)
    if not is_deleted:
        raise ModelNotFoundError(f"there is no session {session!r:.80}: it begins with its first turn", param="session")
    return JSONResponse({"object": "dialogue.session.deleted", "session": session, "deleted": True})


def application(config: ServerConfig, engine: AsyncEngine) -> Application | None:
    """The dialogue over the operator's folder."""
    if config.dialogue is None:
        return None
    page = files("pagoda.server") / "page" / "dialogue.html"
    address = GraphAddress.given(config.graph, config.graph_user, config.graph_password_env, config.graph_database)
    opening = Opening(config.domain, address, config.trained, config.timezone or "")
    return Application("dialogue", router, DialogueService(config.dialogue, engine, opening), page)
