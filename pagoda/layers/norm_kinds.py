"""The kinds of normalisation by name: what each subtracts, multiplies by and adds.

Beside the token's path: `config.json` chooses one, `norm` computes it. Imports no torch, since a model's parameters are
counted without it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NormKind:
    """One way to norm a row.

    centred: the mean is subtracted (LayerNorm, Ba et al. 2016, arXiv 1607.06450), or not (RMSNorm, arXiv 1910.07467)
    offset: what is added to the stored weight to make the gain
    is_wide: whether the gain is applied in fp32, before the row is rounded to its own dtype
    """

    centred: bool = False
    has_weight: bool = True
    has_bias: bool = False
    offset: float = 0.0
    is_wide: bool = False

    def num_parameters(self, size: int) -> int:
        """Weights of a norm over `size` values."""
        return size * (self.has_weight + self.has_bias)


NORM_KINDS = {
    "rms_norm": NormKind(),
    "rms_norm_wide": NormKind(is_wide=True),
    "rms_norm_1p": NormKind(offset=1.0, is_wide=True),
    "layer_norm": NormKind(centred=True, has_bias=True, is_wide=True),
    "layer_norm_no_bias": NormKind(centred=True, is_wide=True),
    "layer_norm_plain": NormKind(centred=True, has_weight=False, is_wide=True),
    "layer_norm_1p": NormKind(centred=True, has_bias=True, offset=1.0, is_wide=True),
}
