"""The metadata of a GGUF file from a tokenizer: the other way round than `gguf_vocabulary`.

Off the token's path, when a folder's model is written as a GGUF file. Such a file holds a vocabulary, its merges or
scores, and the name of a split that llama.cpp has in its source. Which of the known splits a tokenizer has is found out
by what it makes of some texts of many kinds; then the metadata are read again, and a tokenizer that does
not come back with the same ids for every text tried is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer as BackendTokenizer
from tokenizers import pre_tokenizers
from tokenizers.normalizers import Normalizer

from pagoda.errors import CheckpointError
from pagoda.models.gguf.metadata import Value
from pagoda.models.tokenizer.gguf_splits import SPLITS
from pagoda.models.tokenizer.gguf_vocabulary import NAMED_KEYS, end_ids, read_gguf, read_gguf_template
from pagoda.models.tokenizer.sentencepiece import Algorithm, PieceKind, SentencePieceModel, read_model
from pagoda.models.tokenizer.tokenizer import Tokenizer

_PREFIX, _TEMPLATE = "tokenizer.ggml.", "tokenizer.chat_template"
_SENTENCEPIECE = "tokenizer.model"
_PROBES = (
    "Hello, world! It's 3.14159 o'clock; we'LL see: 1234567 and 12,345.",
    "  two spaces\n\n\n three lines\t\ttabs \r\n windows\u3000wide\u00a0hard   ",
    "你好，世界！今天是2026年11月30日，天气晴朗。「引号」……",
    "こんにちは世界。ハロー・ワールド 안녕하세요 세계",
    "Привет, мир! Γειά σου Κόσμε. שלום עולם مرحبا بالعالم नमस्ते दुनिया สวัสดีชาวโลก",
    "naïve café e\u0301te\u0301 ﬁne Ǆ ſ ª № ½ ² Ⅷ \u0661\u0662\u0663",
    "def f(x_1, *args):\n    return {'a': [x_1 ** 2], \"b\": args[0]}  # comment\n\n\nclass A(B): pass",
    "🙂👩‍👩‍👧‍👦 🇩🇪 \u200b\u200dzero _ __ ___ --- === +++ ... ?!?! <<< >>> \\n $x^{2}$ a/b\\c",
    "HelloWorld fooBar XMLHttpRequest iPhone15Pro ABCdef I'M don't DON'T 'tis rock'n'roll",
    "",
    " ",
    "\n",
    "a",
)


def tokenizer_metadata(
    tokenizer: Tokenizer, directory: Path, vocab_size: int, eos_token_ids: Sequence[int] = ()
) -> dict[str, Value]:
    """All that a GGUF file says of a tokenizer.

    directory: of the checkpoint, whose `tokenizer.model` is read for the scores of a SentencePiece vocabulary
    vocab_size: rows of the embedding, which are filled up; eos_token_ids: every token that ends a text

    Raises CheckpointError for a tokenizer that no such file holds.
    """
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    if tokenizer.num_tokens > vocab_size:
        raise CheckpointError(
            f"the tokenizer of {directory} has {tokenizer.num_tokens} tokens, but the embedding {vocab_size} rows"
        )
    if spec["model"]["type"] == "BPE" and (spec.get("decoder") or {}).get("type") == "ByteLevel":
        said = _byte_level(tokenizer.backend_tokenizer, spec, vocab_size, directory)
    elif (directory / _SENTENCEPIECE).is_file():
        said = _sentencepiece(read_model(directory / _SENTENCEPIECE), spec, vocab_size)
    else:
        raise CheckpointError(
            f"the tokenizer of {directory} is neither byte-level BPE nor SentencePiece's with a {_SENTENCEPIECE} "
            f"beside it, and GGUF files hold no other: name a folder, or put {_SENTENCEPIECE} there"
        )
    metadata = {f"{_PREFIX}{key}": value for key, value in {**said, **_special(tokenizer)}.items()}
    metadata |= _templates(tokenizer)
    metadata |= _ends(metadata, directory, eos_token_ids)
    _check(tokenizer, metadata, directory)
    return metadata


def _byte_level(backend: BackendTokenizer, spec: dict[str, Any], vocab_size: int, directory: Path) -> dict[str, Value]:
    model = spec["model"]
    tokens, kinds = _table(spec, model["vocab"], vocab_size)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return {
        "model": "gpt2",
        "pre": _name_of_split(backend, bool(model.get("ignore_merges")), directory),
        "tokens": tokens,
        "token_type": kinds,
        "merges": merges,
    }


def _table(spec: dict[str, Any], vocabulary: dict[str, int], vocab_size: int) -> tuple[list[str], np.ndarray]:
    """Every token by its id, and its kind; rows that no token has get a name that says so."""
    tokens = [f"[PAD{token_id}]" for token_id in range(vocab_size)]
    kinds = np.full(vocab_size, PieceKind.UNUSED, np.int32)
    for text, token_id in vocabulary.items():
        tokens[token_id], kinds[token_id] = text, PieceKind.NORMAL
    for added in spec["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = PieceKind.CONTROL if added["special"] else PieceKind.USER_DEFINED
    return tokens, kinds


def _name_of_split(backend: BackendTokenizer, ignore_merges: bool, directory: Path) -> str:
    """The first of the known splits that cuts all texts tried into the same pieces, or at least into the same tokens.

    The latter is so where a tokenizer cuts finer than a split: no merge joins what was cut when it was trained.
    """
    splits = {name: split for name, split in SPLITS.items() if split.ignore_merges == ignore_merges}
    pieces = [_pieces(text, backend.normalizer, backend.pre_tokenizer) for text in _PROBES]
    for name, split in splits.items():
        if pieces == [_pieces(text, split.normalizer(), split.pre_tokenizer()) for text in _PROBES]:
            return name
    ids = [backend.encode(text, add_special_tokens=False).ids for text in _PROBES]
    tried = BackendTokenizer.from_str(backend.to_str())
    for name, split in splits.items():
        tried.normalizer, tried.pre_tokenizer = split.normalizer(), split.pre_tokenizer()
        if ids == [tried.encode(text, add_special_tokens=False).ids for text in _PROBES]:
            return name
    raise CheckpointError(
        f"the tokenizer of {directory} splits texts in a way that has no name in GGUF files: name a folder"
    )


def _pieces(text: str, normalizer: Normalizer | None, pre_tokenizer: pre_tokenizers.PreTokenizer | None) -> list[str]:
    normalized = text if normalizer is None else normalizer.normalize_str(text)
    if pre_tokenizer is None:
        return [normalized]
    return [piece for piece, _ in pre_tokenizer.pre_tokenize_str(normalized)]


def _sentencepiece(model: SentencePieceModel, spec: dict[str, Any], vocab_size: int) -> dict[str, Value]:
    vocabulary = {piece.text: token_id for token_id, piece in enumerate(model.pieces) if piece.text}
    tokens, kinds = _table(spec, vocabulary, vocab_size)
    scores = np.full(vocab_size, -1000.0, np.float32)  # of a row that no text reaches, as llama.cpp's converter has it
    for token_id, piece in enumerate(model.pieces):
        kinds[token_id], scores[token_id] = piece.kind, piece.score
    said: dict[str, Value] = {
        "model": "llama" if model.algorithm is Algorithm.BPE else "t5",
        "pre": "default",
        "tokens": tokens,
        "scores": scores,
        "token_type": kinds,
        "add_space_prefix": model.add_dummy_prefix,
        "remove_extra_whitespaces": model.remove_extra_whitespaces,
    }
    if model.charsmap:
        said["precompiled_charsmap"] = np.frombuffer(model.charsmap, np.uint8)
    return said


def _special(tokenizer: Tokenizer) -> dict[str, Value]:
    """The ids that have a name, and what surrounds a text."""
    ids = {key: tokenizer.token_to_id(tokenizer.special_tokens.get(name, "")) for name, key in NAMED_KEYS.items()}
    plain, whole = tokenizer.encode("a", add_special_tokens=False), tokenizer.encode("a")
    return {
        **{key: token_id for key, token_id in ids.items() if token_id is not None},
        "add_bos_token": bool(whole) and whole[:1] == [ids["bos_token_id"]] != plain[:1],
        "add_eos_token": bool(whole) and whole[-1:] == [ids["eos_token_id"]] != plain[-1:],
    }


def _templates(tokenizer: Tokenizer) -> dict[str, Value]:
    if tokenizer.chat_template is None:
        return {}
    named = {name: tokenizer.chat_template.select(name) for name in tokenizer.chat_template.names}
    said: dict[str, Value] = {_TEMPLATE: named.pop("default")} if "default" in named else {}
    said |= {"tokenizer.chat_templates": [*named]} if named else {}
    return said | {f"{_TEMPLATE}.{name}": text for name, text in named.items()}


def _ends(metadata: dict[str, Value], directory: Path, eos_token_ids: Sequence[int]) -> dict[str, Value]:
    """Keys for the tokens that end a text and that nobody would know for such by their names."""
    known = end_ids(metadata, directory)
    missing = [token_id for token_id in eos_token_ids if token_id not in known]
    keys = [key for key in ("eos_token_id", "eot_token_id", "eom_token_id") if f"{_PREFIX}{key}" not in metadata]
    if len(missing) > len(keys):
        raise CheckpointError(
            f"{directory} has {len(eos_token_ids)} tokens that end a text, more than a GGUF file has keys for: name a "
            f"folder, or shorten eos_token_id in generation_config.json"
        )
    return {f"{_PREFIX}{key}": token_id for key, token_id in zip(keys, missing, strict=False)}


def _check(tokenizer: Tokenizer, metadata: dict[str, Value], directory: Path) -> None:
    backend, special_tokens = read_gguf(metadata, directory)
    read = Tokenizer(backend, special_tokens=special_tokens, chat_template=read_gguf_template(metadata, directory))
    for text in _texts(tokenizer):
        for add_special_tokens in (False, True):
            if tokenizer.encode(text, add_special_tokens) != read.encode(text, add_special_tokens):
                raise CheckpointError(
                    f"the tokenizer of {directory} cannot be said in a GGUF file: it would make other tokens of "
                    f"{text!r:.60}; name a folder"
                )


def _texts(tokenizer: Tokenizer) -> Iterator[str]:
    yield from _PROBES
    for added in tokenizer.backend_tokenizer.get_added_tokens_decoder().values():
        yield f"one {added.content} two{added.content}\n{added.content}"
