"""/v1/recommend and /v1/events: what a person would like next, and what a person did.

Beside the token's path; a list is made by `recommend.desk`. Every caller that may call at all may ask for everybody:
the caller is a shop, and its visitors are its own to tell apart. Events are taken once, whoever sends them again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as UrlPath
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, Field, StrictStr

from pagoda.chat.openai_types import Number, OpenAIRequest
from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.errors import InvalidRequestError
from pagoda.graph.access import GraphAddress
from pagoda.graph.graph import Graph
from pagoda.recommend.recommendation import MOST_REASONS
from pagoda.server.applications.application import Application, LazyService, service_of
from pagoda.server.config import EMBEDDED, ServerConfig
from pagoda.server.errors import ModelNotFoundError
from pagoda.server.fields import check_fields
from pagoda.server.generation import caller_of
from pagoda.server.routing import POSTING, READING, Documented, JsonRoute, documented
from pagoda.server.state import state_of

if TYPE_CHECKING:
    from pagoda.recommend.cold import Embed
    from pagoda.recommend.data.things import CatalogueItem
    from pagoda.recommend.desk import Desk
    from pagoda.recommend.paths import Why
    from pagoda.recommend.recommendation import Recommendation

router = APIRouter(route_class=JsonRoute, prefix="/v1")


def _text(given: str) -> str:
    """Without spaces around it, as in a file of events, where a store can keep it and a person can see it."""
    if not given.strip() or "\0" in given:
        raise ValueError("a text that is not blank and holds no NUL is expected")
    return given.strip()


_Id = Annotated[StrictStr, Field(min_length=1, max_length=256), AfterValidator(_text)]
_IdOrNone = Annotated[StrictStr, Field(max_length=256), AfterValidator(lambda given: given and _text(given))]
_Person = Annotated[str, UrlPath(min_length=1, max_length=256), AfterValidator(str.strip)]
"""Of the URL, with slashes where there are any."""
_MOST_EVENTS = 10_000
_GRAPH = "graph"
"""Folder of the embedded graph in the recommender's."""


class RecommendRequest(OpenAIRequest):
    """Either a person who is known, or a history of item ids, oldest first."""

    user: _Id | None = None
    history: list[_Id] | None = Field(None, max_length=_MOST_EVENTS)
    k: int = Field(10, ge=1, le=1000, strict=True)
    diversity: Number = Field(0.0, ge=0.0, le=1.0, description="0: scores alone; above: kinds that differ come first.")
    per_kind: int = Field(0, ge=0, le=1000, strict=True, description="Items of one kind at most; 0: any number.")


class WhyRequest(OpenAIRequest):
    """Somebody, and an item of their last lists."""

    user: _Id
    item: _Id


class ReasonObject(BaseModel):
    """A summand of the score. kind: "because" (of `item`), "popular", "network", or "rest", the sum of smaller ones."""

    kind: str
    value: float
    item: str = ""
    name: str = ""
    name_en: str = ""
    shared: list[str] = Field(default_factory=list, description="Kinds that both items have.")


class RecommendedObject(BaseModel):
    """An item. The values of `reasons` sum to `score`."""

    item: str
    score: float
    name: str
    name_en: str
    kinds: list[dict[str, str]]
    reasons: list[ReasonObject]


class PathObject(BaseModel):
    """From a past thing, which is named, to the item: over a kind of both, or over so many people who took both."""

    past: str
    kind: str
    people: int
    name: str
    name_en: str


class WhyObject(RecommendedObject):
    """An item as it was shown, by the model that showed it."""

    object: str = "recommend.why"
    model: str
    paths: list[PathObject]


class RecommendedListObject(BaseModel):
    """The best first."""

    object: str = "recommend.list"
    model: str
    data: list[RecommendedObject]


class EventObject(BaseModel):
    """What happened. id: of the sender's; a second event of the same id changes nothing

    timestamp: seconds, or milliseconds, since 1970
    """

    id: _Id
    user: _Id
    item: _Id
    timestamp: Number = Field(ge=0, le=1e14)


class EventsRequest(OpenAIRequest):
    """Events, all or none of which are written."""

    events: list[EventObject] = Field(min_length=1, max_length=_MOST_EVENTS)


class BlockRequest(OpenAIRequest):
    """Not this item, or not this kind. undo: take it back"""

    user: _Id
    item: _IdOrNone = ""
    kind: _IdOrNone = ""
    undo: bool = Field(False, strict=True)


