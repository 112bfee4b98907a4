"""A request's fields become SamplingParams.

Between validation and the engine's door: the checkpoint's own defaults go under what the client said, formats become
one structured-output constraint, and what would change the answer but is not supported is refused by name.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from pagoda.chat.openai_types import ResponseFormat, SamplingFields
from pagoda.errors import InvalidParameterError
from pagoda.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams
from pagoda.server.json_schemas import WHITESPACE, closed

_PASSED_ON = (
    "n",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "stop_token_ids",
    "ignore_eos",
    "min_tokens",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "bad_words",
    "allowed_token_ids",
    "include_stop_str_in_output",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "prompt_logprobs",
)
_GUIDED = {"guided_json": "json", "guided_regex": "regex", "guided_choice": "choice", "guided_grammar": "grammar"}
MAX_N = 128
"""Completions of one request over HTTP."""
MAX_TOP_LOGPROBS = 20


def sampling_params(
    body: SamplingFields,
    defaults: dict[str, Any],
    *,
    max_tokens: int | None,
    logprobs: int | None,
    structured_outputs: StructuredOutputsParams | None = None,
    prompt_logprobs: int | None = None,
) -> SamplingParams:
    """What the client asked for, over the checkpoint's defaults. Raises InvalidParameterError."""
    values = {name: value for name in _PASSED_ON if (value := getattr(body, name)) is not None}
    if prompt_logprobs is not None:
        values["prompt_logprobs"] = prompt_logprobs
    if values.get("n", 1) > MAX_N:
        raise InvalidParameterError(f"n is {values['n']}, but at most {MAX_N} are given here", param="n")
    return SamplingParams(
        **{
            **defaults,
            **values,
            "max_tokens": max_tokens,
            "logprobs": logprobs,
            "structured_outputs": structured_outputs or constraint(body),
            "output_kind": RequestOutputKind.DELTA if body.stream else RequestOutputKind.FINAL_ONLY,
        }
    )


def constraint(body: SamplingFields) -> StructuredOutputsParams | None:
    """The one constraint that a request may hold, in whichever of its spellings. Raises InvalidParameterError."""
    found = [params for params in (_format(body.response_format), _structured(body), _guided(body)) if params]
    if len(found) > 1:
        raise InvalidParameterError(
            "response_format, structured_outputs and guided_* are given together: keep one of them",
            param="structured_outputs",
        )
    return found[0] if found else None


def constraint_field(body: SamplingFields) -> str | None:
    """What the client called its constraint; a fault in it is reported under that name.

    >>> constraint_field(SamplingFields(guided_regex="("))
    'guided_regex'
    """
    if body.response_format is not None and body.response_format.type == "json_schema":
        return "response_format.json_schema.schema"
    return next((old for old in _GUIDED if getattr(body, old) is not None), None)


def _format(response_format: ResponseFormat | None) -> StructuredOutputsParams | None:
    if response_format is None or response_format.type == "text":
        return None
    if response_format.type == "json_object":
        return StructuredOutputsParams(json_object=True, whitespace_pattern=WHITESPACE)
    if response_format.json_schema is None or response_format.json_schema.json_schema is None:
        raise InvalidParameterError(
            "response_format is json_schema, but response_format.json_schema.schema is missing: give the schema",
            param="response_format.json_schema.schema",
        )
    return StructuredOutputsParams(json=closed(response_format.json_schema.json_schema), whitespace_pattern=WHITESPACE)


def _structured(body: SamplingFields) -> StructuredOutputsParams | None:
    given: BaseModel | None = body.structured_outputs
    return None if given is None else StructuredOutputsParams(**given.model_dump(by_alias=True))


def _guided(body: SamplingFields) -> StructuredOutputsParams | None:
    given = {name: value for old, name in _GUIDED.items() if (value := getattr(body, old)) is not None}
    return StructuredOutputsParams(**given) if given else None
