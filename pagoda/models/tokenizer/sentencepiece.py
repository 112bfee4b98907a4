"""SentencePiece models, read by hand and rebuilt as a `tokenizers.Tokenizer`.

Stands at both ends of a token's path, below `models/tokenizer/tokenizer`: older Llama checkpoints carry only
`tokenizer.model`, llama2.c carries only `tokenizer.bin`. Both become one `SentencePieceModel`, from which
`build_tokenizer` makes a BPE (Sennrich et al., arXiv 1508.07909) or a Unigram (Kudo, arXiv 1804.10959)
with byte fallback. The file is Protocol Buffers of which four field kinds are needed, so a reader of some
lines stands here in place of two runtime dependencies (Kudo and Richardson, SentencePiece, arXiv 1808.06226).

Known differences from the SentencePiece library: text that follows a control or user-defined symbol in the same
string gets a prefix space of its own, as under transformers' `legacy`, unless that is off; a Unigram model may cut a
text in another way of the same total score; a compiled normaliser sees a zero-width joiner as part of the character
before.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from pagoda.errors import CheckpointError

SPACE = "▁"
_SKIPPED_FIXED_BYTES = {1: 8, 5: 4}


class PieceKind(enum.IntEnum):
    """`ModelProto.SentencePiece.Type`, with its numbers."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Algorithm(enum.IntEnum):
    """`TrainerSpec.ModelType`, the two that language models use."""

    UNIGRAM = 1
    BPE = 2


class Piece(NamedTuple):
    """One entry of the vocabulary; its id is its place in the list. Without a text it only keeps the place."""

    text: str
    score: float
    kind: PieceKind


@dataclass(frozen=True)
class SentencePieceModel:
    """What encoding and decoding need of a SentencePiece model.

    Ids are -1 where the model has no such token. `charsmap` is the compiled normaliser, empty for "identity".
    """

    pieces: tuple[Piece, ...]
    algorithm: Algorithm = Algorithm.BPE
    byte_fallback: bool = True
    unk_id: int = 0
    bos_id: int = 1
    eos_id: int = 2
    pad_id: int = -1
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = False

    def piece_text(self, token_id: int) -> str | None:
        """The text of a piece, None for an id that the model does not have."""
        return self.pieces[token_id].text if 0 <= token_id < len(self.pieces) else None


def read_model(path: Path) -> SentencePieceModel:
    """Reads a SentencePiece `tokenizer.model`.

    Raises CheckpointError when the file is cut short, is no SentencePiece model, or is of a type (word, char)
    that no Llama-family model uses.
    """
    data = path.read_bytes()
    if _looks_like_tiktoken(data):
        raise CheckpointError(
            f"{path} is a tiktoken vocabulary (as Llama 3 ships in original/), not a SentencePiece model: "
            f"use the tokenizer.json of the same repository"
        )
    try:
        return _parse_model(data)
    except (IndexError, ValueError, struct.error, TypeError) as error:
        raise CheckpointError(
            f"{path} ({len(data)} bytes) is not a readable SentencePiece model ({error}): download it again"
        ) from error


def read_llama2c(path: Path) -> SentencePieceModel:
    """Reads llama2.c's `tokenizer.bin`: int32 longest piece, then per piece float32 score, int32 length, bytes.

    The file drops the kinds of pieces; llama2.c fixes them by place: 0 unknown, 1 BOS, 2 EOS, 3 to 258 bytes.
    Raises CheckpointError when the file is cut short.
    """
    data = path.read_bytes()
    try:
        entries = list(_llama2c_entries(data))
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise CheckpointError(f"{path} ({len(data)} bytes) is not a llama2.c tokenizer ({error})") from error
    if len(entries) < 3:
        raise CheckpointError(f"{path} holds {len(entries)} pieces, expected at least <unk>, <s> and </s>")
    return SentencePieceModel(pieces=tuple(_llama2c_piece(i, *entry) for i, entry in enumerate(entries)))


