"""What goes around the text: head, token counts, timings and log-probabilities, in OpenAI's two formats.

Functions over the engine's outputs, used by streamed and whole answers alike.
"""

from __future__ import annotations

import codecs
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.chat.openai_types import StreamOptions
from pagoda.engine.outputs import Logprob, RequestMetrics, RequestOutput
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.server.state import SYSTEM_FINGERPRINT

LEAST_LOGPROB = -9999.0
"""What stands for minus infinity, which JSON cannot write."""


def head(id: str, object: str, model: str) -> dict[str, Any]:
    """What every chunk of an answer begins with, and the whole of it, too."""
    return {
        "id": id,
        "object": object,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": SYSTEM_FINGERPRINT,
    }


class Usage:
    """Token counts of one call, over all its prompts and completions."""

    def __init__(self, num_prompt_tokens: int) -> None:
        self.num_prompt_tokens = num_prompt_tokens
        self.num_completion_tokens = 0
        self._num_cached: dict[int, int] = {}

    def add(self, job: int, output: RequestOutput) -> None:
        """Count a delta."""
        self.num_completion_tokens += sum(len(completion.token_ids) for completion in output.outputs)
        self._num_cached[job] = output.num_cached_tokens

    def as_dict(self) -> dict[str, Any]:
        """OpenAI's usage object."""
        return {
            "prompt_tokens": self.num_prompt_tokens,
            "completion_tokens": self.num_completion_tokens,
            "total_tokens": self.num_prompt_tokens + self.num_completion_tokens,
            "prompt_tokens_details": {"cached_tokens": sum(self._num_cached.values())},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    def beside_chunk(self, options: StreamOptions | None) -> dict[str, Any]:
        """What a chunk says of it: nothing, null since the last chunk will tell, or the counts so far."""
        if options is None or not options.include_usage:
            return {}
        return {"usage": self.as_dict() if options.continuous_usage_stats else None}


def timings(metrics: RequestMetrics | None, num_cached_tokens: int) -> dict[str, Any]:
    """Where a request's time went, in milliseconds; None where it did not come so far."""
    if metrics is None:
        return {}
    return {
        "queue_ms": _ms(metrics.arrival_time, metrics.first_scheduled_time),
        "prefill_ms": _ms(metrics.first_scheduled_time, metrics.first_token_time),
        "decode_ms": _ms(metrics.first_token_time, metrics.last_token_time),
        "total_ms": _ms(metrics.arrival_time, metrics.finished_time),
        "cached_tokens": num_cached_tokens,
        "preemptions": metrics.num_preemptions,
    }


class CompletionLogprobs:
    """The completions format: parallel arrays, whose text offsets go on from chunk to chunk.

    as_token_ids: write "token_id:17" for every token, so that tokens of the same text stay apart.
    """

    def __init__(self, tokenizer: Tokenizer, *, as_token_ids: bool = False) -> None:
        self._tokenizer = tokenizer
        self._as_token_ids = as_token_ids
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._offset = 0

    def of(
        self, token_ids: Sequence[int], entries: Sequence[Mapping[int, Logprob] | None], count: int
    ) -> dict[str, Any]:
        """The arrays for these tokens; an entry is None for the first token of a prompt."""
        offsets = [self._advance(token_id) for token_id in token_ids]
        rows = list(zip(token_ids, entries, strict=True))
        return {
            "tokens": [self._name(token_id) for token_id in token_ids],
            "token_logprobs": [None if entry is None else finite(entry[token_id].logprob) for token_id, entry in rows],
            "top_logprobs": [
                None if entry is None or not count else self._top(token_id, entry, count) for token_id, entry in rows
            ],
            "text_offset": offsets,
        }

    def _top(self, token_id: int, entry: Mapping[int, Logprob], count: int) -> dict[str, float]:
        """The likeliest, and the token itself where it is not among them."""
        likeliest = sorted(entry.items(), key=lambda item: item[1].rank)[:count]
        return {self._name(i): finite(e.logprob) for i, e in {**dict(likeliest), token_id: entry[token_id]}.items()}

    def _name(self, token_id: int) -> str:
        if self._as_token_ids:
            return f"token_id:{token_id}"
        data = self._tokenizer.token_bytes(token_id)
        try:
            return data.decode() if data else self._tokenizer.token_text(token_id)
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)

    def _advance(self, token_id: int) -> int:
        """Characters before this token."""
        before = self._offset
        self._offset += len(self._decoder.decode(self._tokenizer.token_bytes(token_id)))
        return before


def chat_logprobs(
    tokenizer: Tokenizer, token_ids: Sequence[int], entries: Sequence[Mapping[int, Logprob]], count: int
) -> list[dict[str, Any]]:
    """The chat format: one object a token, with its exact bytes."""
    return [
        _chat_token(tokenizer, token_id, entry[token_id])
        | {
            "top_logprobs": [
                _chat_token(tokenizer, other, likely)
                for other, likely in sorted(entry.items(), key=lambda item: item[1].rank)[:count]
            ]
        }
        for token_id, entry in zip(token_ids, entries, strict=True)
    ]


def prompt_logprobs(entries: Sequence[Mapping[int, Logprob] | None]) -> list[dict[str, Any] | None]:
    """vLLM's form: token id -> logprob, rank and text; the first is null."""
    return [None if entry is None else {str(i): _plain(logprob) for i, logprob in entry.items()} for entry in entries]


def finite(logprob: float) -> float:
    """A number that JSON can write."""
    return logprob if math.isfinite(logprob) else LEAST_LOGPROB


def _plain(logprob: Logprob) -> dict[str, Any]:
    return {**logprob._asdict(), "logprob": finite(logprob.logprob)}


def _chat_token(tokenizer: Tokenizer, token_id: int, entry: Logprob) -> dict[str, Any]:
    data = tokenizer.token_bytes(token_id)
    text = tokenizer.token_text(token_id)
    return {"token": text, "logprob": finite(entry.logprob), "bytes": list(data or text.encode())}


def _ms(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(1000 * (end - start), 3)
