"""From corpora to batches: formatting, the tokenizer, packing, and a schedule that never changes."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import numpy as np
import pytest

from pagoda.errors import ConfigError
from pagoda.train.config import Recipe, SourceConfig, TokenizerConfig
from pagoda.train.data import BatchSchedule, TokenizedSource, format_document, prepare, read_documents, train_tokenizer

STORY = "A fox saw the moon. It wanted to touch it."
TEXT = [STORY, "The cat sat on the mat. 1234", "春风又绿江南岸，明月何时照我还。", "🦊 and a bear, naïve café"]


def write_corpus(folder: Path, name: str = "corpus.txt", copies: int = 30) -> Path:
    path = folder / name
    text = "\n<|endoftext|>\n".join(TEXT * copies)
    opener = gzip.open if name.endswith(".gz") else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return path


def make_recipe(folder: Path, sources: list[dict[str, object]], **train: object) -> Recipe:
    model = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
    }
    settings = {"tokens": 2048, "tokens_per_step": 128, "micro_batch_tokens": 128, "length_schedule": [[0.0, 64]]}
    raw = {"model": model, "tokenizer": {"vocab_size": 330}, "train": settings | train, "sources": sources}
    return Recipe.from_dict(raw, folder)


@pytest.mark.parametrize("name", ["corpus.txt", "corpus.txt.gz"])
def test_documents_are_read_plain_and_compressed(tmp_path: Path, name: str) -> None:
    write_corpus(tmp_path, name, copies=1)
    assert list(read_documents(SourceConfig(path=name), tmp_path / name)) == TEXT


def test_a_share_reads_the_beginning_only(tmp_path: Path) -> None:
    write_corpus(tmp_path, copies=10)
    whole = list(read_documents(SourceConfig(path="corpus.txt"), tmp_path / "corpus.txt"))
    half = list(read_documents(SourceConfig(path="corpus.txt", share=0.5), tmp_path / "corpus.txt"))
    assert half[:-1] == whole[: len(half) - 1]
    assert len(half) < 0.6 * len(whole)


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.txt does not exist in .*--data-dir"):
        prepare(make_recipe(tmp_path, [{"path": "absent.txt"}]), tmp_path / "data")


def test_traditional_characters_become_simplified(tmp_path: Path) -> None:
    pytest.importorskip("opencc")
    (tmp_path / "poem.txt").write_text("須臾走向天上來，逐却殘星趕却月。", encoding="utf-8")
    documents = list(read_documents(SourceConfig(path="poem.txt", script="simplified"), tmp_path / "poem.txt"))
    assert documents == ["须臾走向天上来，逐却残星赶却月。"]


def test_a_dialogue_becomes_turns() -> None:
    source = SourceConfig(path="x", kind="dialogue")
    formatted = format_document("User: hi\nAssistant: hello\nand welcome", source, random.Random(0))
    assert formatted == "<|user|>hi<|end|><|assistant|>hello\nand welcome<|end|>"


def test_a_prompt_quotes_the_document_and_is_answered_by_it() -> None:
    source = SourceConfig(path="x", chat_prompts=("Go on: {first_sentence}",), chat_share=1.0)
    formatted = format_document(STORY, source, random.Random(0))
    assert formatted == f"<|user|>Go on: A fox saw the moon.<|end|><|assistant|>{STORY}<|end|>"


def test_tokenizer_is_lossless_and_keeps_chinese_characters_apart() -> None:
    tokenizer = train_tokenizer(iter(TEXT * 50), TokenizerConfig(vocab_size=400))
    for text in [*TEXT, "unseen 字 ☃ \n\n  spaces"]:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    han = list(tokenizer.encode(TEXT[2]).ids[1:])
    assert all(sum("一" <= c <= "鿿" for c in tokenizer.decode([token])) <= 1 for token in han)
    assert tokenizer.encode("x").tokens[0] == "<|endoftext|>"
    assert tokenizer.encode("<|user|>").ids[1:] == [tokenizer.token_to_id("<|user|>")]


def test_prepared_data_holds_every_document_once_and_is_read_back(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    recipe = make_recipe(tmp_path, [{"path": "corpus.txt"}], held_back=10)
    tokenizer, (source,) = prepare(recipe, tmp_path / "data")
    text = tokenizer.decode(
        np.concatenate([source.train_ids, source.held_back_ids]).tolist(), skip_special_tokens=False
    )
    documents = [document for document in text.split("<|endoftext|>") if document]
    assert sorted(documents) == sorted(TEXT * 30)
    assert len(source.held_back_ids) > 0
    _, (again,) = prepare(recipe, tmp_path / "data")
    assert np.array_equal(again.train_ids, source.train_ids)


def test_another_seed_or_prompt_does_not_reuse_cached_data(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    plain = make_recipe(tmp_path, [{"path": "corpus.txt"}])
    chatty = make_recipe(tmp_path, [{"path": "corpus.txt", "chat_prompts": ["go"], "chat_share": 1.0}])
    _, (first,) = prepare(plain, tmp_path / "data")
    _, (second,) = prepare(chatty, tmp_path / "data")
    assert len(second.train_ids) > len(first.train_ids)


def numbered_source(length: int, **settings: object) -> TokenizedSource:
    ids = np.arange(length, dtype=np.uint16)
    return TokenizedSource(SourceConfig(path="n.txt", **settings), ids, ids[:0])  # type: ignore[arg-type]


def test_batches_are_pure_functions_of_step_and_fill_the_budget(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, [{"path": "n.txt"}])
    schedule = BatchSchedule([numbered_source(3000)], recipe)
    again = BatchSchedule([numbered_source(3000)], recipe)
    for step in range(recipe.train.num_steps):
        batch = schedule.batch(step)
        assert batch.shape == (2, 65)
        assert np.array_equal(batch, again.batch(step))
        assert np.array_equal(batch[:, 1:], batch[:, :-1] + 1), "a piece is consecutive tokens"


def test_one_epoch_sees_every_piece_once(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, [{"path": "n.txt"}], tokens=64 * 46)
    schedule = BatchSchedule([numbered_source(64 * 46 + 1)], recipe)
    starts = [int(row[0]) for step in range(recipe.train.num_steps) for row in schedule.batch(step)]
    assert sorted(starts) == [64 * i for i in range(46)]


def test_a_source_stays_within_its_part_of_training(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, [{"path": "n.txt"}], tokens=64 * 400)
    early = numbered_source(6401, stop=0.5)
    late = TokenizedSource(
        SourceConfig(path="m.txt", start=0.5), np.arange(10000, 16401, dtype=np.uint16), early.held_back_ids
    )
    schedule = BatchSchedule([early, late], recipe)
    is_late = [int(schedule.batch(step)[0, 0]) >= 10000 for step in range(recipe.train.num_steps)]
    assert is_late == sorted(is_late)


def test_too_small_a_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="less than one sequence"):
        BatchSchedule([numbered_source(10)], make_recipe(tmp_path, [{"path": "n.txt"}]))
