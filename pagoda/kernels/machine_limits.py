"""How fast this machine reads memory and multiplies matrices: the two limits of every step.

Off the token's path; `roofline.py` and the benchmarks measure them beside the steps that they judge, as both drift with
what else the machine does. Bandwidth is that of a sum over a buffer far larger than any cache, which reads and does
next to nothing else; the peak is that of the better of torch's products and the kernels' own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from pagoda.kernels.interface import Kernels

BUFFER_BYTES = 256 << 20
PASSES = 4
_ROWS, _SIZE = 256, 2048


def read_bandwidth(buffer: torch.Tensor | None = None) -> float:
    """Bytes a second that torch's threads read together, the best of a few passes. buffer: of `reading_buffer`."""
    numbers = reading_buffer() if buffer is None else buffer
    return numbers.nbytes / _best_seconds(numbers.sum)


def reading_buffer() -> torch.Tensor:
    """What `read_bandwidth` reads; written once, as pages that nobody wrote are all the same page."""
    return torch.ones(BUFFER_BYTES // 8, dtype=torch.int64)


@torch.inference_mode()
def product_peak(dtype: torch.dtype, kernels: Kernels | None = None) -> float:
    """Multiplications and additions a second in products of one dtype, by torch or by `kernels` if they are faster.

    Of int8 the sums are int32. Raises RuntimeError where torch has no product of the dtype on this machine.
    """
    rates = [_torch_product(dtype)]
    if kernels is not None and dtype.is_floating_point and kernels.computes(dtype, torch.device("cpu")):
        weight = torch.full((_SIZE, _SIZE), 0.5, dtype=dtype)
        packed = kernels.pack(weight)
        rates.append(_rate(lambda: kernels.linear(weight[:_ROWS], packed, None)))
    return max(rates)


def _torch_product(dtype: torch.dtype) -> float:
    if dtype == torch.int8:
        left, right = torch.ones(_ROWS, _SIZE, dtype=dtype), torch.ones(_SIZE, _SIZE, dtype=dtype)
        return _rate(lambda: torch._int_mm(left, right))
    left, right = torch.full((_ROWS, _SIZE), 0.5, dtype=dtype), torch.full((_SIZE, _SIZE), 0.5, dtype=dtype)
    return _rate(lambda: torch.nn.functional.linear(left, right))


def _rate(product: Callable[[], object]) -> float:
    return 2 * _ROWS * _SIZE * _SIZE / _best_seconds(product)


def _best_seconds(run: Callable[[], object]) -> float:
    run()
    seconds = []
    for _ in range(PASSES):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
