"""/v1/opinions: what is said of the watched companies, alerts and their stories, and a door for items.

Beside the token's path; the path of an item is `opinions.watching.monitor`'s. Keys of the webhook open the door for
items alone; what is read and judged is for whoever may call the server.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StrictStr

from pagoda.chat.openai_types import OpenAIRequest, Stepwise
from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.opinions.store import feeds, reading
from pagoda.opinions.store.schema import NUMBERS
from pagoda.opinions.story import Label
from pagoda.opinions.watching import rationale
from pagoda.opinions.watching.config import MonitorConfig
from pagoda.opinions.windows import changes, drift, measures
from pagoda.server.access import given_key, is_among, unauthorized
from pagoda.server.applications.application import Application, service_of
from pagoda.server.applications.opinions_service import OpinionMetrics, OpinionsService, posted_items
from pagoda.server.config import ServerConfig
from pagoda.server.errors import ForbiddenError, ModelNotFoundError
from pagoda.server.fields import check_fields
from pagoda.server.generation import caller_of
from pagoda.server.routing import POSTING, READING, JsonRoute, documented
from pagoda.server.state import state_of

MAX_ITEMS = 500
MAX_HOURS = 24 * 366
HOUR = 3600
_FOUND = READING | documented(400, 403)
_NAMED = READING | documented(400, 403, 404)


def _service(request: Request) -> OpinionsService:
    """For a caller who may read and judge. Raises UnauthorizedError, ForbiddenError."""
    service = service_of(request.app, OpinionsService)
    own = service.config.webhook_keys
    if is_among(given_key(request.headers), own) and not _is_servers(request):
        raise ForbiddenError("this API key may post items and nothing else: ask the operator for another one")
    return service


def _door(request: Request) -> OpinionsService:
    """For a caller who may post items."""
    service = service_of(request.app, OpinionsService)
    given, own = given_key(request.headers), service.config.webhook_keys
    if own and not is_among(given, own) and not _is_servers(request):
        raise unauthorized(given)
    return service


def _is_servers(request: Request) -> bool:
    return is_among(given_key(request.headers), state_of(request).config.api_keys)


Watch = Annotated[OpinionsService, Depends(_service)]
Door = Annotated[OpinionsService, Depends(_door)]
Hours = Annotated[int, Query(ge=1, le=MAX_HOURS, description="Back from the watch's clock.")]
CompanyId = Annotated[str, Query(max_length=200, description="Id of one company; left out, all.")]
Limit = Annotated[int, Query(ge=1, le=500)]
StoryId = Annotated[int, Path(ge=0, le=2**62)]
router = APIRouter(route_class=JsonRoute, prefix="/v1/opinions")


class ItemsRequest(OpenAIRequest):
    """What was published."""

    # Not Many, whose own bound is a larger one and would hold instead of this.
    items: Annotated[list[Stepwise[dict[str, Any]]], Field(max_length=MAX_ITEMS, fail_fast=True)] = Field(
        min_length=1,
        description="Objects with title or text, and source, id, published, fetched, url, language where known.",
    )
    source: StrictStr = Field("webhook", description="Of items that name none.", min_length=1, max_length=200)


class FeedbackRequest(OpenAIRequest):
    """What a person says of an opinion."""

    company: StrictStr
    label: Label


class RationaleRequest(OpenAIRequest):
    """Of which company reasons are wanted."""

    company: StrictStr


class AcknowledgeRequest(OpenAIRequest):
    """Who has seen an alert."""

    by: StrictStr = Field(min_length=1, max_length=200)
    note: StrictStr = Field("", max_length=2_000)


@router.get("", responses=_FOUND)
async def status(watch: Watch) -> Response:
    """What is watched, how much there is, and whether the watch runs."""
    config = watch.config
    return JSONResponse(
        {
            "object": "opinions.status",
            **await watch.ask(reading.overview),
            **await watch.status(),
            "companies": [
                {"id": c.id, "name": c.names[0], "names": list(c.names), "country": c.country, "industry": c.industry}
                for c in config.companies
            ],
            "rules": [rule.name for rule in config.rules],
            "feeds_failing": await watch.ask(feeds.feed_faults),
        }
    )


@router.get("/companies", responses=_FOUND)
async def companies(watch: Watch, hours: Hours = 24) -> Response:
    """Each company's window of `hours`, and the one before it, largest change of negative stories first."""
    end = await _now(watch)
    found = await watch.ask(lambda database: changes.changes(database, end, hours * HOUR))
    names = watch.config.names
    data = [{**row, "name": names.get(row["company"], row["company"])} for row in found]
    return JSONResponse({"object": "list", "data": data, "end": end, "hours": hours})


@router.get("/timeline", responses=_FOUND)
async def timeline(watch: Watch, company: CompanyId, hours: Hours = 72, step_hours: Hours = 1) -> Response:
    """Counts of each step of a company's last hours; steps that hold nothing are left out."""
    end = await _now(watch)
    step = step_hours * HOUR
    start = (end - hours * HOUR) // step * step
    rows = await watch.ask(lambda database: measures.timeline(database, company, start, end, step))
    data = [{"time": at, **_counts(found)} for at, found in rows]
    return JSONResponse({"object": "list", "data": data, "start": start, "end": end, "step": step})


@router.get("/stories", responses=_FOUND)
async def stories(
    watch: Watch, company: CompanyId = "", hours: Hours = 72, label: Label | None = None, limit: Limit = 50
) -> Response:
    """Stories, those of the widest reach first, with what they say of each company."""
    end = await _now(watch)
    number = None if label is None else NUMBERS[label]
    data = await watch.ask(
        lambda database: reading.stories(
            database, company=company or None, start=end - hours * HOUR, end=end, limit=limit, label=number
        )
    )
    return JSONResponse({"object": "list", "data": data})


