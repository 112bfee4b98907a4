"""Which layers slide: the patterns that families have for layers of local and of full attention.

Beside `family`: each is a `Family.windows`. Sliding windows are Beltagy et al. 2020 (arXiv 2004.05150).
"""

from __future__ import annotations

from collections.abc import Callable

from pagoda.models.families.family import Facts, Windows

SLIDING, FULL = "sliding_attention", "full_attention"


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
