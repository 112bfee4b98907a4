"""Tokenizers from GGUF metadata: the ids of the tokenizers that the vocabularies were taken from, flag by flag."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import sentencepiece
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as BackendTokenizer

from pagoda.errors import CheckpointError
from pagoda.models.gguf.container import GGUFFile
from pagoda.models.tokenizer.gguf_splits import SPACE_MARKED, SPLITS
from pagoda.models.tokenizer.gguf_vocabulary import end_ids, has_vocabulary
from pagoda.models.tokenizer.sentencepiece import PieceKind
from pagoda.models.tokenizer.tokenizer import Tokenizer

TEXTS = [
    "The quick brown fox jumps over the lazy dog. It's 1234567 o'clock, WE'LL see\n\n\tdef f(x): return x  ",
    "今天天气很好，我们去公园散步吧。人工智能正在改变世界！中文和English混在一起。",
    "under the hill, up the hill, over the hill    and  far   away\r\n  = == ===",
]
ALPHABET = [
    *"abcdefghilnorstuvwyTHEW'.,!?0123456789=()  \n\t",
    *"今天气很好人工智能龘，！😀é①\u0301",
    "the ",
    "hill",
    "'ll",
]
SPECIAL = ["<|begin|>", "<|im_end|>", "<|endoftext|>"]
TEMPLATE = "{% for m in messages %}{{ bos_token }}{{ m.content }}<|im_end|>{% endfor %}"
Write = Callable[..., Path]


def random_strings(count: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choice(ALPHABET) for _ in range(chance.randint(0, 30))) for _ in range(count)]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(model=..., tokens=[...], ...)`: a file without tensors, with these keys under `tokenizer.ggml`."""

    def written(**entries: Any) -> Path:
        path = tmp_path / "model.gguf"
        writer = gguf.GGUFWriter(path, entries.pop("architecture", "llama"))
        for name, value in entries.items():
            key = f"tokenizer.{name}" if name.startswith("chat_template") else f"tokenizer.ggml.{name}"
            if isinstance(value, bool):
                writer.add_bool(key, value)
            elif isinstance(value, int):
                writer.add_uint32(key, value)
            else:
                (writer.add_array if isinstance(value, (list, bytes)) else writer.add_string)(key, value)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        return path

    return written


def byte_level(steps: list[pre_tokenizers.PreTokenizer], **options: Any) -> BackendTokenizer:
    """A trained tokenizer of tokenizer.json's kind; the last of `steps` but those behind it spells bytes."""
    backend = BackendTokenizer(models.BPE(**options))
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(TEXTS * 3, trainer)
    return backend


def entries_of(backend: BackendTokenizer) -> dict[str, Any]:
    """Its vocabulary and merges, as a converter writes them."""
    vocabulary = backend.get_vocab(with_added_tokens=True)
    added = {token.content: token.special for token in backend.get_added_tokens_decoder().values()}
    kinds = {True: PieceKind.CONTROL, False: PieceKind.USER_DEFINED, None: PieceKind.NORMAL}
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    return {
        "model": "gpt2",
        "tokens": tokens,
        "token_type": [int(kinds[added.get(text)]) for text in tokens],
        "merges": [" ".join(pair) for pair in json.loads(backend.to_str())["model"]["merges"]],
    }


def assert_same(path: Path, theirs: BackendTokenizer, texts: list[str]) -> None:
    ours = Tokenizer.from_file(path)
    for text in texts:
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, add_special_tokens=False) == ids, text
        for skip in (True, False):
            assert ours.decode(ids, skip) == theirs.decode(ids, skip_special_tokens=skip), text


