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

_LEFT, _RIGHT, _CHANGE = ".left", ".right", ".change"


def changes(tuned: Mapping[str, torch.Tensor], base: Mapping[str, torch.Tensor], rank: int) -> dict[str, np.ndarray]:
    """float16 tensors that bring `base` near `tuned`. rank: of what is added to a matrix, 0: as it is."""
    import torch

    found = {}
    for name, value in tuned.items():
        change = value.detach() - base[name]
        if not bool(change.any()):
            continue
        if rank and change.ndim == 2:
            left, sizes, right = torch.linalg.svd(change, full_matrices=False)
            roots = sizes[:rank].sqrt()
            found[name + _LEFT] = (left[:, :rank] * roots).half().numpy()
            found[name + _RIGHT] = (roots[:, None] * right[:rank]).half().numpy()
        else:
            found[name + _CHANGE] = change.half().numpy()
    return found


def applied(base: Mapping[str, torch.Tensor], found: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """`base` with what `changes` kept added to it; tensors that are no change of it are left out."""
    import torch

    weights = dict(base)
    for key, value in found.items():
        name, _, kind = key.rpartition(".")
        if f".{kind}" == _CHANGE:
            weights[name] = base[name] + torch.from_numpy(value.astype(np.float32))
        elif f".{kind}" == _LEFT:
            product = value.astype(np.float32) @ found[name + _RIGHT].astype(np.float32)
            weights[name] = base[name] + torch.from_numpy(product)
    return weights
