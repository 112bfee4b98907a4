"""A ChatModel behind any OpenAI-compatible address: pagoda's own server, vLLM, llama.cpp, a hosted one.

One of the three behind the seam `chat.model`. Failures that may pass (no connection, 408, 409, 429, 5xx) are tried
again with growing pauses, or after as long as the server's Retry-After says, until a deadline; a stream is tried again
only while nothing of it was given out. The key is never part of a message.
Source: OpenAI's API reference (2025), "Chat Completions" and "Streaming events".
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from pagoda.chat.model import ChatAnswer, ChatParams, Message
from pagoda.errors import (
    ChatModelError,
    ConfigError,
    InvalidRequestError,
    MissingExtraError,
    PromptTooLongError,
    nearest,
)

_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.25, 8.0
_TOKENS_PER_MESSAGE = 8
_MAX_SHOWN = 300


class _Passing(Exception):  # noqa: N818 (never leaves this file)
    """A failure that may be over in a moment. answered: by the server, which is there, but busy or not yet ready."""

    def __init__(self, problem: str, pause_s: float | None = None, *, answered: bool = False) -> None:
        super().__init__(problem)
        self.pause_s, self.answered = pause_s, answered


class _MissingError(ChatModelError):
    """The server answers, but not there."""


class OpenAIChatModel:
    """A model at an address such as http://127.0.0.1:8000/v1; "/v1" may be left out. Raises ConfigError.

    model: as the server calls it; None takes the first that it lists
    timeout_s: deadline of a call, all tries and pauses together
    max_concurrency: requests of one batch that are under way at once
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        max_concurrency: int = 32,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"the model's URL is {url!r}, expected one like http://127.0.0.1:8000/v1")
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingExtraError("a model behind a URL", "server") from error
        self.url = url.rstrip("/").removesuffix("/v1") + "/v1"
        self._model, self._timeout_s = model, timeout_s
        self._card: Mapping[str, Any] | None = None
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(timeout_s, connect=10.0))
        self._failures: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.InvalidURL)
        self._free = asyncio.Semaphore(max_concurrency)

    @property
    def name(self) -> str:
        """The model's name, or the address until the server has told one."""
        return self._model or self.url

    async def check(self) -> None:
        """Whether the server is there and has the model, before anybody asks it for an answer.

        Raises ChatModelError where it cannot be reached, ConfigError where it lists models and ours is none of them.
        A server that is not ready is believed, and so is one without a list if the model has a name.
        """
        try:
            answer = await self._until_deadline(lambda: self._json("GET", "/models"))
        except _MissingError:
            if self._model is None:
                raise
            return
        except ChatModelError as error:
            if isinstance(error.__cause__, _Passing) and error.__cause__.answered:
                return
            raise
        names = [str(card["id"]) for card in answer.get("data") or [] if isinstance(card, dict) and "id" in card]
        if self._model is None and not names:
            raise ConfigError(f"{self.url} lists no model: say what it calls the one that you mean")
        if self._model is not None and names and self._model not in names:
            raise ConfigError(f"{self.url} has no model {self._model!r}: {nearest(self._model, names)}")

    async def max_context_tokens(self) -> int | None:
        """`max_model_len` of /v1/models, which pagoda, vLLM and SGLang tell."""
        length = (await self._model_card()).get("max_model_len")
        return length if isinstance(length, int) else None

    async def num_parameters(self) -> int | None:
        """`meta.n_params` of /v1/models, which pagoda and llama.cpp tell."""
        meta = (await self._model_card()).get("meta")
        count = meta.get("n_params") if isinstance(meta, dict) else None
        return count if isinstance(count, int) else None

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate: the bytes of the text are never fewer than its tokens, but for some at each turn."""
        return sum(_num_tokens_at_most(message.content) + _TOKENS_PER_MESSAGE for message in messages)

    async def chat(self, messages: Sequence[Message], params: ChatParams | None = None) -> ChatAnswer:
        body = await self._body(messages, params)
        return await self._until_deadline(lambda: self._whole(body))

    async def chat_batch(
        self, conversations: Sequence[Sequence[Message]], params: ChatParams | None = None
    ) -> list[ChatAnswer]:
        async def one(messages: Sequence[Message]) -> ChatAnswer:
            async with self._free:
                return await self.chat(messages, params)

        return list(await asyncio.gather(*(one(messages) for messages in conversations)))

    async def stream(self, messages: Sequence[Message], params: ChatParams | None = None) -> AsyncIterator[str]:
        body = {**await self._body(messages, params), "stream": True}

        async def begin() -> tuple[AsyncGenerator[str], str | None]:
            pieces = self._pieces(body)
            return pieces, await anext(pieces, None)

        pieces, first = await self._until_deadline(begin)
        async with aclosing(pieces):
            if first is not None:
                yield first
            try:
                async for piece in pieces:
                    yield piece
            except _Passing as failure:
                raise ChatModelError(f"the stream of {self.url} broke off: {failure}") from failure

    async def aclose(self) -> None:
        await self._http.aclose()

    # One request

    async def _body(self, messages: Sequence[Message], params: ChatParams | None) -> dict[str, Any]:
        params = params or ChatParams()
        body: dict[str, Any] = {
            "model": self._model or (await self._model_card()).get("id"),
            "messages": [message.as_dict() for message in messages],
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "seed": params.seed,
            "stop": list(params.stop) or None,
            "response_format": _response_format(params),
        }
        return {name: value for name, value in body.items() if value is not None}

    async def _model_card(self) -> Mapping[str, Any]:
        if self._card is None:
            answer = await self._until_deadline(lambda: self._json("GET", "/models"))
            cards = [card for card in answer.get("data") or [] if isinstance(card, dict)]
            named = [card for card in cards if self._model in (None, card.get("id"))]
            self._card = named[0] if named else {}
            self._model = self._model or self._card.get("id")
        return self._card

    async def _whole(self, body: Mapping[str, Any]) -> ChatAnswer:
        answer = await self._json("POST", "/chat/completions", body)
        try:
            choice, usage = answer["choices"][0], answer.get("usage") or {}
            details = usage.get("prompt_tokens_details") or {}
            text = choice["message"].get("content") or ""
        except (LookupError, TypeError, AttributeError) as error:
            raise ChatModelError(f"{self.url} answered with another shape than OpenAI's: {_short(answer)}") from error
        return ChatAnswer(
            text=text,
            finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
            num_prompt_tokens=int(usage.get("prompt_tokens") or 0),
            num_completion_tokens=int(usage.get("completion_tokens") or 0),
            num_cached_tokens=int(details.get("cached_tokens") or 0),
        )

    async def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        async with self._request(method, path, body) as response:
            content = await response.aread()
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ChatModelError(f"{self.url}{path} answered with no JSON object: {_short(content)}")
        return answer

    async def _pieces(self, body: Mapping[str, Any]) -> AsyncGenerator[str]:
        async with self._request("POST", "/chat/completions", body) as response:
            async for line in response.aiter_lines():
                data = line.removeprefix("data:").strip()
                if not line.startswith("data:") or not data:
                    continue
                if data.startswith("[DONE]"):
                    return
                piece = self._delta(data)
                if piece:
                    yield piece
        raise _Passing("it ended without [DONE]")

    def _delta(self, data: str) -> str:
        try:
            chunk = json.loads(data)
            error = chunk.get("error")
            choices = chunk.get("choices") or []
            text = (choices[0].get("delta") or {}).get("content") if choices else ""
        except (ValueError, LookupError, AttributeError, TypeError) as problem:
            raise ChatModelError(
                f"{self.url} streamed something else than OpenAI's chunks: {_short(data)}"
            ) from problem
        if error:
            raise ChatModelError(f"{self.url} reported within the stream: {_short(error)}")
        return text or ""

    @asynccontextmanager
    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> AsyncIterator[Any]:
        """An answer of status 200. Raises _Passing, ChatModelError, InvalidRequestError."""
        try:
            async with self._http.stream(method, self.url + path, json=body) as response:
                if response.status_code != 200:
                    content = await response.aread()
                    raise self._refusal(response.status_code, content, response.headers.get("retry-after"))
                yield response
        except self._failures as error:
            raise _Passing(f"{type(error).__name__}: {error}".rstrip(": ")) from error

    def _refusal(self, status: int, content: bytes, retry_after: str | None) -> Exception:
        message, code = _error_text(content)
        problem = f"{self.url} answered {status}: {message}"
        if status in _RETRIED:
            return _Passing(problem, _seconds(retry_after), answered=True)
        if "maximum context length" in message or code == "context_length_exceeded":
            return PromptTooLongError(message)
        if status in (400, 413, 422):
            return InvalidRequestError(problem)
        return _MissingError(problem) if status == 404 else ChatModelError(problem)

    async def _until_deadline(self, attempt: Any) -> Any:
        """Try again while failures are passing ones and time is left. Raises ChatModelError."""
        deadline, pause_s, tries = time.monotonic() + self._timeout_s, _FIRST_PAUSE_S, 0
        while True:
            tries += 1
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
                    return await attempt()
            except TimeoutError as error:
                raise ChatModelError(f"{self.url} gave no answer within {self._timeout_s:g} s") from error
            except _Passing as failure:
                wait_s = failure.pause_s if failure.pause_s is not None else pause_s * random.uniform(0.75, 1.25)
                if time.monotonic() + wait_s >= deadline:
                    words = f"cannot get an answer from {self.url} ({failure}) after {tries} tries"
                    raise ChatModelError(f"{words}: is the server running, and is that its address?") from failure
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)


def _response_format(params: ChatParams) -> dict[str, Any] | None:
    schema = params.json_schema
    if schema is None:
        return None
    # OpenAI refuses to be strict about anything else at the root; servers that hold to a grammar do so either way.
    strict = schema.get("type") == "object"
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema), "strict": strict}}


def _num_tokens_at_most(text: str) -> int:
    """Byte-level vocabularies have at most a token a byte; in practice a third of that, which is still cautious.

    >>> _num_tokens_at_most("a word"), _num_tokens_at_most("你好")
    (3, 6)
    """
    num_ascii = sum(character.isascii() for character in text)
    return num_ascii // 2 + len(text.encode()) - num_ascii


def _error_text(content: bytes) -> tuple[str, str]:
    """(message, code) of an error body, whatever its shape."""
    try:
        body = json.loads(content)
    except ValueError:
        return _short(content), ""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        return str(error.get("message") or _short(error)), str(error.get("code") or "")
    return _short(error), ""


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


def _short(value: object) -> str:
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
