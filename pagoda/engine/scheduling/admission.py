"""The proof that a request can finish, demanded before it is queued.

The scheduler preempts any request for an older one, so whoever fits into the KV cache alone will end; whoever does not
would be preempted for ever. Such a request is refused at the door, with the numbers. Imports no torch.
"""

from __future__ import annotations

from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.request import Request
from pagoda.errors import InvalidRequestError, PromptTooLongError


def check_can_finish(request: Request, scheduler_config: SchedulerConfig, cache_config: CacheConfig) -> None:
    """Raises InvalidRequestError, or PromptTooLongError, if `request` could not finish on an empty machine."""
    _check_length(request, scheduler_config)
    _check_fits_pool(request, max_num_kv_tokens(request, scheduler_config.max_model_len), cache_config)


def max_num_kv_tokens(request: Request, max_model_len: int) -> int:
    """Most tokens of this request whose keys and values are ever held at once."""
    if not request.wants_tokens:
        return request.num_prompt_tokens
    # The last token sampled is never fed back, so it takes no room.
    return min(request.num_prompt_tokens + request.max_tokens, max_model_len) - 1


def _check_length(request: Request, config: SchedulerConfig) -> None:
    num_prompt_tokens, max_model_len = request.num_prompt_tokens, config.max_model_len
    if num_prompt_tokens == 0:
        raise InvalidRequestError("prompt has 0 tokens, but at least 1 is needed: give some text or token ids")
    if num_prompt_tokens + request.wants_tokens > max_model_len:
        raise prompt_too_long(num_prompt_tokens, max_model_len, config.reach)


def prompt_too_long(num_prompt_tokens: int, max_model_len: int, reach: float) -> PromptTooLongError:
    """The refusal of a prompt that leaves no room for a token; agents and libraries look for its beginning.

    reach: tokens that max_model_len may be raised to, which is advised only where it helps
    """
    advice = "shorten the prompt or raise max_model_len"
    if num_prompt_tokens >= reach:
        advice = f"shorten the prompt, for the checkpoint's positions reach {reach:.0f} tokens and no further"
    return PromptTooLongError(
        f"This model's maximum context length is {max_model_len} tokens. However, your prompt contains "
        f"{num_prompt_tokens} tokens, and what is generated counts as well: {advice}",
        param="prompt",
    )


def _check_fits_pool(request: Request, num_tokens: int, cache_config: CacheConfig) -> None:
    num_blocks = -(-num_tokens // cache_config.block_size)
    if num_blocks > cache_config.num_blocks:
        room = cache_config.num_blocks * cache_config.block_size + request.wants_tokens
        raise PromptTooLongError(
            f"This model's maximum context length is {room} tokens with the KV cache that it has here. However, a "
            f"prompt of {request.num_prompt_tokens} tokens with max_tokens {request.max_tokens} takes {num_blocks} "
            f"blocks of {cache_config.block_size} tokens, but the KV cache has {cache_config.num_blocks}: shorten the "
            "prompt, lower max_tokens or give the KV cache more memory",
            param="max_tokens" if request.num_prompt_tokens < room else "prompt",
        )
