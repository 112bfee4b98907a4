"""Encoding and decoding against transformers' fast tokenizer, on small vocabularies trained here.

Byte-level BPE as Llama 3 and Qwen have it, and BPE with byte fallback as Llama 2 has it, each saved by
transformers with its side files and read by both. Then directories as people have them, of every class and setting
that changes the ids, read by `AutoTokenizer` and by ours.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as BackendTokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pagoda.engine.text.detokenizer import IncrementalDetokenizer
from pagoda.models.tokenizer.tokenizer import Tokenizer

SENTENCES = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind at all.",
    "Hello, world! How are you today? I'm fine, thanks; you're kind.",
    "In 2024 we counted 12345 tokens, 678 of them rare.",
    "def main(argv):\n    return [x for x in range(10)]\n",
    "今天天气很好，我们去公园散步吧。人工智能正在改变世界。",
    "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？",
]
ALPHABET = [
    *"abcdefghijklmnopqrstuvwxyzTHI'.,0123456789!?:()[]=  \n\t▁",
    *"今天气很好我们去公园人工智能龘",
    *"😀🎉👩\u200dé①ﬁ\u3000\u00a0",
    *("   ", " the", "n't", "\r\n", "\n\n", " \n ", "<|bos|>", "<|end|>", "<tool>", "<s>", "</s>", "<pad>", "<|eo"),
]
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def llama3_style() -> BackendTokenizer:
    backend = BackendTokenizer(models.BPE(ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    _train(backend, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.add_tokens([AddedToken(text, special=True, normalized=False) for text in ("<|bos|>", "<|end|>")])
    template = processors.TemplateProcessing(
        single="<|bos|> $A", special_tokens=[("<|bos|>", backend.token_to_id("<|bos|>"))]
    )
    backend.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template])
    return backend


def qwen_style() -> BackendTokenizer:
    backend = BackendTokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    _train(backend, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.add_tokens([AddedToken("<|end|>", special=True, normalized=False)])
    backend.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    return backend


def llama2_style() -> BackendTokenizer:
    backend = BackendTokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    _train(backend, special_tokens=["<unk>", "<s>", "</s>", *byte_pieces], limit_alphabet=40)
    # The trainer marks its special tokens as added; bytes are pieces of the vocabulary, no tokens of their own.
    spec = json.loads(backend.to_str())
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["content"] not in byte_pieces]
    backend = BackendTokenizer.from_str(json.dumps(spec))
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return backend


def _train(backend: BackendTokenizer, **options: Any) -> None:
    backend.train_from_iterator(SENTENCES * 4, trainers.BpeTrainer(vocab_size=600, show_progress=False, **options))


STYLES = {
    "llama 3": (llama3_style, {"bos_token": "<|bos|>", "eos_token": "<|end|>"}),
    "qwen": (qwen_style, {"eos_token": "<|end|>", "pad_token": "<|end|>", "add_bos_token": False}),
    "qwen with new tokens": (qwen_style, {"eos_token": "<|end|>", "pad_token": "<pad>", "bos_token": "<|bos|>"}),
    "extra special tokens": (qwen_style, {"eos_token": "<|end|>", "additional_special_tokens": ["<tool>", "<s>"]}),
    "llama 2": (llama2_style, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
}


@pytest.fixture(scope="module", params=list(STYLES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    build, options = STYLES[request.param]
    directory = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=build(), **options).save_pretrained(directory)
    return Tokenizer.from_directory(directory), PreTrainedTokenizerFast.from_pretrained(directory)


def random_strings(count: int) -> Iterator[str]:
    chance = random.Random(0)
    for _ in range(count):
        yield "".join(chance.choice(ALPHABET) for _ in range(chance.randint(0, 25)))


@pytest.mark.parametrize("add_special_tokens", [True, False])
def test_ids_are_equal(pair: tuple[Tokenizer, Any], add_special_tokens: bool) -> None:
    ours, theirs = pair
    for text in [*SENTENCES, *random_strings(1500)]:
        expected = theirs.encode(text, add_special_tokens=add_special_tokens)
        assert ours.encode(text, add_special_tokens=add_special_tokens) == expected, text


@pytest.mark.parametrize("skip_special_tokens", [True, False])
def test_decoded_text_is_equal(pair: tuple[Tokenizer, Any], skip_special_tokens: bool) -> None:
    ours, theirs = pair
    chance = random.Random(1)
    samples = [ours.encode(text) for text in random_strings(500)]
    # Ids in any order: halves of characters, special tokens in the middle, ids that no text gives.
    samples += [[chance.randrange(ours.num_tokens) for _ in range(12)] for _ in range(1000)]
    for ids in samples:
        expected = theirs.decode(ids, skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False)
        assert ours.decode(ids, skip_special_tokens=skip_special_tokens) == expected, ids


def test_special_tokens_and_sizes_are_equal(pair: tuple[Tokenizer, Any]) -> None:
    ours, theirs = pair
    assert (ours.bos_token_id, ours.eos_token_id) == (theirs.bos_token_id, theirs.eos_token_id)
    assert ours.special_tokens == theirs.special_tokens_map
    assert (ours.vocab_size, ours.num_tokens) == (theirs.vocab_size, len(theirs))
    shown = [theirs.decode([i], clean_up_tokenization_spaces=False) for i in range(len(theirs))]
    hidden = [theirs.decode([i], skip_special_tokens=True) for i in range(len(theirs))]
    assert ours.all_special_ids == [i for i in range(len(theirs)) if shown[i] and not hidden[i]]


def test_the_bytes_of_tokens_join_to_what_transformers_decodes(pair: tuple[Tokenizer, Any]) -> None:
    ours, theirs = pair
    for text in random_strings(500):
        ids = theirs.encode(text, add_special_tokens=False)
        decoded = theirs.decode(ids, skip_special_tokens=True)
        joined = b"".join(map(ours.token_bytes, ids)).decode("utf-8", errors="replace")
        assert joined in (decoded, f" {decoded}"), text


def test_the_older_side_files_are_read_as_transformers_reads_them(tmp_path: Path) -> None:
    backend = qwen_style()
    backend.save(str(tmp_path / "tokenizer.json"))
    size = backend.get_vocab_size()
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|bos|>": size, "<later>": size + 1}))
    (tmp_path / "special_tokens_map.json").write_text(
        json.dumps({"bos_token": {"content": "<|bos|>", "lstrip": True, "rstrip": False, "normalized": False}})
    )
    ours, theirs = Tokenizer.from_directory(tmp_path), PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert (ours.bos_token_id, ours.num_tokens) == (theirs.bos_token_id, len(theirs))
    for text in [*random_strings(300), "a <|bos|> b<later>c"]:
        ids = theirs.encode(text)
        assert ours.encode(text) == ids, text
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def token(text: str, *flags: str) -> dict[str, Any]:
    """An added token as files list it, special unless "plain"."""
    named = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False) | dict.fromkeys(flags, True)
    return {"content": text, "special": "plain" not in flags, **{k: v for k, v in named.items() if k != "plain"}}


NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
LLAMA = {**NAMES, "tokenizer_class": "LlamaTokenizer"}
GENERIC = {"eos_token": "<|end|>", "tokenizer_class": "PreTrainedTokenizerFast"}
FLAGS = ("lstrip", "rstrip", "single_word", "normalized")
DIRECTORIES: dict[str, dict[str, Any]] = {
    **{
        f"llama 2 {settings}": {"build": llama2_style, "settings": {**LLAMA, **settings}}
        for settings in (
            {}, {"legacy": True}, {"legacy": False}, {"legacy": None}, {"add_prefix_space": False},
            {"add_prefix_space": True}, {"add_prefix_space": False, "legacy": True}, {"add_eos_token": True},
            {"tokenizer_class": "LlamaTokenizerFast"}, {"tokenizer_class": "PreTrainedTokenizerFast", "legacy": False},
            {"tokenizer_class": None, "add_prefix_space": False}, {"tokenizer_class": "TokenizersBackend"},
            {"bos_token": None},
        )
    },
    "llama 2, names left to the class": {"build": llama2_style, "settings": {"tokenizer_class": "LlamaTokenizer"}},
    "llama 2, class in config.json": {"build": llama2_style, "config": {"tokenizer_class": "LlamaTokenizer"}},
    "llama 2, no settings": {"build": llama2_style},
    **{
        f"llama 2 of {model_type}": {"build": llama2_style, "settings": LLAMA, "config": {"model_type": model_type}}
        for model_type in ("mistral", "mixtral", "qwen3", "phi3", "internlm2", "gemma2", "smollm3", "seed_oss", "olmo2")
    },
    **{
        f"no post-processor {settings}": {
            "build": llama2_style, "settings": {**NAMES, **settings}, "edit": {"post_processor": None}
        }
        for settings in (
            {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True},
            {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": True, "add_eos_token": True},
        )
    },
    **{
        f"a byte-level vocabulary under {name}": {
            "build": llama3_style, "settings": {"eos_token": "<|end|>", "bos_token": "<|bos|>", "tokenizer_class": name}
        }
        for name in ("LlamaTokenizer", "LlamaTokenizerFast", "PreTrainedTokenizerFast", "Unheard")
    },
    "GPT-2 with a space before": {
        "build": qwen_style, "edit": {"normalizer": None, "post_processor": None},
        "settings": {"eos_token": "<|end|>", "bos_token": "<|end|>", "unk_token": "<|end|>",
                     "tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True},
    },
    **{
        f"{flag} of a special token": {
            "build": llama2_style,
            "settings": {**LLAMA, "added_tokens_decoder": {"1": token("<s>", flag), "2": token("</s>", flag)}},
        }
        for flag in FLAGS
    },
    **{
        f"{flag} of a new token": {
            "build": qwen_style, "settings": {**GENERIC, "added_tokens_decoder": {"499": token("<new>", "plain", flag)}}
        }
        for flag in FLAGS
    },
    "a special token that is plain": {
        "build": qwen_style, "settings": {**GENERIC, "added_tokens_decoder": {"497": token("<|end|>", "plain")}}
    },
    "a plain token that is special": {
        "build": qwen_style, "settings": {**GENERIC, "added_tokens_decoder": {"498": token("<tool>")}}
    },
    "extra tokens listed": {"build": qwen_style, "settings": {**GENERIC, "extra_special_tokens": ["<new>", "<tool>"]}},
    "extra tokens named": {
        "build": qwen_style, "settings": {**GENERIC, "extra_special_tokens": {"image_token": "<new>", "b": "<tool>"}}
    },
    "a token of the model's own": {"build": qwen_style, "settings": {**GENERIC, "image_token": "<new>"}},
    "special tokens not special": {"build": qwen_style, "settings": {**GENERIC, "split_special_tokens": True}},
}  # fmt: skip
"""Name -> vocabulary, what `tokenizer.json` and `config.json` say otherwise, and `tokenizer_config.json`."""


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_directory_is_read_as_by_auto_tokenizer(name: str, tmp_path: Path) -> None:
    given = DIRECTORIES[name]
    spec = json.loads(given["build"]().to_str()) | given.get("edit", {})
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **given.get("config", {})}))
    if "settings" in given:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(given["settings"]))
    ours, theirs = Tokenizer.from_directory(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert ours.special_tokens == theirs.special_tokens_map
    assert (ours.vocab_size, ours.num_tokens) == (theirs.vocab_size, len(theirs))
    for text in [*SENTENCES[1:2], "a<s>b </s> c", *random_strings(80)]:
        for special in (True, False):
            assert ours.encode(text, special) == theirs.encode(text, add_special_tokens=special), text
    _assert_decoded_alike(ours, theirs)


def _assert_decoded_alike(ours: Tokenizer, theirs: Any) -> None:
    """Whole and token by token, ids of texts and any ids."""
    chance = random.Random(2)
    samples = [ours.encode(text) for text in random_strings(30)]
    for ids in [*samples, *([chance.randrange(ours.num_tokens) for _ in range(8)] for _ in range(40))]:
        for skip in (True, False):
            expected = theirs.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
            assert ours.decode(ids, skip_special_tokens=skip) == expected, ids
            stream = IncrementalDetokenizer(ours, skip_special_tokens=skip)
            assert "".join(map(stream.push, ids)) + stream.flush() == expected, ids
