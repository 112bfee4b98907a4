"""A tokenizer from the metadata of a GGUF file: vocabulary, special tokens, chat templates, tokens that end a text.

At both ends of a token's path, below `models/tokenizer/tokenizer`, where a checkpoint is one file of llama.cpp. The
keys are those of `docs/gguf.md` of ggml (github.com/ggml-org/ggml) under `tokenizer.ggml`. Two kinds of vocabulary are
language models': byte-level BPE ("gpt2"), whose split `gguf_splits` knows by name, and SentencePiece's ("llama" is its
BPE, "t5" its Unigram), which `sentencepiece` builds. "gemma4" has merges like the first and pieces like the second.
What the metadata does not say is taken as llama.cpp takes it.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, decoders, models, normalizers, processors
from tokenizers import Tokenizer as BackendTokenizer

from pagoda.errors import CheckpointError
from pagoda.models.tokenizer.chat_template import ChatTemplate
from pagoda.models.tokenizer.gguf_splits import DEFAULT, SPACE_MARKED, SPLITS, TextSplit
from pagoda.models.tokenizer.sentencepiece import (
    SPACE,
    Algorithm,
    Piece,
    PieceKind,
    SentencePieceModel,
    build_tokenizer,
)

logger = logging.getLogger(__name__)

_PREFIX = "tokenizer.ggml."
_TEMPLATE = "tokenizer.chat_template"
_NO_VOCABULARY = ("none", "no_vocab")
_INSTEAD = "name the model's own tokenizer in the parameter tokenizer"
NAMED_KEYS = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "sep_token": "seperator_token_id",  # so it is spelled there
    "pad_token": "padding_token_id",
    "cls_token": "cls_token_id",
    "mask_token": "mask_token_id",
}
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")
_NEEDED = ("bos_token_id", *_ENDS)
_NONE = 2**32 - 1  # -1 in 32 bits
_TURN_ENDS = frozenset({
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<end_of_turn>", "<|end|>", "<|return|>", "<|call|>",
    "<|calls|>", "<|flush|>", "<turn|>", "<|tool_response>", "<end_of_utterance>", "[EOT]",
})  # fmt: skip
"""Names under which a turn of a chat ends, whichever family has them."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_PHI3_PLAIN = {"<unk>", "<s>", "<|endoftext|>"}
"""The symbols of Phi-3 that leave the white space behind them to the text; its others swallow it."""
_DOCUMENT_END = "<|endoftext|>"

_KINDS: dict[str, dict[str, int]] = {
    "gpt2": {},
    "gemma4": {},
    "llama": {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0},
    "t5": {"eos_token_id": 1, "unknown_token_id": 2, "padding_token_id": 0},
}
"""The values of `tokenizer.ggml.model` that are read, and the ids of theirs that a file need not name."""


def has_vocabulary(metadata: Mapping[str, Any]) -> bool:
    """Whether a file brings any; one without runs on token ids."""
    return str(metadata.get(f"{_PREFIX}model", "none")) not in _NO_VOCABULARY


def read_gguf(metadata: Mapping[str, Any], path: Path) -> tuple[BackendTokenizer, dict[str, str]]:
    """A file's vocabulary, and its named special tokens.

    metadata: as `GGUFFile` has it; path: the file's, for messages
    Raises CheckpointError for a kind of vocabulary that is not read, and where the metadata contradicts itself.
    """
    vocabulary = _Vocabulary(metadata, path)
    return vocabulary.build(), vocabulary.special_tokens


def read_gguf_template(metadata: Mapping[str, Any], path: Path) -> ChatTemplate | None:
    """The chat templates of a file, None where it has none. Raises CheckpointError where one is no text."""
    found = {
        key.removeprefix(_TEMPLATE).lstrip(".") or "default": value
        for key, value in metadata.items()
        if key == _TEMPLATE or key.startswith(f"{_TEMPLATE}.")
    }
    for name, value in found.items():
        if not _is_text(value):
            raise CheckpointError(
                f"{path} has {value!r:.80} as its chat template {name!r}, but a text is expected: convert the model "
                f"again, or give a template in the parameter chat_template"
            )
    return ChatTemplate(found) if found else None


