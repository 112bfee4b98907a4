"""Models, health, readiness, version and metrics: what operators and clients ask first."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from pagoda.engine.args import BUILTIN_NAME
from pagoda.engine.process.async_engine import EngineState
from pagoda.models.chat_defaults import ChatDefaults
from pagoda.server.errors import UnavailableError, response_for
from pagoda.server.routing import READING, Documented, documented
from pagoda.server.state import ServerState, state_of
from pagoda.version import __version__

router = APIRouter()

_HEALTH = documented(503)
_METRICS: Documented = {
    # Spelled out, since FastAPI gives a model the media type of the route's own answer.
    401: {
        "description": "The API key is missing or unknown",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
    }
}


@router.get("/v1/models", responses=READING)
async def list_models(request: Request) -> Response:
    """The names under which the model answers."""
    state = state_of(request)
    return JSONResponse({"object": "list", "data": [_card(name, state) for name in _names(state)]})


@router.get("/v1/models/{model:path}", responses=READING | documented(404))
async def retrieve_model(model: str, request: Request) -> Response:
    """One model."""
    state = state_of(request)
    names = _names(state)
    main = state.check_model(model)
    return JSONResponse(_card(model if model in names else main, state))


@router.get("/health", responses=_HEALTH)
async def health(request: Request) -> Response:
    """200 while the engine lives."""
    state = state_of(request)
    if state.engine.state is EngineState.READY:
        return JSONResponse({"status": "ok"})
    return response_for(UnavailableError(f"the engine is {state.engine.state}"))


@router.get("/ping", responses=_HEALTH)
async def ping(request: Request) -> Response:
    """The same as /health."""
    return await health(request)


@router.get("/ready", responses=_HEALTH)
async def ready(request: Request) -> Response:
    """200 while requests are taken; 503 while loading, restarting or draining."""
    state_of(request).check_ready()
    return JSONResponse({"status": "ready"})


@router.get("/version")
async def version() -> Response:
    """The version of pagoda."""
    return JSONResponse({"version": __version__})


@router.get("/metrics", responses=_METRICS, response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Figures in Prometheus' form."""
    state = state_of(request)
    state.metrics.on_engine_lost(state.engine.num_restarts)
    page, content_type = state.metrics.render()
    return Response(page, headers={"Content-Type": content_type})


def _names(state: ServerState) -> tuple[str, ...]:
    """Raises UnavailableError before the model has been loaded for the first time."""
    if state.engine.state is EngineState.LOADING:
        raise UnavailableError("the model is loading: try again in a moment")
    return state.model_names


def _card(name: str, state: ServerState) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": state.created,
        "owned_by": "pagoda",
        "root": state.engine.info.model,
        "parent": None,
        "max_model_len": state.engine.info.max_model_len,
        # What a request is sampled with where it says nothing; the chat page shows it.
        "default_sampling_params": state.engine.info.default_sampling_params,
        "meta": _meta(state),
    }


def _meta(state: ServerState) -> dict[str, Any]:
    """What the chat page needs to know of the model, under the name that llama.cpp's server has for such facts."""
    info, tokenizer = state.engine.info, state.engine.tokenizer
    own_template = tokenizer is not None and tokenizer.has_chat_template
    has_chat_template = own_template or state.config.chat_template is not None
    defaults = ChatDefaults.of(info.default_sampling_params, info.num_parameters, has_chat_template, info.card)
    return {
        "n_params": info.num_parameters,
        "has_chat_template": has_chat_template,
        "languages": list(info.card.languages),
        "is_for_code": info.card.is_for_code,
        "is_builtin": info.model == BUILTIN_NAME,
        "chat_sampling_params": defaults.sampling,
        "chat_system_message": defaults.system,
    }
