"""All formats that this version reads, by the name that `config.json` gives them.

Asked once, while a checkpoint's configuration is read; a new format is one line here. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pagoda.layers.weights.dense import DENSE
from pagoda.layers.weights.format import WeightFormat

WEIGHT_FORMATS: dict[str, Callable[[Mapping[str, Any]], WeightFormat]] = {
    DENSE.name: lambda settings: DENSE,
}
"""`quant_method` of a `quantization_config` -> its format with these settings."""
