"""The door: a caller's prompt and parameters, checked and resolved into requests.

First station of the token's path. Whatever the engine could stumble over later is refused here, in one clear
sentence; whatever the caller left open is filled in, so that nothing behind the door has a default.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from pagoda.engine.sampling.constraints import check_first_token
from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.sampling.seeds import child_seed
from pagoda.engine.sampling.structured import GrammarCompiler
from pagoda.engine.sampling.token_lists import BadWords, TokenLists
from pagoda.engine.scheduling.admission import prompt_too_long
from pagoda.engine.scheduling.request import Request
from pagoda.engine.text.prompt import EMPTY_PROMPT, Prompt, check_token_ids, text_or_ids
from pagoda.errors import InvalidParameterError, InvalidRequestError
from pagoda.models.config import ModelConfig
from pagoda.models.embedder import EmbedderConfig
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import PoolingParams, SamplingParams


class InputProcessor:
    """Makes requests out of prompts.

    seed: starts the sequence that unseeded requests draw theirs from; embedder: how the checkpoint makes vectors;
    clock: tells seconds, of arrivals.
    """

    def __init__(
        self,
        config: ModelConfig,
        tokenizer: Tokenizer | None,
        eos_token_ids: Sequence[int],
        *,
        max_model_len: int,
        max_logprobs: int,
        seed: int,
        embedder: EmbedderConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.embedder = embedder or EmbedderConfig()
        self._clock = clock
        self.tokenizer = tokenizer
        self.max_model_len = max_model_len
        self._max_logprobs = max_logprobs
        self._eos_token_ids = frozenset(eos_token_ids)
        self._random = random.Random(seed)
        # Several prompts of one call bring the same words.
        self._bad_words = lru_cache(maxsize=8)(self._tokenised)
        self._structured = None if tokenizer is None else GrammarCompiler(tokenizer, sorted(self._eos_token_ids))

    def token_ids(self, prompt: Prompt) -> tuple[str | None, list[int]]:
        """`(text or None, ids)` of a prompt. Raises InvalidRequestError for an empty or impossible one."""
        text, given = text_or_ids(prompt)
        ids = list(given) if given is not None else self._encode(text or "")
        if not ids:
            raise InvalidRequestError(EMPTY_PROMPT, param="prompt")
        check_token_ids(ids, self.config.vocab_size, "prompt_token_ids" if text is None else "prompt", self.tokenizer)
        if len(ids) > self.max_model_len:
            raise prompt_too_long(len(ids), self.max_model_len, self.config.rope.max_length)
        return text, ids

    def generation_requests(
        self,
        request_id: str,
        prompt_token_ids: list[int],
        params: SamplingParams,
        *,
        priority: int = 0,
        cache_salt: str | None = None,
    ) -> list[CoreRequest]:
        """The n requests of one prompt; all but the first share the first one's prompt blocks.

        Raises InvalidRequestError where the parameters do not fit the model or one another.
        """
        if not self.config.has_head:
            raise InvalidRequestError(
                f"this model ({self.config.architecture}) has no output head and generates no text: embed with "
                "LLM.embed or POST /v1/embeddings, or load a model that generates",
                param="model",
            )
        self._check_params(params)
        matcher = None
        if params.structured_outputs is not None:
            matcher = self._structured_outputs().compile(params.structured_outputs)
        seed = self._random.getrandbits(63) if params.seed is None else params.seed
        lists = TokenLists.of(params, prompt_token_ids, self._bad_words(tuple(params.bad_words or ())))
        first = self._request(request_id, prompt_token_ids, params, priority, cache_salt)
        requests = [CoreRequest(first, seed, lists, matcher)]
        for index in range(1, params.n):
            request = replace(first, request_id=child_id(request_id, index), fork_of=first.request_id)
            own_matcher = None if matcher is None else matcher.copy()
            requests.append(CoreRequest(request, child_seed(seed, index), lists, own_matcher))
        check_first_token(requests[0], self.config.vocab_size)
        return requests

    def pooling_request(
        self, request_id: str, prompt_token_ids: list[int], params: PoolingParams, *, cache_salt: str | None = None
    ) -> CoreRequest:
        """A request for the prompt's embedding."""
        if params.dimensions is not None and params.dimensions > self.config.hidden_size:
            raise InvalidParameterError(
                f"dimensions is {params.dimensions}, but the model's embeddings have {self.config.hidden_size}: "
                "ask for fewer",
                param="dimensions",
            )
        request = Request(
            request_id=child_id(request_id, 0),
            prompt_token_ids=prompt_token_ids,
            sampling_params=None,
            max_tokens=0,
            arrival_time=self._clock(),
            cache_salt=self._cache_salt(prompt_token_ids, cache_salt),
            # Cached tokens have keys and values, but no hidden states.
            read_prefix_cache=self.embedder.pooling == "last",
        )
        if params.normalize is None:
            params = replace(params, normalize=self.embedder.normalize)
        return CoreRequest(request, pooling_params=params, pooling=self.embedder.pooling)

    def _request(
        self,
        request_id: str,
        prompt_token_ids: list[int],
        params: SamplingParams,
        priority: int,
        cache_salt: str | None,
    ) -> Request:
        """Of the first of the n completions."""
        eos = frozenset() if params.ignore_eos else self._eos_token_ids
        room = max(1, self.max_model_len - len(prompt_token_ids))
        return Request(
            request_id=child_id(request_id, 0),
            prompt_token_ids=prompt_token_ids,
            sampling_params=params,
            max_tokens=room if params.max_tokens is None else min(params.max_tokens, room),
            arrival_time=self._clock(),
            priority=priority,
            cache_salt=self._cache_salt(prompt_token_ids, cache_salt),
            stop_token_ids=eos | frozenset(params.stop_token_ids or ()),
            eos_token_ids=eos,
            min_tokens=params.min_tokens,
            read_prefix_cache=params.prompt_logprobs is None and not params.skip_reading_prefix_cache,
        )

    def _cache_salt(self, prompt_token_ids: list[int], given: str | None) -> str | None:
        """Under dynamic NTK and LongRoPE a long prompt's keys depend on its length, so only equal lengths may share."""
        rope = self.config.rope
        original = rope.scaling.get("original_max_position_embeddings", self.config.max_position_embeddings)
        if rope.kind.at_lengths is not None and len(prompt_token_ids) > original:
            return f"{given or ''}/rope-length={len(prompt_token_ids)}"
        return given

    def _encode(self, text: str) -> list[int]:
        if self.tokenizer is None:
            raise InvalidRequestError("the engine has no tokenizer: give prompt_token_ids", param="prompt")
        return self.tokenizer.encode(text)

    def _structured_outputs(self) -> GrammarCompiler:
        if self._structured is None:
            raise InvalidParameterError("structured_outputs need a tokenizer", param="structured_outputs")
        return self._structured

    def _check_params(self, params: SamplingParams) -> None:
        if self.tokenizer is None and params.detokenize:
            raise InvalidParameterError("the engine has no tokenizer: set detokenize=False", param="detokenize")
        for name in ("logprobs", "prompt_logprobs"):
            wanted = getattr(params, name)
            count = self.config.vocab_size if wanted == -1 else wanted or 0
            if count > self._max_logprobs >= 0:
                raise InvalidParameterError(
                    f"{name} is {wanted}, but this engine gives at most {self._max_logprobs}: "
                    "ask for fewer or raise max_logprobs (-1 for no limit)",
                    param=name,
                )
        self._check_ids("stop_token_ids", params.stop_token_ids or ())
        self._check_ids("allowed_token_ids", params.allowed_token_ids or ())
        self._check_ids("logit_bias", tuple(params.logit_bias or ()))

    def _check_ids(self, name: str, token_ids: Sequence[int]) -> None:
        check_token_ids(token_ids, self.config.vocab_size, name)

    def _tokenised(self, words: tuple[str, ...]) -> BadWords:
        """Each word as it is tokenised at the start of a text and after a space."""
        if not words:
            return BadWords()
        assert self.tokenizer is not None, "checked in _check_params"
        spellings = [spelling for word in words for spelling in (word.lstrip(), " " + word.lstrip())]
        return BadWords(ids for ids in self.tokenizer.encode_each(spellings, add_special_tokens=False) if ids)


def child_id(request_id: str, index: int) -> str:
    """Id of the index-th of n completions within the core; no two (request_id, index) have the same."""
    return f"{request_id}#{index}"
