"""In how many bits a matrix is written, and what that costs in bytes.

Beside the token's path: what `rounding` and `gptq` are told, what a mixed plan chooses for each matrix, and what
`pagoda plan` counts with. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pagoda.errors import ConfigError

BITS = (4, 5, 6, 8)
GROUP_SIZES = (32, 64, 128)
SUPER_BLOCK = 256
"""Inputs of a k-quant that share the steps of their groups' scales."""
SCALE_BYTES = 2
"""A scale is a float of 16 bits, in files and in what is measured."""


@dataclass(frozen=True)
class Scheme:
    """Whole numbers of `bits` bits, `group_size` neighbouring inputs of an output under one scale.

    group_size: None makes a whole row one group
    symmetric: the codes' middle means zero; otherwise each group has a zero point of its own, of `bits` bits
    two_level: a k-quant of GGUF files: scales, and shifts where it is not symmetric, are whole numbers of 6 bits (8 of
        the symmetric one) times a step of 16 bits for 256 inputs

    Raises ConfigError for sizes that no kernel has.
    """

    bits: int
    group_size: int | None = 64
    symmetric: bool = False
    two_level: bool = False

    def __post_init__(self) -> None:
        if self.two_level:
            if (self.bits, self.group_size, self.symmetric) not in _K_QUANTS:
                raise ConfigError(f"{self} is no k-quant that is written: those are Q4_K, Q5_K and Q6_K")
            return
        if self.bits not in BITS:
            raise ConfigError(f"{self.bits} bits, but one of {_listed(BITS)} is expected")
        if self.group_size is not None and self.group_size not in GROUP_SIZES:
            raise ConfigError(f"groups of {self.group_size}, but one of {_listed(GROUP_SIZES)} or none is expected")

    @property
    def highest(self) -> int:
        """The largest code."""
        return (1 << self.bits) - 1

    @property
    def middle(self) -> int:
        """The code that a symmetric scheme has for zero."""
        return 1 << (self.bits - 1)

    def fitted(self, in_features: int) -> Scheme:
        """This scheme with the largest group, up to its own, that the inputs are a whole number of.

        Of a k-quant whose 256 inputs do not fit, the block of 32 that has as many bits, or 8 in place of 6.
        """
        if self.group_size is None:
            return self
        if self.two_level:
            return self if in_features % SUPER_BLOCK == 0 else _INSTEAD[self.bits]
        fitting = [size for size in GROUP_SIZES if size <= self.group_size and in_features % size == 0]
        return replace(self, group_size=max(fitting, default=None))

    def num_bytes(self, in_features: int, out_features: int) -> int:
        """Bytes of a matrix: codes packed without gaps, scales, and zero points where there are any."""
        if (fitted := self.fitted(in_features)) != self:
            return fitted.num_bytes(in_features, out_features)
        if self.two_level:
            return in_features // SUPER_BLOCK * out_features * _K_QUANTS[self.bits, self.group_size, self.symmetric]
        num_groups = out_features * (in_features // (self.group_size or in_features))
        code_bits = in_features * out_features * self.bits
        zero_bits = 0 if self.symmetric else num_groups * self.bits
        return -(-code_bits // 8) + -(-zero_bits // 8) + num_groups * SCALE_BYTES

    def __str__(self) -> str:
        """As a plan shows it.

        >>> str(Scheme(4, 64)), str(Scheme(8, None, symmetric=True))
        ('4 bits, groups of 64', '8 bits, a scale a row, symmetric')
        """
        span = "a scale a row" if self.group_size is None else f"groups of {self.group_size}"
        return f"{self.bits} bits, {span}{', symmetric' * self.symmetric}{', of two levels' * self.two_level}"


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))


_K_QUANTS: dict[tuple[int, int | None, bool], int] = {(4, 32, False): 144, (5, 32, False): 176, (6, 16, True): 210}
"""Bits, group and symmetry of Q4_K, Q5_K and Q6_K -> bytes of 256 weights."""
Q4_0, Q5_0, Q8_0 = (Scheme(bits, 32, symmetric=True) for bits in (4, 5, 8))
Q4_K, Q5_K, Q6_K = (Scheme(*each, two_level=True) for each in _K_QUANTS)
_INSTEAD = {4: Q4_0, 5: Q5_0, 6: Q8_0}
GGUF_SCHEMES = (Q4_0, Q4_K, Q5_0, Q5_K, Q6_K, Q8_0)
"""What GGUF files are written in, by ggml's names."""
INT8 = Scheme(8, None, symmetric=True)
INT4 = Scheme(4, 64)
PRESETS = {"int8": INT8, "int4": INT4}
"""What `--to` and `quantization` name."""