def build_tokenizer(
    model: SentencePieceModel, *, prefix_every_part: bool = True, swallowing: Collection[str] = ()
) -> Tokenizer:
    """The same segmentation in the `tokenizers` library, without BOS or EOS (the post-processor's business).

    prefix_every_part: what follows a symbol in the same string gets a prefix space, too, not the text's start alone.
    swallowing: symbols that take the white space behind them for their own
    """
    tokenizer = Tokenizer(_bpe(model) if model.algorithm is Algorithm.BPE else _unigram(model))
    tokenizer.normalizer = normalizers.Sequence(_normalizers(model, prefix_every_part))
    if model.add_dummy_prefix:
        scheme = "always" if prefix_every_part else "first"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Sequence(_decoders(model))
    symbols = (PieceKind.UNKNOWN, PieceKind.CONTROL, PieceKind.USER_DEFINED)
    tokenizer.add_tokens(
        [
            AddedToken(
                piece.text,
                rstrip=piece.text in swallowing,
                normalized=False,
                special=piece.kind is not PieceKind.USER_DEFINED,
            )
            for piece in model.pieces
            if piece.kind in symbols and piece.text
        ]
    )
    return tokenizer


def recover_merges(pieces: tuple[Piece, ...]) -> list[tuple[str, str]]:
    """BPE merges from pieces and scores: a piece may form from any two others, the best score first.

    SentencePiece keeps no merge list: it merges whichever neighbours make the best-scored piece. Among the ways to
    make one piece it takes the leftmost in the text; a merge list cannot say so, but a longer left part
    comes to the same in runs of one character (which grow from the left).

    >>> recover_merges((Piece("a", 0.0, PieceKind.NORMAL), Piece("aa", -1.0, PieceKind.NORMAL)))
    [('a', 'a')]
    """
    normal = {piece.text for piece in pieces if piece.kind is PieceKind.NORMAL}
    ranked = sorted((piece for piece in pieces if piece.kind is PieceKind.NORMAL), key=lambda piece: -piece.score)
    return [
        (piece.text[:cut], piece.text[cut:])
        for piece in ranked
        for cut in range(len(piece.text) - 1, 0, -1)
        if piece.text[:cut] in normal and piece.text[cut:] in normal
    ]


def _bpe(model: SentencePieceModel) -> models.BPE:
    return models.BPE(
        vocab={piece.text: token_id for token_id, piece in enumerate(model.pieces) if piece.text},
        merges=recover_merges(model.pieces),
        unk_token=model.piece_text(model.unk_id),
        fuse_unk=True,
        byte_fallback=model.byte_fallback,
    )


def _unigram(model: SentencePieceModel) -> models.Unigram:
    """Only normal pieces may match text: the others get a score that no segmentation of known characters chooses."""
    normal = [piece.score for piece in model.pieces if piece.kind is PieceKind.NORMAL]
    never = min(normal, default=0.0) - 1000.0
    vocab = [(piece.text, piece.score if piece.kind is PieceKind.NORMAL else never) for piece in model.pieces]
    return models.Unigram(vocab=vocab, unk_id=model.unk_id, byte_fallback=model.byte_fallback)