class RecommendService(LazyService["Desk"]):
    """The desk over the operator's folder. `start` raises ConfigError where that holds no recommender."""

    def __init__(self, path: Path, engine: AsyncEngine, graph: str | None = None) -> None:
        super().__init__(path, engine, partial(_opened, graph=graph))

    async def desk(self) -> Desk:
        """What lists are asked of; its calls go to threads."""
        return await self._opened()


def _opened(path: Path, engine: AsyncEngine, loop: asyncio.AbstractEventLoop, *, graph: str | None) -> Desk:
    """graph: see `ServerConfig.recommend_graph`"""
    from pagoda.recommend.desk import Desk
    from pagoda.recommend.paths import RecommendationGraph

    if graph is None:
        return Desk(path, embedder=_embedder)
    opened = Graph.embedded(path / _GRAPH) if graph == EMBEDDED else GraphAddress(graph).opened(os.environ)
    try:
        return Desk(path, RecommendationGraph(opened), _embedder, owns_graph=True)
    except BaseException:
        opened.close()
        raise


def _embedder() -> Embed:
    """MiniLM, loaded where there are things that nobody took yet. Raises MissingExtraError."""
    from pagoda.rag.embedding.minilm import MiniLmEmbedder

    return MiniLmEmbedder().embed


_WHY: Documented = POSTING | documented(404) | {200: {"model": WhyObject, "description": "The reasons"}}
_LIST: Documented = POSTING | {200: {"model": RecommendedListObject, "description": "The list"}}


@router.get("/recommend", responses=READING)
async def status(request: Request) -> Response:
    """Which model answers, and of how many items."""
    async with state_of(request).admitted(caller_of(request)):
        desk = await service_of(request.app, RecommendService).desk()
        facts = await asyncio.to_thread(desk.facts)
    return JSONResponse({"object": "recommend.status", **facts})


@router.get("/recommend/questions", responses=READING)
async def questions(request: Request) -> Response:
    """Three items to ask a new person about; what is liked is told as an event."""
    async with state_of(request).admitted(caller_of(request)):
        desk = await service_of(request.app, RecommendService).desk()
        found = await asyncio.to_thread(questions_for, desk)
    return JSONResponse(found)


@router.post("/recommend", responses=_LIST)
async def recommend(body: RecommendRequest, request: Request) -> Response:
    """What somebody would like next, with the reasons that make the score."""
    state = state_of(request)
    check_fields(body, strict=state.config.strict)
    if (body.user is None) == (body.history is None):
        raise InvalidRequestError("give either user or history: whom the list is for, or what was taken", param="user")
    async with state.admitted(caller_of(request)):
        desk = await service_of(request.app, RecommendService).desk()
        found = await asyncio.to_thread(list_for, desk, body)
    return JSONResponse(found)


@router.post("/recommend/why", responses=_WHY)
async def why(body: WhyRequest, request: Request) -> Response:
    """Why this one: the summands of its score as it was shown, and what the graph holds between it and past things."""
    state = state_of(request)
    check_fields(body, strict=state.config.strict)
    async with state.admitted(caller_of(request)):
        desk = await service_of(request.app, RecommendService).desk()
        if desk.graph is None:
            raise InvalidRequestError(
                "why is kept in a graph, and there is none: start with --recommend-graph embedded"
            )
        found = await asyncio.to_thread(desk.why, body.user, body.item)
    if found is None:
        raise ModelNotFoundError(
            f"{body.user!r:.80} was not shown {body.item!r:.80}: ask for a list first", param="item"
        )
    return JSONResponse(why_told(found, desk.things))


@router.post("/events", responses=POSTING)
async def events(body: EventsRequest, request: Request) -> Response:
    """Write what people did; the next list knows it. The answer comes when it is on disk."""
    from pagoda.recommend.data.interactions import Interaction
    from pagoda.recommend.store import StoredEvent

    state = state_of(request)
    check_fields(body, strict=state.config.strict)
    given = [StoredEvent(one.id, Interaction(one.user, one.item, float(one.timestamp))) for one in body.events]
    async with state.admitted(caller_of(request)):
        desk = await service_of(request.app, RecommendService).desk()
        count = await asyncio.to_thread(desk.record, given)
    return JSONResponse({"object": "events.recorded", "recorded": count, "known": len(given) - count})


