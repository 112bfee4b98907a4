"""What tuning changed of MiniLM, small enough to ship: matrices as products of narrow ones, vectors as they are.

On the path *item -> opinion of a company*, where the English model is read. What tuning adds to a matrix is near one of
low rank: Hu et al. 2021, "LoRA" (arXiv 2106.09685); here it is cut from a whole tuning by its singular values (Eckart
and Young 1936), which costs no second training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_LEFT, _RIGHT, _SIZES, _CHANGE = ".left", ".right", ".sizes", ".change"
_MOST = 127
"""What a byte with a sign holds."""


def changes(tuned: Mapping[str, torch.Tensor], base: Mapping[str, torch.Tensor], rank: int) -> dict[str, np.ndarray]:
    """Tensors that bring `base` near `tuned`. rank: of what is added to a matrix, its factors in bytes; 0: as it is."""
    found: dict[str, np.ndarray] = {}
    for name, value in tuned.items():
        change = value.detach() - base[name]
        if not bool(change.any()):
            continue
        if rank and change.ndim == 2:
            found |= {name + kind: array for kind, array in _factors(change, rank).items()}
        else:
            found[name + _CHANGE] = change.half().numpy()
    return found


def _factors(change: torch.Tensor, rank: int) -> dict[str, np.ndarray]:
    """int8 [out, rank] and [rank, in], and float32 [rank]: how large a direction's product is."""
    import torch

    left, sizes, right = torch.linalg.svd(change, full_matrices=False)
    left, sizes, right = left[:, :rank], sizes[:rank], right[:rank]
    wide, high = left.abs().amax(0), right.abs().amax(1)
    return {
        _LEFT: (left / wide * _MOST).round().to(torch.int8).numpy(),
        _RIGHT: (right / high[:, None] * _MOST).round().to(torch.int8).numpy(),
        _SIZES: (sizes * wide * high / _MOST**2).numpy(),
    }


def applied(base: Mapping[str, torch.Tensor], found: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """`base` with what `changes` kept added to it."""
    import torch

    weights = dict(base)
    for key, value in found.items():
        name, _, kind = key.rpartition(".")
        if f".{kind}" == _CHANGE:
            weights[name] = base[name] + torch.from_numpy(value.astype(np.float32))
        elif f".{kind}" == _LEFT:
            product = (value * found[name + _SIZES]) @ found[name + _RIGHT].astype(np.float32)
            weights[name] = base[name] + torch.from_numpy(product)
    return weights
