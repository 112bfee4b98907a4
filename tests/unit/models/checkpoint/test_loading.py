"""Loading is strict and says what is wrong; saving is whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pagoda.errors import CheckpointError
from pagoda.models.checkpoint import saving
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.checkpoint.reading import iterate_weights
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.generation_config import GenerationDefaults
from pagoda.models.llama import LlamaForCausalLM

QUERY = "model.layers.0.self_attn.q_proj.weight"
Build = Callable[..., LlamaForCausalLM]
AssertEqual = Callable[[nn.Module, nn.Module], None]


@pytest.fixture
def checkpoint(build: Build, small_config: ModelConfig, tmp_path: Path) -> Path:
    save_checkpoint(build(seed=0), small_config, tmp_path)
    return tmp_path


def edit_tensors(directory: Path, **changes: torch.Tensor | None) -> None:
    """Rewrites model.safetensors with tensors replaced, added, or (None) left out."""
    tensors = {**load_file(directory / "model.safetensors"), **changes}
    save_file({k: v for k, v in tensors.items() if v is not None}, directory / "model.safetensors")


def shard(directory: Path) -> list[str]:
    """Splits model.safetensors into two shards and an index."""
    tensors = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, directory / file)
        weight_map |= dict.fromkeys(part, file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return sorted(set(weight_map.values()))


def test_what_is_saved_loads_bit_for_bit(
    build: Build, small_config: ModelConfig, assert_equal_weights: AssertEqual, checkpoint: Path
) -> None:
    loaded = build(load_config(checkpoint))
    load_weights(loaded, checkpoint)
    assert_equal_weights(loaded, build(seed=0))
    assert load_config(checkpoint) == small_config


def test_shards_load_as_one_file_does(build: Build, assert_equal_weights: AssertEqual, checkpoint: Path) -> None:
    shard(checkpoint)
    loaded = build()
    load_weights(loaded, checkpoint)
    assert_equal_weights(loaded, build(seed=0))


def test_an_index_left_over_beside_the_whole_file_is_passed_over(
    build: Build, assert_equal_weights: AssertEqual, checkpoint: Path
) -> None:
    """As in transformers: whoever merges shards may forget the index, and its shards may be gone or older."""
    index = {"weight_map": {QUERY: "model-00001-of-00002.safetensors"}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    (checkpoint / "consolidated.safetensors").write_bytes(b"another layout of the same weights")
    loaded = build()
    load_weights(loaded, checkpoint)
    assert_equal_weights(loaded, build(seed=0))


def test_a_file_that_the_index_does_not_name_is_passed_over(
    build: Build, assert_equal_weights: AssertEqual, checkpoint: Path
) -> None:
    shard(checkpoint)
    save_file({QUERY: torch.zeros(2, 2)}, checkpoint / "model-00003-of-00003.safetensors")
    loaded = build()
    load_weights(loaded, checkpoint)
    assert_equal_weights(loaded, build(seed=0))


def test_shards_load_without_their_index_unless_two_hold_one_tensor(
    build: Build, assert_equal_weights: AssertEqual, checkpoint: Path
) -> None:
    first, _ = shard(checkpoint)
    (checkpoint / "model.safetensors.index.json").unlink()
    loaded = build()
    load_weights(loaded, checkpoint)
    assert_equal_weights(loaded, build(seed=0))
    (checkpoint / "copy.safetensors").write_bytes((checkpoint / first).read_bytes())
    with pytest.raises(CheckpointError, match=rf"copy\.safetensors and {first} .*both hold the tensor"):
        load_weights(build(), checkpoint)


@pytest.mark.parametrize(
    ("extra", "quantisation"),
    [
        (f"{QUERY[:-7]}.qweight", "GPTQ or AWQ"),
        (f"{QUERY[:-7]}.g_idx", "GPTQ"),
        (f"{QUERY}_scale", "FP8 or int8"),
        (f"{QUERY}_scale_inv", "FP8"),
        (f"{QUERY}_packed", "compressed-tensors"),
        (f"{QUERY}.absmax", "bitsandbytes"),
        (f"{QUERY}.quant_state.bitsandbytes__nf4", "bitsandbytes 4-bit"),
        (f"{QUERY[:-7]}.scales", "MLX or AWQ"),
        ("model.layers.0.self_attn.k_scale", "scales of an FP8 KV cache"),
        ("model.layers.0.mlp.experts.gate_up_proj_blocks", "MXFP4"),
        (f"{QUERY[:-7]}.trellis", "EXL3"),
    ],
)
def test_quantised_weights_are_named_by_their_tensors_where_config_json_is_silent(
    build: Build, extra: str, quantisation: str, checkpoint: Path
) -> None:
    edit_tensors(checkpoint, **{extra: torch.zeros(3)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(build(), checkpoint)
    assert f"quantised weights ({quantisation}: {extra} in model.safetensors)" in str(caught.value)
    assert "without -GPTQ" in str(caught.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], ["a LoRA adapter", "merge_and_unload", "org/base-7B"]),
        (["model_index.json", "unet.safetensors"], ["a diffusers pipeline"]),
        (["a-Q4_K_M.gguf", "b-Q8_0.gguf"], ["GGUF", "a-Q4_K_M.gguf, b-Q8_0.gguf"]),
        (["params.json", "consolidated.00.pth"], ["Meta or Mistral AI", "-hf"]),
        (["weights.npz"], ["MLX"]),
        (["flax_model.msgpack"], ["Flax", "save_pretrained"]),
    ],
)
def test_a_directory_that_is_no_checkpoint_is_told_for_what_it_is(
    files: list[str], said: list[str], tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).write_text('{"base_model_name_or_path": "org/base-7B"}')
    with pytest.raises(CheckpointError) as caught:
        load_config(tmp_path)
    assert [part for part in said if part not in str(caught.value)] == []


def test_weights_are_iterated_under_their_names(checkpoint: Path) -> None:
    expected = load_file(checkpoint / "model.safetensors")
    shard(checkpoint)
    seen = dict(iterate_weights(checkpoint))
    assert seen.keys() == expected.keys()
    assert all(torch.equal(seen[name], tensor) for name, tensor in expected.items())


def test_a_tied_head_is_saved_once_and_loads(
    build: Build, small_config: ModelConfig, assert_equal_weights: AssertEqual, tmp_path: Path
) -> None:
    config = replace(small_config, tie_word_embeddings=True)
    save_checkpoint(build(config, seed=0), config, tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    loaded = build(config)
    load_weights(loaded, tmp_path)
    assert_equal_weights(loaded, build(config, seed=0))
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight


def test_a_redundant_copy_of_a_tied_head_does_not_overwrite_the_embedding(
    build: Build, small_config: ModelConfig, assert_equal_weights: AssertEqual, tmp_path: Path
) -> None:
    config = replace(small_config, tie_word_embeddings=True)
    save_checkpoint(build(config, seed=0), config, tmp_path)
    edit_tensors(tmp_path, **{"lm_head.weight": torch.zeros(64, 16)})
    loaded = build(config)
    load_weights(loaded, tmp_path)
    assert_equal_weights(loaded, build(config, seed=0))


def test_a_missing_head_hints_at_tied_embeddings(build: Build, checkpoint: Path) -> None:
    edit_tensors(checkpoint, **{"lm_head.weight": None})
    with pytest.raises(CheckpointError, match=r"lm_head\.weight \[64, 16\].*tie_word_embeddings"):
        load_weights(build(), checkpoint)


def test_missing_and_unexpected_tensors_are_named(build: Build, checkpoint: Path) -> None:
    edit_tensors(checkpoint, **{QUERY: None, "model.extra.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(build(), checkpoint)
    message = str(caught.value)
    assert f"1 tensors of the model are missing: {QUERY} [16, 16]" in message
    assert "1 tensors have no place in the model: model.extra.weight (in model.safetensors)" in message
    assert "config.json" in message


def test_rotary_tables_of_old_checkpoints_are_passed_over(build: Build, checkpoint: Path) -> None:
    edit_tensors(checkpoint, **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(2)})
    load_weights(build(), checkpoint)


@pytest.mark.parametrize("shape", [(16, 8), (8, 16), (1, 16), (16, 1), (16,), (32, 16), (16, 16, 1)])
def test_a_mis_shaped_tensor_is_named_with_both_shapes(build: Build, shape: tuple[int, ...], checkpoint: Path) -> None:
    edit_tensors(checkpoint, **{QUERY: torch.zeros(shape)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(build(), checkpoint)
    message = str(caught.value)
    assert "model.safetensors" in message
    assert QUERY in message
    assert str(list(shape)) in message
    assert "[16, 16]" in message


def test_a_truncated_file_is_named_with_both_sizes(build: Build, checkpoint: Path) -> None:
    file = checkpoint / "model.safetensors"
    size = file.stat().st_size
    os.truncate(file, size - 100)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors has {size - 100} bytes.*promises {size}.*again"):
        load_weights(build(), checkpoint)


def test_a_truncated_shard_is_named(build: Build, checkpoint: Path) -> None:
    second = shard(checkpoint)[1]
    os.truncate(checkpoint / second, 2000)
    with pytest.raises(CheckpointError, match=second):
        load_weights(build(), checkpoint)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\x10\x00\x00\x00\x00\x00\x00\x00not json at all!", b"\xff" * 20]
)
def test_a_file_that_is_no_safetensors_file_is_named(build: Build, content: bytes, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_weights(build(), checkpoint)


def test_a_git_lfs_pointer_is_recognised(build: Build, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(CheckpointError, match="git lfs pull"):
        load_weights(build(), checkpoint)


def test_a_missing_shard_is_named(build: Build, checkpoint: Path) -> None:
    second = shard(checkpoint)[1]
    (checkpoint / second).unlink()
    with pytest.raises(CheckpointError, match=f"{second}.*download that file"):
        load_weights(build(), checkpoint)


def test_a_shard_that_lacks_a_tensor_of_the_index_is_named(build: Build, checkpoint: Path) -> None:
    first, second = shard(checkpoint)
    (checkpoint / first).write_bytes((checkpoint / second).read_bytes())
    with pytest.raises(CheckpointError, match=f"{first} has no readable tensor"):
        load_weights(build(), checkpoint)


@pytest.mark.parametrize("target", ["../../secret.safetensors", "/etc/passwd", "model.bin"])
def test_an_index_cannot_lead_out_of_its_directory(build: Build, target: str, checkpoint: Path) -> None:
    shard(checkpoint)
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {QUERY: target}}))
    with pytest.raises(CheckpointError, match=r"expected a \.safetensors file of the same directory"):
        load_weights(build(), checkpoint)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_a_broken_index_is_named(build: Build, content: str, checkpoint: Path) -> None:
    shard(checkpoint)
    (checkpoint / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"index\.json is not a safetensors index"):
        load_weights(build(), checkpoint)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_pickled_weights_are_refused_unopened_with_a_way_out(build: Build, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(CheckpointError, match=rf"{name}.*can run code.*safetensors.*save_pretrained"):
        load_weights(build(), tmp_path)


def test_a_directory_without_weights_says_what_was_expected(build: Build, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected model\.safetensors"):
        load_weights(build(), tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_are_converted_to_the_dtype_of_the_parameters(
    build: Build, assert_equal_weights: AssertEqual, dtype: torch.dtype, checkpoint: Path
) -> None:
    loaded = build().to(dtype)
    load_weights(loaded, checkpoint)
    assert_equal_weights(loaded, build(seed=0).to(dtype))


def test_a_dtype_asked_for_is_what_a_weight_loader_is_given(build: Build, checkpoint: Path) -> None:
    seen: list[torch.dtype] = []
    module = build()
    dict(module.named_parameters())[QUERY].weight_loader = lambda _, tensor: seen.append(tensor.dtype)  # type: ignore[attr-defined]
    load_weights(module, checkpoint, dtype=torch.bfloat16)
    assert seen == [torch.bfloat16]


def test_a_weight_loader_takes_the_full_tensor_and_keeps_its_shard(tmp_path: Path) -> None:
    module = nn.Linear(4, 2, bias=False)
    module.weight.weight_loader = lambda weight, full: weight.data.copy_(full[2:])  # type: ignore[attr-defined]
    full = torch.arange(16.0).view(4, 4)
    save_file({"weight": full}, tmp_path / "model.safetensors")
    load_weights(module, tmp_path)
    assert torch.equal(module.weight, full[2:])


@pytest.mark.parametrize(("stored", "wanted"), [(torch.float32, torch.int8), (torch.int8, torch.float32)])
def test_codes_are_never_taken_for_numbers_nor_numbers_for_codes(
    stored: torch.dtype, wanted: torch.dtype, tmp_path: Path
) -> None:
    module = nn.Module()
    module.register_parameter("weight", nn.Parameter(torch.zeros(2, 2, dtype=wanted), requires_grad=False))
    save_file({"weight": torch.ones(2, 2, dtype=stored)}, tmp_path / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"tensor weight holds .*, the model expects .*how these weights are stored"
    ):
        load_weights(module, tmp_path)


def test_a_saved_directory_holds_three_files_and_no_temporary_ones(checkpoint: Path) -> None:
    names = sorted(path.name for path in checkpoint.iterdir())
    assert names == ["config.json", "generation_config.json", "model.safetensors"]


def test_the_saved_config_names_the_dtype_of_the_weights(
    build: Build, small_config: ModelConfig, tmp_path: Path
) -> None:
    save_checkpoint(build(seed=0).to(torch.bfloat16), small_config, tmp_path)
    assert load_config(tmp_path).dtype == "bfloat16"


def test_a_failed_save_leaves_the_old_checkpoint_whole(
    build: Build, small_config: ModelConfig, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (checkpoint / "model.safetensors").read_bytes()

    def write_half(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(saving, "save_file", write_half)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(build(seed=1), small_config, checkpoint)
    assert (checkpoint / "model.safetensors").read_bytes() == before
    assert len(list(checkpoint.iterdir())) == 3


def test_generation_defaults_survive_saving(build: Build, small_config: ModelConfig, tmp_path: Path) -> None:
    defaults = GenerationDefaults(eos_token_ids=(2, 5), temperature=0.6, top_p=0.9, top_k=20, max_new_tokens=64)
    save_checkpoint(build(seed=0), small_config, tmp_path, generation=defaults)
    assert GenerationDefaults.from_directory(tmp_path) == defaults


def test_generation_defaults_end_where_the_config_ends(checkpoint: Path) -> None:
    assert GenerationDefaults.from_directory(checkpoint).eos_token_ids == (2,)


def test_a_checkpoint_without_generation_config_sets_nothing(tmp_path: Path) -> None:
    assert GenerationDefaults.from_directory(tmp_path) == GenerationDefaults()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"temperature": "hot"}', "temperature='hot', expected a number"),
        ('{"top_k": 1.5}', "top_k=1.5, expected an integer"),
        ('{"eos_token_id": ["a"]}', "eos_token_id='a', expected an integer"),
        ('{"top_p": true}', "top_p=True, expected a number"),
        ('{"top_p": 0}', r"top_p=0, expected a number in \(0, 1\]"),
        ('{"temperature": 3}', r"temperature=3, expected a number in \[0, 2\]"),
        ('{"temperature": NaN}', "temperature=nan, expected"),
        ('{"repetition_penalty": -1.1}', "repetition_penalty=-1.1, expected a finite number above 0"),
        ('{"max_new_tokens": 0}', "max_new_tokens=0, expected"),
        ('{"eos_token_id": [2, -1]}', "eos_token_id=-1, expected a token id"),
    ],
)
def test_a_broken_generation_config_is_named(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"generation_config\.json.*{complaint}"):
        GenerationDefaults.from_directory(tmp_path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_number_that_is_not_finite_is_refused_by_its_tensor(
    number: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    weight = torch.ones(4, 3, dtype=dtype)
    weight[2, 1] = number
    save_file({"weight": weight}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"tensor weight holds 1 numbers that are not finite"):
        load_weights(nn.Linear(3, 4, bias=False), tmp_path)