@router.post("/recommend/blocks", responses=POSTING)
async def block(body: BlockRequest, request: Request) -> Response:
    """Never show this person an item, or items of a kind; or do so again."""
    from pagoda.recommend.store import Refusal

    state = state_of(request)
    check_fields(body, strict=state.config.strict)
    if bool(body.item) == bool(body.kind):
        raise InvalidRequestError("give either item or kind: what is not to be shown", param="item")
    given = Refusal(body.user, body.item, body.kind)
    async with state.admitted(caller_of(request)):
        desk = await service_of(request.app, RecommendService).desk()
        await asyncio.to_thread(desk.unblock if body.undo else desk.block, given)
    return JSONResponse({"object": "recommend.block", "user": body.user, "blocked": not body.undo})


@router.get("/recommend/people/{user:name}", responses=READING)
async def export(user: _Person, request: Request) -> Response:
    """Everything that is kept of a person."""
    async with state_of(request).admitted(caller_of(request)):
        desk = await service_of(request.app, RecommendService).desk()
        kept = await asyncio.to_thread(person_for, desk, user)
    return JSONResponse(kept)


@router.delete("/recommend/people/{user:name}", responses=POSTING | documented(404))
async def forget(user: _Person, request: Request) -> Response:
    """Delete everything that is kept of a person."""
    async with state_of(request).admitted(caller_of(request)):
        desk = await service_of(request.app, RecommendService).desk()
        count = await asyncio.to_thread(desk.forget, user)
    if not count:
        raise ModelNotFoundError(f"nothing is kept of {user!r:.80}: there is nothing to delete", param="user")
    return JSONResponse({"object": "recommend.person.deleted", "user": user, "deleted": count})


def person_for(desk: Desk, user: str) -> dict[str, Any]:
    kept = desk.export(user)
    blocks = [_block_told(one, desk.things) for one in kept["block"]]
    return {"object": "recommend.person", "user": user, **kept, "block": blocks}


def questions_for(desk: Desk) -> dict[str, Any]:
    found = [{"item": item} | _names(item, desk.things) for item in desk.questions()]
    return {"object": "recommend.questions", "data": found}


def list_for(desk: Desk, body: RecommendRequest) -> dict[str, Any]:
    from pagoda.recommend.diversity import ListLimits

    limits = ListLimits(float(body.diversity), body.per_kind) if body.diversity or body.per_kind else None
    found = desk.recommend(body.user or "", body.k, history=body.history, limits=limits)
    return {"object": "recommend.list", "model": desk.model, "data": [_told(one, desk.things) for one in found]}


def why_told(found: Why, things: Mapping[str, CatalogueItem]) -> dict[str, Any]:
    paths = [
        {"past": path.past, "kind": path.kind, "people": path.people} | _names(path.past, things)
        for path in found.paths
    ]
    told = _told(found.recommendation, things)
    return {"object": "recommend.why", "model": found.model, **told, "paths": paths}


def _told(one: Recommendation, things: Mapping[str, CatalogueItem]) -> dict[str, Any]:
    """An item as a client gets it: the largest reasons by name, all others as one, so that the sum holds."""
    kinds = things[one.item].kinds if one.item in things else ()
    own = {kind.id for kind in kinds}
    reasons = []
    for reason in one.largest(MOST_REASONS):
        past = things.get(reason.item)
        shared = [kind.id for kind in past.kinds if kind.id in own] if past is not None else []
        reasons.append({"kind": reason.kind, "value": reason.value, "item": reason.item, "shared": shared}
                       | _names(reason.item, things))  # fmt: skip
    told_kinds = [{"id": kind.id, "name": kind.name, "name_en": kind.name_en} for kind in kinds]
    return {"item": one.item, "score": one.score, "kinds": told_kinds, "reasons": reasons} | _names(one.item, things)


def _block_told(block: Mapping[str, str], things: Mapping[str, CatalogueItem]) -> dict[str, str]:
    """A block with what the item or the kind is called."""
    if block["item"]:
        return {**block, **_names(block["item"], things)}
    kinds = (kind for thing in things.values() for kind in thing.kinds if kind.id == block["kind"])
    kind = next(kinds, None)
    own = (kind.name, kind.name_en) if kind is not None else (block["kind"], block["kind"])
    return {**block, "name": own[0], "name_en": own[1]}


def _names(item: str, things: Mapping[str, CatalogueItem]) -> dict[str, str]:
    """What an item is called; one that nobody described, by its id."""
    thing = things.get(item)
    return {"name": item, "name_en": item} if thing is None else {"name": thing.name, "name_en": thing.name_en}


def application(config: ServerConfig, engine: AsyncEngine) -> Application | None:
    """The recommender over the operator's folder."""
    if config.recommend is None:
        return None
    page = files("pagoda.server") / "page" / "recommend.html"
    return Application("recommend", router, RecommendService(config.recommend, engine, config.recommend_graph), page)