def isolated(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


# As the families' own tokenizer.json have them.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    "\\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"
    "[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
FAMILIES: dict[str, list[pre_tokenizers.PreTokenizer]] = {
    "llama-bpe": [isolated(LLAMA3), BYTES],
    "qwen2": [isolated(LLAMA3.replace("{1,3}", "")), BYTES],
    "gpt-4o": [isolated(GPT4O), BYTES],
    "deepseek-v3": [*map(isolated, DEEPSEEK), BYTES],
    "tekken": [isolated(GPT4O.replace("{1,3}", "").replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "")), BYTES],
    "gpt-2": [GPT2],
    "smollm": [pre_tokenizers.Digits(individual_digits=True), GPT2],
    "falcon": [
        pre_tokenizers.Punctuation("contiguous"),
        GPT2,
        pre_tokenizers.Digits(individual_digits=False),
        isolated("[0-9][0-9][0-9]"),
    ],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_text_is_split_as_by_the_family_of_that_name(name: str, write: Write) -> None:
    theirs = byte_level(FAMILIES[name], ignore_merges=name in ("llama-bpe", "tekken"))
    if name == "qwen2":
        theirs.normalizer = normalizers.NFC()
    assert_same(write(**entries_of(theirs), pre=name), theirs, TEXTS + random_strings(1000))


@pytest.mark.parametrize("name", SPLITS)
def test_every_known_split_loses_nothing(name: str) -> None:
    steps = SPLITS[name].pre_tokenizer()
    for text in TEXTS + random_strings(100):
        pieces = steps.pre_tokenize_str(text)
        assert [spans[0] for _, spans in pieces] == [0, *(spans[1] for _, spans in pieces)][:-1]
        assert "".join(piece for piece, _ in pieces) == "".join(piece for piece, _ in BYTES.pre_tokenize_str(text))


def test_a_split_between_hundreds_is_counted_from_the_right() -> None:
    for name in ("superbpe", "afmoe", "tiny_aya"):
        pieces = [piece for piece, _ in SPLITS[name].pre_tokenizer().pre_tokenize_str("1234567")]
        assert pieces == ["1", "234", "567"], name


@pytest.fixture
def chat(write: Write) -> Callable[..., Path]:
    """`chat(key=value, ...)`: a byte-level file with the tokens of `SPECIAL` and two more, and these entries."""
    backend = byte_level([GPT2])
    backend.add_special_tokens(SPECIAL)
    backend.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("   ", normalized=False)])
    entries = entries_of(backend) | {"pre": "gpt-2", "eos_token_id": backend.token_to_id("<|im_end|>")}

    def with_entries(**more: Any) -> Path:
        return write(**{key: value for key, value in {**entries, **more}.items() if value is not None})

    return with_entries


def test_added_tokens_are_found_in_running_text_and_control_ones_are_special(chat: Callable[..., Path]) -> None:
    tokenizer = Tokenizer.from_file(chat())
    for text in (*SPECIAL, "<tool_call>", "   "):
        token_id = tokenizer.token_to_id(text)
        assert token_id is not None
        for around in ("x{}y", "x {} y", "{}", "你{}好"):
            ids = tokenizer.encode(around.format(text))
            assert ids.count(token_id) == 1
            assert tokenizer.decode(ids, skip_special_tokens=False) == around.format(text)
        assert (token_id in tokenizer.all_special_ids) == (text in SPECIAL)


def test_tokens_that_fill_up_the_vocabulary_are_none(chat: Callable[..., Path]) -> None:
    entries = GGUFFile.open(chat()).metadata
    tokens, kinds = entries["tokenizer.ggml.tokens"], entries["tokenizer.ggml.token_type"].tolist()
    count = len(tokens)
    fill = [f"[PAD{count}]", f"[PAD{count + 1}]"]
    tokenizer = Tokenizer.from_file(chat(tokens=tokens + fill, token_type=[*kinds, 5, 4]))
    assert tokenizer.num_tokens == count
    assert tokenizer.decode([count, count + 1], skip_special_tokens=False) == ""
    assert len(tokenizer.encode(fill[1])) > 1


