"""Which kernels run: decided once at start, by device and by what was asked for, and said aloud.

Off the token's path; the engine and the trainer call it while they are built. A request that cannot be
met is an error, never a silent fallback.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch

from pagoda.errors import ConfigError, nearest
from pagoda.kernels.interface import Kernels
from pagoda.kernels.reference.operations import ROW_SPAN, ReferenceKernels, TiledReferenceKernels

NATIVE = "native"


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
    NATIVE: _native,
}
"""Name -> what makes them; called once, when they are chosen, so that the others load nothing."""


def native_is_built() -> bool:
    """Whether this installation has the kernels in C++."""
    return importlib.util.find_spec("pagoda.kernels.native.library") is not None


def prefers_native(name: str, device: torch.device) -> bool:
    """Whether kernels called `name` are the native ones on `device`, for element types that these compute in."""
    return device.type == "cpu" and (name == NATIVE or (name == "auto" and native_is_built()))


def select_kernels(name: str) -> Kernels:
    """The kernels called `name`. Raises ConfigError."""
    if name not in KERNELS:
        raise ConfigError(f"kernels={name!r} is not one that pagoda has: {nearest(name, ['auto', *KERNELS])}")
    return KERNELS[name]()


def select_exact_kernels(name: str, shapes: list[tuple[int, int]], dtype: torch.dtype, device: torch.device) -> Kernels:
    """The kernels called `name`; "auto" is the fastest that compute in `dtype` on `device` and are exact over rows.

    shapes: (in_features, out_features) of the matrix products that the model will ask for, which torch is tried at: it
        falls back to tiles where this machine's BLAS is not exact.
    """
    if name != "auto":
        kernels = select_kernels(name)
        if not kernels.computes(dtype, device):
            raise ConfigError(f"kernels={name!r} do not compute in {dtype} on {device}: leave the option out")
        return kernels
    if prefers_native(name, device) and (native := select_kernels(NATIVE)).computes(dtype, device):
        return native
    plain = select_kernels(ReferenceKernels.name)
    return plain if all(rows_are_exact(plain, *shape, dtype, device) for shape in shapes) else TiledReferenceKernels()


def described(kernels: Kernels, device: torch.device) -> str:
    """Which kernels run, for the line that an engine starts with; and what would run faster, had it been built."""
    if (instruction_set := getattr(kernels, "instruction_set", None)) is not None:
        return f"{kernels.name} kernels ({instruction_set})"
    if device.type == "cpu" and not native_is_built():
        return (
            f"{kernels.name} kernels (the native ones, some four times as fast, need a C++20 compiler at installation)"
        )
    return f"{kernels.name} kernels"


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