def _normalizers(model: SentencePieceModel, prefix_every_part: bool) -> list[normalizers.Normalizer]:
    steps: list[normalizers.Normalizer] = []
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    if model.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(rf"\A +|[ {SPACE}]+\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    steps.append(normalizers.Replace(" ", SPACE))
    if model.add_dummy_prefix and prefix_every_part:
        # `Metaspace` puts no space before a text that begins with one, SentencePiece does.
        steps.append(normalizers.Replace(Regex(rf"\A{SPACE}"), SPACE * 2))
    return steps


def _decoders(model: SentencePieceModel) -> list[decoders.Decoder]:
    steps: list[decoders.Decoder] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    return [*steps, decoders.Strip(" ", 1, 0)] if model.add_dummy_prefix else steps


def _looks_like_tiktoken(data: bytes) -> bool:
    """Lines of base64, a space and a rank; a protobuf of pieces opens with byte 0x0A, which is no base64."""
    first_line = data[:200].split(b"\n", 1)[0].split(b" ")
    return len(first_line) == 2 and first_line[1].isdigit() and first_line[0].isascii()


def _parse_model(data: bytes) -> SentencePieceModel:
    """`ModelProto`: 1 pieces, 2 trainer_spec, 3 normalizer_spec."""
    pieces, trainer, normalizer = [], _Message(b""), _Message(b"")
    for number, value in _fields(data):
        if number == 1:
            pieces.append(_parse_piece(_Message(_as_bytes(value))))
        elif number == 2:
            trainer = _Message(_as_bytes(value))
        elif number == 3:
            normalizer = _Message(_as_bytes(value))
    if not pieces:
        raise ValueError("no pieces in it")
    return SentencePieceModel(
        pieces=tuple(pieces),
        algorithm=Algorithm(trainer.integer(3, default=Algorithm.UNIGRAM)),
        byte_fallback=bool(trainer.integer(35, default=0)),
        unk_id=trainer.integer(40, default=0),
        bos_id=trainer.integer(41, default=1),
        eos_id=trainer.integer(42, default=2),
        pad_id=trainer.integer(43, default=-1),
        charsmap=normalizer.blob(2),
        add_dummy_prefix=bool(normalizer.integer(3, default=1)),
        remove_extra_whitespaces=bool(normalizer.integer(4, default=1)),
    )


def _parse_piece(message: _Message) -> Piece:
    """`SentencePiece`: 1 piece, 2 score, 3 type."""
    kind = PieceKind(message.integer(3, default=PieceKind.NORMAL))
    return Piece(message.blob(1).decode("utf-8"), message.float32(2), kind)


class _Message:
    """The last value of each field of one protobuf message (repeated fields are read with `_fields`)."""

    def __init__(self, data: bytes) -> None:
        self._values = dict(_fields(data))

    def integer(self, number: int, *, default: int) -> int:
        value = self._values.get(number, default)
        if not isinstance(value, int):
            raise ValueError(f"field {number} is no integer")
        # A negative int32 travels as a 64-bit two's complement.
        return value - (1 << 64) if value >= 1 << 63 else value

    def float32(self, number: int) -> float:
        value = self._values.get(number)
        return 0.0 if value is None else float(struct.unpack("<f", _as_bytes(value))[0])

    def blob(self, number: int) -> bytes:
        return _as_bytes(self._values.get(number, b""))


def _as_bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("an integer stands where text or a message belongs")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a protobuf message: varints as int, everything else as raw bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == 2:
            size, position = _varint(data, position)
        elif wire_type in _SKIPPED_FIXED_BYTES:
            size = _SKIPPED_FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"wire type {wire_type} at byte {position}")
        if position + size > len(data):
            raise ValueError(f"{size} bytes are promised at byte {position}, {len(data) - position} are left")
        yield number, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError(f"a varint without end at byte {position}")


def _llama2c_entries(data: bytes) -> Iterator[tuple[str, float]]:
    position = struct.calcsize("<i")
    while position < len(data):
        score, size = struct.unpack_from("<fi", data, position)
        position += struct.calcsize("<fi")
        if size < 0 or position + size > len(data):
            raise IndexError(f"a piece of {size} bytes at byte {position}")
        yield data[position : position + size].decode("utf-8"), score
        position += size


def _llama2c_piece(token_id: int, text: str, score: float) -> Piece:
    """llama2.c writes plain spaces for the SentencePiece mark, and line breaks around BOS and EOS."""
    if token_id < 3:
        return Piece(("<unk>", "<s>", "</s>")[token_id], 0.0, PieceKind.CONTROL if token_id else PieceKind.UNKNOWN)
    if text == f"<0x{token_id - 3:02X}>":
        return Piece(text, 0.0, PieceKind.BYTE)
    return Piece(text.replace(" ", SPACE), score, PieceKind.NORMAL)
