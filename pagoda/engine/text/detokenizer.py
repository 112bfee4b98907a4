"""Token ids to text while they arrive: whole characters only.

On the token's path: after the scheduler has recorded a token, before the stop strings. The promise, for byte-level BPE
(GPT-2, Llama 3, Qwen) and for SentencePiece with byte fallback (Llama 2): the pieces of text joined are
`tokenizer.decode` of the ids joined, character for character, whatever the ids are. The prompt plays no part, so
its tail cannot leak into the output. Each token costs O(1) amortised: nothing is ever decoded twice.

The promise has one price. `decode` judges a run of byte-fallback tokens as a whole: one invalid byte turns all of
them into U+FFFD. So such a run is held until a token of another kind ends it.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Protocol

REPLACEMENT_CHARACTER = "\N{REPLACEMENT CHARACTER}"


class TextTokenizer(Protocol):
    """What is asked of a tokenizer here; `models.tokenizer.Tokenizer` has it."""

    @property
    def all_special_ids(self) -> Sequence[int]: ...

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = True) -> str: ...

    def token_bytes(self, token_id: int) -> bytes: ...

    def token_text(self, token_id: int) -> str: ...

    def token_to_id(self, token: str) -> int | None: ...


class IncrementalDetokenizer:
    """The text of one completion, token by token.

    tokenizer: byte-level BPE or SentencePiece with byte fallback; skip_special_tokens: leave special tokens out;
    spaces_between_special_tokens: False drops a space that a special token would put after another one.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        *,
        skip_special_tokens: bool = True,
        spaces_between_special_tokens: bool = True,
    ) -> None:
        self._tokenizer = tokenizer
        self._skip_special_tokens = skip_special_tokens
        self._spaces_between_special_tokens = spaces_between_special_tokens
        self._special_ids = frozenset(tokenizer.all_special_ids)
        # Substitutes invalid bytes by the same rule as Rust's from_utf8_lossy: one U+FFFD per maximal subpart.
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._fallback_run = bytearray()
        self._leading_ids: list[int] | None = []  # until the first text is out
        self._after_special = False

    def push(self, token_id: int) -> str:
        """The text that this token completes, perhaps "". An id outside the vocabulary stands for no text."""
        if self._leading_ids is not None:
            self._leading_ids.append(token_id)
        if token_id in self._special_ids:
            text = "" if self._skip_special_tokens else self._special(token_id)
        else:
            text = self._plain(token_id)
        return self._without_leading_space(text)

    def flush(self) -> str:
        """The rest, at the end of the completion: bytes that never became a character are U+FFFD."""
        return self._without_leading_space(self._end_fallback_run() + self._utf8.decode(b"", final=True))

    def _plain(self, token_id: int) -> str:
        piece = self._tokenizer.token_bytes(token_id)
        if not piece:
            return ""
        self._after_special = False
        if self._is_fallback(token_id, piece):
            self._fallback_run += piece
            return ""
        return self._end_fallback_run() + self._utf8.decode(piece)

    def _special(self, token_id: int) -> str:
        name = self._tokenizer.token_text(token_id)
        if self._after_special and not self._spaces_between_special_tokens:
            name = name.lstrip(" ")
        self._after_special = True
        return self._end_fallback_run() + self._utf8.decode(name.encode())

    def _is_fallback(self, token_id: int, piece: bytes) -> bool:
        """Byte 0x41 is "A" as a letter and <0x41> as a fallback, and only the latter belongs to a run."""
        return len(piece) == 1 and self._tokenizer.token_to_id(f"<0x{piece[0]:02X}>") == token_id

    def _end_fallback_run(self) -> str:
        if not self._fallback_run:
            return ""
        run, self._fallback_run = self._fallback_run, bytearray()
        try:
            return run.decode("utf-8")
        except UnicodeDecodeError:
            return REPLACEMENT_CHARACTER * len(run)

    def _without_leading_space(self, text: str) -> str:
        """SentencePiece puts a space before every text and `decode` takes it away: ask `decode` about the first text.

        Bytes of an unfinished character may stand behind the text, hence "starts with".
        """
        if not text or self._leading_ids is None:
            return text
        decoded = self._tokenizer.decode(self._leading_ids, skip_special_tokens=self._skip_special_tokens)
        self._leading_ids = None
        return text if decoded.startswith(text) else decoded
