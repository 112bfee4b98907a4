"""llama2.c's checkpoints: one `.bin` file with a header of seven integers and fp32 tensors in a fixed order.

Read at loading, in place of a Hugging Face directory (Karpathy, github.com/karpathy/llama2.c, `run.c`). Two things
differ from the Hugging Face layout: the tensors of all layers lie together, kind by kind; and RoPE turns neighbouring
pairs of a head's dimensions, where Hugging Face pairs the first half with the second (arXiv 2104.09864, eq. 34, is
the same rotation in either order). So the rows of the q and k projections are reordered here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pagoda.errors import CheckpointError
from pagoda.models.config import ModelConfig

_HEADER = struct.Struct("<7i")
_VERSIONED_MAGIC = 0x616B3432  # "ak42" opens versions 1 and 2
_BOS, _EOS = 1, 2


@dataclass(frozen=True)
class _Header:
    dim: int
    hidden_dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    vocab_size: int  # negative: the output head has weights of its own
    seq_len: int

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads

    @property
    def is_untied(self) -> bool:
        return self.vocab_size < 0


class Llama2cSource:
    """The tensors of one file, under Hugging Face's names."""

    layouts = ()

    def __init__(self, path: Path) -> None:
        self._tensors = load_llama2c(path)[1]
        self.files = dict.fromkeys(self._tensors, path)

    def stored_name(self, name: str) -> str:
        return name

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, torch.Tensor]]:
        for name in names:
            yield name, self._tensors[name]


def load_llama2c(path: str | Path) -> tuple[ModelConfig, dict[str, torch.Tensor]]:
    """A llama2.c version 0 file as a configuration and fp32 tensors under Hugging Face names.

    The tensors view the file, which is memory-mapped, except for q and k. Raises CheckpointError when the file is of
    another version, cut short or no llama2.c file.
    """
    path = Path(path)
    header = _read_header(path)
    layout = list(_layout(header))
    _check_size(path, layout)
    values = np.memmap(path, dtype="<f4", mode="c", offset=_HEADER.size)
    stacked, start = {}, 0
    for name, shape in layout:
        size = int(np.prod(shape))
        stacked[name] = torch.from_numpy(values[start : start + size]).view(shape)
        start += size
    return _config(header), dict(_rename(header, stacked))


def load_llama2c_config(path: str | Path) -> ModelConfig:
    """The configuration alone. Raises CheckpointError as `load_llama2c` does for a bad header."""
    return _config(_read_header(Path(path)))


def _read_header(path: Path) -> _Header:
    with path.open("rb") as file:
        data = file.read(_HEADER.size)
    if len(data) < _HEADER.size:
        raise CheckpointError(f"{path} has {len(data)} bytes, a llama2.c checkpoint opens with {_HEADER.size}")
    numbers = _HEADER.unpack(data)
    if numbers[0] == _VERSIONED_MAGIC:
        raise CheckpointError(f"{path} is of llama2.c version {numbers[1]}: export it again with --version 0")
    header = _Header(*numbers)
    plausible = min(*numbers[:5], abs(header.vocab_size), header.seq_len) > 0 and max(numbers) < 1 << 24
    if not plausible or header.dim % header.n_heads or header.n_heads % header.n_kv_heads:
        raise CheckpointError(
            f"{path} is no llama2.c checkpoint: its header reads {header}. Pickled PyTorch weights (.bin) are not "
            f"read, because opening them can run code: convert them to safetensors"
        )
    return header


def _layout(header: _Header) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes in the order of the file."""
    layers, dim, hidden = header.n_layers, header.dim, header.hidden_dim
    kv_dim = header.n_kv_heads * header.head_dim
    yield "embed", (abs(header.vocab_size), dim)
    yield "input_layernorm", (layers, dim)
    yield "self_attn.q_proj", (layers, dim, dim)
    yield "self_attn.k_proj", (layers, kv_dim, dim)
    yield "self_attn.v_proj", (layers, kv_dim, dim)
    yield "self_attn.o_proj", (layers, dim, dim)
    yield "post_attention_layernorm", (layers, dim)
    yield "mlp.gate_proj", (layers, hidden, dim)
    yield "mlp.down_proj", (layers, dim, hidden)
    yield "mlp.up_proj", (layers, hidden, dim)
    yield "norm", (dim,)
    yield "freq_cis", (2, header.seq_len, header.head_dim // 2)
    if header.is_untied:
        yield "lm_head", (abs(header.vocab_size), dim)


def _check_size(path: Path, layout: list[tuple[str, tuple[int, ...]]]) -> None:
    expected = _HEADER.size + 4 * sum(int(np.prod(shape)) for _, shape in layout)
    actual = path.stat().st_size
    if actual != expected:
        raise CheckpointError(
            f"{path} has {actual} bytes, its header promises {expected}: it was cut short or is of another format; "
            f"download or export it again"
        )


def _rename(header: _Header, stacked: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    yield "model.embed_tokens.weight", stacked.pop("embed")
    yield "model.norm.weight", stacked.pop("norm")
    if header.is_untied:
        yield "lm_head.weight", stacked.pop("lm_head")
    del stacked["freq_cis"]  # cos and sin, which layers/rotary computes
    for name, tensor in stacked.items():
        for layer_idx, weight in enumerate(tensor):
            rotated = name.endswith(("q_proj", "k_proj"))
            yield f"model.layers.{layer_idx}.{name}.weight", _half_split(weight, header) if rotated else weight


def _half_split(weight: torch.Tensor, header: _Header) -> torch.Tensor:
    """Rows 0, 1, 2, ... of each head become 0, 2, 4, ..., 1, 3, 5, ..."""
    pairs = weight.view(-1, header.head_dim // 2, 2, header.dim)
    return pairs.transpose(1, 2).reshape(weight.shape)


def _config(header: _Header) -> ModelConfig:
    return ModelConfig.from_dict(
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": abs(header.vocab_size),
            "hidden_size": header.dim,
            "intermediate_size": header.hidden_dim,
            "num_hidden_layers": header.n_layers,
            "num_attention_heads": header.n_heads,
            "num_key_value_heads": header.n_kv_heads,
            "max_position_embeddings": header.seq_len,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": not header.is_untied,
            "bos_token_id": _BOS,
            # These models are trained on stories joined by BOS alone, so that run.c stops at BOS.
            "eos_token_id": [_EOS, _BOS],
            "dtype": "float32",
        }
    )
