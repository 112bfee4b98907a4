"""How the matrix of a linear layer is stored: the seam between the network and dense, integer or packed weights.

Beside the token's path: a linear layer asks its format for parameters while it is built, and on the path to be
multiplied. One format is one file here and one line in `table`; the network above and the checkpoint below name none.
A format holds settings (bits, group) and no tensors, and can be asked for sizes without torch: `pagoda plan` does.

The parameters of some that are to come, of a matrix [out, in], with the dimension that column- and row-parallel
layers divide (GPTQ: Frantar et al. 2022, arXiv 2210.17323):

    dense  weight [out, in] 0, 1
    int8   weight [out, in] 0, 1; scales [out] 0, none
    GPTQ   qweight [in / 8, out] 1, 0; qzeros [groups, out / 8] 1, 0; scales [groups, out] 1, 0; g_idx [in] none, 0
    GGUF   weight [out, bytes of a row] 0, 1
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pagoda.kernels.interface import Kernels


class Split(Enum):
    """How a layer is divided over ranks (Megatron-LM, Shoeybi et al. 2019, arXiv 1909.08053, section 3)."""

    COLUMN = "by output"
    ROW = "by input"


class WeightFormat(Protocol):
    """One way to store matrices. `layer` is the module that the parameters were registered on, by their names."""

    @property
    def name(self) -> str:
        """What the format is called in messages."""
        ...

    def parameters(self, in_features: int, out_features: int) -> dict[str, nn.Parameter]:
        """Empty parameters of one rank's matrix, under the names that follow the layer's own in a checkpoint."""
        ...

    def shard(self, name: str, split: Split) -> int | None:
        """The dimension in which ranks divide the parameter `name`; None where each holds it whole."""
        ...

    def finish(self, layer: nn.Module, kernels: Kernels) -> None:
        """Called once the layer's parameters are filled: lay them out as `kernels` read them, in their place."""
        ...

    def apply(self, layer: nn.Module, x: torch.Tensor, bias: torch.Tensor | None, kernels: Kernels) -> torch.Tensor:
        """`x [T, in] @ matrix^T + bias [out] -> [T, out]`, in the dtype of `x`."""
        ...

    def num_bytes(self, in_features: int, out_features: int, dtype_bytes: int) -> int:
        """Bytes of one matrix in a model whose floats take `dtype_bytes`: no torch needed."""
        ...