@pytest.mark.parametrize(
    ("pre", "entries", "sides"),
    [
        ("gpt-2", {}, (False, False)),
        ("llama-bpe", {}, (True, False)),
        ("llama-bpe", {"add_bos_token": False}, (False, False)),
        ("gpt-2", {"add_bos_token": True, "add_eos_token": True}, (True, True)),
    ],
)
def test_bos_and_eos_surround_a_text_where_the_file_asks(
    pre: str, entries: dict[str, Any], sides: tuple[bool, bool], chat: Callable[..., Path]
) -> None:
    begin = Tokenizer.from_file(chat()).token_to_id("<|begin|>")
    tokenizer = Tokenizer.from_file(chat(pre=pre, bos_token_id=begin, **entries))
    plain = tokenizer.encode("hill", add_special_tokens=False)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert tokenizer.encode("hill") == [*([bos] if sides[0] else []), *plain, *([eos] if sides[1] else [])]


def test_templates_see_the_named_special_tokens(chat: Callable[..., Path]) -> None:
    begin = Tokenizer.from_file(chat()).token_to_id("<|begin|>")
    named = {"chat_template": TEMPLATE, "chat_template.tool_use": "{{ tools }}", "chat_templates": ["tool_use"]}
    tokenizer = Tokenizer.from_file(chat(bos_token_id=begin, **named))
    assert tokenizer.chat_template is not None
    assert tokenizer.chat_template.names == ["default", "tool_use"]
    assert tokenizer.apply_chat_template([{"role": "user", "content": "龘"}]) == "<|begin|>龘<|im_end|>"
    assert Tokenizer.from_file(chat()).chat_template is None


def names_of_ends(path: Path) -> list[str | None]:
    tokenizer, metadata = Tokenizer.from_file(path), GGUFFile.open(path).metadata
    return [tokenizer.backend_tokenizer.id_to_token(token_id) for token_id in end_ids(metadata, path)]


def test_a_text_ends_with_what_is_named_and_with_the_turn(chat: Callable[..., Path]) -> None:
    ids = {text: Tokenizer.from_file(chat()).token_to_id(text) for text in SPECIAL}
    assert names_of_ends(chat()) == ["<|im_end|>"]
    assert names_of_ends(chat(eos_token_id=ids["<|begin|>"])) == ["<|begin|>", "<|im_end|>"]
    assert names_of_ends(chat(padding_token_id=ids["<|endoftext|>"])) == ["<|im_end|>", "<|endoftext|>"]
    assert names_of_ends(chat(unknown_token_id=ids["<|endoftext|>"])) == ["<|im_end|>"]
    assert names_of_ends(chat(eot_token_id=ids["<|begin|>"])) == ["<|im_end|>", "<|begin|>"]


@pytest.mark.parametrize("calls", [True, False])
def test_the_end_of_a_message_is_no_end_where_answers_have_several(calls: bool, write: Write) -> None:
    tokens = ["a", "<|end|>", "<|return|>", "<|call|>" if calls else "b", "aa"]
    path = write(model="gpt2", pre="gpt-4o", tokens=tokens, token_type=[1, 3, 3, 3, 1], merges=["a a"])
    assert names_of_ends(path) == (["<|return|>", "<|call|>"] if calls else ["<|end|>", "<|return|>"])


def test_what_ends_a_text_is_special_whatever_the_file_calls_it(chat: Callable[..., Path]) -> None:
    metadata = GGUFFile.open(chat()).metadata
    end = metadata["tokenizer.ggml.tokens"].index("<|im_end|>")
    kinds = metadata["tokenizer.ggml.token_type"].tolist()
    for kind in (PieceKind.NORMAL, PieceKind.USER_DEFINED):
        kinds[end] = int(kind)
        assert end in Tokenizer.from_file(chat(token_type=kinds)).all_special_ids


def sentencepiece_model(**options: Any) -> sentencepiece.SentencePieceProcessor:
    buffer = io.BytesIO()
    given = {"byte_fallback": True, "remove_extra_whitespaces": False, "normalization_rule_name": "identity", **options}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 10 + ["ha" * 9, "    by   spaces"] * 5), model_writer=buffer, vocab_size=500,
        character_coverage=0.98, hard_vocab_limit=False, minloglevel=2, **given,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=buffer.getvalue())


