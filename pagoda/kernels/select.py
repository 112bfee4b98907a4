"""Which kernels run: decided once at start, by device and by what was asked for, and said aloud.

Off the token's path; the engine and the trainer call it while they are built. A request that cannot be
met is an error, never a silent fallback.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from pagoda.errors import ConfigError, nearest
from pagoda.kernels.interface import Kernels
from pagoda.kernels.reference.operations import ROW_SPAN, ReferenceKernels, TiledReferenceKernels


def _native() -> Kernels:
    try:
        from pagoda.kernels.native.operations import NativeKernels
    except ImportError as error:
        raise ConfigError(
            "kernels='native' were not built when pagoda was installed: install a C++20 compiler (g++ 12, clang 15 or "
            f"newer) and pagoda once more, or leave the option out for torch's kernels ({error})"
        ) from error
    return NativeKernels()


KERNELS: dict[str, Callable[[], Kernels]] = {
    ReferenceKernels.name: ReferenceKernels,
    TiledReferenceKernels.name: TiledReferenceKernels,
    "native": _native,
}
"""Name -> what makes them; called once, when they are chosen, so that the others load nothing."""


def select_kernels(name: str = "auto") -> Kernels:
    """The kernels called `name`; "auto" takes the plain reference. Raises ConfigError."""
    if name == "auto":
        return ReferenceKernels()
    if name not in KERNELS:
        raise ConfigError(f"kernels={name!r} is not one that pagoda has: {nearest(name, ['auto', *KERNELS])}")
    return KERNELS[name]()


def select_exact_kernels(name: str, shapes: list[tuple[int, int]], dtype: torch.dtype, device: torch.device) -> Kernels:
    """`select_kernels`, but "auto" falls back to tiles where this machine's BLAS is not exact over rows.

    shapes: (in_features, out_features) of the matrix products that the model will ask for.
    """
    kernels = select_kernels(name)
    if not kernels.computes(dtype, device):
        raise ConfigError(f"kernels={name!r} do not compute in {dtype} on {device}: leave the option out")
    if name == "auto" and not all(rows_are_exact(kernels, *shape, dtype, device) for shape in shapes):
        return TiledReferenceKernels()
    return kernels


@torch.inference_mode()
def rows_are_exact(
    kernels: Kernels, in_features: int, out_features: int, dtype: torch.dtype, device: torch.device
) -> bool:
    """Whether a row of a product has the same bits alone in a tile and among more rows, wherever it stands.

    Tried up to ROW_SPAN, above which the reference asks for no product, and at several heights: BLAS divides the
    work anew at bounds that nobody tells. MKL on two threads was seen to leave its bits from 48 rows on, or from 128,
    or from 64 to 192 only.
    """
    tile = kernels.row_multiple
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROW_SPAN // tile * tile, in_features, generator=generator).to(device, dtype)
    weight = torch.randn(out_features, in_features, generator=generator).to(device, dtype)
    alone = torch.cat([kernels.linear(rows, weight, None) for rows in x.split(tile)])
    heights = range(2 * tile, len(x) + 1, 2 * tile)
    return all(torch.equal(kernels.linear(x[:height], weight, None), alone[:height]) for height in heights)
