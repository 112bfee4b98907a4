"""Loading is strict and says what is wrong; saving is whole or not at all; names find their models."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pagoda.errors import CheckpointError
from pagoda.kernels.reference import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.models import hub, loader
from pagoda.models.config import ModelConfig
from pagoda.models.generation_config import GenerationDefaults
from pagoda.models.hub import KNOWN_MODELS, resolve_model
from pagoda.models.llama import LlamaForCausalLM
from pagoda.models.llama2c import load_llama2c
from pagoda.models.loader import iterate_weights, load_config, load_tokenizer, load_weights, save_checkpoint

CONFIG = ModelConfig(
    vocab_size=64,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=4,
    max_position_embeddings=32,
    bos_token_id=1,
    eos_token_ids=(2,),
)
QUERY = "model.layers.0.self_attn.q_proj.weight"


def build(config: ModelConfig = CONFIG, seed: int | None = None) -> LlamaForCausalLM:
    """A model with random weights, or with NaN where nothing has been loaded yet."""
    model = LlamaForCausalLM(config, ReferenceKernels())
    if seed is not None:
        model.initialize(seed)
        return model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    return model


def assert_equal_weights(left: nn.Module, right: nn.Module) -> None:
    others = dict(right.named_parameters())
    for name, parameter in left.named_parameters():
        assert torch.equal(parameter, others[name]), name


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_checkpoint(build(seed=0), CONFIG, tmp_path)
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


def test_what_is_saved_loads_bit_for_bit(checkpoint: Path) -> None:
    loaded = build(load_config(checkpoint))
    load_weights(loaded, checkpoint)
    assert_equal_weights(loaded, build(seed=0))
    assert load_config(checkpoint) == CONFIG


def test_shards_load_as_one_file_does(checkpoint: Path) -> None:
    shard(checkpoint)
    loaded = build()
    load_weights(loaded, checkpoint)
    assert_equal_weights(loaded, build(seed=0))


def test_weights_are_iterated_under_their_names(checkpoint: Path) -> None:
    expected = load_file(checkpoint / "model.safetensors")
    shard(checkpoint)
    seen = dict(iterate_weights(checkpoint))
    assert seen.keys() == expected.keys()
    assert all(torch.equal(seen[name], tensor) for name, tensor in expected.items())


def test_a_tied_head_is_saved_once_and_loads(tmp_path: Path) -> None:
    config = replace(CONFIG, tie_word_embeddings=True)
    save_checkpoint(build(config, seed=0), config, tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    loaded = build(config)
    load_weights(loaded, tmp_path)
    assert_equal_weights(loaded, build(config, seed=0))
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight


def test_a_redundant_copy_of_a_tied_head_does_not_overwrite_the_embedding(tmp_path: Path) -> None:
    config = replace(CONFIG, tie_word_embeddings=True)
    save_checkpoint(build(config, seed=0), config, tmp_path)
    edit_tensors(tmp_path, **{"lm_head.weight": torch.zeros(64, 16)})
    loaded = build(config)
    load_weights(loaded, tmp_path)
    assert_equal_weights(loaded, build(config, seed=0))


def test_a_missing_head_hints_at_tied_embeddings(checkpoint: Path) -> None:
    edit_tensors(checkpoint, **{"lm_head.weight": None})
    with pytest.raises(CheckpointError, match=r"lm_head\.weight \[64, 16\].*tie_word_embeddings"):
        load_weights(build(), checkpoint)


def test_missing_and_unexpected_tensors_are_named(checkpoint: Path) -> None:
    edit_tensors(checkpoint, **{QUERY: None, "model.extra.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(build(), checkpoint)
    message = str(caught.value)
    assert f"1 tensors of the model are missing: {QUERY} [16, 16]" in message
    assert "1 tensors have no place in the model: model.extra.weight (in model.safetensors)" in message
    assert "config.json" in message


def test_rotary_tables_of_old_checkpoints_are_passed_over(checkpoint: Path) -> None:
    edit_tensors(checkpoint, **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(2)})
    load_weights(build(), checkpoint)


@pytest.mark.parametrize("shape", [(16, 8), (8, 16), (1, 16), (16, 1), (16,), (32, 16), (16, 16, 1)])
def test_a_mis_shaped_tensor_is_named_with_both_shapes(shape: tuple[int, ...], checkpoint: Path) -> None:
    edit_tensors(checkpoint, **{QUERY: torch.zeros(shape)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(build(), checkpoint)
    message = str(caught.value)
    assert "model.safetensors" in message
    assert QUERY in message
    assert str(list(shape)) in message
    assert "[16, 16]" in message


def test_a_truncated_file_is_named_with_both_sizes(checkpoint: Path) -> None:
    file = checkpoint / "model.safetensors"
    size = file.stat().st_size
    os.truncate(file, size - 100)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors has {size - 100} bytes.*promises {size}.*again"):
        load_weights(build(), checkpoint)


def test_a_truncated_shard_is_named(checkpoint: Path) -> None:
    second = shard(checkpoint)[1]
    os.truncate(checkpoint / second, 2000)
    with pytest.raises(CheckpointError, match=second):
        load_weights(build(), checkpoint)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\x10\x00\x00\x00\x00\x00\x00\x00not json at all!", b"\xff" * 20]
)
def test_a_file_that_is_no_safetensors_file_is_named(content: bytes, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_weights(build(), checkpoint)


def test_a_git_lfs_pointer_is_recognised(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(CheckpointError, match="git lfs pull"):
        load_weights(build(), checkpoint)


def test_a_missing_shard_is_named(checkpoint: Path) -> None:
    second = shard(checkpoint)[1]
    (checkpoint / second).unlink()
    with pytest.raises(CheckpointError, match=f"{second}.*download that file"):
        load_weights(build(), checkpoint)


def test_a_shard_that_lacks_a_tensor_of_the_index_is_named(checkpoint: Path) -> None:
    first, second = shard(checkpoint)
    (checkpoint / first).write_bytes((checkpoint / second).read_bytes())
    with pytest.raises(CheckpointError, match=f"{first} has no readable tensor"):
        load_weights(build(), checkpoint)


@pytest.mark.parametrize("target", ["../../secret.safetensors", "/etc/passwd", "model.bin"])
def test_an_index_cannot_lead_out_of_its_directory(target: str, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {QUERY: target}}))
    with pytest.raises(CheckpointError, match=r"expected a \.safetensors file of the same directory"):
        load_weights(build(), checkpoint)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_a_broken_index_is_named(content: str, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"index\.json is not a safetensors index"):
        load_weights(build(), checkpoint)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_pickled_weights_are_refused_unopened_with_a_way_out(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(CheckpointError, match=rf"{name}.*can run code.*safetensors.*save_pretrained"):
        load_weights(build(), tmp_path)


def test_a_directory_without_weights_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected model\.safetensors"):
        load_weights(build(), tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_are_converted_to_the_dtype_of_the_parameters(dtype: torch.dtype, checkpoint: Path) -> None:
    loaded = build().to(dtype)
    load_weights(loaded, checkpoint)
    assert_equal_weights(loaded, build(seed=0).to(dtype))


def test_a_dtype_asked_for_is_what_a_weight_loader_is_given(checkpoint: Path) -> None:
    seen: list[torch.dtype] = []
    module = build()
    dict(module.named_parameters())[QUERY].weight_loader = lambda tensor: seen.append(tensor.dtype)  # type: ignore[attr-defined]
    load_weights(module, checkpoint, dtype=torch.bfloat16)
    assert seen == [torch.bfloat16]


def test_a_weight_loader_takes_the_full_tensor_and_keeps_its_shard(tmp_path: Path) -> None:
    module = nn.Linear(4, 2, bias=False)
    module.weight.weight_loader = lambda full: module.weight.data.copy_(full[2:])  # type: ignore[attr-defined]
    full = torch.arange(16.0).view(4, 4)
    save_file({"weight": full}, tmp_path / "model.safetensors")
    load_weights(module, tmp_path)
    assert torch.equal(module.weight, full[2:])


def test_a_saved_directory_holds_three_files_and_no_temporary_ones(checkpoint: Path) -> None:
    names = sorted(path.name for path in checkpoint.iterdir())
    assert names == ["config.json", "generation_config.json", "model.safetensors"]


def test_the_saved_config_names_the_dtype_of_the_weights(tmp_path: Path) -> None:
    save_checkpoint(build(seed=0).to(torch.bfloat16), CONFIG, tmp_path)
    assert load_config(tmp_path).dtype == "bfloat16"


def test_a_failed_save_leaves_the_old_checkpoint_whole(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (checkpoint / "model.safetensors").read_bytes()

    def write_half(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(loader, "save_file", write_half)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(build(seed=1), CONFIG, checkpoint)
    assert (checkpoint / "model.safetensors").read_bytes() == before
    assert len(list(checkpoint.iterdir())) == 3


def test_generation_defaults_survive_saving(tmp_path: Path) -> None:
    defaults = GenerationDefaults(eos_token_ids=(2, 5), temperature=0.6, top_p=0.9, top_k=20, max_new_tokens=64)
    save_checkpoint(build(seed=0), CONFIG, tmp_path, generation=defaults)
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
    ],
)
def test_a_broken_generation_config_is_named(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"generation_config\.json.*{complaint}"):
        GenerationDefaults.from_directory(tmp_path)


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
def test_a_llama2c_file_loads_as_the_model_it_was_exported_from(untied: bool, tmp_path: Path) -> None:
    config = replace(CONFIG, tie_word_embeddings=not untied)
    source = build(config, seed=0)
    write_llama2c(tmp_path / "model.bin", source, config, untied)
    read = load_config(tmp_path / "model.bin")
    assert read.tie_word_embeddings is not untied
    assert (read.vocab_size, read.rms_norm_eps, read.rope_theta) == (64, 1e-5, 10000.0)
    loaded = build(read)
    load_weights(loaded, tmp_path / "model.bin")
    assert_equal_weights(loaded, source)


def test_a_truncated_llama2c_file_is_named_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    write_llama2c(path, build(seed=0), CONFIG, untied=True)
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


def test_paths_resolve_to_themselves(checkpoint: Path, tmp_path: Path) -> None:
    assert resolve_model(checkpoint) == checkpoint
    (tmp_path / "stories.bin").write_bytes(b"")
    assert resolve_model(str(tmp_path / "stories.bin")) == tmp_path / "stories.bin"


def test_a_file_of_another_kind_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(CheckpointError, match=r"give the directory that holds config\.json"):
        resolve_model(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("name", "hint"), [("lama3.2-1b", "llama3.2-1b"), ("qwen2.5-05b", "qwen2.5-0.5b"), ("mistral7b", "mistral-7b")]
)
def test_an_unknown_name_gets_the_nearest_known_one(name: str, hint: str) -> None:
    with pytest.raises(CheckpointError, match=f'did you mean "{hint}'):
        resolve_model(name)


def test_a_path_that_does_not_exist_is_not_looked_for_on_the_hub() -> None:
    for name in ("./absent/model", "/absent/model", "absent/model.bin", "../absent"):
        with pytest.raises(CheckpointError, match="neither an existing path"):
            resolve_model(name)


def test_short_names_are_fetched_by_their_hub_id_without_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    def snapshot_download(hub_id: str, **options: Any) -> str:
        calls.append((hub_id, options))
        return "/snapshots/it"

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert resolve_model("Qwen3-0.6B", revision="main") == Path("/snapshots/it")
    hub_id, options = calls[0]
    assert hub_id == "Qwen/Qwen3-0.6B"
    assert options["revision"] == "main"
    assert not any(pattern.endswith((".bin", ".pt", ".pth", ".py")) for pattern in options["allow_patterns"])


def test_what_is_not_downloaded_and_offline_gives_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError) as caught:
        resolve_model("Qwen/Qwen3-0.6", local_files_only=True)
    message = str(caught.value)
    assert "Qwen/Qwen3-0.6 cannot be downloaded" in message
    assert 'did you mean "Qwen/Qwen3-0.6B"?' in message
    assert "\n" not in message


def test_every_short_name_is_spelled_in_lower_case_and_stands_for_a_hub_id() -> None:
    for name, hub_id in KNOWN_MODELS.items():
        assert name == name.lower()
        assert "/" not in name
        assert hub_id.count("/") == 1


def test_the_tokenizer_of_the_models_size_is_taken_beside_a_llama2c_file(tmp_path: Path) -> None:
    config = replace(CONFIG, vocab_size=5)
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


def test_the_hub_s_errors_are_told_apart() -> None:
    """A gated repository needs a licence, an unknown one another name."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    for error_type, advice in ((GatedRepoError, "accept its licence"), (RepositoryNotFoundError, "does not know it")):
        error = error_type.__new__(error_type)
        error.args = ("refused",)
        with pytest.raises(CheckpointError, match=advice):
            hub._raise_unavailable("meta-llama/Llama-3.2-1B", error)


@pytest.mark.shared_data
def test_stories260k_tells_its_documented_story() -> None:
    weights = Path(__file__).parents[4] / "shared" / "data" / "weights"
    if not (weights / "stories260K.bin").is_file():
        pytest.skip("the data folder beside the checkout is absent")
    documented = (weights / "stories260K.md").read_text().split("-t 0.0\n")[1][:400]
    checkpoint = weights / "stories260K.bin"
    model = LlamaForCausalLM(load_config(checkpoint), ReferenceKernels())
    load_weights(model, checkpoint)
    tokenizer = load_tokenizer(checkpoint)
    token_ids = tokenizer.encode("")
    assert token_ids == [tokenizer.bos_token_id]
    with torch.no_grad():
        while len(token_ids) < 180:
            attention = DenseAttention(1, model.config.layer_window)
            hidden_states = model(torch.tensor(token_ids), torch.arange(len(token_ids)), attention)
            token_ids.append(int(model.compute_logits(hidden_states[-1:]).argmax()))
    story = tokenizer.decode(token_ids)
    assert len(story) > 300
    assert documented.startswith(story[:400])