def end_ids(metadata: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    """The tokens that end a text: those that the metadata names, then those of `_TURN_ENDS` that the vocabulary has.

    A file names one to three, where the checkpoint's generation_config.json may name more (Llama 3.1 "<|eom_id|>",
    Qwen "<|endoftext|>"). llama.cpp goes by name, too, and takes more: tokens of filling-in and of repositories, which
    end what `infilling` asks for and nothing else, and "<|endoftext|>" everywhere; here it counts where the file gives
    it a part of its own, as Qwen's do and SmolLM2's do not.
    Raises CheckpointError for an id outside of the vocabulary.
    """
    return _Vocabulary(metadata, path).end_ids if has_vocabulary(metadata) else ()


class _Vocabulary:
    """The metadata under `tokenizer.ggml`, checked as it is asked for."""

    def __init__(self, metadata: Mapping[str, Any], path: Path) -> None:
        self._metadata = metadata
        self._path = path
        self._model = str(metadata.get(f"{_PREFIX}model"))
        self._is_byte_level = self._model == "gpt2" and str(metadata.get(f"{_PREFIX}pre")) not in SPACE_MARKED

    def build(self) -> BackendTokenizer:
        """Raises CheckpointError."""
        if self._model not in _KINDS:
            raise CheckpointError(
                f"{self._path} has a vocabulary of the kind {self._model!r} ({_PREFIX}model), read are "
                f"{', '.join(_KINDS)}: {_INSTEAD}"
            )
        if self._model in ("llama", "t5"):
            backend = self._sentencepiece()
        else:
            backend = self._byte_level() if self._is_byte_level else self._space_marked()
            backend.add_tokens(self._added_tokens())
        self._surround(backend)
        return backend

    @cached_property
    def tokens(self) -> list[str]:
        """As the file spells them, but "" for those that only fill a model's vocabulary up to a round number."""
        tokens = self._texts("tokens")
        if not tokens:
            raise self._wrong("tokens", "empty")
        if len(set(tokens)) != len(tokens):
            twice = next(text for text, count in Counter(tokens).items() if count > 1)
            raise self._wrong("tokens", f"a list that holds {twice!r} twice")
        if self._model == "t5":
            return tokens  # Unigram has a place for every id.
        return ["" if text.startswith("[PAD") and text == f"[PAD{i}]" else text for i, text in enumerate(tokens)]

    @cached_property
    def kinds(self) -> list[PieceKind]:
        """One for each token. What is named, or ends a text, is a control symbol, whatever the file calls it."""
        kinds = self._stored_kinds()
        for token_id in (*self.ids.values(), *self.end_ids):
            is_symbol = self.tokens[token_id][:1] in "<[" and self.tokens[token_id][-1:] in ">]"
            if is_symbol and kinds[token_id] in (PieceKind.NORMAL, PieceKind.USER_DEFINED):
                kinds[token_id] = PieceKind.CONTROL
        return kinds

    @cached_property
    def ids(self) -> dict[str, int]:
        """The ids that have a part of their own, by their keys' ends."""
        found: dict[str, int] = {}
        for key in (*NAMED_KEYS.values(), "eot_token_id", "eom_token_id"):
            token_id = self._get(key, int, _NONE)
            if 0 <= token_id < len(self.tokens):
                found[key] = token_id
            elif token_id not in (_NONE, -1):
                self._refuse_id(key, f"{token_id}, but there are {len(self.tokens)} tokens")
        by_default = {
            key: token_id for key, token_id in _KINDS.get(self._model, {}).items() if token_id < len(self.tokens)
        }
        return {**by_default, **found}

    def _refuse_id(self, key: str, what: str) -> None:
        """Many files name padding that they do not hold, which nothing is computed with."""
        if key in _NEEDED:
            raise self._wrong(key, what)
        logger.warning("%s: %s%s is %s: the model is taken to have no such token", self._path, _PREFIX, key, what)

    @cached_property
    def special_tokens(self) -> dict[str, str]:
        """{"bos_token": "<s>", ...}, those that the file names."""
        named = {name: self.tokens[self.ids[key]] for name, key in NAMED_KEYS.items() if key in self.ids}
        return {name: text for name, text in named.items() if text}

    @cached_property
    def end_ids(self) -> tuple[int, ...]:
        declared = [self.ids[key] for key in _ENDS if key in self.ids]
        ends = set(_TURN_ENDS)
        if _DOCUMENT_END in {self.special_tokens.get(name) for name in ("bos_token", "eos_token", "pad_token")}:
            ends.add(_DOCUMENT_END)
        found = {text: token_id for token_id, text in enumerate(self.tokens) if text in ends}
        if found.keys() & {"<|return|>", "<|flush|>"} and found.keys() & {"<|call|>", "<|calls|>"}:
            found.pop("<|end|>", None)  # There it ends a message, of which an answer has several.
        return tuple(dict.fromkeys((*declared, *found.values())))

    def _stored_kinds(self) -> list[PieceKind]:
        given = self._numbers("token_type")
        if given is None:
            return [PieceKind.NORMAL] * len(self.tokens)
        known = {int(kind): kind for kind in PieceKind}
        numbers = given.tolist()
        for number in set(numbers) - known.keys():
            raise self._wrong("token_type", f"a list that holds {number!r}, known are {', '.join(map(str, known))}")
        return [known[number] for number in numbers]

    @cached_property
    def _split(self) -> TextSplit:
        name = self._get("pre", str, None)
        if name is None:
            logger.warning(
                "%s does not say how its tokenizer splits a text (%spre): it is split as llama.cpp does by default, "
                "which need not be how the model was trained; to be sure, %s",
                *(self._path, _PREFIX, _INSTEAD),
            )
            return DEFAULT
        if name not in SPLITS:
            raise self._wrong("pre", f"{name!r}, and pagoda does not know how that tokenizer splits a text")
        return SPLITS[name]

    def _byte_level(self) -> BackendTokenizer:
        split = self._split
        backend = BackendTokenizer(self._bpe(ignore_merges=split.ignore_merges))
        if split.nfc:
            backend.normalizer = normalizers.NFC()
        backend.pre_tokenizer = split.pre_tokenizer()
        backend.decoder = decoders.ByteLevel()
        return backend

    def _space_marked(self) -> BackendTokenizer:
        unknown, fallback = self.special_tokens.get("unk_token"), PieceKind.BYTE in self.kinds
        backend = BackendTokenizer(self._bpe(unk_token=unknown, fuse_unk=True, byte_fallback=fallback))
        backend.normalizer = normalizers.Replace(" ", SPACE)
        backend.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
        return backend

    def _sentencepiece(self) -> BackendTokenizer:
        scores = self._numbers("scores")
        if scores is None:
            raise self._wrong("scores", "missing")
        model = SentencePieceModel(
            pieces=tuple(map(Piece, self.tokens, scores.tolist(), self.kinds)),
            algorithm=Algorithm.BPE if self._model == "llama" else Algorithm.UNIGRAM,
            byte_fallback=PieceKind.BYTE in self.kinds,
            unk_id=self.ids.get("unknown_token_id", -1),
            charsmap=self._charsmap(),
            add_dummy_prefix=self._get("add_space_prefix", bool, self._model == "llama"),
            remove_extra_whitespaces=self._get("remove_extra_whitespaces", bool, False),
        )
        is_phi3 = self._metadata.get("general.architecture") == "phi3"
        try:
            return build_tokenizer(model, swallowing=set(self.tokens) - _PHI3_PLAIN if is_phi3 else ())
        # The library raises bare Exception for whatever it does not take.
        except Exception as error:
            raise self._wrong(
                "tokens", f"no vocabulary of SentencePiece's, or its charsmap is none ({error})"
            ) from error

    def _charsmap(self) -> bytes:
        given = self._metadata.get(f"{_PREFIX}precompiled_charsmap", np.zeros(0, np.uint8))
        if not isinstance(given, np.ndarray) or given.dtype.itemsize != 1:
            raise self._wrong("precompiled_charsmap", "no list of bytes")
        return given.tobytes()

    def _bpe(self, **options: Any) -> models.BPE:
        vocab = {text: token_id for token_id, text in enumerate(self.tokens) if text}
        merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in self._texts("merges"))]
        try:
            return models.BPE(vocab=vocab, merges=merges, **options)
        # The library raises bare Exception for whatever it does not take.
        except Exception as error:
            wrong = [pair for pair in merges if not vocab.keys() >= {*pair, "".join(pair)}]
            shown = " and ".join(map(repr, wrong[0])) if wrong else str(error)
            raise self._wrong("merges", f"a list that joins {shown}, which are not all tokens") from error

    def _added_tokens(self) -> list[AddedToken]:
        """What a text may spell and no merge makes. Special is what `decode` may leave out."""
        special = (PieceKind.CONTROL, PieceKind.UNKNOWN)
        return [
            AddedToken(text, normalized=False, special=kind in special)
            for text, kind in zip(self.tokens, self.kinds, strict=True)
            if text and kind in (*special, PieceKind.USER_DEFINED)
        ]

    def _surround(self, backend: BackendTokenizer) -> None:
        """BOS before and EOS behind a text, where the file asks for them."""
        by_default = self._model == "llama" or (self._is_byte_level and self._split.add_bos)
        # Early files of Gemma 4 say that it has no BOS, and are wrong.
        bos = self._side("bos", self._get("add_bos_token", bool, by_default) or self._model == "gemma4")
        eos = self._side("eos", self._get("add_eos_token", bool, self._model == "t5"))
        if bos or eos:
            backend.post_processor = processors.TemplateProcessing(
                single=[*bos, "$A", *eos], special_tokens=[(text, backend.token_to_id(text)) for text in {*bos, *eos}]
            )

    def _side(self, side: str, is_asked: bool) -> list[str]:
        text = self.special_tokens.get(f"{side}_token")
        if is_asked and text is None and f"{_PREFIX}add_{side}_token" in self._metadata:
            raise self._wrong(f"add_{side}_token", f"true, but {_PREFIX}{side}_token_id names no token")
        return [text] if is_asked and text is not None else []

    def _get(self, key: str, expected: type, default: Any) -> Any:
        value = self._metadata.get(f"{_PREFIX}{key}")
        if value is not None and type(value) is not expected:
            raise self._wrong(key, f"{value!r:.80}, expected is {expected.__name__}")
        return default if value is None else value

    def _texts(self, key: str) -> list[str]:
        given = self._metadata.get(f"{_PREFIX}{key}")
        if not isinstance(given, list) or set(map(type, given)) - {str} or not _is_text("".join(given)):
            raise self._wrong(key, "missing" if given is None else "no list of texts")
        return given

    def _numbers(self, key: str) -> np.ndarray | None:
        """One for each token."""
        given = self._metadata.get(f"{_PREFIX}{key}")
        if given is None:
            return None
        if not isinstance(given, np.ndarray):
            raise self._wrong(key, "no list of numbers")
        if len(given) != len(self.tokens):
            raise self._wrong(key, f"a list of {len(given)}, but there are {len(self.tokens)} tokens")
        return given

    def _wrong(self, key: str, what: str) -> CheckpointError:
        return CheckpointError(f"{self._path}: {_PREFIX}{key} is {what}. Convert the model again, or {_INSTEAD}")


def _is_text(value: Any) -> bool:
    """Bytes that are no UTF-8 stand in the metadata as lone surrogates."""
    return isinstance(value, str) and _LONE_SURROGATE.search(value) is None
