"""MiniLM's layers for reading many texts: the products are our kernels', in bfloat16 where the machine multiplies it.

Below `rag`, whose indexer reads every sentence of every document with it; the same network as `encoder.Encoder`. Texts
of one batch are of one length, so that nothing is padded. Each thread takes a batch of its own: within a batch threads
would wait for each other at every operation, most of which take less time than waking a thread. Every row of a product
has the same bits whatever stands beside it (`csrc/product.inl`), and so has a text. Papers: Devlin et al. 2018, "BERT"
(arXiv 1810.04805); Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from pagoda.kernels.select import native_is_built
from pagoda.minilm.shape import EPSILON, HIDDEN, NUM_HEADS, NUM_LAYERS

if TYPE_CHECKING:
    from pagoda.kernels.native.operations import NativeKernels

_MULTIPLIES_BF16 = "avx512_bf16"
_DENSE = ("attention.self.all", "attention.output.dense", "intermediate.dense", "output.dense")


class NativeEncoder:
    """Embeddings and layers over packed weights. Never changes; threads may share it.

    weights: float32, by the names of BERT's checkpoints
    dtype: of the factors of products, float32 or bfloat16; what is added and normalised is float32
    """

    def __init__(self, weights: Mapping[str, np.ndarray], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._of_thread = threading.local()
        self._weights = {name: torch.from_numpy(array) for name, array in weights.items()}
        for layer in range(NUM_LAYERS):
            prefix = f"encoder.layer.{layer}."
            for kind in ("weight", "bias"):
                parts = [self._weights[f"{prefix}attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
                # One product instead of three.
                self._weights[f"{prefix}attention.self.all.{kind}"] = torch.cat(parts)
        names = [f"encoder.layer.{layer}.{name}" for layer in range(NUM_LAYERS) for name in _DENSE]
        self._matrices = {name: self._kernels.pack(self._weights.pop(f"{name}.weight").to(dtype)) for name in names}
        self._biases = {name: self._weights.pop(f"{name}.bias").to(dtype) for name in names}

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
        hidden = self._embedded(torch.from_numpy(ids))
        for layer in range(NUM_LAYERS):
            hidden = self._layer(hidden, size, f"encoder.layer.{layer}.")
        read: np.ndarray = hidden.view(size, length, HIDDEN).numpy()
        return read

    def _embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """[batch, pieces] to [batch x pieces, HIDDEN], below the first layer."""
        w, prefix = self._weights, "embeddings."
        total = F.embedding(ids, w[prefix + "word_embeddings.weight"])
        total += w[prefix + "position_embeddings.weight"][: ids.shape[1]]
        total += w[prefix + "token_type_embeddings.weight"][0]
        return self._normalised(total.view(-1, HIDDEN), prefix + "LayerNorm")

    def _layer(self, hidden: torch.Tensor, size: int, prefix: str) -> torch.Tensor:
        """One BERT layer: self-attention, then two linear maps, each added to what came in and normalised."""
        mixed = _attention(self._linear(hidden, f"{prefix}attention.self.all"), size)
        hidden = hidden + self._linear(mixed, f"{prefix}attention.output.dense")
        hidden = self._normalised(hidden, f"{prefix}attention.output.LayerNorm")
        wide = F.gelu(self._linear(hidden, f"{prefix}intermediate.dense"))
        hidden = hidden + self._linear(wide, f"{prefix}output.dense")
        return self._normalised(hidden, f"{prefix}output.LayerNorm")

    def _linear(self, rows: torch.Tensor, name: str) -> torch.Tensor:
        return self._kernels.linear(rows.to(self.dtype), self._matrices[name], self._biases[name])

    def _normalised(self, rows: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(rows, (HIDDEN,), self._weights[name + ".weight"], self._weights[name + ".bias"], EPSILON)

    @property
    def _kernels(self) -> NativeKernels:
        """Of the thread that asks: kernels have room for one product at a time."""
        from pagoda.kernels.native.operations import NativeKernels

        if not hasattr(self._of_thread, "kernels"):
            self._of_thread.kernels = NativeKernels(num_threads=1)
        kernels: NativeKernels = self._of_thread.kernels
        return kernels


def native_encoder(weights: Mapping[str, np.ndarray]) -> NativeEncoder | None:
    """The fastest on this machine; None where this installation has no native kernels."""
    dtype = product_dtype()
    return None if dtype is None else NativeEncoder(weights, dtype)


def product_dtype() -> torch.dtype | None:
    """Of the factors of products, on this machine; None where this installation has no native kernels."""
    if not native_is_built():
        return None
    from pagoda.kernels.native import library

    return torch.bfloat16 if library.instruction_sets()[0] == _MULTIPLIES_BF16 else torch.float32


def _attention(told: torch.Tensor, size: int) -> torch.Tensor:
    """Softmax attention in float32, [batch x pieces, HIDDEN].

    told: [batch x pieces, 3 x HIDDEN], queries, keys and values; size: of the batch
    """
    # [3, batch, heads, pieces, width]
    query, key, value = told.float().view(size, -1, 3, NUM_HEADS, HIDDEN // NUM_HEADS).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(-1, HIDDEN)
