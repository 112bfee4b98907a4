"""RoPE as a Keras layer, with the names and defaults of KerasHub's and all that `layers/rotary` computes.

Frequencies come from `layers/rope_scaling`, axes from `layers/rope_axes`: here they are applied with Keras's operations
on any of its backends. RoPE is Su et al. 2021 (arXiv 2104.09864, eq. 34); halves of a head are paired, as KerasHub and
transformers pair them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from pagoda.errors import ConfigError
from pagoda.keras.precision import as_given, is_wide, wide_numbers, wide_operations
from pagoda.layers.rope_axes import axis_of_pairs, axis_spectrum, layout_name_fault, num_spectra, positions_fault
from pagoda.layers.rope_rules import scaling_fault
from pagoda.layers.rope_scaling import ROPE_KINDS, Rope
from pagoda.layers.rotary import RotaryEmbedding as TorchRotaryEmbedding
from pagoda.parameter_rules import is_number

_SHAPE = ("axes", "layout", "num_heads", "max_position_embeddings", "rotary_dim", "denominator_dim")
_SCALING = tuple(dict.fromkeys(key for kind in ROPE_KINDS.values() for key in kind.required + kind.optional))


@keras.saving.register_keras_serializable(package="pagoda")
class RotaryEmbedding(keras.layers.Layer):
    """Rotates a tensor that has a sequence axis and a feature axis by the positions of its tokens.

    max_wavelength: base of the wavelengths (theta)
    scaling_factor: `factor` of the scaling type
    rope_type: one of `ROPE_KINDS`: "linear" (at a factor of 1 plain RoPE), "dynamic", "yarn", "llama3", "longrope"
    beta_fast, beta_slow, truncate: of "yarn"
    original_max_position_embeddings: tokens of the longest sequence in training, of all types that read it
    sequence_axis, feature_axis: of the inputs
    settings: what scaling types read besides (`low_freq_factor`, `short_factor`, `attention_factor`, ...);
        axes, layout, num_heads: of positions with several coordinates, as `layers.Rope` has them;
        rotary_dim: so many features rotate, the first ones (all by default);
        denominator_dim: what exponents of frequencies are divided by, in place of their number (KerasHub);
        max_position_embeddings: from where on "dynamic" grows, by default the original length;
        and whatever any Keras layer takes (`name`, `dtype`, `trainable`)

    Raises ConfigError (a ValueError) for a type, key or value that is not known; for what the size of heads decides
    (axes, num_heads), when the layer is built; for positions of another number of tokens, when it is called.
    """

    def __init__(
        self,
        max_wavelength: float = 10000,
        scaling_factor: float = 1.0,
        rope_type: str = "linear",
        beta_fast: float = 32,
        beta_slow: float = 1,
        original_max_position_embeddings: int = 4096,
        truncate: bool = True,
        sequence_axis: int = 1,
        feature_axis: int = -1,
        **settings: Any,
    ) -> None:
        own = {key: settings.pop(key) for key in (*_SHAPE, *_SCALING) if settings.get(key) is not None}
        settings = {key: value for key, value in settings.items() if key not in (*_SHAPE, *_SCALING)}
        # Positions must not be rounded to the dtype of the inputs, which are cast below.
        super().__init__(**{**settings, "autocast": False})
        self.sequence_axis, self.feature_axis = sequence_axis, feature_axis
        self.said = {
            "max_wavelength": max_wavelength,
            "scaling_factor": scaling_factor,
            "rope_type": rope_type,
            "beta_fast": beta_fast,
            "beta_slow": beta_slow,
            "original_max_position_embeddings": original_max_position_embeddings,
            "truncate": truncate,
            **own,
        }
        layout = own.get("layout", "shared")
        if (fault := scaling_fault(self._scaling()) or layout_name_fault(layout, own.get("axes"))) is not None:
            raise ConfigError(f"RotaryEmbedding was given {fault}")
        if not (is_number(max_wavelength) and max_wavelength > 0):  # or its power below would be no number
            raise ConfigError(
                f"RotaryEmbedding was given max_wavelength={max_wavelength!r}, but a finite number above 0 is expected"
            )
        self.head_rope: Rope | None = None
        self.directions: Any = None

    def _scaling(self) -> dict[str, Any]:
        said = {**self.said, "factor": self.said["scaling_factor"]}
        kind = ROPE_KINDS.get(said["rope_type"]) if isinstance(said["rope_type"], str) else None
        read = () if kind is None else kind.required + kind.optional
        common = ("factor", "beta_fast", "beta_slow", "original_max_position_embeddings", "truncate")
        extra = {key: value for key, value in self.said.items() if key in _SCALING and key not in common}
        return {"rope_type": said["rope_type"], **{key: said[key] for key in common if key in read}, **extra}

    def rope(self, num_features: int) -> Rope:
        """What it computes for heads of that size."""
        said, head_dim = self.said, self.said.get("rotary_dim") or num_features
        if head_dim > num_features:
            raise ConfigError(f"RotaryEmbedding was given rotary_dim={head_dim} for {num_features} features")
        # idx / denominator as the exponent is idx / head_dim of another base.
        theta = said["max_wavelength"] ** (head_dim / (said.get("denominator_dim") or head_dim))
        reach = said.get("max_position_embeddings") or said["original_max_position_embeddings"]
        shape = {key: said[key] for key in ("axes", "layout", "num_heads") if key in said}
        return Rope(head_dim, float(theta), reach, self._scaling(), **shape)

    def build(self, input_shape: Any) -> None:
        ours = TorchRotaryEmbedding(self.rope(input_shape[self.feature_axis]))
        # Not kept itself: on the torch backend it would become a part of this layer, weights and all.
        self.head_rope, self.inv_freq, self.exponents = ours.rope, ours.inv_freq.numpy(), ours.exponents.numpy()
        if ours.directions is not None:
            first = ours.directions.detach().numpy()
            self.directions = self.add_weight(name="directions", shape=first.shape, autocast=False)
            self.directions.assign(first)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # Keras would make float32 of NumPy's float64 before `call` sees it.
        numbers = ("positions", "sequence_lengths")
        kwargs = {key: as_given(value) if key in numbers else value for key, value in kwargs.items()}
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Any, start_index: Any = 0, positions: Any = None, sequence_lengths: Any = None) -> Any:
        """`inputs [batch, sequence, ..., features]` -> the same, rotated.

        start_index: position of the first token
        positions: `[sequence]` or `[batch, sequence]`, with axes `[..., axes]` behind, integers or reals, in place of
            `start_index`; float64 is computed in fp64
        sequence_lengths: as `positions` without axes, for types that depend on them; by default as long as the largest
            position says
        """
        order = (self.feature_axis, self.sequence_axis), (-1, 1)
        x = ops.moveaxis(ops.cast(inputs, self.compute_dtype), *order)
        if positions is None:
            positions = ops.arange(ops.shape(x)[1]) + start_index
            if (axes := self._built.axes) is not None:
                positions = ops.broadcast_to(positions[:, None], (ops.shape(x)[1], axes))
        check_tokens("RotaryEmbedding", x.shape[:2], {"positions": positions}, self._built.axes)
        check_tokens("RotaryEmbedding", x.shape[:2], {"sequence_lengths": sequence_lengths})
        cos, sin = (self._beside(x, part) for part in self.rotation(positions, sequence_lengths))
        return ops.moveaxis(rotated(x, cos, sin), *order[::-1])

    def rotation(self, positions: Any, sequence_lengths: Any = None) -> tuple[Any, Any]:
        """cos and sin of `positions`, each `[..., sequence, rotary_dim / 2]` in float32."""
        rope, kind = self._built, keras.backend.standardize_dtype(positions.dtype)
        dtype = "float64" if is_wide(kind, has_large_numbers=rope.max_position_embeddings > 2**24) else "float32"
        with wide_numbers():
            along = self._along_pairs(ops.cast(positions, dtype))
            angles = along * ops.cast(self._frequencies(positions, sequence_lengths), dtype)
            turns, factor = wide_operations(), rope.attention_factor
            cos, sin = turns.cos(angles) * factor, turns.sin(angles) * factor
            return ops.cast(cos, "float32"), ops.cast(sin, "float32")

    @property
    def _built(self) -> Rope:
        assert self.head_rope is not None, "a layer is built at its first call"
        return self.head_rope

    def _along_pairs(self, positions: Any) -> Any:
        """Where a token stands on the line of each pair: as `layers/rotary` has it."""
        rope = self._built
        if rope.axes is None:
            return positions[..., None]
        if (fault := positions_fault(rope, tuple(positions.shape))) is not None:
            raise ConfigError(f"RotaryEmbedding was given {fault}")
        if self.directions is None:
            return ops.take(positions, axis_of_pairs(rope), axis=-1)
        if rope.num_heads is not None:
            positions = positions[..., None, :]
        return ops.sum(positions[..., None] * ops.cast(self.directions, positions.dtype), axis=-2)

    def _frequencies(self, positions: Any, sequence_lengths: Any) -> Any:
        """`[rotary_dim / 2]`, or each token's own, where a type depends on lengths."""
        rope, frequencies = self._built, self.inv_freq
        if rope.kind.at_lengths is not None:
            lengths = self._lengths(positions) if sequence_lengths is None else sequence_lengths
            exponents, wide = (ops.convert_to_tensor(each, "float64") for each in (self.exponents, frequencies))
            lengths = ops.cast(lengths, "float64")
            frequencies = rope.kind.at_lengths(axis_spectrum(rope), exponents, lengths, wide, wide_operations())
            frequencies = ops.cast(frequencies, "float32")
            if rope.num_heads is not None:
                frequencies = frequencies[..., None, :]
        return ops.concatenate([ops.convert_to_tensor(frequencies)] * num_spectra(rope), axis=-1)

    def _lengths(self, positions: Any) -> Any:
        largest = positions if self._built.axes is None else ops.max(positions, axis=-1)
        return ops.broadcast_to(ops.max(largest, axis=-1, keepdims=True) + 1, ops.shape(largest))

    def _beside(self, x: Any, part: Any) -> Any:
        """cos or sin with as many axes as `x [batch, sequence, ..., features]`, ready to be multiplied."""
        has_heads = self._built.num_heads is not None
        if len(part.shape) == 2 + has_heads:
            part = part[None]
        while not has_heads and len(part.shape) < len(x.shape):
            part = ops.expand_dims(part, -2)
        return part

    def compute_output_shape(self, input_shape: Any, **_: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        axes = {"sequence_axis": self.sequence_axis, "feature_axis": self.feature_axis}
        config = {**super().get_config(), **self.said, **axes}
        config.pop("autocast", None)
        return config


def check_tokens(layer: str, expected: Sequence[int | None], given: Mapping[str, Any], axes: int | None = None) -> None:
    """Raises ConfigError where what is said of tokens is not of `expected`, batch and tokens; None is any number.

    given: name -> numbers `[tokens]` or `[batch, tokens]`, `[..., axes]` behind where there are axes; None says nothing
    """
    for name, numbers in given.items():
        shape = () if numbers is None else tuple(numbers.shape)
        own = shape if axes is None else shape[:-1]
        pairs = zip(reversed(own), reversed(expected), strict=False)
        is_other = any(
            mine not in (None, 1 if at else theirs, theirs) for at, (mine, theirs) in enumerate(pairs) if theirs
        )
        if is_other or len(own) > 2:
            batch, tokens = expected
            raise ConfigError(
                f"{layer} was given {name} of the shape {list(shape)} for {batch or 'some'} sequences of {tokens} "
                f"tokens: [tokens] or [batch, tokens] of the same numbers is expected"
                + f", and {axes} coordinates behind"
                * (axes is not None)
            )


def rotated(x: Any, cos: Any, sin: Any) -> Any:
    """`x [..., features]` with its first features turned, halves paired, by cos and sin `[..., rotary_dim / 2]`."""
    cos, sin, half = ops.cast(cos, x.dtype), ops.cast(sin, x.dtype), cos.shape[-1]
    first, second = x[..., :half], x[..., half : 2 * half]
    rest = [x[..., 2 * half :]] if 2 * half < x.shape[-1] else []
    return ops.concatenate([first * cos - second * sin, second * cos + first * sin, *rest], axis=-1)
