"""MiniLM's layers in numpy, for reading a few texts: a process that asks one question need not wait for torch.

Below `rag`, whose questions and passages it reads; the same numbers as `encoder.Encoder`, which is for whoever trains
or reads many texts at once: importing torch takes longer than reading a hundred sentences here. Texts of one batch are
of one length, so that nothing is padded or masked. Papers: Devlin et al. 2018, "BERT" (arXiv 1810.04805); Wang et al.
2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from pagoda.minilm.shape import EPSILON, HIDDEN, NUM_HEADS, layers_of

_BLOCK = 16_384
"""Numbers of which a GELU fits a core's second cache; each of its steps over more would wait for memory."""
# Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26: erfc within 1.5e-7, below float32's own error.
_ERFC_P = 0.3275911
_ERFC = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


class NumpyEncoder:
    """Embeddings and layers. Never changes; threads may share it.

    weights: float32, by the names of BERT's checkpoints, of as many layers as there are; embeddings are for `embed`
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights, self.num_layers = dict(weights), layers_of(weights)
        for layer in range(self.num_layers):
            prefix = f"encoder.layer.{layer}.attention.self."
            for kind in ("weight", "bias"):
                parts = [self._weights.pop(f"{prefix}{name}.{kind}") for name in ("query", "key", "value")]
                # One product instead of three.
                self._weights[f"{prefix}all.{kind}"] = np.concatenate(parts)

    def embed(self, ids: np.ndarray, types: np.ndarray | None = None) -> np.ndarray:
        """float32 [batch, pieces, HIDDEN], below the first layer.

        ids, types: int64 [batch, pieces]; a type is 0 for the first text and 1 for the second, None: there is no second
        """
        w, prefix = self._weights, "embeddings."
        total = w[prefix + "word_embeddings.weight"][ids]
        total += w[prefix + "position_embeddings.weight"][: ids.shape[1]]
        total += w[prefix + "token_type_embeddings.weight"][0 if types is None else types]
        return self._normalised(total, prefix + "LayerNorm")

    def run(self, hidden: np.ndarray, layers: Iterable[int]) -> np.ndarray:
        """hidden [batch, pieces, HIDDEN] through the layers; what is given stays as it is."""
        for layer in layers:
            hidden = self._layer(hidden, f"encoder.layer.{layer}.")
        return hidden

    def _layer(self, hidden: np.ndarray, prefix: str) -> np.ndarray:
        """One BERT layer: self-attention, then two linear maps, each added to what came in and normalised."""
        mixed = _attention(self._linear(hidden, f"{prefix}attention.self.all"))
        mixed = self._linear(mixed, f"{prefix}attention.output.dense")
        mixed += hidden
        hidden = self._normalised(mixed, f"{prefix}attention.output.LayerNorm")
        wide = gelu(self._linear(hidden, f"{prefix}intermediate.dense"))
        wide = self._linear(wide, f"{prefix}output.dense")
        wide += hidden
        return self._normalised(wide, f"{prefix}output.LayerNorm")

    def _linear(self, values: np.ndarray, name: str) -> np.ndarray:
        # [batch, pieces, in] to [batch, pieces, out], as one product of matrices.
        rows = values.reshape(-1, values.shape[-1]) @ self._weights[name + ".weight"].T
        rows += self._weights[name + ".bias"]
        return rows.reshape(*values.shape[:-1], -1)

    def _normalised(self, values: np.ndarray, name: str) -> np.ndarray:
        """Layer normalisation, in place."""
        values -= values.mean(axis=-1, keepdims=True)
        variance = np.einsum("...d,...d->...", values, values)[..., None] / HIDDEN
        values *= 1 / np.sqrt(variance + EPSILON)
        values *= self._weights[name + ".weight"]
        values += self._weights[name + ".bias"]
        return values


def _attention(told: np.ndarray) -> np.ndarray:
    """Softmax attention. told: [batch, pieces, 3 x HIDDEN], queries, keys and values; gives [batch, pieces, HIDDEN]."""
    size, length, _ = told.shape
    # [3, batch, heads, pieces, width]
    query, key, value = told.reshape(size, length, 3, NUM_HEADS, -1).transpose(2, 0, 3, 1, 4)
    scores = query @ key.swapaxes(2, 3)
    scores *= np.float32(query.shape[3] ** -0.5)
    scores -= scores.max(axis=3, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=3, keepdims=True)
    return (scores @ value).transpose(0, 2, 1, 3).reshape(size, length, HIDDEN)


def gelu(values: np.ndarray) -> np.ndarray:
    """x times the share of a standard normal distribution below x, in place. values: float32, contiguous.

    >>> gelu(np.array([-1.0, 0.0, 1.0], dtype=np.float32)).round(4).tolist()
    [-0.15870000422000885, 0.0, 0.8413000106811523]
    """
    flat = values.reshape(-1)
    for start in range(0, len(flat), _BLOCK):
        block = flat[start : start + _BLOCK]
        size = np.abs(block)
        near = 1 / (size * np.float32(_ERFC_P * 0.5**0.5) + 1)
        tail = near * np.float32(_ERFC[0])
        for factor in _ERFC[1:]:
            tail += np.float32(factor)
            tail *= near
        # What lies beyond |x|, times |x|: the same is taken away on both sides of 0.
        tail *= np.exp(size * size * np.float32(-0.5))
        tail *= size
        tail *= np.float32(0.5)
        np.maximum(block, 0, out=block)
        block -= tail
    return values
