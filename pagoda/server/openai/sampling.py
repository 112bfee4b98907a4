"""A request's fields become SamplingParams.

Between validation and the engine's door: the checkpoint's own defaults go under what the client said, formats become
one structured-output constraint, and what would change the answer but is not supported is refused by name.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from pagoda.chat.openai_types import ResponseFormat, SamplingFields
from pagoda.errors import InvalidParameterError, StructuredOutputError
from pagoda.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams
from pagoda.server.json_schemas import WHITESPACE, Shape, closed, held

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
    """What the client asked for, over the checkpoint's defaults. Raises InvalidParameterError.

    structured_outputs: what comes of the request's formats, see `shape`.
    """
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
            "structured_outputs": structured_outputs,
            "output_kind": RequestOutputKind.DELTA if body.stream else RequestOutputKind.FINAL_ONLY,
        }
    )


def shape(body: SamplingFields) -> Shape:
    """The one constraint that a request may hold, in whichever of its spellings.

    Raises InvalidParameterError for several, and StructuredOutputError as `held` does.
    """
    found = [one for one in (_format(body.response_format), _structured(body), _guided(body)) if one.constraint]
    if len(found) > 1:
        raise InvalidParameterError(
            "response_format, structured_outputs and guided_* are given together: keep one of them",
            param="structured_outputs",
        )
    return found[0] if found else Shape()


def constraint_field(body: SamplingFields) -> str | None:
    """What the client called its constraint; a fault in it is reported under that name.

    >>> constraint_field(SamplingFields(guided_regex="("))
    'guided_regex'
    """
    given = body.response_format
    if given is not None and given.type != "text":
        return "response_format" if _schema_of(given) is None else _schema_field(given)
    return next((old for old in _GUIDED if getattr(body, old) is not None), None)


def _schema_of(given: ResponseFormat) -> dict[str, Any] | None:
    """The format's schema, in OpenAI's place or in that of llama.cpp's server and Together."""
    nested = None if given.json_schema is None else given.json_schema.json_schema
    return given.object_schema if nested is None else nested


def _schema_field(given: ResponseFormat) -> str:
    return "response_format.schema" if given.object_schema is not None else "response_format.json_schema.schema"


def _format(given: ResponseFormat | None) -> Shape:
    if given is None:
        return Shape()
    schema = _schema_of(given)
    is_second = given.object_schema is not None and schema is not given.object_schema
    if is_second or (given.type == "text" and schema is not None):
        why = "another one stands in response_format.json_schema" if is_second else "the format is text"
        field = _schema_field(given)
        raise InvalidParameterError(f"{field} is given, but {why}: leave one of them out", param=field)
    if given.type == "text":
        return Shape()
    if given.type == "json_object" and not schema:
        return Shape(StructuredOutputsParams(json_object=True, whitespace_pattern=WHITESPACE))
    if schema is None:
        raise InvalidParameterError(
            "response_format is json_schema, but response_format.json_schema.schema is missing: give the schema",
            param="response_format.json_schema.schema",
        )
    strict = given.json_schema is not None and given.json_schema.strict is True
    found = held(closed(schema), _schema_field(given), strict=strict)
    return Shape(StructuredOutputsParams(json=found.schema, whitespace_pattern=WHITESPACE), found.unenforced)


def _structured(body: SamplingFields) -> Shape:
    given: BaseModel | None = body.structured_outputs
    if given is None:
        return Shape()
    return _widened(StructuredOutputsParams(**given.model_dump(by_alias=True)), "structured_outputs")


def _guided(body: SamplingFields) -> Shape:
    given = {name: value for old, name in _GUIDED.items() if (value := getattr(body, old)) is not None}
    return _widened(StructuredOutputsParams(**given), "guided_json") if given else Shape()


def _widened(params: StructuredOutputsParams, field: str) -> Shape:
    """vLLM's fields have no `strict`, so what no grammar can hold the answer to is left to the model."""
    if params.json is not None:
        field = field if field == "guided_json" else f"{field}.json"
        found = held(_loaded(params.json, field), field)
        return Shape(replace(params, json=found.schema), found.unenforced)
    tag = None if params.structural_tag is None else _loaded(params.structural_tag, f"{field}.structural_tag")
    if not isinstance(tag, dict) or not isinstance(tag.get("structures"), list):
        return Shape(params)
    structures: list[Any] = []
    unenforced: list[str] = []
    for index, structure in enumerate(tag["structures"]):
        if isinstance(structure, dict) and "schema" in structure:
            part = held(structure["schema"], f"{field}.structural_tag.structures[{index}].schema")
            structure = {**structure, "schema": part.schema}
            unenforced += part.unenforced
        structures.append(structure)
    return Shape(replace(params, structural_tag={**tag, "structures": structures}), tuple(unenforced))


def _loaded(given: Any, field: str) -> Any:
    """A mapping, or JSON text read."""
    try:
        return json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError) as error:
        raise StructuredOutputError(f"{field} is no JSON: {error}", param=field) from error
