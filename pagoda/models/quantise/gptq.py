"""GPTQ: a matrix rounded input by input, each rounding error made up for by the inputs that are still to come.

Beside the token's path, under `layerwise`. Frantar et al. 2022 (arXiv 2210.17323): for inputs x with the second moment
H = E[x x^T], the error of a layer's outputs is tr(dW H dW^T). Rounding one column by e adds the least to it when the
columns behind move by e times a row of the Cholesky factor of H^-1 (section 3.3, step 3). Columns go by how strong
their inputs are (act-order), but the groups of a scale are those of neighbours, with scales found beforehand (static
groups): the accuracy of act-order, and no order to restore when the model runs.
"""

from __future__ import annotations

import torch

from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.models.quantise.rounding import find_grid
from pagoda.models.quantise.scheme import Scheme

_DAMPINGS = (1.0, 10.0, 100.0)
_BLOCK = 128


class Compensation:
    """What the inputs of one or several matrices say: the order of columns, and how errors are passed on.

    hessian: `[in, in]`, the second moment of the inputs; any positive factor of it is the same
    damping: what is added to the diagonal, as a share of its mean. One hundredth is the paper's; where that leaves no
        Cholesky factor even in fp64, as it can with few and alike texts, ten and a hundred times as much are tried.

    Raises CheckpointError for inputs that are not finite.
    """

    def __init__(self, hessian: torch.Tensor, damping: float = 0.01) -> None:
        if not torch.isfinite(hessian).all():
            raise CheckpointError("the inputs of a layer are not finite: the model cannot be calibrated on this text")
        hessian = hessian.float()
        diagonal = hessian.diagonal()
        mean = float(diagonal.mean()) or 1.0
        self.importance = diagonal / mean + damping
        """`[in]`: the mean square of each input, in relation to all."""
        self.order = torch.argsort(diagonal, descending=True, stable=True)
        ordered = hessian[self.order][:, self.order] / mean
        self.factor = _inverse_factor(ordered, damping)
        """`[in, in]`, upper: the Cholesky factor of the inverse, in the order of `order`."""


def output_error(difference: torch.Tensor, hessian: torch.Tensor) -> float:
    """`tr(dW H dW^T)`: the squared error of a layer's outputs, summed over them, for a token on average."""
    return float(((difference @ hessian) * difference).sum(dtype=torch.float64))


def _inverse_factor(hessian: torch.Tensor, damping: float) -> torch.Tensor:
    """The upper Cholesky factor of the inverse of `hessian`, whose mean diagonal is 1."""
    for times in _DAMPINGS:
        for dtype in (torch.float32, torch.float64):
            damped = hessian.to(dtype, copy=True)
            damped.diagonal().add_(damping * times)
            lower, failed = torch.linalg.cholesky_ex(damped)
            if failed:
                continue
            inverse = torch.cholesky_inverse(lower)
            upper, failed = torch.linalg.cholesky_ex(inverse, upper=True)
            if not failed and torch.isfinite(upper).all():
                return upper.float()
    raise CheckpointError(f"the inputs of a layer have no inverse even at a damping of {damping * times:g}")


def gptq(weight: torch.Tensor, compensation: Compensation, scheme: Scheme) -> GroupedCodes:
    """`weight [out, in]` of floats in the codes of `scheme`, its group reduced where the inputs do not divide by it.

    Matrices with the same inputs may be handed over as one, row under row: rows do not see each other.
    """
    scheme = scheme.fitted(weight.shape[1])
    grid = find_grid(weight, scheme, importance=compensation.importance)
    group_size = scheme.group_size or weight.shape[1]
    order, factor = compensation.order, compensation.factor
    columns = weight.float()[:, order].T.contiguous()  # [in, out]: a column is a row here, and lies together
    codes = torch.empty(columns.shape, dtype=torch.uint8)
    groups = (order // group_size).tolist()
    for start in range(0, len(columns), _BLOCK):
        stop = min(start + _BLOCK, len(columns))
        errors = torch.empty(stop - start, columns.shape[1])
        for place in range(start, stop):
            column = columns[place]
            code = grid.codes(column[:, None], groups[place])
            rounded = grid.values(code, groups[place])[:, 0]
            codes[place] = code[:, 0].to(torch.uint8)
            error = errors[place - start] = (column - rounded) / factor[place, place]
            # Only the rest of the block moves at once; what lies behind it moves once for all of the block.
            columns[place + 1 : stop].addr_(factor[place, place + 1 : stop], error, alpha=-1)
        columns[stop:].addmm_(factor[start:stop, stop:].T, errors, alpha=-1)
    unordered = torch.empty_like(codes).index_copy_(0, order, codes)
    return grid.grouped(unordered.T.contiguous())
