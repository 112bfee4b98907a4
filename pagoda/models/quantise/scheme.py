"""In how many bits a matrix is written, and what that costs in bytes.

Beside the token's path: what `rounding` and `gptq` are told, what a mixed plan chooses for each matrix, and what
`pagoda plan` counts with. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pagoda.errors import ConfigError

BITS = (4, 5, 6, 8)
GROUP_SIZES = (32, 64, 128)
SCALE_BYTES = 2
"""A scale is a float of 16 bits, in files and in what is measured."""


@dataclass(frozen=True)
class Scheme:
    """Whole numbers of `bits` bits, `group_size` neighbouring inputs of an output under one scale.

    group_size: None makes a whole row one group
    symmetric: the codes' middle means zero; otherwise each group has a zero point of its own, of `bits` bits

    Raises ConfigError for sizes that no kernel has.
    """

    bits: int
    group_size: int | None = 64
    symmetric: bool = False

    def __post_init__(self) -> None:
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
        """This scheme with the largest group, up to its own, that the inputs are a whole number of."""
        if self.group_size is None:
            return self
        fitting = [size for size in GROUP_SIZES if size <= self.group_size and in_features % size == 0]
        return replace(self, group_size=max(fitting, default=None))

    def num_bytes(self, in_features: int, out_features: int) -> int:
        """Bytes of a matrix: codes packed without gaps, scales, and zero points where there are any."""
        num_groups = out_features * (in_features // (self.fitted(in_features).group_size or in_features))
        code_bits = in_features * out_features * self.bits
        zero_bits = 0 if self.symmetric else num_groups * self.bits
        return -(-code_bits // 8) + -(-zero_bits // 8) + num_groups * SCALE_BYTES

    def __str__(self) -> str:
        """As a plan shows it.

        >>> str(Scheme(4, 64)), str(Scheme(8, None, symmetric=True))
        ('4 bits, groups of 64', '8 bits, a scale a row, symmetric')
        """
        span = "a scale a row" if self.group_size is None else f"groups of {self.group_size}"
        return f"{self.bits} bits, {span}{', symmetric' * self.symmetric}"


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))


INT8 = Scheme(8, None, symmetric=True)
INT4 = Scheme(4, 64)
PRESETS = {"int8": INT8, "int4": INT4}
"""What `--to` and `quantization` name."""
