"""RMSNorm as a Keras layer, with the names and defaults of Keras's own, and our kinds of it.

Zhang & Sennrich 2019, arXiv 1910.07467, eq. 4; of part of the values (pRMSNorm) section 5.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from pagoda.errors import ConfigError


@keras.saving.register_keras_serializable(package="pagoda")
class RMSNormalization(keras.layers.Layer):
    """`x / sqrt(mean(x^2) + epsilon) * scale` over `axis`, in float32 at least, whatever the dtype of `x`.

    axis: one axis, or several
    epsilon: what is added to the mean square
    unit_offset: the gain is 1 + scale, and scale begins at 0 (Gemma)
    share: how much of the axis the mean square is of, from its first value on: 0.0625 is pRMSNorm
    Raises ConfigError (a ValueError).
    """

    def __init__(
        self,
        axis: int | list[int] = -1,
        epsilon: float = 1e-6,
        unit_offset: bool = False,
        share: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = sorted(axis) if isinstance(axis, list | tuple) else [axis]
        self.epsilon, self.unit_offset, self.share = epsilon, unit_offset, share
        if not 0 < share <= 1 or (share < 1 and len(self.axis) > 1):
            raise ConfigError(
                f"RMSNormalization was given share={share!r} and axis={axis!r}, but a share above 0, up to 1, is "
                f"expected, and below 1 of a single axis"
            )

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape[axis] for axis in self.axis)
        start = "zeros" if self.unit_offset else "ones"
        # Read as it is stored: in bf16, 1 + scale would lose most of it.
        self.scale = self.add_weight(name="scale", shape=shape, initializer=start, autocast=False)

    def call(self, x: Any) -> Any:
        """`x` -> the same shape and dtype."""
        dtype = keras.backend.standardize_dtype(x.dtype)
        wide = ops.cast(x, "float64" if dtype == "float64" else "float32")
        measured = wide
        if self.share < 1:
            axis = self.axis[0] % len(x.shape)
            measured = ops.take(wide, range(math.ceil(x.shape[axis] * self.share)), axis=axis)
        square = ops.mean(ops.square(measured), axis=self.axis, keepdims=True)
        gain = ops.cast(self.scale, wide.dtype) + float(self.unit_offset)
        return ops.cast(wide * ops.rsqrt(square + self.epsilon) * self._along_axes(gain, x), dtype)

    def _along_axes(self, gain: Any, x: Any) -> Any:
        """`gain` of the normed axes, with an axis of 1 for each other one."""
        normed = [axis % len(x.shape) for axis in self.axis]
        return ops.reshape(gain, [x.shape[axis] if axis in normed else 1 for axis in range(len(x.shape))])

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        axis = self.axis[0] if len(self.axis) == 1 else self.axis
        own = {"axis": axis, "epsilon": self.epsilon, "unit_offset": self.unit_offset, "share": self.share}
        return {**super().get_config(), **own}
