"""Answers: values become JSON, piece by piece where there are many.

The last station but the wire of an answer that comes whole. `json.dumps` keeps Python's lock for as long as it takes,
which for the log-probabilities of a long prompt, or two thousand embeddings, is seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from starlette.responses import Response

from pagoda.engine.outputs import Logprob, RequestOutput
from pagoda.server.aside.threads import Aside

_LIGHT_VALUES = 4096
"""Values of an output that are put together at once."""
_LIGHT_CHARACTERS = 64 * 1024
_SLICE = 256
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


async def json_response(value: Any, aside: Aside) -> Response:
    """An answer in one piece; as soon as it is long, the rest of it is written aside."""
    pieces = in_pieces(value)
    written: list[str] = []
    num_characters = 0
    for piece in pieces:
        written.append(piece)
        num_characters += len(piece)
        if num_characters > _LIGHT_CHARACTERS:
            return await aside.run(_response, chain(written, pieces))
    return _response(written)


def in_pieces(value: Any) -> Iterator[str]:
    """JSON as `json.dumps` writes it, in pieces that each take little time; keys are strings."""
    if isinstance(value, dict) and value:
        for lead, (key, item) in zip(chain("{", repeat(",")), value.items(), strict=False):
            yield f"{lead}{ENCODER.encode(key)}:"
            yield from in_pieces(item)
        yield "}"
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], (dict, list, tuple)):
        for lead, item in zip(chain("[", repeat(",")), value, strict=False):
            yield lead
            yield from in_pieces(item)
        yield "]"
    elif isinstance(value, (list, tuple)) and len(value) > _SLICE:
        for start in range(0, len(value), _SLICE):
            yield ("," if start else "[") + ENCODER.encode(value[start : start + _SLICE])[1:-1]
        yield "]"
    else:
        yield ENCODER.encode(value)


def is_long(output: RequestOutput, *, with_prompt: bool = False) -> bool:
    """Whether an answer tells many values of an output: tokens, and log-probabilities beside each."""
    scores: list[Sequence[Mapping[int, Logprob] | None]] = [each.logprobs for each in output.outputs if each.logprobs]
    if output.prompt_logprobs:
        scores.append(output.prompt_logprobs)
    num_scores = sum(len(rows) * len(rows[-1] or ()) for rows in scores)
    num_tokens = sum([len(completion.token_ids) for completion in output.outputs])
    return num_scores + num_tokens + with_prompt * len(output.prompt_token_ids) > _LIGHT_VALUES


def _response(pieces: Iterator[str] | list[str]) -> Response:
    return Response("".join(pieces).encode("utf-8", errors="replace"), media_type="application/json")
