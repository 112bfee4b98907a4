"""fp64 on every backend of Keras: JAX has it only where it is asked for.

Beside `rotary`: positions may be large, and fp32 knows a Unix second to two minutes. Nothing outside a `with` changes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
from keras import ops


def wide_numbers() -> AbstractContextManager[object]:
    """Inside, tensors may be of float64 and int64."""
    if keras.backend.backend() != "jax":
        return nullcontext()
    import jax

    return jax.enable_x64(True)


def wide_operations() -> Any:
    """The module whose `clip`, `cos`, `exp`, `log`, `sin` and `where` compute in fp64 what is of float64.

    Keras's own round it to float32 on JAX.
    """
    if keras.backend.backend() != "jax":
        return ops
    import jax

    return jax.numpy


def as_given(numbers: Any) -> Any:
    """Numbers as a tensor of the dtype that NumPy has for them, where Keras would make float32 of float64."""
    if numbers is None or keras.utils.is_keras_tensor(numbers) or keras.ops.is_tensor(numbers):
        return numbers
    array = np.asarray(numbers)
    with wide_numbers():
        return ops.convert_to_tensor(array, dtype=str(array.dtype))


def is_wide(dtype: str, *, has_large_numbers: bool) -> bool:
    """Whether angles of positions of `dtype` are computed in fp64: as `layers/rotary` decides."""
    return dtype == "float64" or ("int" in dtype and has_large_numbers)
