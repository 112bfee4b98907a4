"""Files of llama2.c: weights, the tokenizer beside them, and the story that its author's model tells."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pagoda.errors import CheckpointError
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.models.checkpoint.llama2c import load_llama2c
from pagoda.models.checkpoint.loading import load_config, load_tokenizer, load_weights
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

Build = Callable[..., LlamaForCausalLM]
AssertEqual = Callable[[nn.Module, nn.Module], None]


def interleaved(weight: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Half-split rows back into llama2.c's pairs, head by head and row by row."""
    rows = []
    for head in weight.split(head_dim):
        for i in range(head_dim // 2):
            rows += [head[i], head[i + head_dim // 2]]
    return torch.stack(rows)


def write_llama2c(path: Path, model: LlamaForCausalLM, config: ModelConfig, untied: bool) -> None:
    """llama2.c's version 0 export, as its export.py orders it."""
    weights = dict(model.named_parameters(remove_duplicate=False))
    layers = range(config.num_hidden_layers)
    header = (
        config.hidden_size,
        config.intermediate_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.num_key_value_heads,
        -config.vocab_size if untied else config.vocab_size,
        config.max_position_embeddings,
    )
    data = [struct.pack("<7i", *header)]

    def put(tensor: torch.Tensor) -> None:
        data.append(tensor.detach().numpy().astype("<f4").tobytes())

    put(weights["model.embed_tokens.weight"])
    for name in (
        "input_layernorm",
        *(f"self_attn.{kind}_proj" for kind in "qkvo"),
        "post_attention_layernorm",
        *(f"mlp.{kind}_proj" for kind in ("gate", "down", "up")),
    ):
        for layer in layers:
            tensor = weights[f"model.layers.{layer}.{name}.weight"]
            put(interleaved(tensor, config.head_dim) if name.endswith(("q_proj", "k_proj")) else tensor)
    put(weights["model.norm.weight"])
    put(torch.full((config.max_position_embeddings * config.head_dim,), 7.0))
    if untied:
        put(weights["lm_head.weight"])
    path.write_bytes(b"".join(data))


@pytest.mark.parametrize("untied", [True, False])
def test_a_llama2c_file_loads_as_the_model_it_was_exported_from(
    build: Build, small_config: ModelConfig, assert_equal_weights: AssertEqual, untied: bool, tmp_path: Path
) -> None:
    config = replace(small_config, tie_word_embeddings=not untied)
    source = build(config, seed=0)
    write_llama2c(tmp_path / "model.bin", source, config, untied)
    read = load_config(tmp_path / "model.bin")
    assert read.tie_word_embeddings is not untied
    assert (read.vocab_size, read.rms_norm_eps, read.rope_theta) == (64, 1e-5, 10000.0)
    loaded = build(read)
    load_weights(loaded, tmp_path / "model.bin")
    assert_equal_weights(loaded, source)


def test_a_truncated_llama2c_file_is_named_with_both_sizes(
    build: Build, small_config: ModelConfig, tmp_path: Path
) -> None:
    path = tmp_path / "model.bin"
    write_llama2c(path, build(seed=0), small_config, untied=True)
    size = path.stat().st_size
    os.truncate(path, size - 4)
    with pytest.raises(CheckpointError, match=rf"has {size - 4} bytes, its header promises {size}"):
        load_llama2c(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"short", "5 bytes"),
        (struct.pack("<7i", 0x616B3432, 1, 0, 0, 0, 0, 0), "version 1: export it again"),
        (b"PK\x03\x04" + b"\x00" * 60, "no llama2.c checkpoint.*running code|can run code"),
    ],
)
def test_what_is_no_llama2c_file_is_refused(content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=complaint):
        load_llama2c(tmp_path / "model.bin")


def test_the_tokenizer_of_the_models_size_is_taken_beside_a_llama2c_file(
    build: Build, small_config: ModelConfig, tmp_path: Path
) -> None:
    config = replace(small_config, vocab_size=5)
    write_llama2c(tmp_path / "model.bin", build(config, seed=0), config, untied=True)
    for name, count in (("tokenizer.bin", 9), ("tok512.bin", 5)):
        pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(bytes([97 + i]) for i in range(count - 3))]
        content = b"".join(struct.pack("<fi", 0.0, len(piece)) + piece for piece in pieces)
        (tmp_path / name).write_bytes(struct.pack("<i", 6) + content)
    assert load_tokenizer(tmp_path / "model.bin").num_tokens == 5
    assert load_tokenizer(tmp_path / "model.bin", tmp_path / "tokenizer.bin").num_tokens == 9
    (tmp_path / "tok512.bin").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer of 5 tokens.*found: tokenizer\.bin"):
        load_tokenizer(tmp_path / "model.bin")


def test_stories260k_tells_its_documented_story(shared_data: Path) -> None:
    weights = shared_data / "weights"
    documented = (weights / "stories260K.md").read_text().split("-t 0.0\n")[1][:400]
    checkpoint = weights / "stories260K.bin"
    model = LlamaForCausalLM(load_config(checkpoint), ReferenceKernels())
    load_weights(model, checkpoint)
    tokenizer = load_tokenizer(checkpoint)
    token_ids = tokenizer.encode("")
    assert token_ids == [tokenizer.bos_token_id]
    with torch.no_grad():
        while len(token_ids) < 180:
            attention = DenseAttention(1, model.config.layer_windows)
            hidden_states = model(torch.tensor(token_ids), torch.arange(len(token_ids)), attention)
            token_ids.append(int(model.compute_logits(hidden_states[-1:]).argmax()))
    story = tokenizer.decode(token_ids)
    assert len(story) > 300
    assert documented.startswith(story[:400])