def pieces_of(model: sentencepiece.SentencePieceProcessor) -> dict[str, Any]:
    ids = range(model.get_piece_size())
    tests = (
        (PieceKind.BYTE, model.is_byte), (PieceKind.UNKNOWN, model.is_unknown), (PieceKind.CONTROL, model.is_control),
        (PieceKind.UNUSED, model.is_unused), (PieceKind.NORMAL, lambda _: True),
    )  # fmt: skip
    return {
        "tokens": [model.id_to_piece(token_id) for token_id in ids],
        "scores": [model.get_score(token_id) for token_id in ids],
        "token_type": [int(next(kind for kind, is_kind in tests if is_kind(token_id))) for token_id in ids],
    }


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_bpe_gives_the_ids_of_sentencepiece(prefix: bool, write: Write) -> None:
    theirs = sentencepiece_model(model_type="bpe", add_dummy_prefix=prefix)
    flags = {} if prefix else {"add_space_prefix": False}
    ours = Tokenizer.from_file(write(model="llama", **pieces_of(theirs), **flags))
    for text in TEXTS + random_strings(1000):
        assert ours.encode(text) == [1, *theirs.encode(text)], text
    assert (ours.bos_token, ours.eos_token, ours.special_tokens["unk_token"]) == ("<s>", "</s>", "<unk>")


def test_scores_that_are_all_one_leave_the_order_of_the_vocabulary(write: Write) -> None:
    """So converters write vocabularies of which only a tokenizer.json was there."""
    theirs = sentencepiece_model(model_type="bpe")
    entries = pieces_of(theirs)
    ours = Tokenizer.from_file(write(model="llama", **entries | {"scores": [-1000.0] * len(entries["scores"])}))
    for text in TEXTS + random_strings(1000):
        assert ours.encode(text, add_special_tokens=False) == theirs.encode(text), text


def test_unigram_gives_the_ids_of_sentencepiece(write: Write) -> None:
    theirs = sentencepiece_model(model_type="unigram", remove_extra_whitespaces=True)
    flags = {"add_space_prefix": True, "remove_extra_whitespaces": True, "eos_token_id": 2, "unknown_token_id": 0}
    ours = Tokenizer.from_file(write(model="t5", **pieces_of(theirs), **flags))
    for text in TEXTS:
        assert ours.encode(text) == [*theirs.encode(text), 2], text


def test_symbols_of_phi3_take_the_space_behind_them(write: Write) -> None:
    entries = pieces_of(sentencepiece_model(model_type="bpe"))
    entries["tokens"] += ["<|user|>", "<|endoftext|>"]
    more = {"scores": [*entries["scores"], 0.0, 0.0], "token_type": [*entries["token_type"], 3, 3]}
    ours = Tokenizer.from_file(write(architecture="phi3", model="llama", **entries | more))
    user, plain = ours.encode("<|user|>\n hill", False), ours.encode("<|endoftext|>\n hill", False)
    assert user[1:] == ours.encode("hill", False)
    assert plain[1:] == ours.encode("\n hill", False)


