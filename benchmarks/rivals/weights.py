"""The same bf16 weights for every engine: a folder as transformers has it, and a GGUF file for llama.cpp.

Runs once before a comparison. A model comes from a GGUF file of any types, or is drawn at random. All its numbers are
rounded to bf16 first and only then written twice, so that the two forms differ in nothing but their container.
llama.cpp wants the rows of query and key in another order (rotation over neighbours): a file that was read has it
already, the random model is brought into it here.
"""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import torch

from pagoda.kernels.select import select_kernels
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM

CONTEXT = 32768
"""Written as every model's limit, so that long contexts can be timed: only speed is measured there."""

RANDOM_M = ModelConfig(
    vocab_size=32000,
    hidden_size=2048,
    intermediate_size=8192,
    num_hidden_layers=16,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=64,
    max_position_embeddings=CONTEXT,
    tie_word_embeddings=True,
    dtype="bfloat16",
)
_BF16 = gguf.GGMLQuantizationType.BF16
_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OTHER_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}


def folder_of(models: Path, shape: str) -> Path:
    """Where the folder of safetensors lies; of a shape that is there as a file in codes alone, that file."""
    coded = models / f"{shape}.gguf"
    return coded if coded.is_file() else models / shape


def file_of(models: Path, shape: str) -> Path:
    """Where the GGUF file lies."""
    coded = models / f"{shape}.gguf"
    return coded if coded.is_file() else models / f"{shape}-bf16.gguf"


def write_from_gguf(source: Path, models: Path, shape: str) -> None:
    """Both forms of the model in `source`."""
    config = load_config(source)
    _save(_network(config, source), folder_of(models, shape))
    _rewrite(source, file_of(models, shape))


def write_random(models: Path, shape: str, config: ModelConfig = RANDOM_M, seed: int = 0) -> None:
    """Both forms of a model drawn at random, without a vocabulary."""
    network = _network(config)
    network.initialize(seed)
    _save(network, folder_of(models, shape))
    _write_llama(network, config, file_of(models, shape))


def _network(config: ModelConfig, source: Path | None = None) -> LlamaForCausalLM:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        network = LlamaForCausalLM(config, select_kernels("torch-reference"))
    finally:
        torch.set_default_dtype(before)
    if source is not None:
        load_weights(network, source, dtype=torch.bfloat16)
    return network


def _save(network: LlamaForCausalLM, folder: Path) -> None:
    save_checkpoint(network, network.config, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "max_position_embeddings": CONTEXT}, indent=2) + "\n", encoding="utf-8")


def _rewrite(source: Path, target: Path) -> None:
    """The file with every matrix in bf16 and every vector in fp32, its facts and its vocabulary as they were."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    own = {"general.architecture", "general.file_type", f"{architecture}.context_length"}
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in own:
            of = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=of)
    writer.add_context_length(CONTEXT)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        _add(writer, tensor.name, values.astype(np.float32))
    _close(writer)


def _write_llama(network: LlamaForCausalLM, config: ModelConfig, target: Path) -> None:
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_name("random")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for name, parameter in network.named_parameters():
        _add(writer, _ggml_name(name), _in_pairs(name, parameter.detach().float().numpy(), config.head_dim))
    _close(writer)


def _ggml_name(name: str) -> str:
    """`model.layers.3.mlp.up_proj.weight` -> `blk.3.ffn_up.weight`."""
    stem, kind = name.rsplit(".", 1)
    if stem in _OTHER_NAMES:
        return f"{_OTHER_NAMES[stem]}.{kind}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{_LAYER_NAMES[part]}.{kind}"


def _in_pairs(name: str, values: np.ndarray, head_dim: int) -> np.ndarray:
    """Rows of query and key so that the two numbers which rotate together are neighbours."""
    if not name.endswith(("q_proj.weight", "k_proj.weight")):
        return values
    return values.reshape(-1, 2, head_dim // 2, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)


def _add(writer: gguf.GGUFWriter, name: str, values: np.ndarray) -> None:
    rounded = gguf.quants.quantize(np.atleast_2d(values), _BF16)
    if values.ndim == 1:
        writer.add_tensor(name, gguf.quants.dequantize(rounded, _BF16).reshape(values.shape))
    else:
        writer.add_tensor(name, rounded, raw_dtype=_BF16)


def _close(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
