"""Tokenizers written as GGUF metadata and as folders, and read again: the same ids, or a refusal that says why."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as BackendTokenizer

from pagoda.errors import CheckpointError
from pagoda.models.gguf.container import GGUFFile
from pagoda.models.gguf.header_writing import header
from pagoda.models.tokenizer.chat_template import ChatTemplate
from pagoda.models.tokenizer.gguf_splits import SPLITS
from pagoda.models.tokenizer.gguf_vocabulary import end_ids
from pagoda.models.tokenizer.gguf_writing import tokenizer_metadata
from pagoda.models.tokenizer.saving import save_tokenizer
from pagoda.models.tokenizer.tokenizer import Tokenizer

TEXTS = [
    "The quick brown fox jumps over the lazy dog. It's 1234567 o'clock, WE'LL see\n\n\tdef f(x): return x  ",
    "今天天气很好，我们去公园散步吧。中文和English混在一起。",
    "<|begin|>under the hill<|im_end|>\n up the hill <tool> over  ",
]
SPECIAL = ["<|begin|>", "<|im_end|>", "<|pad|>"]
TEMPLATE = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
Made = Callable[..., Tokenizer]


@pytest.fixture
def made() -> Made:
    """`made(split)`: a byte-level tokenizer with a split that GGUF files name, special tokens and templates."""

    def build(name: str = "qwen2", **options: Any) -> Tokenizer:
        split = SPLITS[name]
        backend = BackendTokenizer(models.BPE(ignore_merges=split.ignore_merges))
        backend.pre_tokenizer = options.get("pre_tokenizer", split.pre_tokenizer())
        if (normalizer := split.normalizer()) is not None:
            backend.normalizer = normalizer
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=SPECIAL)
        backend.train_from_iterator(TEXTS * 3, trainer)
        backend.add_tokens([AddedToken("<tool>", normalized=False)])
        if options.get("bos"):
            backend.post_processor = processors.TemplateProcessing(
                single=["<|begin|>", "$A"], special_tokens=[("<|begin|>", 0)]
            )
        named = {"bos_token": "<|begin|>", "eos_token": "<|im_end|>", "pad_token": "<|pad|>"}
        template = ChatTemplate({"default": TEMPLATE, "tool_use": f"tools {TEMPLATE}"})
        return Tokenizer(backend, special_tokens=named, chat_template=template)

    return build


def _read(metadata: dict[str, Any], tmp_path: Path) -> Tokenizer:
    path = tmp_path / "tokenizer.gguf"
    path.write_bytes(header({"general.architecture": "llama", **metadata}, 0))
    return Tokenizer.from_gguf(GGUFFile.open(path))


@pytest.mark.parametrize("name", ["llama-bpe", "qwen2", "gpt-2", "smollm", "deepseek-v3", "tekken"])
@pytest.mark.parametrize("bos", [True, False])
def test_a_byte_level_tokenizer_comes_back(name: str, bos: bool, made: Made, tmp_path: Path) -> None:
    ours = made(name, bos=bos)
    metadata = tokenizer_metadata(ours, tmp_path, 512)
    assert metadata["tokenizer.ggml.pre"] == name
    assert len(metadata["tokenizer.ggml.tokens"]) == 512
    theirs = _read(metadata, tmp_path)
    assert theirs.special_tokens == ours.special_tokens
    assert theirs.chat_template is not None
    assert theirs.chat_template.select("tool_use") == f"tools {TEMPLATE}"
    for text in TEXTS:
        assert theirs.encode(text) == ours.encode(text)
        assert theirs.decode(ours.encode(text)) == ours.decode(ours.encode(text))
    chat = [{"role": "user", "content": "the hill"}]
    assert theirs.encode_chat(chat) == ours.encode_chat(chat)


def test_every_token_that_ends_a_text_is_known_again(made: Made, tmp_path: Path) -> None:
    tokenizer = made()
    metadata = tokenizer_metadata(tokenizer, tmp_path, 512, [1, 2, 5])
    assert end_ids(metadata, tmp_path) == (1, 2, 5)
    with pytest.raises(CheckpointError, match="more than a GGUF file has keys for"):
        tokenizer_metadata(tokenizer, tmp_path, 512, [1, 2, 5, 6])


def test_what_no_file_says_is_refused(made: Made, tmp_path: Path) -> None:
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for tokenizer, told in (
        (made(pre_tokenizer=whole), "in a way that has no name in GGUF files"),
        (Tokenizer(BackendTokenizer(models.WordLevel({"a": 0}))), "neither byte-level BPE nor SentencePiece's"),
    ):
        with pytest.raises(CheckpointError, match=told):
            tokenizer_metadata(tokenizer, tmp_path, 512)
    with pytest.raises(CheckpointError, match="but the embedding 300 rows"):
        tokenizer_metadata(made(), tmp_path, 300)


def test_a_finer_split_than_those_with_a_name_is_one_of_them(made: Made, tmp_path: Path) -> None:
    finer = [pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"), SPLITS["smollm"].pre_tokenizer()]
    ours = made(pre_tokenizer=pre_tokenizers.Sequence(finer))
    metadata = tokenizer_metadata(ours, tmp_path, 512)
    theirs = _read(metadata, tmp_path)
    for text in TEXTS:
        assert theirs.encode(text) == ours.encode(text)


def test_a_token_that_swallows_spaces_cannot_be_said(made: Made, tmp_path: Path) -> None:
    tokenizer = made()
    tokenizer.backend_tokenizer.add_tokens([AddedToken("<swallow>", rstrip=True, lstrip=True, normalized=False)])
    with pytest.raises(CheckpointError, match="it would make other tokens of 'one <swallow> two"):
        tokenizer_metadata(tokenizer, tmp_path, 512)


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_a_sentencepiece_tokenizer_comes_back_with_its_scores(model_type: str, tmp_path: Path) -> None:
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20), model_writer=trained, vocab_size=400, model_type=model_type,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    (tmp_path / "tokenizer.model").write_bytes(trained.getvalue())
    ours = Tokenizer.from_directory(tmp_path)
    metadata = tokenizer_metadata(ours, tmp_path, ours.num_tokens + 3)
    theirs = _read(metadata, tmp_path)
    assert metadata["tokenizer.ggml.scores"].dtype == np.float32
    for text in TEXTS:
        assert theirs.encode(text) == ours.encode(text)


def test_the_files_of_a_folder_are_read_as_the_same_tokenizer(made: Made, tmp_path: Path) -> None:
    ours = made("llama-bpe", bos=True)
    save_tokenizer(ours, tmp_path)
    theirs = Tokenizer.from_directory(tmp_path)
    assert theirs.special_tokens == ours.special_tokens
    assert theirs.chat_template is not None
    assert theirs.chat_template.names == ["default", "tool_use"]
    for text in TEXTS:
        assert theirs.encode(text) == ours.encode(text)
        assert theirs.decode(ours.encode(text)) == ours.decode(ours.encode(text))


def test_numbers_of_every_kind_stand_in_a_header_as_they_are_read(tmp_path: Path) -> None:
    said = {
        "general.architecture": "llama", "flag": True, "small": 7, "large": 1 << 40, "float": 0.5, "text": "é\udcff",
        "texts": ["a", ""], "floats": np.array([1.5, -2], np.float32), "flags": np.array([True, False]),
    }  # fmt: skip
    path = tmp_path / "a.gguf"
    path.write_bytes(header(said, 0))
    found = GGUFFile.open(path).metadata
    assert found.keys() == said.keys()
    for key, value in said.items():
        assert np.array_equal(found[key], value) if isinstance(value, np.ndarray) else found[key] == value
        assert type(found[key]) is type(value)


def test_a_normalizer_of_its_own_is_no_known_split(made: Made, tmp_path: Path) -> None:
    tokenizer = made()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(CheckpointError, match="no name in GGUF files"):
        tokenizer_metadata(tokenizer, tmp_path, 512)
