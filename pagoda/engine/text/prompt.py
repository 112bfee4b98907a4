"""The forms in which a caller may give a prompt.

At the door of the token's path: text, token ids, or a mapping that names either, as in vLLM. Imports no torch, so that
a server can read prompts too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypedDict

from pagoda.errors import InvalidParameterError, InvalidRequestError
from pagoda.models.embedder import EmbedderConfig

EMPTY_PROMPT = "the prompt is empty: give some text or at least one token id"


class TokensPrompt(TypedDict):
    """A prompt as token ids."""

    prompt_token_ids: Sequence[int]


class TextPrompt(TypedDict):
    """A prompt as text."""

    prompt: str


Prompt = str | TextPrompt | TokensPrompt | Mapping[str, object]


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
        text, token_ids = prompt.get("prompt"), prompt.get("prompt_token_ids")
        if isinstance(token_ids, Sequence) and not isinstance(token_ids, (str, bytes, bytearray)):
            return text if isinstance(text, str) else None, token_ids
        if isinstance(text, str):
            return text, None
    if isinstance(prompt, Sequence) and not isinstance(prompt, (bytes, bytearray)):
        return None, prompt
    raise InvalidRequestError(
        f"a prompt is a string, {{'prompt': ...}} or {{'prompt_token_ids': [...]}}, but this is {prompt!r:.80}",
        param="prompt",
    )
