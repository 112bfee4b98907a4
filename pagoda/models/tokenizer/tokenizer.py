"""Text to token ids and back: the first and the last station of a token's path.

One class over the `tokenizers` library, whichever way a checkpoint spells its vocabulary: `tokenizer.json`, a
SentencePiece `tokenizer.model`, llama2.c's `tokenizer.bin`, or the metadata of a GGUF file. Ids and text agree with
transformers' fast tokenizer (`decode` as with clean_up_tokenization_spaces=False). `token_bytes` gives what a token
truly stands for: grammars and streaming need bytes, because one character may span several tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NoReturn

from tokenizers import Tokenizer as BackendTokenizer

from pagoda.errors import InvalidParameterError, InvalidRequestError, missing_method
from pagoda.models.gguf.container import GGUFFile, opened
from pagoda.models.tokenizer.chat_prompt import ChatPrompt
from pagoda.models.tokenizer.chat_template import ChatTemplate
from pagoda.models.tokenizer.files import find_vocabulary, read_backend
from pagoda.models.tokenizer.gguf_vocabulary import read_gguf, read_gguf_template
from pagoda.models.tokenizer.sentencepiece import SPACE
from pagoda.models.tokenizer.settings import read_chat_template, read_settings
from pagoda.parameter_rules import is_whole
from pagoda.vllm_names import TOKENIZER

_LONG = 4096
"""Characters, or ids, of what goes the way of batches: alone on it does the library give up Python's lock meanwhile."""
_BATCH = 1024
"""Texts at a time, since before and after each batch the lock is kept."""
_MOST = 2**32 - 1
"""The highest id that the library takes."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """A checkpoint's tokenizer. Immutable after construction, so threads may share it.

    special_tokens: the named ones that the checkpoint has, as {"bos_token": "<s>", ...}.
    """

    def __init__(
        self,
        backend_tokenizer: BackendTokenizer,
        *,
        special_tokens: Mapping[str, str] | None = None,
        chat_template: ChatTemplate | None = None,
    ) -> None:
        self.backend_tokenizer = backend_tokenizer
        self.special_tokens = dict(special_tokens or {})
        self.chat_template = chat_template

    def __getattr__(self, name: str) -> NoReturn:
        raise missing_method("Tokenizer", name, TOKENIZER)

    @classmethod
    def from_directory(cls, directory: str | Path) -> Tokenizer:
        """Reads a checkpoint directory's vocabulary, special tokens and chat template.

        Raises CheckpointError when there is no vocabulary, or a file is unreadable or contradicts another.
        """
        directory = Path(directory)
        backend, special_tokens = read_backend(find_vocabulary(directory), read_settings(directory))
        return cls(backend, special_tokens=special_tokens, chat_template=read_chat_template(directory))

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Reads one vocabulary file, with nothing from the files beside it (so no chat template, but from GGUF).

        Raises CheckpointError when the file is missing or unreadable.
        """
        if isinstance(file := opened(path), GGUFFile):
            return cls.from_gguf(file)
        backend, special_tokens = read_backend(file, {})
        return cls(backend, special_tokens=special_tokens)

    @classmethod
    def from_gguf(cls, file: GGUFFile) -> Tokenizer:
        """Reads the vocabulary, special tokens and chat templates that a GGUF file holds.

        Raises CheckpointError when it holds none, or one that is not read, or that contradicts itself.
        """
        backend, special_tokens = read_gguf(file.metadata, file.path)
        return cls(backend, special_tokens=special_tokens, chat_template=read_gguf_template(file.metadata, file.path))

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a text; with BOS or EOS where the checkpoint asks for them and add_special_tokens is set.

        Raises InvalidRequestError for what is no text, and for half a surrogate pair, which no character has.
        """
        if isinstance(text, str) and len(text) > _LONG:
            return next(self.encode_each([text], add_special_tokens))
        try:
            return self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        except TypeError:
            raise _no_text(text) from None

    def encode_each(self, texts: Sequence[str], add_special_tokens: bool = True) -> Iterator[list[int]]:
        """The token ids of each text, as by `encode`; faster where there are many. Raises as `encode` does."""
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            try:
                encodings = self.backend_tokenizer.encode_batch_fast(batch, add_special_tokens=add_special_tokens)
            except TypeError:
                raise _no_text(next(text for text in batch if not _is_text(text))) from None
            yield from (encoding.ids for encoding in encodings)

    def least_num_tokens(self, text: str) -> int:
        """`encode` gives so many ids at least; known at once, for refusing what is far too long. 0 where unknown."""
        return len(text) // self._longest_piece if self._longest_piece else 0

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Text of token ids. Bytes that form no character become U+FFFD; ids outside the vocabulary give nothing."""
        ids = list(token_ids)
        try:
            if len(ids) > _LONG:
                return self.backend_tokenizer.decode_batch([ids], skip_special_tokens=skip_special_tokens)[0]
            return self.backend_tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        except (OverflowError, TypeError):
            wrong = next(each for each in ids if not is_whole(each, 0, _MOST))
            raise InvalidRequestError(f"{wrong!r:.100} is no token id: whole numbers from 0 on are expected") from None

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes a token stands for inside a text; b"" for special tokens and ids outside the vocabulary.

        No leading space is taken away: the bytes of a text's tokens join to the text, save for the space that
        a SentencePiece model puts before it.
        """
        return b"" if token_id in self._special_ids else self._surface(token_id)

    def token_text(self, token_id: int) -> str:
        """A token shown on its own, as beside a log-probability; special tokens by name, partial characters as U+FFFD.

        Unlike `decode([token_id])` it keeps a SentencePiece token's leading space.
        """
        return self._surface(token_id).decode("utf-8", errors="replace")

    def token_to_id(self, token: str) -> int | None:
        """Id of a piece as the vocabulary spells it ("▁the", "<|eot_id|>"), None where there is no such piece."""
        return self.backend_tokenizer.token_to_id(token)

    @cached_property
    def vocab_size(self) -> int:
        """Size of the base vocabulary, without added tokens (as in transformers)."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=False)

    @cached_property
    def num_tokens(self) -> int:
        """One more than the highest id, added tokens included; a model's padded vocabulary may be larger."""
        return max(self.backend_tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    @property
    def bos_token(self) -> str | None:
        """What begins a text, None where the checkpoint has no such token."""
        return self.special_tokens.get("bos_token")

    @property
    def eos_token(self) -> str | None:
        """What ends a text, None where the checkpoint has no such token."""
        return self.special_tokens.get("eos_token")

    @property
    def bos_token_id(self) -> int | None:
        """Id of `bos_token`."""
        return None if self.bos_token is None else self.token_to_id(self.bos_token)

    @property
    def eos_token_id(self) -> int | None:
        """Id of `eos_token`. Generation may stop at more: see `GenerationDefaults.eos_token_ids`."""
        return None if self.eos_token is None else self.token_to_id(self.eos_token)

    @property
    def all_special_ids(self) -> list[int]:
        """The ids that `decode` leaves out under skip_special_tokens, ascending."""
        return sorted(self._special_ids)

    @property
    def has_chat_template(self) -> bool:
        """Whether the checkpoint brings a chat template."""
        return self.chat_template is not None

    def apply_chat_template(
        self,
        messages: Sequence[Any],
        tools: Sequence[Any] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool | None = None,
        continue_final_message: bool = False,
        chat_template: str | None = None,
        tool_call_parser: str = "auto",
        **template_variables: Any,
    ) -> str:
        """Messages as the text the model was trained on. Encode it with add_special_tokens=False, or use `encode_chat`.

        messages: in any spelling of OpenAI's API; `tokenizer/messages` reads them
        add_generation_prompt: open the assistant's turn; by default, unless continue_final_message is set
        tool_call_parser: how calls are written where the template knows none
        template_variables: further names for the template (date_string, enable_thinking, ...)
        Raises InvalidRequestError where the template refuses or leaves a message out, or where there is none.
        """
        if self.chat_template is None and chat_template is None:
            raise InvalidRequestError(
                "the model has no chat template, so it cannot take messages: send a prompt instead, "
                "or give a template in chat_template",
                param="chat_template",
            )
        if template_variables.pop("tokenize", False):
            raise InvalidParameterError(
                "apply_chat_template gives the text of a chat: for token ids call encode_chat, which takes the same",
                param="tokenize",
            )
        chat = ChatPrompt(
            template=self.chat_template or ChatTemplate({}),
            chat_template=chat_template,
            tools=tools,
            documents=documents,
            add_generation_prompt=not continue_final_message
            if add_generation_prompt is None
            else add_generation_prompt,
            continue_final_message=continue_final_message,
            tool_call_parser=tool_call_parser,
            variables={**self.special_tokens, **template_variables},
        )
        return chat.render(messages)

    def encode_chat(self, messages: Sequence[Any], *arguments: Any, **keywords: Any) -> list[int]:
        """Token ids of `apply_chat_template`. The template writes its own BOS, so none is added (never two)."""
        return self.encode(self.apply_chat_template(messages, *arguments, **keywords), add_special_tokens=False)

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        # What `decode` leaves out is not always what the files call special: it goes by the text of a token.
        backend = self.backend_tokenizer
        added = [[token_id] for token_id in backend.get_added_tokens_decoder()]
        left_out = zip(added, backend.decode_batch(added), backend.decode_batch(added, False), strict=True)
        return frozenset(ids[0] for ids, hidden, shown in left_out if shown and not hidden)

    @cached_property
    def _decoder_types(self) -> frozenset[str]:
        """Types of the steps that turn pieces into text, such as ByteLevel or ByteFallback."""
        decoder = self.backend_tokenizer.decoder
        spec = {} if decoder is None else json.loads(decoder.__getstate__())
        return frozenset(step["type"] for step in spec.get("decoders", [spec]) if "type" in step)

    @cached_property
    def _longest_piece(self) -> int:
        """Characters of a text that one token takes at most; 0 where some may vanish or be joined without limit."""
        backend = self.backend_tokenizer
        vocabulary = backend.get_vocab(with_added_tokens=True)
        steps = b"" if backend.pre_tokenizer is None else backend.pre_tokenizer.__getstate__()
        added = backend.get_added_tokens_decoder().values()
        # One character of a piece is one byte, and no character of a text is less.
        keeps_all = "ByteLevel" in self._decoder_types and vocabulary.keys() >= _BYTE_OF.keys()
        drops = backend.normalizer is not None or backend.truncation is not None or b"emoved" in steps
        swallows = any(token.lstrip or token.rstrip for token in added)
        return max(map(len, vocabulary)) if keeps_all and not drops and not swallows else 0

    def _surface(self, token_id: int) -> bytes:
        piece = self.backend_tokenizer.id_to_token(token_id) if token_id >= 0 else None
        if piece is None:
            return b""
        if "ByteLevel" in self._decoder_types:
            return _byte_level_bytes(piece)
        if "ByteFallback" in self._decoder_types and _is_byte_piece(piece):
            return bytes([int(piece[3:5], 16)])
        return piece.replace(SPACE, " ").encode("utf-8")


def _is_text(given: object) -> bool:
    return isinstance(given, str) and _LONE_SURROGATE.search(given) is None


def _no_text(given: object) -> InvalidRequestError:
    """What keeps a value from being encoded."""
    lone = _LONE_SURROGATE.search(given) if isinstance(given, str) else None
    if lone is None:
        return InvalidRequestError(f"a text is expected, but this is {given!r:.80}")
    return InvalidRequestError(
        f"character {lone.start()} of the text is {lone[0]!a}, half of a surrogate pair: send the whole character"
    )


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes as printable characters: printable Latin-1 is itself, the rest moves past U+0100.

    >>> _byte_alphabet()["Ġ"]
    32
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(hidden)}


_BYTE_OF = _byte_alphabet()


@lru_cache(maxsize=1 << 14)  # a text's pieces come again and again
def _byte_level_bytes(piece: str) -> bytes:
    """A piece with any character outside the byte alphabet is an added token, spelled in plain text."""
    if all(character in _BYTE_OF for character in piece):
        return bytes(_BYTE_OF[character] for character in piece)
    return piece.encode("utf-8")


def _is_byte_piece(piece: str) -> bool:
    return len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")
