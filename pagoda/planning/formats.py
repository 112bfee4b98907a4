"""In what a model's weights may be held, and the flags that ask for it.

Beside the token's path: `layouts` walks over them, `shapes` counts their bytes. Floats of 16 and 32 bits and the whole
numbers that `--quantization` rounds to while loading are what the engine serves; a GGUF file and a checkpoint that is
quantised already have a format of their own, "stored". FP8 and NVFP4 are here because public measurements of devices
are made in them; the engine widens FP8 while it reads it, so no plan offers it. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagoda.errors import ConfigError, nearest
from pagoda.models.quantise.scheme import PRESETS, Scheme

STORED = "stored"


@dataclass(frozen=True)
class WeightFormat:
    """A way to hold the matrices.

    weight_bytes: bytes of a weight; None where `scheme` or the checkpoint itself tells
    float_bytes: bytes of a float of what is not in codes, and of keys and values
    products: the dtype that products run in, a key of a device's peaks; "codes" where weights are whole numbers
    flags: of `pagoda serve`
    served: whether our engine holds weights so
    """

    name: str
    weight_bytes: float | None
    float_bytes: int
    products: str
    flags: tuple[str, ...]
    scheme: Scheme | None = None
    served: bool = True


_INT8, _INT4 = ("--quantization", "int8"), ("--quantization", "int4")
FORMATS = {
    each.name: each
    for each in (
        WeightFormat("float32", 4, 4, "float32", ("--dtype", "float32")),
        WeightFormat("bfloat16", 2, 2, "bfloat16", ("--dtype", "bfloat16")),
        WeightFormat("int8", None, 2, "codes", ("--dtype", "bfloat16", *_INT8), PRESETS["int8"]),
        WeightFormat("int4", None, 2, "codes", ("--dtype", "bfloat16", *_INT4), PRESETS["int4"]),
        WeightFormat(STORED, None, 2, "codes", ("--dtype", "bfloat16")),
        WeightFormat("fp8", 1, 2, "fp8", (), served=False),
        WeightFormat("nvfp4", 0.5625, 2, "nvfp4", (), served=False),
    )
}
"""By name, from the most exact that a model may be served in to the smallest."""


def format_named(name: str) -> WeightFormat:
    """Of what the engine serves. Raises ConfigError, with the reason where a format is known and not served."""
    if (found := FORMATS.get(name)) is not None and found.served:
        return found
    served = [each.name for each in FORMATS.values() if each.served]
    if found is not None:
        raise ConfigError(f"format {name!r} is read and widened, not kept: give one of {', '.join(served)}")
    raise ConfigError(f"format {name!r} is not known: {nearest(name, served)}")
