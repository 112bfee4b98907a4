"""Token ids to text while they arrive: whole characters only, and nothing of a stop string.

On the token's path: after the scheduler has recorded a token, before the stream. The promise, for byte-level BPE
(GPT-2, Llama 3, Qwen) and for SentencePiece with byte fallback (Llama 2): the pieces of text joined are
`tokenizer.decode` of the ids joined, character for character, whatever the ids are. The prompt plays no part, so
its tail cannot leak into the output. Each token costs O(1) amortised: nothing is ever decoded twice.

The promise has one price. `decode` judges a run of byte-fallback tokens as a whole: one invalid byte turns all of
them into U+FFFD. So such a run is held until a token of another kind ends it.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import NamedTuple, Protocol

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


class StopMatch(NamedTuple):
    """What the matcher made of new text."""

    text: str
    """Safe to show: no stop string can begin in it any more."""
    stop: str | None = None
    """The stop string that ended the completion; everything after it is dropped."""


class StopStringMatcher:
    """Finds stop strings across token borders and holds back what may become one.

    stop: non-empty strings; include_stop_str_in_output: leave the stop string at the end of the text.
    Of several stop strings the one that completes first wins, the longer one where two complete together.
    """

    def __init__(self, stop: Sequence[str], include_stop_str_in_output: bool = False) -> None:
        self._stop = tuple(sorted(stop, key=len, reverse=True))
        self._include = include_stop_str_in_output
        self._held = ""
        self._longest = max(map(len, self._stop), default=1)

    def push(self, text: str, *, may_stop: bool = True) -> StopMatch:
        """Take new text. may_stop: False while fewer than min_tokens have come; no match completes in this text."""
        if not self._stop:
            return StopMatch(text)
        window = self._held + text
        found = self._first_match(window, len(self._held)) if may_stop else None
        if found is not None:
            return self._ended(window, *found)
        self._held = window[len(window) - self._num_held(window) :]
        return StopMatch(window[: len(window) - len(self._held)])

    def flush(self) -> str:
        """What was held back, when the completion ended for another reason."""
        held, self._held = self._held, ""
        return held

    def _ended(self, window: str, start: int, stop: str) -> StopMatch:
        self._held = ""
        return StopMatch(window[: start + len(stop)] if self._include else window[:start], stop)

    def _first_match(self, window: str, num_seen: int) -> tuple[int, str] | None:
        """Start of the match that completes earliest, after the characters seen before, and its string."""
        found: tuple[int, str] | None = None
        for stop in self._stop:
            start = window.find(stop, max(0, num_seen - len(stop) + 1))
            if start >= 0 and (found is None or start + len(stop) < found[0] + len(found[1])):
                found = (start, stop)
        return found

    def _num_held(self, window: str) -> int:
        """Length of the longest end of the text that begins some stop string without completing it."""
        for length in range(min(self._longest - 1, len(window)), 0, -1):
            tail = window[len(window) - length :]
            if any(len(stop) > length and stop.startswith(tail) for stop in self._stop):
                return length
        return 0
