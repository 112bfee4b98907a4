"""What a GGUF file's metadata and tensors amount to: read, told, or refused by the key's name."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from pagoda.errors import CheckpointError, UnknownArchitectureError
from pagoda.layers.rope_scaling import Rope
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.architectures import ARCHITECTURES, config_of
from pagoda.models.gguf.container import GGUFFile
from pagoda.models.gguf.keys import HARMLESS
from pagoda.models.gguf.model_config import load_gguf_config
from pagoda.models.gguf.positions import share_of

_SAID: dict[str, Any] = {
    "block_count": 2,
    "context_length": 64,
    "embedding_length": 16,
    "feed_forward_length": 24,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
Write = Callable[..., Path]


def _layer(index: int) -> dict[str, tuple[int, ...]]:
    matrices = {"attn_q": (16, 16), "attn_k": (8, 16), "attn_v": (8, 16), "attn_output": (16, 16)}
    mlp = {"ffn_gate": (24, 16), "ffn_up": (24, 16), "ffn_down": (16, 24), "attn_norm": (16,), "ffn_norm": (16,)}
    return {f"blk.{index}.{name}.weight": shape for name, shape in (matrices | mlp).items()}


_SHAPES = {"token_embd.weight": (32, 16), "output_norm.weight": (16,), **_layer(0), **_layer(1)}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(architecture, said, tensors)`: a file with `_SAID` and `_SHAPES`, changed; None takes one away."""

    def get(
        arch: str = "llama", said: dict[str, Any] | None = None, tensors: dict[str, np.ndarray | None] | None = None
    ) -> Path:
        path = tmp_path / "model.gguf"
        writer = gguf.GGUFWriter(path, arch)
        for key, value in {**_SAID, **(said or {})}.items():
            _add(writer, f"{arch}.{key}", value)
        filled = {name: np.zeros(shape, np.float32) for name, shape in _SHAPES.items()}
        for name, tensor in {**filled, **(tensors or {})}.items():
            if tensor is not None:
                writer.add_tensor(name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return get


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    adds = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    if value is not None:
        adds.get(type(value), writer.add_array)(key, value)


def _config(path: Path) -> dict[str, Any]:
    return config_of(GGUFFile.open(path))


def _zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _keys_of_the_package() -> Iterator[str]:
    """Every key of an architecture that the `gguf` package knows."""
    for _, group in inspect.getmembers(gguf.Keys, inspect.isclass):
        for name, key in vars(group).items():
            if not name.startswith("_") and isinstance(key, str) and key.startswith("{arch}."):
                yield key.removeprefix("{arch}.")


_WITH_ANOTHER = {
    "attention.layer_norm_epsilon",  # where there is none for RMSNorm
    "attention.sliding_window_pattern",  # beside a window
    "rope.scaling.original_context_length",  # beside a kind that reads it
    "pooling_type",  # 3 is how this network pools
}
"""Keys that say nothing alone."""


@pytest.mark.parametrize("key", sorted({*_keys_of_the_package()}))
def test_no_key_is_passed_in_silence(key: str, write: Write, caplog: pytest.LogCaptureFixture) -> None:
    plain, path = _config(write()), write(said={key: 3})
    with caplog.at_level(logging.WARNING):
        outcome = _outcome(path)
    told = f"llama.{key}" in caplog.text
    assert (outcome != plain or told) != (key in HARMLESS | _WITH_ANOTHER)


def _outcome(path: Path) -> object:
    try:
        return _config(path)
    except CheckpointError as error:
        return str(error)


def test_a_key_that_nobody_knows_is_told(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _config(write(said={"attention.levitation": 2}))
    assert "keys that pagoda does not know and leaves out: llama.attention.levitation" in caplog.text


def test_what_is_silent_says_nothing(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    config = load_gguf_config(GGUFFile.open(write()))
    assert not caplog.records
    assert (config.rms_norm_eps, config.rope_theta, config.tie_word_embeddings) == (1e-5, 10000.0, True)
    assert (config.bos_token_id, config.eos_token_ids) == (None, ())


@pytest.mark.parametrize(
    ("said", "tensors", "told"),
    [
        ({"embedding_length": 32}, {}, "token_embd.weight of the shape [32, 16]"),
        ({"feed_forward_length": 32}, {}, "blk.0.ffn_down.weight of the shape [16, 24]"),
        ({"attention.head_count": 8}, {}, "blk.0.attn_k.weight of the shape [8, 16]"),
        ({"attention.key_length": 8, "attention.value_length": 8}, {}, "blk.0.attn_q.weight of the shape [16, 16]"),
        ({"vocab_size": 33}, {}, "(vocab_size and others) [33, 16] is expected"),
        ({"block_count": [2, 2]}, {}, "a whole number"),
        ({"block_count": 3}, {}, "block_count=3, but its tensors are of 2 layers (differing: 2)"),
        ({"block_count": 1}, {}, "block_count=1, but its tensors are of 2 layers (differing: 1)"),
        ({"embedding_length": None}, {}, "has nothing under llama.embedding_length"),
        ({"attention.head_count": "many"}, {}, "has 'many' under llama.attention.head_count, but a whole number"),
        ({"attention.head_count": [4, 2]}, {}, "[4, 2] under llama.attention.head_count, but one value for all 2"),
        ({"feed_forward_length": [24]}, {}, "but one value for all 2 layers"),
        ({"attention.value_length": 8}, {}, "has 8 under llama.attention.value_length, but 4, as in"),
        ({"attention.layer_norm_rms_epsilon": None}, {}, "has nothing under llama.attention.layer_norm_rms_epsilon"),
        ({"rope.freq_base": float("nan")}, {}, "has nan under llama.rope.freq_base, but a number"),
        ({"rope.freq_base": 0.5}, {}, "read as the config.json that it amounts to: config.json has rope_theta=0.5"),
        ({"rope.dimension_count": 2}, {}, "partial_rotary_factor=0.5"),
        ({"rope.scaling.type": "spiral"}, {}, "has 'spiral' under llama.rope.scaling.type, but none, linear, yarn"),
        ({"rope.scaling.type": "longrope"}, {}, "but the tensor rope_factors_long.weight beside it is expected"),
        ({}, {"rope_factors_long.weight": np.ones(2, np.float32)}, "without rope_factors_short.weight"),
        ({}, {"rope_freqs.weight": np.ones(2, np.float16)}, "rope_freqs.weight as F16 [2], but a row of F32"),
        ({}, {"rope_freqs.weight": np.array([1, 2, 3], np.float32)}, "a list of 2 numbers above 0"),
        ({}, {"token_embd.weight": None}, "has no tensor token_embd.weight"),
        ({"attention.causal": False}, {}, "has False under llama.attention.causal, but true"),
        (
            {"expert_count": 4, "expert_used_count": 2, "expert_weights_norm": False},
            {},
            "expert_weights_norm, but true",
        ),
    ],
)
def test_what_cannot_be_or_contradicts_the_tensors_is_refused(
    said: dict[str, Any], tensors: dict[str, Any], told: str, write: Write
) -> None:
    path = write(said=said, tensors=tensors)
    with pytest.raises(CheckpointError) as caught:
        load_gguf_config(GGUFFile.open(path))
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_one_value_for_every_layer_is_that_value(write: Write) -> None:
    said = {"attention.head_count": [4, 4], "attention.head_count_kv": [2, 2], "feed_forward_length": [24, 24]}
    assert _config(write(said=said)) == _config(write())


@pytest.mark.parametrize("name", ["gpt2", "llama4", "Llama", "mamba"])
def test_an_architecture_that_is_not_served_is_named(name: str, write: Write) -> None:
    path = write(name)
    with pytest.raises(UnknownArchitectureError, match=f"of the architecture '{name}'.*command-r, exaone"):
        _config(path)


@pytest.mark.parametrize(
    ("arch", "said", "told"),
    [
        ("granite", {"rope.scaling.finetuned": False}, "a Granite with RoPE"),
        ("qwen2", {"attention.sliding_window": 8}, "qwen2.attention.sliding_window, but none"),
        ("qwen2", {"expert_count": 8}, "qwen2.expert_count, but none"),
        ("llama", {"logit_scale": 0.5}, "llama.logit_scale, but 1"),
        ("cohere2", {"rope.freq_base_swa": 5000.0}, "cohere2.rope.freq_base_swa, but 10000"),
    ],
)
def test_what_an_architecture_does_not_compute_is_refused(
    arch: str, said: dict[str, Any], told: str, write: Write
) -> None:
    with pytest.raises(CheckpointError, match=told):
        _config(write(arch, said))


def test_a_baichuan_13b_is_refused_for_its_alibi(write: Write) -> None:
    layers = {name: _zeros(*shape) for index in range(2, 40) for name, shape in _layer(index).items()}
    with pytest.raises(CheckpointError, match="13B, which has ALiBi instead of RoPE"):
        _config(write("baichuan", {"block_count": 40}, layers))


@pytest.mark.parametrize("theta", [10000.0, 500000.0])
@pytest.mark.parametrize(("head_dim", "factor"), [(64, 32.0), (128, 8.0)])
def test_llama_3s_factors_are_told_as_its_formula(head_dim: int, factor: float, theta: float, write: Write) -> None:
    """As its `config.json` has it: 8B and 70B with a factor of 8, 1B and 3B with 32."""
    said = {"factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    plain = theta ** -(np.arange(0, head_dim, 2) / head_dim)
    kept = np.clip((8192 * plain / (2 * np.pi) - 1) / 3, 0, 1)
    factors = (1 / (kept + (1 - kept) / factor)).astype(np.float32)
    heads = {"attention.head_count": 1, "attention.head_count_kv": 1, "attention.key_length": head_dim}
    matrices = {f"blk.0.attn_{kind}.weight": _zeros(head_dim, 16) for kind in "qk"}
    path = write(
        said={**heads, "attention.value_length": head_dim, "rope.freq_base": theta},
        tensors={**matrices, "rope_freqs.weight": factors},
    )
    assert _config(path)["rope_scaling"] == {"rope_type": "llama3", **said}


def test_other_factors_divide_the_frequencies(write: Write) -> None:
    config = load_gguf_config(GGUFFile.open(write(tensors={"rope_freqs.weight": np.array([1.5, 4.0], np.float32)})))
    assert config.rope_scaling == {"rope_type": "frequency_factors", "frequency_factors": [1.5, 4.0]}
    assert isinstance(config.rope, Rope)


def test_factors_of_one_change_nothing(write: Write) -> None:
    assert _config(write(tensors={"rope_freqs.weight": np.ones(2, np.float32)})) == _config(write())


@pytest.mark.parametrize("kind", ["linear", None])
@pytest.mark.parametrize("key", ["rope.scaling.factor", "rope.scale_linear"])
def test_a_factor_without_a_kind_is_linear(key: str, kind: str | None, write: Write) -> None:
    path = write(said={key: 4.0, "rope.scaling.type": kind})
    assert _config(path)["rope_scaling"] == {"rope_type": "linear", "factor": 4.0}
    assert "rope_scaling" not in _config(write(said={key: 1.0, "rope.scaling.type": kind}))
    assert "rope_scaling" not in _config(write(said={key: 4.0, "rope.scaling.type": "none"}))


def test_the_rotated_share_of_a_head_is_the_files_count() -> None:
    """A share is a quotient, and the count must come out of it again."""
    for head_dim in range(2, 513, 2):
        assert all(int(head_dim * share_of(count, head_dim)) == count for count in range(2, head_dim + 1, 2)), head_dim


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES))
def test_numbers_are_the_decimals_that_they_were_written_as(arch: str, write: Write) -> None:
    """Files hold fp32, in which 1e-05 is 9.999999747378752e-06."""
    experts = {"expert_count": 4, "expert_used_count": 2} if arch.endswith("moe") else {}
    tensors = {"blk.0.ffn_down_exps.weight": _zeros(4, 16, 8)} if arch.startswith("qwen") and experts else {}
    config = ModelConfig.from_dict(_config(write(arch, {**experts, "rope.freq_base": 12345.678}, tensors)))
    assert (config.rms_norm_eps, config.rope_theta) == (1e-5, 12345.678)
