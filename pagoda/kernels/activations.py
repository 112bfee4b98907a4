"""The activations of MLPs by the names that `config.json` has for them, which are transformers'.

On the token's path: once in every MLP but where it is silu, which has a kernel of its own. Written with methods of the
tensor that each is given, so that names can be checked without torch; and with those functions only that torch computes
alike at every place of a tensor (exp, erf, tanh), so that a row's bits do not depend on what else is in a step.
GELU is Hendrycks & Gimpel 2016 (arXiv 1606.08415), squared ReLU So et al. 2021 (arXiv 2109.08668).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def _sigmoid(x: torch.Tensor) -> torch.Tensor:
    # Below -60 it is 0 to the last bit; unbounded, e^-x would overflow and its gradient be no number.
    return 1.0 / ((-x.clamp(min=-60.0)).exp() + 1.0)


def _silu(x: torch.Tensor) -> torch.Tensor:
    return x * _sigmoid(x)


def _gelu(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1.0 + (x * math.sqrt(0.5)).erf())


def _gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1.0 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)).tanh())


def _gelu_10(x: torch.Tensor) -> torch.Tensor:
    return _gelu(x).clamp(-10, 10)


def _quick_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * _sigmoid(1.702 * x)


def _relu(x: torch.Tensor) -> torch.Tensor:
    return x.relu()


def _relu2(x: torch.Tensor) -> torch.Tensor:
    return x.relu().square()


def _relu6(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(0, 6)


def _leaky_relu(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(min=0) + 0.01 * x.clamp(max=0)


def _hardswish(x: torch.Tensor) -> torch.Tensor:
    return x * (x + 3).clamp(0, 6) / 6


def _mish(x: torch.Tensor) -> torch.Tensor:
    # x * tanh(log(1 + e^x)), where tanh(log(u)) = (u^2 - 1) / (u^2 + 1); beyond 20 that is 1 to the last bit.
    grown = x.clamp(max=20).exp()
    squared = grown * (grown + 2)  # u^2 - 1
    return x * squared / (squared + 2)


def _tanh(x: torch.Tensor) -> torch.Tensor:
    return x.tanh()


def _linear(x: torch.Tensor) -> torch.Tensor:
    return x


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    **dict.fromkeys(("silu", "swish"), _silu),
    **dict.fromkeys(("gelu", "gelu_python"), _gelu),
    **dict.fromkeys(
        ("gelu_pytorch_tanh", "gelu_python_tanh", "gelu_new", "gelu_fast", "gelu_accurate"),
        _gelu_tanh,
    ),
    "gelu_10": _gelu_10,
    "quick_gelu": _quick_gelu,
    "relu": _relu,
    "relu2": _relu2,
    "relu6": _relu6,
    "leaky_relu": _leaky_relu,
    "hardswish": _hardswish,
    "mish": _mish,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "linear": _linear,
}
"""Name -> function of `[T, size]`. Those of transformers that are missing have weights or settings of their own."""
