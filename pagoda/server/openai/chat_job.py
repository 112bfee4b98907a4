"""What a chat asks of the engine: its messages as a prompt, its tools and format as one grammar, its sampling.

On the token's path: between the chat endpoint, the Responses API, which goes the same way, and the engine's door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.chat.openai_types import ChatCompletionRequest, Tool
from pagoda.errors import InvalidParameterError
from pagoda.sampling_params import SamplingParams, StructuredOutputsParams
from pagoda.server.fields import check_fields
from pagoda.server.generation import Job
from pagoda.server.json_schemas import Shape
from pagoda.server.openai.chat_prompt import encode, form_of, render
from pagoda.server.openai.sampling import MAX_TOP_LOGPROBS, constraint_field, sampling_params, shape
from pagoda.server.state import ServerState
from pagoda.server.tools.formats import check_tools, is_forced, tool_shape


def chat_job(body: ChatCompletionRequest, state: ServerState) -> Job:
    """What the engine is asked for; takes long for a long conversation. Raises InvalidRequestError."""
    check_fields(body, strict=state.config.strict)
    _check_answer(body)
    check_tools(body.tools, body.tool_choice)
    found = _shape(body, state)
    token_ids = encode(render(body, state, tools=offered_tools(body)), state)
    params = _params(body, state, found.constraint)
    state.check_length(len(token_ids), params.max_tokens, "messages")
    # With tools the grammar is ours, so a fault in it lies in their schemas.
    field = "tools" if offered_tools(body) else constraint_field(body)
    return Job({"prompt_token_ids": token_ids}, params, body.priority, body.cache_salt, field, found.unenforced)


def offered_tools(body: ChatCompletionRequest) -> Sequence[Tool] | None:
    """The tools that the model is told of."""
    return None if body.tool_choice == "none" else body.tools


def _check_answer(body: ChatCompletionRequest) -> None:
    """Raises InvalidParameterError for an answer of a kind that is not given here."""
    if body.modalities and body.modalities != ["text"]:
        raise InvalidParameterError(
            f"modalities is {body.modalities}, but this model gives text only", param="modalities"
        )
    if body.top_logprobs and not body.logprobs:
        raise InvalidParameterError("top_logprobs needs logprobs: set logprobs to true", param="top_logprobs")
    if not 0 <= (body.top_logprobs or 0) <= MAX_TOP_LOGPROBS:
        raise InvalidParameterError(
            f"top_logprobs is {body.top_logprobs}, but 0 to {MAX_TOP_LOGPROBS} are expected", param="top_logprobs"
        )


def _params(
    body: ChatCompletionRequest, state: ServerState, constraint: StructuredOutputsParams | None
) -> SamplingParams:
    defaults = dict(state.engine.info.default_sampling_params)
    most = defaults.pop("max_tokens", None)
    for given in (body.max_tokens, body.max_completion_tokens):
        most = most if given is None else given
    params = sampling_params(
        body,
        defaults,
        max_tokens=most,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        structured_outputs=constraint,
    )
    shown = _tools_need_special_tokens(body, state)
    return params.clone(skip_special_tokens=False) if shown else params


def _tools_need_special_tokens(body: ChatCompletionRequest, state: ServerState) -> bool:
    """Where a call's marks are special tokens, they must not be left out of the text."""
    return bool(offered_tools(body)) and bool(form_of(state).special_markers(state.tokenizer))


def _shape(body: ChatCompletionRequest, state: ServerState) -> Shape:
    """Tools and the answer's own format as one grammar."""
    tools, own = offered_tools(body), shape(body)
    if not tools:
        return own
    form = form_of(state)
    # A forced call leaves no room for an answer, so the answer's format does not matter then.
    answer_schema = None if own.constraint is None or is_forced(body.tool_choice) else _json_schema(own.constraint)
    found = tool_shape(
        form,
        tools,
        body.tool_choice,
        body.parallel_tool_calls is not False,
        special=form.special_markers(state.tokenizer),
        answer_schema=answer_schema,
    )
    return found if answer_schema is None else found._replace(unenforced=(*found.unenforced, *own.unenforced))


def _json_schema(own: StructuredOutputsParams) -> Mapping[str, Any]:
    """The schema of an answer that may also be a call. Raises InvalidParameterError where the answer is no JSON."""
    if own.json_object:
        return {"type": "object"}
    if own.json is None:
        raise InvalidParameterError(
            "beside tools, an answer can be held to JSON only: use response_format, or set tool_choice to none",
            param="structured_outputs",
        )
    assert isinstance(own.json, dict), "made by `shape`"
    return own.json
