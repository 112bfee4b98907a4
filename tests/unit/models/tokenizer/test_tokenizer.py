"""The tokenizer class: files, special tokens, bytes of a token, chats."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as BackendTokenizer

from pagoda.errors import CheckpointError, InvalidRequestError
from pagoda.models.tokenizer.tokenizer import Tokenizer

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "Hello, world! How are you today?",
    "今天天气很好，我们去公园散步吧。",
    "人工智能正在改变世界。",
    "over the hill, under the hill, up the hill",
]
CHATML = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level_backend(with_post_processor: bool = True) -> BackendTokenizer:
    backend = BackendTokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(SENTENCES * 3, trainer)
    special = ["<|bos|>", "<|im_start|>", "<|im_end|>"]
    backend.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    backend.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    if with_post_processor:
        backend.post_processor = processors.TemplateProcessing(
            single="<|bos|> $A", special_tokens=[("<|bos|>", backend.token_to_id("<|bos|>"))]
        )
    return backend


def sentencepiece_model() -> bytes:
    buffer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 5),
        model_writer=buffer,
        model_type="bpe",
        vocab_size=350,
        byte_fallback=True,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return buffer.getvalue()


def write_directory(directory: Path, config: dict[str, Any] | None = None, **backend_options: bool) -> Path:
    byte_level_backend(**backend_options).save(str(directory / "tokenizer.json"))
    settings = (
        {"bos_token": "<|bos|>", "eos_token": "<|im_end|>", "chat_template": CHATML} if config is None else config
    )
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_directory(write_directory(tmp_path_factory.mktemp("byte_level")))


@pytest.fixture(scope="module")
def byte_fallback(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    directory = tmp_path_factory.mktemp("byte_fallback")
    (directory / "tokenizer.model").write_bytes(sentencepiece_model())
    return Tokenizer.from_directory(directory)


TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("aeTh  \n今天😀▁")), max_size=30)


@given(text=TEXTS)
def test_the_bytes_of_byte_level_tokens_join_to_the_text(byte_level: Tokenizer, text: str) -> None:
    ids = byte_level.encode(text, add_special_tokens=False)
    assert b"".join(map(byte_level.token_bytes, ids)) == text.encode()
    assert byte_level.decode(ids) == text


@given(text=TEXTS.filter(lambda text: "▁" not in text))
def test_the_bytes_of_sentencepiece_tokens_join_to_the_text_after_one_space(
    byte_fallback: Tokenizer, text: str
) -> None:
    ids = byte_fallback.encode(text, add_special_tokens=False)
    assert b"".join(map(byte_fallback.token_bytes, ids)) == (b" " + text.encode() if text else b"")
    assert byte_fallback.decode(ids) == text


def test_special_tokens_and_padding_ids_have_no_bytes(byte_level: Tokenizer) -> None:
    for token_id in [*byte_level.all_special_ids, byte_level.num_tokens, byte_level.num_tokens + 1000, -1]:
        assert byte_level.token_bytes(token_id) == b""


def test_added_tokens_that_are_not_special_are_text(byte_level: Tokenizer) -> None:
    tool = byte_level.token_to_id("<tool>")
    assert byte_level.token_bytes(tool) == b"<tool>"
    assert byte_level.decode([tool], skip_special_tokens=True) == "<tool>"


def test_a_token_on_its_own_keeps_its_leading_space(byte_level: Tokenizer, byte_fallback: Tokenizer) -> None:
    for tokenizer in (byte_level, byte_fallback):
        last = tokenizer.encode("over the", add_special_tokens=False)[-1]
        assert tokenizer.token_text(last) == " the"
    assert byte_level.token_text(byte_level.token_to_id("<|im_end|>")) == "<|im_end|>"


def test_half_a_character_shows_as_a_replacement_character(byte_fallback: Tokenizer) -> None:
    first_byte = byte_fallback.token_to_id("<0xE4>")
    assert byte_fallback.token_bytes(first_byte) == b"\xe4"
    assert byte_fallback.token_text(first_byte) == "�"


def test_sizes_count_base_and_added_tokens(byte_level: Tokenizer) -> None:
    assert byte_level.num_tokens == byte_level.vocab_size + 4
    assert byte_level.token_to_id("<tool>") == byte_level.num_tokens - 1


def test_bos_and_eos_come_from_tokenizer_config(byte_level: Tokenizer) -> None:
    assert (byte_level.bos_token, byte_level.eos_token) == ("<|bos|>", "<|im_end|>")
    assert byte_level.bos_token_id == byte_level.token_to_id("<|bos|>")
    assert byte_level.eos_token_id in byte_level.all_special_ids
    assert byte_level.encode("Hello")[0] == byte_level.bos_token_id


def test_special_tokens_are_left_out_of_decoded_text_unless_asked_for(byte_level: Tokenizer) -> None:
    ids = byte_level.encode("Hello")
    assert byte_level.decode(ids) == "Hello"
    assert byte_level.decode(ids, skip_special_tokens=False) == "<|bos|>Hello"


def test_a_sentencepiece_text_begins_with_bos(byte_fallback: Tokenizer) -> None:
    assert byte_fallback.encode("Hello")[0] == byte_fallback.bos_token_id == 1
    assert byte_fallback.eos_token_id == 2
    assert byte_fallback.encode("") == [1]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [((True, False), (1, 0)), ((True, True), (1, 1)), ((False, True), (0, 1)), ((False, False), (0, 0))],
)
def test_add_bos_and_add_eos_count_for_a_vocabulary_of_pieces(
    flags: tuple[bool, bool], expected: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_model())
    config = {"add_bos_token": flags[0], "add_eos_token": flags[1]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = Tokenizer.from_directory(tmp_path)
    ids = tokenizer.encode("Hello")
    assert (ids.count(tokenizer.bos_token_id), ids.count(tokenizer.eos_token_id)) == expected


def test_a_tokenizer_json_that_names_no_post_processor_surrounds_a_text_with_nothing(tmp_path: Path) -> None:
    config = {"bos_token": "<|bos|>", "eos_token": "<|im_end|>", "add_bos_token": True, "add_eos_token": True}
    tokenizer = Tokenizer.from_directory(write_directory(tmp_path, config, with_post_processor=False))
    assert tokenizer.encode("Hello") == tokenizer.encode("Hello", add_special_tokens=False)


def test_the_vocabulary_s_own_post_processor_goes_before_add_bos_token(tmp_path: Path) -> None:
    config = {"bos_token": "<|bos|>", "add_bos_token": False}
    tokenizer = Tokenizer.from_directory(write_directory(tmp_path, config))
    assert tokenizer.encode("Hello")[0] == tokenizer.bos_token_id


def test_a_rendered_chat_has_one_bos(byte_level: Tokenizer) -> None:
    ids = byte_level.encode_chat([{"role": "user", "content": "Hello"}])
    assert ids.count(byte_level.bos_token_id) == 1
    assert byte_level.decode(ids, skip_special_tokens=False).endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_continuing_the_final_message_opens_no_new_one(byte_level: Tokenizer) -> None:
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "The fox"}]
    text = byte_level.apply_chat_template(messages, continue_final_message=True)
    assert text.endswith("<|im_start|>assistant\nThe fox")


def test_template_variables_reach_the_template(byte_level: Tokenizer) -> None:
    text = byte_level.apply_chat_template(
        [{"role": "user", "content": "x"}],
        chat_template="{{ messages[0].content }} {{ date_string }} {{ eos_token }}",
        date_string="26 Jul 2024",
    )
    assert text == "x 26 Jul 2024 <|im_end|>"


def test_a_tokenizer_without_a_template_says_what_to_do(byte_fallback: Tokenizer) -> None:
    with pytest.raises(InvalidRequestError, match=r"no chat template.*send a prompt"):
        byte_fallback.apply_chat_template([{"role": "user", "content": "x"}])
    assert not byte_fallback.has_chat_template
    rendered = byte_fallback.apply_chat_template(
        [{"role": "user", "content": "x"}], chat_template="{{ bos_token }}{{ messages[0].content }}"
    )
    assert rendered == "<s>x"


def test_a_jinja_file_goes_before_the_template_in_tokenizer_config(tmp_path: Path) -> None:
    write_directory(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("from the file: {{ messages[0].content }}")
    tokenizer = Tokenizer.from_directory(tmp_path)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}]) == "from the file: x"


def test_named_templates_are_read_from_a_list_and_from_files(tmp_path: Path) -> None:
    named = [
        {"name": "default", "template": "plain {{ messages[0].content }}"},
        {"name": "tool_use", "template": "tools {{ messages[0].content }}"},
    ]
    write_directory(tmp_path, {"chat_template": named})
    messages = [{"role": "user", "content": "x"}]
    tokenizer = Tokenizer.from_directory(tmp_path)
    assert tokenizer.apply_chat_template(messages) == "plain x"
    assert tokenizer.apply_chat_template(messages, tools=[{"type": "function"}]) == "tools x"
    (tmp_path / "chat_templates").mkdir()
    (tmp_path / "chat_templates" / "rag.jinja").write_text("documents {{ messages[0].content }}")
    assert Tokenizer.from_directory(tmp_path).apply_chat_template(messages, chat_template="rag") == "documents x"


def test_tokens_of_the_side_files_are_added(tmp_path: Path) -> None:
    size = byte_level_backend().get_vocab_size()
    declared = {str(size): {"content": "<extra>", "special": True, "normalized": False}}
    write_directory(tmp_path, {"bos_token": "<|bos|>", "added_tokens_decoder": declared})
    tokenizer = Tokenizer.from_directory(tmp_path)
    assert tokenizer.encode("<extra>", add_special_tokens=False) == [size]
    assert size in tokenizer.all_special_ids


def test_older_side_files_are_read_where_tokenizer_config_lists_no_tokens(tmp_path: Path) -> None:
    size = byte_level_backend().get_vocab_size()
    write_directory(tmp_path, {})
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<later>": size}))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "<later>"}}))
    tokenizer = Tokenizer.from_directory(tmp_path)
    assert tokenizer.eos_token_id == size
    assert tokenizer.decode([size]) == ""


def test_an_id_that_two_files_give_differently_is_refused(tmp_path: Path) -> None:
    write_directory(tmp_path, {"added_tokens_decoder": {"7": {"content": "<|bos|>", "special": True}}})
    with pytest.raises(CheckpointError, match=r"<\|bos\|>.* the id 7.*different checkpoints"):
        Tokenizer.from_directory(tmp_path)


def test_a_directory_without_a_tokenizer_names_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json, tokenizer\.model"):
        Tokenizer.from_directory(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.model does not exist"):
        Tokenizer.from_file(tmp_path / "absent.model")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_broken_json_is_refused_with_the_file_s_name(name: str, tmp_path: Path) -> None:
    write_directory(tmp_path)
    (tmp_path / name).write_text("{")
    with pytest.raises(CheckpointError, match=name):
        Tokenizer.from_directory(tmp_path)


def test_truncation_stored_in_tokenizer_json_does_not_cut_prompts(tmp_path: Path) -> None:
    backend = byte_level_backend()
    backend.enable_truncation(max_length=4)
    backend.enable_padding(length=8, pad_token="<|im_end|>")
    backend.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.from_directory(tmp_path)
    assert tokenizer.decode(tokenizer.encode(SENTENCES[0])) == SENTENCES[0]
    assert len(tokenizer.encode("a")) == 2


def test_the_published_llama_2_tokenizer_gives_the_documented_ids(shared_data: Path) -> None:
    weights = shared_data / "weights"
    tokenizer = Tokenizer.from_file(weights / "tokenizer.model")
    assert tokenizer.encode("Hello this is a test") == [1, 15043, 445, 338, 263, 1243]
    assert tokenizer.num_tokens == 32000


@pytest.mark.parametrize("text", ["", "a", "over the hill" * 50, " " * 300, "今天🦊" * 20, "\n" * 200, "<tool>" * 9])
def test_no_text_has_fewer_tokens_than_are_known_at_once(text: str) -> None:
    tokenizer = Tokenizer(byte_level_backend())
    assert tokenizer.least_num_tokens(text) <= len(tokenizer.encode(text, add_special_tokens=False))
    assert tokenizer.least_num_tokens("a" * 100_000) > 100


def test_what_a_normalizer_may_take_away_is_not_counted() -> None:
    shrinking = byte_level_backend()
    shrinking.normalizer = normalizers.Strip()
    assert Tokenizer(shrinking).least_num_tokens(" " * 100_000) == 0


@pytest.mark.parametrize("wrong", [-1, 2**32, 2**70, 1.5, None, "a"])
@pytest.mark.parametrize("length", [1, 5000])
def test_what_is_no_token_id_is_not_decoded(wrong: Any, length: int) -> None:
    tokenizer = Tokenizer(byte_level_backend())
    with pytest.raises(InvalidRequestError, match=f"{wrong!r} is no token id"):
        tokenizer.decode([5] * (length - 1) + [wrong])
