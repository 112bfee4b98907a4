"""A network of which one layer at a time is in memory: activations wait between layers instead of weights.

Beside the token's path: what calibration and its measures run a model with, so that one that does not fit into memory
as floats can be quantised. Every text goes through a layer before the next layer is read.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pagoda.errors import CheckpointError
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.layers.attention import DenseAttention
from pagoda.layers.embedding import VocabParallelEmbedding
from pagoda.layers.linear import PackedLayer, ParallelLinear
from pagoda.layers.rotary import RotaryEmbedding
from pagoda.models.checkpoint.loading import assign
from pagoda.models.checkpoint.reading import open_checkpoint
from pagoda.models.checkpoint.source import Stored, as_floats, check_finite
from pagoda.models.checkpoint.translating import translated
from pagoda.models.config import ModelConfig
from pagoda.models.gguf.container import Checkpoint
from pagoda.models.llama import LlamaForCausalLM

EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
_ROWS = 1 << 20  # of a product at once: nothing here compares bits
_TOKENS_OF_A_PASS = 2048


class StreamedNetwork:
    """The network of a checkpoint, computed in fp32 on the CPU.

    Raises CheckpointError where tensors are missing, and for a network without a head.
    """

    def __init__(self, checkpoint: Checkpoint, config: ModelConfig) -> None:
        if not config.has_head:
            raise CheckpointError("the checkpoint has no output head, so no logits to compare: only language models go")
        self.config = config
        kernels = ReferenceKernels()
        kernels.row_span = _ROWS
        with torch.device("meta"):
            self._network = LlamaForCausalLM(config, kernels).requires_grad_(False).eval()
        names = [name for name, _ in self._network.named_parameters(remove_duplicate=False)]
        self._source = translated(open_checkpoint(checkpoint), config, names)
        self._revive()
        tied = f"{HEAD}.weight" if config.tie_word_embeddings else ""
        if missing := [name for name in names if name not in self._source.files and name != tied]:
            raise CheckpointError(f"the checkpoint lacks {len(missing)} tensors of the model, {missing[0]} among them")

    def _revive(self) -> None:
        """What is no weight, and so in no file."""
        model = self._network.model
        model.rotary = RotaryEmbedding(self.config.rope)
        sliding = self.config.sliding_rope
        model.sliding_rotary = None if sliding is None else RotaryEmbedding(sliding)
        model.embedding_multiplier = torch.tensor(self.config.embedding_multiplier)

    @property
    def num_layers(self) -> int:
        return self.config.num_hidden_layers

    @property
    def is_tied(self) -> bool:
        return self.config.tie_word_embeddings

    @contextmanager
    def embedding(self) -> Iterator[VocabParallelEmbedding]:
        """The embedding, filled; its `weight` is the head's too where they are tied."""
        embedding = self._network.model.embed_tokens
        with self._filled(embedding, EMBEDDING):
            yield embedding

    @contextmanager
    def layer(self, layer_idx: int) -> Iterator[nn.Module]:
        """A decoder layer, filled."""
        with self._filled(self._network.model.layers[layer_idx], layer_name(layer_idx)) as layer:
            yield layer

    @contextmanager
    def end(self) -> Iterator[tuple[nn.Module, torch.Tensor]]:
        """The last norm, filled, and the matrix `[vocab_size, hidden_size]` of the head."""
        name = EMBEDDING if self.is_tied else HEAD
        with self._filled(self._network.model.norm, "model.norm") as norm:
            yield norm, self._read([f"{name}.weight"])[f"{name}.weight"]

    def tensors(self, without: Container[str] = ()) -> Iterator[tuple[str, torch.Tensor]]:
        """The tensors of the network by their names, one by one, floats in fp32; a tied head is not told twice."""
        names = [name for name, _ in self._network.named_parameters()]
        for name, tensor in self._source.read([name for name in names if name not in without]):
            yield name, self._floats(name, tensor)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every tensor of the network, by its name; a tied head is not told twice."""
        tied = f"{HEAD}.weight" if self.is_tied else ""  # whose parameter is the embedding's until that is filled
        return {name: tuple(each.shape) for name, each in self._network.named_parameters() if name != tied}

    @property
    def matrices(self) -> list[str]:
        """The tensors that are quantised, the head among them, which is the embedding where they are tied."""
        names = [f"{name}.weight" for name in self.config.named_matrices]
        return [*names, f"{EMBEDDING if self.is_tied else HEAD}.weight"]

    def tensor(self, name: str) -> torch.Tensor:
        """One of them, as floats in fp32."""
        return self._read([name])[name]

    def embed(self, embedding: VocabParallelEmbedding, texts: torch.Tensor) -> torch.Tensor:
        """`texts [n, length]` of token ids -> `[n, length, hidden_size]`."""
        assert embedding is self._network.model.embed_tokens
        return self._network.model.embedded(texts.flatten()).unflatten(0, texts.shape)

    def through(self, layer: nn.Module, hidden: torch.Tensor, layer_idx: int) -> Iterator[tuple[slice, torch.Tensor]]:
        """`hidden [n, length, hidden_size]` through a layer: which texts, and what came of them, some at a time."""
        length = hidden.shape[1]
        rope = self._network.model.layer_ropes[layer_idx]
        at_once = max(1, _TOKENS_OF_A_PASS // length)
        for start in range(0, len(hidden), at_once):
            texts = slice(start, min(start + at_once, len(hidden)))
            num_texts = texts.stop - start
            positions = torch.arange(length).repeat(num_texts)
            lengths = torch.full_like(positions, length)
            rotation = None if rope is None else self._network.model.rotations(positions, lengths)[rope]
            attention = DenseAttention(num_texts, self.config.layer_windows)
            computed = layer(hidden[texts].flatten(0, 1), rotation, attention)
            yield texts, computed.unflatten(0, (num_texts, length))

    def scaled(self, products: torch.Tensor) -> torch.Tensor:
        """Products with the head's matrix as the family's logits."""
        return self._network.scaled(products)

    @contextmanager
    def _filled(self, module: nn.Module, name: str) -> Iterator[nn.Module]:
        module.to_empty(device="cpu")
        parameters = {f"{name}.{own}": parameter for own, parameter in module.named_parameters()}
        for found, tensor in self._read(parameters).items():
            assign(parameters[found], tensor, None, self._source.stored_name(found), self._source.files[found])
        try:
            yield module
        finally:
            module.to_empty(device="meta")

    def _read(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        return {name: self._floats(name, tensor).clone() for name, tensor in self._source.read(names)}

    def _floats(self, name: str, stored: Stored) -> torch.Tensor:
        check_finite(stored, self._source.stored_name(name), self._source.files[name])
        return as_floats(stored).float()


def layer_name(layer_idx: int) -> str:
    """The name under which a layer's tensors go."""
    return f"model.layers.{layer_idx}"


def weight_of(layer: PackedLayer) -> torch.Tensor:
    """`[out, in]`, to read and to write: nothing here packs it."""
    assert layer.weight is not None, "of the streamed network, whose kernels read a matrix as it is stored"
    return layer.weight.data


def matrices_of(layer: nn.Module) -> dict[str, ParallelLinear]:
    """The modules of a decoder layer whose matrices are quantised, by their names in it."""
    return {name: module for name, module in layer.named_modules() if isinstance(module, ParallelLinear)}


def run_layer(network: StreamedNetwork, layer: nn.Module, hidden: torch.Tensor, layer_idx: int) -> None:
    """Put `hidden [n, length, hidden_size]` through a layer, in its place."""
    for texts, computed in network.through(layer, hidden, layer_idx):
        hidden[texts] = computed