@router.get("/stories/{story}", responses=_NAMED)
async def story(watch: Watch, story: StoryId) -> Response:
    """One story: its text, its articles, what it says of each company."""
    return JSONResponse({"object": "opinions.story", **await _story(watch, story)})


@router.post("/stories/{story}/feedback", responses=POSTING | documented(403))
async def feedback(watch: Watch, story: StoryId, body: FeedbackRequest, request: Request) -> Response:
    """What is right of a story and a company; calibration is measured on it."""
    check_fields(body, strict=state_of(request).config.strict)
    monitor = await watch.monitor()
    if not await asyncio.to_thread(monitor.add_feedback, story, body.company, body.label):
        raise ModelNotFoundError(f"story {story} says nothing of {body.company!r:.60}", param="company")
    return JSONResponse({"object": "opinions.feedback", "story": story, "company": body.company, "label": body.label})


@router.post("/stories/{story}/rationale", responses=POSTING | documented(403))
async def reasons(watch: Watch, story: StoryId, body: RationaleRequest, request: Request) -> Response:
    """Reasons of the server's model, each a quote that stands in the text."""
    state = state_of(request)
    check_fields(body, strict=state.config.strict)
    found = await _story(watch, story)
    said = next((each for each in found["opinions"] if each["company"] == body.company), None)
    if said is None:
        raise ModelNotFoundError(f"story {story} says nothing of {body.company!r:.60}", param="company")
    model = watch.chat_model()
    text = f"{found['title']}\n{found['text']}"
    name = watch.config.names.get(body.company, body.company)
    async with state.admitted(caller_of(request)):
        given = await rationale.reasons(model, text, name, said["label"], found["language"])
    monitor = await watch.monitor()
    await asyncio.to_thread(monitor.keep_rationale, story, body.company, model.name, rationale.as_json(given))
    data = [{"quote": each.quote, "why": each.why} for each in given]
    return JSONResponse({"object": "list", "data": data})


@router.get("/alerts", responses=_FOUND)
async def alerts(
    watch: Watch,
    company: CompanyId = "",
    is_open: Annotated[bool | None, Query(alias="open", description="Those that are open, or that are not.")] = None,
    limit: Limit = 100,
) -> Response:
    """Alerts, the newest first, each with the stories that it names."""
    monitor = await watch.monitor()
    data = await asyncio.to_thread(lambda: monitor.alerts(company=company or None, is_open=is_open, limit=limit))
    return JSONResponse({"object": "list", "data": data})


@router.post("/alerts/{alert}/acknowledge", responses=POSTING | documented(403))
async def acknowledge(watch: Watch, alert: str, body: AcknowledgeRequest, request: Request) -> Response:
    """Somebody has seen it: no more reminders."""
    check_fields(body, strict=state_of(request).config.strict)
    monitor = await watch.monitor()
    if not await asyncio.to_thread(monitor.acknowledge, alert, body.by, body.note):
        raise ModelNotFoundError(f"there is no alert {alert!r:.60}: GET /v1/opinions/alerts lists them", param="alert")
    return JSONResponse({"object": "opinions.acknowledged", "alert": alert, "by": body.by})


@router.get("/sources", responses=_FOUND)
async def sources(watch: Watch, hours: Hours = 72) -> Response:
    """Who brought how many articles, how many of them first, and how late."""
    end = await _now(watch)
    data = await watch.ask(lambda database: reading.sources(database, end - hours * HOUR, end))
    return JSONResponse({"object": "list", "data": data})


@router.get("/health", responses=_FOUND)
async def health(watch: Watch, hours: Hours = 24) -> Response:
    """Drift of what came in the last hours against all before, and calibration on what people said."""
    end = await _now(watch)
    found = await watch.ask(lambda database: drift.drift(database, end - hours * HOUR, 0, end))
    return JSONResponse(
        {"object": "opinions.health", "drift": found, "calibration": await watch.ask(drift.calibration), "hours": hours}
    )


@router.post("/items", responses=POSTING | documented(403))
async def items(watch: Door, body: ItemsRequest, request: Request) -> Response:
    """Take items. They are on the disk, with the alerts that they raise, when the reply comes."""
    state = state_of(request)
    check_fields(body, strict=state.config.strict)
    async with state.admitted(caller_of(request)):
        report = await watch.take(posted_items(body.items, body.source, datetime.now(UTC)))
    return JSONResponse({"object": "opinions.report", "new": report.new, "known": report.known})


async def _now(watch: OpinionsService) -> int:
    """The watch's clock, and a second, so that what was published just now lies before it."""
    return int((await watch.ask(reading.overview))["clock"]) + 1


async def _story(watch: OpinionsService, number: int) -> dict[str, Any]:
    found = await watch.ask(lambda database: reading.story(database, number))
    if found is None:
        raise ModelNotFoundError(f"there is no story {number}: GET /v1/opinions/stories lists them", param="story")
    return found


def _counts(found: measures.WindowCounts) -> dict[str, Any]:
    return {
        "stories": found.stories, "negative": found.negative, "positive": found.positive, "reach": found.reach,
        "sources": found.sources,
    }  # fmt: skip


def application(config: ServerConfig, engine: AsyncEngine) -> Application | None:
    """The operator's watch file."""
    if config.opinions is None:
        return None
    settings = MonitorConfig.read(config.opinions)
    service = OpinionsService(config.opinions, settings, engine)
    page = files("pagoda.server") / "page" / "opinions.html"
    metrics = OpinionMetrics(service, config.metrics_prefix)
    return Application("opinions", router, service, page, keys=settings.webhook_keys, collector=metrics)
