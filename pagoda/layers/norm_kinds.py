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
    share: how much of a row the mean square is of, from its first value on (pRMSNorm, arXiv 1910.07467, section 5)
    follows: what the gain follows beside the weight, with one number a norm: "" nothing; "rms" the row's own root mean
        square, to the power of a learned `exponent`; "training" its progress, from `GAIN_AT_START` to 1 at its end,
        which stands in the checkpoint as `progress`
    has_scale: whether a row is divided by anything at all
    """

    centred: bool = False
    has_weight: bool = True
    has_bias: bool = False
    offset: float = 0.0
    is_wide: bool = False
    share: float = 1.0
    follows: str = ""
    has_scale: bool = True

    def num_parameters(self, size: int) -> int:
        """Weights of a norm over `size` values."""
        return size * (self.has_weight + self.has_bias) + (self.follows != "")

    @property
    def is_plain(self) -> bool:
        """Whether it is a RMSNorm or LayerNorm of whole rows."""
        return self.share == 1.0 and not self.follows and self.has_scale

    @property
    def fault(self) -> str | None:
        """What no norm here computes, as the end of a sentence; None where nothing is wrong."""
        if not self.has_scale:
            alone = NormKind(has_weight=False, has_scale=False)
            return (
                None if self == alone else "has_scale=False, which leaves rows as they are, with has_weight=False alone"
            )
        if not 0 < self.share <= 1:
            return f"share={self.share!r}, but a part of a row, above 0 and up to 1, is expected"
        if self.follows not in ("", "rms", "training"):
            return f"follows={self.follows!r}, but '', 'rms' or 'training' is expected"
        if self.follows and (self.centred or self.share < 1):
            return f"follows={self.follows!r}, which is of a RMSNorm of whole rows: leave out centred and share"
        if self.centred and self.share < 1:
            return f"centred=True with share={self.share!r}: the share is that of a RMSNorm"
        return self._gain_fault

    @property
    def _gain_fault(self) -> str | None:
        if not self.centred and (self.has_bias or not self.has_weight):
            return (
                f"has_weight={self.has_weight} and has_bias={self.has_bias}, but not centred: a RMSNorm has a weight "
                "and no bias"
            )
        if self.offset and not (self.is_wide and self.has_weight):
            return f"offset={self.offset!r}, which is added to a weight in fp32: it needs has_weight and is_wide"
        return None


GAIN_AT_START = 0.5
"""Of the gain that follows training: blocks that write half as loudly at first are steadier where learning is fast."""

NORM_KINDS = {
    "rms_norm": NormKind(),
    "rms_norm_wide": NormKind(is_wide=True),
    "rms_norm_1p": NormKind(offset=1.0, is_wide=True),
    "rms_norm_partial": NormKind(is_wide=True, share=0.0625),
    "rms_norm_adaptive": NormKind(is_wide=True, follows="rms"),
    "rms_norm_scheduled": NormKind(is_wide=True, follows="training"),
    "layer_norm": NormKind(centred=True, has_bias=True, is_wide=True),
    "layer_norm_no_bias": NormKind(centred=True, is_wide=True),
    "layer_norm_plain": NormKind(centred=True, has_weight=False, is_wide=True),
    "layer_norm_1p": NormKind(centred=True, has_bias=True, offset=1.0, is_wide=True),
    "none": NormKind(has_weight=False, has_scale=False),
}
