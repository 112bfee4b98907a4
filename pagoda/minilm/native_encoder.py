"""MiniLM's layers for reading many texts: our kernels', in bfloat16 and in bytes where the machine multiplies these.

Below `rag`, whose indexer reads every sentence of every document with it; the same network as `encoder.Encoder`. Texts
of one batch are of one length, so that nothing is padded. Each thread takes a batch of its own: within a batch threads
would wait for each other at every operation, most of which take less time than waking a thread. Every row of a product
has the same bits whatever stands beside it (`csrc/product.inl`, `csrc/encoder.inl`), and so has a text. Papers: Devlin
et al. 2018, "BERT" (arXiv 1810.04805); Wang et al. 2020, "MiniLM" (arXiv 2002.10957); Dettmers et al. 2022,
"LLM.int8()" (arXiv 2208.07339).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from pagoda.kernels.select import native_is_built
from pagoda.minilm.shape import EPSILON, HIDDEN, NUM_HEADS, layers_of

if TYPE_CHECKING:
    from pagoda.kernels.native.encoder import EncoderKernels
    from pagoda.kernels.native.operations import NativeKernels

_MULTIPLY_BF16 = ("avx512_amx", "avx512_bf16")
"""And bytes by bytes, four to a lane, which takes half the time again."""
_ATTENTION, _FEED_FORWARD = ("attention.self.all", "attention.output.dense"), ("intermediate.dense", "output.dense")
Embed = Callable[[np.ndarray], torch.Tensor]


class NativeEncoder:
    """Embeddings and layers over packed weights. Never changes; threads may share it.

    weights: float32, by the names of BERT's checkpoints, of as many layers as there are
    embed: float32 [batch, pieces, HIDDEN] below the first layer of int64 [batch, pieces]; None: by what weights hold
    dtype: of the factors of products, float32 or bfloat16; what is added and normalised is float32. With bfloat16 the
        wide matrices of a layer, two thirds of its products, are multiplied in bytes; its attention is not
    """

    def __init__(self, weights: Mapping[str, np.ndarray], dtype: torch.dtype, embed: Embed | None = None) -> None:
        from pagoda.kernels.native.encoder import ByteWeight

        self.dtype, self._embed, self._num_layers = dtype, embed, layers_of(weights)
        self._of_thread = threading.local()
        self._weights = {name: torch.from_numpy(array) for name, array in weights.items()}
        for layer in range(self._num_layers):
            prefix = f"encoder.layer.{layer}."
            for kind in ("weight", "bias"):
                parts = [f"{prefix}attention.self.{name}.{kind}" for name in ("query", "key", "value")]
                # One product instead of three.
                self._weights[f"{prefix}attention.self.all.{kind}"] = torch.cat([*map(self._weights.pop, parts)])
        in_bytes = _FEED_FORWARD if dtype == torch.bfloat16 else ()
        self._bytes = {name: ByteWeight.of(*self._taken(name)) for name in self._of_layers(in_bytes)}
        others = [name for name in self._of_layers(_ATTENTION + _FEED_FORWARD) if name not in self._bytes]
        taken = {name: self._taken(name) for name in others}
        self._matrices = {name: self._products.pack(weight.to(dtype)) for name, (weight, _) in taken.items()}
        self._biases = {name: bias.to(dtype) for name, (_, bias) in taken.items()}

    def _of_layers(self, names: Sequence[str]) -> list[str]:
        return [f"encoder.layer.{layer}.{name}" for layer in range(self._num_layers) for name in names]

    def _taken(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return self._weights.pop(f"{name}.weight"), self._weights.pop(f"{name}.bias")

    def read(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """float32 [batch, pieces, HIDDEN] above the last layer for int64 [batch, pieces] each, in their order.

        On as many threads as torch takes for itself; few batches are ahead of who asks for them.
        """
        num_threads = torch.get_num_threads()
        waiting: deque[Future[np.ndarray]] = deque()
        try:
            with ThreadPoolExecutor(num_threads, "minilm", lambda: torch.set_num_threads(1)) as executor:
                for ids in batches:
                    waiting.append(executor.submit(self._through, ids))
                    if len(waiting) > 2 * num_threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
        finally:
            # A part of what a thread sets holds for all of them.
            torch.set_num_threads(num_threads)

    @torch.inference_mode()
    def _through(self, ids: np.ndarray) -> np.ndarray:
        size, length = ids.shape
        hidden = (self._embed or self._embedded)(ids).reshape(-1, HIDDEN)
        # What is normalised, once more as products take it.
        narrow = hidden if self.dtype == torch.float32 else hidden.to(self.dtype)
        for layer in range(self._num_layers):
            self._layer(hidden, narrow, size, f"encoder.layer.{layer}.")
        read: np.ndarray = hidden.view(size, length, HIDDEN).numpy()
        return read

    def _embedded(self, ids: np.ndarray) -> torch.Tensor:
        w, prefix = self._weights, "embeddings."
        total = F.embedding(torch.from_numpy(ids), w[prefix + "word_embeddings.weight"])
        total += w[prefix + "position_embeddings.weight"][: ids.shape[1]]
        total += w[prefix + "token_type_embeddings.weight"][0]
        gain, bias = (w[f"{prefix}LayerNorm.{kind}"] for kind in ("weight", "bias"))
        return F.layer_norm(total, (HIDDEN,), gain, bias, EPSILON)

    def _layer(self, hidden: torch.Tensor, narrow: torch.Tensor, size: int, prefix: str) -> None:
        """One BERT layer, in place: self-attention, then two linear maps, each added to what came in and normalised."""
        told = self._linear(narrow, f"{prefix}attention.self.all")
        mixed = self._kernels.attend(told, size, NUM_HEADS)
        mixed = self._linear(mixed, f"{prefix}attention.output.dense")
        self._add_and_normalise(hidden, mixed, f"{prefix}attention.output.LayerNorm", narrow)
        wide = self._feed_forward(hidden, prefix)
        self._add_and_normalise(hidden, wide, f"{prefix}output.LayerNorm", narrow)

    def _feed_forward(self, hidden: torch.Tensor, prefix: str) -> torch.Tensor:
        first, second = (prefix + name for name in _FEED_FORWARD)
        if first not in self._bytes:
            return self._linear(F.gelu(self._linear(hidden, first)), second)
        wide = self._kernels.linear(hidden, self._bytes[first], self.dtype, gelu=True)
        return self._kernels.linear(wide, self._bytes[second], torch.float32)

    def _linear(self, rows: torch.Tensor, name: str) -> torch.Tensor:
        return self._products.linear(rows, self._matrices[name], self._biases[name])

    def _add_and_normalise(self, hidden: torch.Tensor, added: torch.Tensor, name: str, narrow: torch.Tensor) -> None:
        gain, bias = self._weights[name + ".weight"], self._weights[name + ".bias"]
        self._kernels.add_and_normalise(hidden, added, gain, bias, EPSILON, None if narrow is hidden else narrow)

    @property
    def _products(self) -> NativeKernels:
        """Of the thread that asks: kernels have room for one product at a time."""
        from pagoda.kernels.native.operations import NativeKernels

        if not hasattr(self._of_thread, "products"):
            self._of_thread.products = NativeKernels(num_threads=1)
        products: NativeKernels = self._of_thread.products
        return products

    @property
    def _kernels(self) -> EncoderKernels:
        """Of the thread that asks, likewise."""
        from pagoda.kernels.native.encoder import EncoderKernels

        if not hasattr(self._of_thread, "kernels"):
            self._of_thread.kernels = EncoderKernels()
        kernels: EncoderKernels = self._of_thread.kernels
        return kernels


def native_encoder(weights: Mapping[str, np.ndarray], embed: Embed | None = None) -> NativeEncoder | None:
    """The fastest on this machine; None where this installation has no native kernels."""
    dtype = product_dtype()
    return None if dtype is None else NativeEncoder(weights, dtype, embed)


def product_dtype() -> torch.dtype | None:
    """Of the factors of products, on this machine; None where this installation has no native kernels."""
    if not native_is_built():
        return None
    from pagoda.kernels.native import library

    return torch.bfloat16 if library.instruction_sets()[0] in _MULTIPLY_BF16 else torch.float32
