"""Which layers slide: the patterns that families have for layers of local and of full attention.

Beside `family`: each is a `Family.windows`, but for what turns kinds of layers into what their tokens see. Sliding
windows are Beltagy et al. 2020 (arXiv 2004.05150), chunks those of Llama 4; see `kernels/window`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pagoda.errors import CheckpointError, nearest
from pagoda.kernels.window import AttentionWindow, LayerWindow
from pagoda.models.families.family import Facts, Windows

SLIDING, FULL, CHUNKED = "sliding_attention", "full_attention", "chunked_attention"
EITHER = "sliding_or_chunked_attention"
"""A layer whose tokens see what a window or their chunk lets them see: no transformers name."""


def usual_layer_type(size: int | None, chunk: int | None) -> str:
    """Of all layers, where a configuration has a window or chunks and names no layer."""
    if chunk is None:
        return FULL if size is None else SLIDING
    return CHUNKED if size is None else EITHER


def layer_windows(layer_types: Sequence[str], size: int | None, chunk: int | None) -> tuple[LayerWindow, ...]:
    """What tokens of each layer see: `sliding_window` and `attention_chunk_size` by the kind of the layer.

    Raises CheckpointError for an unknown kind, one whose size is not given, and sizes below 1.
    """
    if size == 0 or chunk == 0:
        given, key = ("sliding_window", 0) if size == 0 else ("attention_chunk_size", 0)
        raise CheckpointError(f"config.json has {given}={key}, but a whole number of at least 1, or null is expected")
    kinds: dict[str, LayerWindow] = {FULL: None}
    if size is not None:
        kinds[SLIDING] = AttentionWindow(size)
    if chunk is not None:
        kinds[CHUNKED] = AttentionWindow(chunk=chunk)
        if size is not None:
            kinds[EITHER] = AttentionWindow(size, chunk)
    for kind in layer_types:
        if kind not in kinds:
            raise CheckpointError(
                f"config.json has the layer type {kind!r} with sliding_window={size} and attention_chunk_size={chunk}, "
                f"but one of what these allow is expected; {nearest(kind, kinds)}"
            )
    return tuple(kinds[kind] for kind in layer_types)


def as_told(facts: Facts) -> Windows:
    """Our own: the layers that `layer_types` names, or all alike."""
    return facts.get("sliding_window"), tuple(facts.get("layer_types") or ())


def all_slide(facts: Facts) -> Windows:
    """Every layer slides that `layer_types` does not name otherwise, where there is a window."""
    window = facts.get("sliding_window")
    return (None, ()) if window is None else (window, tuple(facts.get("layer_types") or ()))


def upper_layers_slide(facts: Facts) -> Windows:
    """Qwen: none, unless `use_sliding_window` says otherwise; then those from `max_window_layers` on."""
    window = facts.get("sliding_window")
    if window is None or not facts.get("use_sliding_window", False):
        return None, ()
    first = facts.get("max_window_layers", 28)
    derived = [SLIDING if index >= first else FULL for index in range(facts["num_hidden_layers"])]
    return window, tuple(facts.get("layer_types") or derived)


def every_nth_is_full(period: int, key: str = "") -> Callable[[Facts], Windows]:
    """All layers slide but each `period`-th; `key` of config.json may name another period, or a pattern of letters."""

    def windows(facts: Facts) -> Windows:
        window = facts.get("sliding_window")
        if window is None:
            return None, ()
        pattern = facts.get(key) or period
        if isinstance(pattern, str):  # "LLLG": local, local, local, global
            period_kinds = [SLIDING if letter == "L" else FULL for letter in pattern]
        else:
            period_kinds = [SLIDING] * (pattern - 1) + [FULL]
        derived = [period_kinds[index % len(period_kinds)] for index in range(facts["num_hidden_layers"])]
        return window, tuple(facts.get("layer_types") or derived)

    return windows
