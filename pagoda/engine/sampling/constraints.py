"""What a request demands of its tokens, all of it together: does it leave any?

On the token's path: the door asks before a request is queued, for the first token; `execution/worker` tells in the same
words where it comes out later. Follows the masks of `sampler` in their order, over ids instead of logits; a bias is
none of them, as it forbids nothing. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.sampling.structured import unpack_bitmask
from pagoda.errors import ConstraintError
from pagoda.sampling_params import SamplingParams


def check_first_token(core_request: CoreRequest, vocab_size: int) -> None:
    """Raises ConstraintError where a request allows no first token, with the names of those to blame."""
    params = core_request.request.sampling_params
    if params is None or not (core_request.lists.bad_words or params.allowed_token_ids or params.min_tokens):
        return
    names = constraint_names(params, 0)
    if _first_tokens(core_request, names, vocab_size).any():
        return
    guilty = [name for name in names if _first_tokens(core_request, [n for n in names if n != name], vocab_size).any()]
    raise ConstraintError(no_token_left(guilty or names, 0), param=(guilty or names)[-1])


def constraint_names(params: SamplingParams, num_output_tokens: int) -> list[str]:
    """What may forbid tokens of a request after so many of them, by the names of its fields."""
    given = {
        "structured_outputs": params.structured_outputs is not None,
        "allowed_token_ids": params.allowed_token_ids is not None,
        "bad_words": bool(params.bad_words),
        "min_tokens": num_output_tokens < params.min_tokens,
    }
    return [name for name, is_given in given.items() if is_given]


def no_token_left(names: Collection[str], num_output_tokens: int) -> str:
    """The same for a client.

    >>> no_token_left(["bad_words", "min_tokens"], 3)
    'bad_words and min_tokens of this request allow no token after the first 3: loosen one of them'
    """
    place = f"after the first {num_output_tokens}" if num_output_tokens else "to begin with"
    advice = "loosen one of them" if len(names) > 1 else "loosen it"
    return f"{' and '.join(names)} of this request allow no token {place}: {advice}"


def _first_tokens(core_request: CoreRequest, names: Collection[str], vocab_size: int) -> np.ndarray:
    """bool [vocab_size]: what the constraints of these names allow at the first position."""
    params = core_request.request.sampling_params
    assert params is not None, "checked by the caller"
    allowed = np.ones(vocab_size, dtype=bool)
    if "allowed_token_ids" in names:
        allowed[:] = False
        allowed[core_request.lists.allowed] = True
    matcher = core_request.matcher if "structured_outputs" in names else None
    if matcher is not None:
        allowed &= unpack_bitmask(matcher.bitmask(), vocab_size)
    if "bad_words" in names:
        allowed[core_request.lists.bad_words.forbidden(())] = False
    if "min_tokens" in names:
        stop = list(core_request.request.stop_token_ids)
        ending = allowed[stop]
        allowed[stop] = False
        if matcher is not None and not allowed.any():  # the end of a finished grammar wins
            allowed[stop] = ending
    return allowed
