"""Our layers and a Llama in Keras 3: `from pagoda.keras import RotaryEmbedding`, loaded on first use.

Keras reads its backend (torch, JAX or TensorFlow) from KERAS_BACKEND when it is imported.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pagoda.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from pagoda.keras.llama import LlamaCausalLM as LlamaCausalLM
    from pagoda.keras.loading import load_model as load_model
    from pagoda.keras.norm import RMSNormalization as RMSNormalization
    from pagoda.keras.rotary import RotaryEmbedding as RotaryEmbedding

_HOMES = {
    "LlamaCausalLM": "pagoda.keras.llama",
    "RMSNormalization": "pagoda.keras.norm",
    "RotaryEmbedding": "pagoda.keras.rotary",
    "load_model": "pagoda.keras.loading",
}
__all__ = ["LlamaCausalLM", "RMSNormalization", "RotaryEmbedding", "load_model"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pagoda.keras' has no attribute {name!r}")
    if find_spec("keras") is None:
        raise MissingExtraError("pagoda.keras", "keras")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "jax"):
            raise
        chosen = os.environ.get("KERAS_BACKEND", "tensorflow, its default")
        raise ConfigError(
            f"Keras is set to the backend {chosen}, which is not installed: set KERAS_BACKEND=torch before Python "
            f"starts, or install {error.name}"
        ) from error
