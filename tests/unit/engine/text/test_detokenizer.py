"""The detokenizer's promises one by one; that they hold for all ids is in tests/property."""

from __future__ import annotations

import time

from pagoda.engine.text.detokenizer import IncrementalDetokenizer

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class PieceTokenizer:
    """Tokens written as text or bytes. `fallback` names those of them that are byte-fallback pieces."""

    def __init__(
        self, pieces: list[str | bytes], special: tuple[int, ...] = (), fallback: tuple[int, ...] = ()
    ) -> None:
        self.pieces = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
        self.all_special_ids = list(special)
        self.fallback = fallback

    def decode(self, token_ids: list[int], skip_special_tokens: bool = True) -> str:
        """Like SentencePiece when there are fallback pieces: one leading space goes."""
        shown = [
            i for i in token_ids if i < len(self.pieces) and not (skip_special_tokens and i in self.all_special_ids)
        ]
        text = b"".join(self.pieces[i] for i in shown).decode("utf-8", errors="replace")
        return text.removeprefix(" ") if self.fallback else text

    def token_bytes(self, token_id: int) -> bytes:
        return b"" if token_id in self.all_special_ids or token_id >= len(self.pieces) else self.pieces[token_id]

    def token_text(self, token_id: int) -> str:
        return self.pieces[token_id].decode("utf-8", errors="replace")

    def token_to_id(self, token: str) -> int | None:
        return next((i for i in self.fallback if token == f"<0x{self.pieces[i][0]:02X}>"), None)


def deltas(tokenizer: PieceTokenizer, token_ids: list[int], **options: bool) -> list[str]:
    """Every delta, and what is flushed, last."""
    detokenizer = IncrementalDetokenizer(tokenizer, **options)
    return [*(detokenizer.push(token_id) for token_id in token_ids), detokenizer.flush()]


def test_a_character_spread_over_tokens_appears_when_it_is_complete() -> None:
    tokenizer = PieceTokenizer([b"\xf0\x9f", b"\x98", b"\x80!", "中"])
    assert deltas(tokenizer, [0, 1, 2, 3]) == ["", "", "😀!", "中", ""]


def test_an_unfinished_character_becomes_one_replacement_character_at_the_end() -> None:
    assert deltas(PieceTokenizer(["a", b"\xf0\x9f"]), [0, 1]) == ["a", "", REPLACEMENT]


def test_text_goes_on_after_invalid_bytes() -> None:
    assert deltas(PieceTokenizer([b"\xe4\xb8", "x", b"\xff"]), [0, 1, 2, 1]) == [
        "",
        f"{REPLACEMENT}x",
        REPLACEMENT,
        "x",
        "",
    ]


def test_one_invalid_byte_spoils_a_run_of_fallback_tokens_as_decode_has_it() -> None:
    tokenizer = PieceTokenizer([b"\xe4", b"\xb8", b"\xad", "x"], fallback=(0, 1, 2))
    assert deltas(tokenizer, [0, 1, 2, 3]) == ["", "", "", "中x", ""]
    assert deltas(tokenizer, [3, 0, 1, 2, 0, 3]) == ["x", "", "", "", "", REPLACEMENT * 4 + "x", ""]
    assert deltas(tokenizer, [3, 0, 1]) == ["x", "", "", REPLACEMENT * 2]


def test_only_the_very_first_space_of_sentencepiece_goes() -> None:
    tokenizer = PieceTokenizer([" a", " ", "<s>", b"\xe4"], special=(2,), fallback=(3,))
    assert deltas(tokenizer, [0, 0]) == ["a", " a", ""]
    assert deltas(tokenizer, [2, 1, 0]) == ["", "", " a", ""]


def test_a_byte_level_text_keeps_its_leading_space() -> None:
    assert deltas(PieceTokenizer([" a"]), [0]) == [" a", ""]


def test_special_tokens_are_left_out_unless_asked_for() -> None:
    tokenizer = PieceTokenizer(["a", "<|end|>"], special=(1,))
    assert deltas(tokenizer, [0, 1]) == ["a", "", ""]
    assert deltas(tokenizer, [0, 1], skip_special_tokens=False) == ["a", "<|end|>", ""]


def test_spaces_between_special_tokens_can_be_dropped() -> None:
    tokenizer = PieceTokenizer(["a", " <x>"], special=(1,))
    assert deltas(tokenizer, [0, 1, 1], skip_special_tokens=False) == ["a", " <x>", " <x>", ""]
    kept_apart = deltas(tokenizer, [0, 1, 1], skip_special_tokens=False, spaces_between_special_tokens=False)
    assert kept_apart == ["a", " <x>", "<x>", ""]


def test_an_id_outside_the_vocabulary_is_no_text() -> None:
    assert deltas(PieceTokenizer(["a"]), [0, 99, 0]) == ["a", "", "a", ""]


def test_a_token_late_in_a_long_text_costs_no_more_than_an_early_one() -> None:
    """decode is asked once at most, so a text that is decoded over and over would fail here."""

    class CountingTokenizer(PieceTokenizer):
        num_decoded = 0

        def decode(self, token_ids: list[int], skip_special_tokens: bool = True) -> str:
            self.num_decoded += len(token_ids)
            return super().decode(token_ids, skip_special_tokens)

    tokenizer = CountingTokenizer([" a", b"\xff"])
    start = time.process_time()
    deltas(tokenizer, [0, 1] * 10_000)
    assert tokenizer.num_decoded <= 2
    assert time.process_time() - start < 5
