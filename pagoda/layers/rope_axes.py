"""How the axes of a position share the pairs of a head: one number a token in text, several in images and series.

Beside the token's path, under `rotary`. Pair i of a head turns by (position @ direction i) * frequency i: a text's
positions are numbers, and every direction is 1. Of positions with several coordinates a layout says which directions
there are and how many frequencies; what the frequencies are says `rope_scaling`, whatever the layout.

    shared  one spectrum for all, pairs dealt out to the axes in turn: where all coordinates are equal it is the RoPE of
            text (multimodal RoPE of Qwen2-VL, arXiv 2409.12191, here with its sections interleaved)
    axial   the axes side by side, each with a spectrum of its own (RoPE-ViT, Heo et al. 2024, arXiv 2403.13298)
    mixed   the same spectra along directions that are learned (ibid., section 3.2): a pair sees diagonals, too

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pagoda.errors import nearest
from pagoda.layers.rope_scaling import Rope
from pagoda.parameter_rules import is_number, is_whole

ROPE_LAYOUTS = ("shared", "axial", "mixed")


def axis_spectrum(rope: Rope) -> Rope:
    """The RoPE whose frequencies one axis has: the whole head's where the spectrum is shared."""
    if rope.axes is None or rope.layout == "shared":
        return replace(rope, axes=None)
    return replace(rope, axes=None, head_dim=rope.head_dim // rope.axes)


def num_spectra(rope: Rope) -> int:
    """How often the frequencies of `axis_spectrum` stand in a head, one after the other."""
    return rope.head_dim // axis_spectrum(rope).head_dim


def axis_of_pairs(rope: Rope) -> list[int]:
    """The axis that each pair of a head turns by, `[head_dim / 2]`; where directions are learned, starts to turn by."""
    num_pairs, num_axes = rope.head_dim // 2, rope.axes or 1
    if rope.layout == "shared":
        return [pair % num_axes for pair in range(num_pairs)]
    return [pair // (num_pairs // num_axes) for pair in range(num_pairs)]


def layout_fault(rope: Rope) -> str | None:
    """What is wrong with head size, axes and layout, as the end of a sentence; None where nothing is."""
    if not is_whole(rope.head_dim, 2) or rope.head_dim % 2:
        return f"head_dim={rope.head_dim!r}, but RoPE turns pairs: an even number is expected"
    if (fault := layout_name_fault(rope.layout, rope.axes)) is not None:
        return fault
    if rope.axes is not None and (
        not is_whole(rope.axes, 1, rope.head_dim // 2) or (rope.layout != "shared" and rope.head_dim % (2 * rope.axes))
    ):
        return (
            f"axes={rope.axes!r} and head_dim={rope.head_dim}, but 1 axis or more is expected, with a pair or more for "
            f"each, and for layout={rope.layout!r} as many pairs for each"
        )
    return _heads_fault(rope) or _spectrum_fault(axis_spectrum(rope))


def layout_name_fault(layout: object, axes: int | None) -> str | None:
    """The same of the layout alone, before it is known how large heads are."""
    if layout not in ROPE_LAYOUTS:
        return f"layout={layout!r}, which is not known; {nearest(str(layout), ROPE_LAYOUTS)}"
    if axes is None and layout != "shared":
        return f"layout={layout!r} without axes: say how many coordinates a position has"
    return None


def _heads_fault(rope: Rope) -> str | None:
    if rope.num_heads is None:
        return None
    if rope.layout != "mixed":
        return f"num_heads={rope.num_heads!r}, but heads differ where layout='mixed' alone: leave it out"
    return None if is_whole(rope.num_heads, 1) else f"num_heads={rope.num_heads!r}, but 1 head or more is expected"


def _spectrum_fault(spectrum: Rope) -> str | None:
    """Of the frequencies of one axis: what they would be computed from is no number, or is divided by zero."""
    rope_type = spectrum.scaling.get("rope_type")
    lowest = 1 if rope_type == "yarn" else 0  # whose range divides by its logarithm
    if not (is_number(spectrum.theta) and spectrum.theta > lowest):
        return f"theta={spectrum.theta!r}, but a finite number above {lowest} is expected"
    if rope_type == "dynamic" and spectrum.head_dim < 4:
        return (
            f"{spectrum.head_dim} features for each axis and the RoPE type 'dynamic', whose base grows by the power "
            f"d / (d - 2): 4 features or more are expected"
        )
    return None


def positions_fault(rope: Rope, shape: Sequence[int]) -> str | None:
    """What is wrong with positions of `shape`, as the end of a sentence; None where nothing is."""
    if rope.axes is None or (len(shape) >= 2 and shape[-1] == rope.axes):
        return None
    return (
        f"positions of the shape {list(shape)}, but [..., tokens, {rope.axes}] is expected: one coordinate for each of "
        f"{rope.axes} axes"
    )
