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


class ProductPeak:
    """Measures multiplications and additions a second in products of one dtype, as often as it is asked.

    By torch, or by `kernels` if they are faster. Of int8 the sums are int32.
    """

    def __init__(self, dtype: torch.dtype, kernels: Kernels | None = None) -> None:
        value = 0.5 if dtype.is_floating_point else 1
        weight = torch.full((_SIZE, _SIZE), value, dtype=dtype)
        x = torch.full((_ROWS, _SIZE), value, dtype=dtype)
        multiply = torch.nn.functional.linear if dtype.is_floating_point else torch._int_mm
        self._products: list[Callable[[], object]] = [lambda: multiply(x, weight)]
        if kernels is not None and dtype.is_floating_point and kernels.computes(dtype, torch.device("cpu")):
            packed = kernels.pack(weight)
            self._products.append(lambda: kernels.linear(x, packed, None))

    @torch.inference_mode()
    def measure(self) -> float:
        """The rate of the faster of them."""
        return max(_rate(product) for product in self._products)


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
