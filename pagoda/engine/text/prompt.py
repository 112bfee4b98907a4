"""The forms in which a caller may give a prompt.

At the door of the token's path: text, token ids, or a mapping that names either, as in vLLM. Imports no torch, so that
a server can read prompts too.
"""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NotRequired, Protocol, TypedDict

from pagoda.errors import InvalidParameterError, InvalidRequestError
from pagoda.models.embedder import EmbedderConfig
from pagoda.vllm_names import PROMPT_KEYS

EMPTY_PROMPT = "the prompt is empty: give some text or at least one token id"


class TokensPrompt(TypedDict):
    """A prompt as token ids; with its text, where that is known."""

    prompt_token_ids: Sequence[int]
    prompt: NotRequired[str]
    cache_salt: NotRequired[str]


class TextPrompt(TypedDict):
    """A prompt as text. cache_salt: prompts of another salt, or none, share no cached blocks with it."""

    prompt: str
    cache_salt: NotRequired[str]


_KEYS = tuple(TokensPrompt.__annotations__)
Prompt = str | TextPrompt | TokensPrompt | Sequence[int] | Mapping[str, object]
PromptType = Prompt
"""vLLM's name for it."""


def text_or_ids(prompt: Prompt) -> tuple[str | None, Sequence[int] | None]:
    """What a prompt gives: its text, its token ids, or both. Raises InvalidRequestError where it gives nothing."""
    text, token_ids = _read(prompt)
    if text == "" or (token_ids is not None and not len(token_ids)):
        raise InvalidRequestError(EMPTY_PROMPT, param="prompt")
    return text, token_ids


def prompt_to_embed(prompt: Prompt, embedder: EmbedderConfig, prompt_name: str | None = None) -> Prompt:
    """A prompt with what the embedder's checkpoint puts before a text; token ids are taken as they are.

    Raises InvalidParameterError for a name that the checkpoint does not have, or one that is to go before token ids.
    """
    text, token_ids = text_or_ids(prompt)
    if token_ids is None:
        return embedder.text(text or "", prompt_name)
    if prompt_name is not None:
        raise InvalidParameterError(
            f"prompt_name is {prompt_name!r}, but a prompt goes before a text, and token ids were given: give text",
            param="prompt_name",
        )
    return prompt


def cache_salt_of(prompt: Prompt) -> str | None:
    """The salt that a prompt brings along. Raises InvalidRequestError where it is no text."""
    salt = prompt.get("cache_salt") if isinstance(prompt, Mapping) else None
    if salt is not None and (not isinstance(salt, str) or not salt):
        raise InvalidRequestError(f"cache_salt is {reprlib.repr(salt)}, but a string is expected", param="cache_salt")
    return salt


def plain_list(value: object) -> list[Any] | None:
    """A list, a tuple, an array or a tensor as a list; None for whatever is no list, text and bytes among it."""
    to_list = getattr(value, "tolist", None)
    if callable(to_list) and not isinstance(value, type):
        value = to_list()
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
        return None
    return value if isinstance(value, list) else list(value)


def are_token_ids(values: list[Any]) -> bool:
    """Whether all are whole numbers, NumPy's among them: then they are one prompt, and not several."""
    return all(issubclass(kind, Integral) and kind is not bool for kind in set(map(type, values)))


class _Names(Protocol):
    """What is asked of a tokenizer here."""

    @property
    def num_tokens(self) -> int: ...

    def token_text(self, token_id: int) -> str: ...


def check_token_ids(token_ids: Sequence[int], vocab_size: int, param: str, tokenizer: _Names | None = None) -> None:
    """Refuse ids that the model has no embedding for. Raises InvalidParameterError.

    param: the field that the caller filled, with ids or with a text; tokenizer: the model's, which may know more
    tokens than the model does and so bring them in with a text
    """
    strange = [i for i in token_ids if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < vocab_size]
    if not strange:
        return
    wrong = strange[0]
    if isinstance(wrong, int) and tokenizer is not None and vocab_size <= wrong < tokenizer.num_tokens:
        raise InvalidParameterError(
            f"{param} contains {tokenizer.token_text(wrong)!r}, which the tokenizer knows as token {wrong}, but the "
            f"model has embeddings for tokens 0 to {vocab_size - 1} only: leave it out, or serve the model with the "
            f"tokenizer that it was trained with",
            param=param,
        )
    raise InvalidParameterError(
        f"{param} holds {wrong!r}, but token ids of this model are whole numbers from 0 to {vocab_size - 1}",
        param=param,
    )


def _read(prompt: Prompt) -> tuple[str | None, Sequence[int] | None]:
    if isinstance(prompt, str):
        return prompt, None
    if isinstance(prompt, Mapping):
        PROMPT_KEYS.sort("the prompt", {str(key): value for key, value in prompt.items()}, _KEYS)
        text, token_ids = prompt.get("prompt"), prompt.get("prompt_token_ids")
        if token_ids is not None and (text is None or isinstance(text, str)):
            return text, _ids(token_ids)
        if isinstance(text, str):
            return text, None
    elif plain_list(prompt) is not None:
        return None, _ids(prompt)
    raise InvalidRequestError(
        "a prompt is a string, a list of token ids, {'prompt': ...} or {'prompt_token_ids': [...]}, but this is "
        f"{reprlib.repr(prompt)}",
        param="prompt",
    )


def _ids(given: object) -> list[int]:
    """Token ids, whole numbers of other kinds as plain ones. What is none is refused where the model's are known."""
    values = plain_list(given)
    if values is None:
        raise InvalidRequestError(
            f"prompt_token_ids is {reprlib.repr(given)}, but a list of token ids is expected", param="prompt_token_ids"
        )
    return list(map(operator.index, values)) if are_token_ids(values) and set(map(type, values)) != {int} else values