def test_merges_over_marked_spaces_are_read_with_bytes_for_what_they_lack(write: Write) -> None:
    tokens = ["<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *"hil▁\n", "ll", "▁h", "\n\n"]
    kinds = [3, 2, *[6] * 256, *[1] * 8]
    merges = ["l l", "▁ h", "\n \n"]
    named = {"bos_token_id": 0, "unknown_token_id": 1, "add_bos_token": False}
    ours = Tokenizer.from_file(write(model="gemma4", tokens=tokens, token_type=kinds, merges=merges, **named))
    ids = ours.encode("hill hill\n\né")
    shown = [ours.backend_tokenizer.id_to_token(token_id) for token_id in ids]
    assert shown == ["<bos>", "h", "i", "ll", "▁h", "i", "ll", "\n\n", "<0xC3>", "<0xA9>"]
    assert ours.decode(ids) == "hill hill\n\né"


TINY: dict[str, Any] = {"tokens": ["h", "i", "hi"], "merges": ["h i"], "eos_token_id": 2}
PIECES: dict[str, Any] = {**TINY, "model": "t5", "scores": [0.0, -1.0, -2.0], "token_type": [1, 1, 2]}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown kind": ({"model": "rwkv"}, "of the kind 'rwkv'"),
    "a kind that is for encoders": ({"model": "bert"}, "of the kind 'bert'"),
    "no vocabulary": ({"model": "none"}, "of the kind 'none'"),
    "an unknown split": ({"pre": "tomorrow"}, "pre is 'tomorrow'"),
    "a split that is no name": ({"pre": 7}, "pre is 7"),
    "no tokens": ({"tokens": None}, "tokens is missing"),
    "an empty list of tokens": ({"tokens": [], "token_type": None}, "tokens is"),
    "a token twice": ({"tokens": ["a", "a"], "token_type": [1, 1]}, "holds 'a' twice"),
    "tokens that are numbers": ({"tokens": [1, 2]}, "tokens is no list of texts"),
    "kinds for other tokens": ({"token_type": [1, 1]}, "token_type is a list of 2"),
    "an unknown type of token": ({"token_type": [1, 9, 1], **TINY}, "token_type is a list that holds 9"),
    "no merges": ({"merges": None}, "merges is missing"),
    "a merge of unknown pieces": ({"merges": ["h i", "zz y"]}, "joins 'zz' and 'y'"),
    "a merge of one piece": ({"merges": ["hi"]}, "joins 'hi' and ''"),
    "an EOS that is no token": ({"eos_token_id": 10**6}, "eos_token_id is 1000000"),
    "a BOS that is no number": ({"bos_token_id": "<s>"}, "bos_token_id is '<s>'"),
    "a BOS that is asked for and missing": ({"add_bos_token": True}, "add_bos_token is true"),
    "no scores": ({"model": "llama", "eos_token_id": None}, "scores is missing"),
    "scores for other tokens": ({"model": "llama", "scores": [0.0]}, "scores is a list of 1"),
    "a normaliser that is none": ({**PIECES, "precompiled_charsmap": b"abc"}, "its charsmap is none"),
    "a normaliser that is a text": ({**PIECES, "precompiled_charsmap": "abc"}, "precompiled_charsmap is no list"),
    "a template that is no text": ({"chat_template": 3}, "as its chat template 'default'"),
}


@pytest.mark.parametrize(("entries", "told"), WRONG.values(), ids=list(WRONG))
def test_what_is_wrong_is_told_once_by_its_key(entries: dict[str, Any], told: str, chat: Callable[..., Path]) -> None:
    path = chat(**entries)
    with pytest.raises(CheckpointError) as error:
        Tokenizer.from_file(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)


def test_padding_that_is_no_token_is_told_and_left_out(
    chat: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    assert "pad_token" not in Tokenizer.from_file(chat(padding_token_id=10**6)).special_tokens
    assert "padding_token_id is 1000000" in caplog.text
    caplog.clear()
    assert "pad_token" not in Tokenizer.from_file(chat(padding_token_id=2**32 - 1)).special_tokens
    assert caplog.text == ""


def test_a_file_without_a_split_is_split_by_default_and_says_so(
    chat: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    by_default = Tokenizer.from_file(chat(pre=None))
    assert "tokenizer.ggml.pre" in caplog.text
    assert by_default.encode("1234 hill") == Tokenizer.from_file(chat(pre="default")).encode("1234 hill")


def test_a_file_may_bring_no_vocabulary(chat: Callable[..., Path]) -> None:
    assert has_vocabulary(GGUFFile.open(chat()).metadata)
    bare = GGUFFile.open(chat(model="none")).metadata
    assert not has_vocabulary(bare)
    assert end_ids(bare, Path("model.gguf")) == ()


def test_ends_are_told_of_a_vocabulary_that_is_not_read(chat: Callable[..., Path]) -> None:
    path = chat(model="rwkv")
    assert len(end_ids(GGUFFile.open(path).metadata, path)) == 1


def test_the_docs_list_every_split() -> None:
    page = (Path(__file__).parents[4] / "docs" / "network.md").read_text(encoding="utf-8")
    assert [name for name in (*SPLITS, *SPACE_MARKED) if f"`{name}`" not in page] == []
