"""What each matrix costs in bits of what is said, for every scheme: from one pass forward and one backward.

Beside the token's path, before a mixed plan is chosen. A small change of outputs y of a matrix costs half of it squared
in the Fisher metric, KL = E[(g . dy)^2] / 2, where g is the gradient of the log-probability of tokens that the model
itself draws (Amari 1998; the two factors, of gradients and of inputs, are K-FAC's, Martens and Grosse 2015, arXiv
1503.05671). The error of a row is known before it is rounded: rounding leaves a twelfth of a step squared in each
weight, and GPTQ passes on all of that but what the inputs still to come cannot make up for, which is the variance of
the input given those, the square of a diagonal element of its Cholesky factor. So one backward pass gives the costs of
all matrices in all schemes. It goes layer by layer, as everything here: inputs of the layers wait in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from pagoda.layers.linear import ParallelLinear
from pagoda.models.quantise.gptq import Compensation
from pagoda.models.quantise.plans import HEAD
from pagoda.models.quantise.scheme import Scheme
from pagoda.models.quantise.streamed import StreamedNetwork, layer_name, matrices_of, run_layer, weight_of

_TOKENS_AT_ONCE = 256
_VARIANCE = 1 / 12
"""Of an error of rounding, evenly spread over a step of 1."""


def measure_costs(
    network: StreamedNetwork,
    texts: torch.Tensor,
    schemes: Sequence[Scheme],
    told: Callable[[int, int], None],
    method: str = "gptq",
) -> dict[str, dict[Scheme, float]]:
    """By matrix and scheme, the KL in nats a token that it is expected to add.

    schemes: those to tell the costs of, each with the group that a matrix's inputs allow
    texts: `[n, length]` of token ids; told: layers done, and of how many, each of which is gone through twice
    """
    inputs = list(_forward(network, texts, told))
    costs: dict[str, dict[Scheme, float]] = {}
    gradient, ends = _at_the_end(network, inputs.pop())
    for layer_idx in reversed(range(network.num_layers)):
        with network.layer(layer_idx) as layer:
            fisher, matrices = _Fisher(), matrices_of(layer)
            with fisher.watching(matrices):
                gradient = _backward(network, layer, inputs.pop(), gradient, layer_idx)
            found = _of_layer(matrices, fisher, schemes, method)
        costs |= {f"{layer_name(layer_idx)}.{name}": of for name, of in found.items()}
        told(2 * network.num_layers - layer_idx, 2 * network.num_layers)
    costs[HEAD] = _of_ends(network, ends, texts if network.is_tied else None, gradient, schemes)
    num_tokens = texts.numel()
    return {name: {scheme: cost / num_tokens for scheme, cost in of.items()} for name, of in costs.items()}


@torch.no_grad()
def _forward(network: StreamedNetwork, texts: torch.Tensor, told: Callable[[int, int], None]) -> Iterator[torch.Tensor]:
    """What goes into each layer, and what comes out of the last."""
    with network.embedding() as embedding:
        hidden = network.embed(embedding, texts)
    for layer_idx in range(network.num_layers):
        yield hidden.clone()
        with network.layer(layer_idx) as layer:
            run_layer(network, layer, hidden, layer_idx)
        told(layer_idx + 1, 2 * network.num_layers)
    yield hidden


def _at_the_end(network: StreamedNetwork, hidden: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The gradient of drawn tokens' log-probabilities in `hidden [n, length, hidden_size]`, and for the head's own cost
    the sums over tokens of its inputs squared `[hidden_size]`, and of gradients in its outputs `[vocab_size]`."""
    gradient = torch.zeros_like(hidden).flatten(0, 1)
    generator = torch.Generator().manual_seed(0)
    with network.end() as (norm, matrix):
        inputs, outputs = torch.zeros(matrix.shape[1]), torch.zeros(matrix.shape[0])
        for start in range(0, len(gradient), _TOKENS_AT_ONCE):
            rows = slice(start, start + _TOKENS_AT_ONCE)
            leaf = hidden.flatten(0, 1)[rows].clone().requires_grad_()
            normed = norm(leaf)
            products = normed @ matrix.T
            log_p = network.scaled(products).log_softmax(-1)
            drawn = torch.multinomial(log_p.detach().exp(), 1, generator=generator)
            gradient[rows], of_products = torch.autograd.grad(log_p.gather(1, drawn).sum(), (leaf, products))
            inputs += normed.detach().square().sum(0)
            outputs += of_products.square().sum(0)
    return gradient.view_as(hidden), (inputs, outputs)


def _backward(
    network: StreamedNetwork, layer: nn.Module, hidden: torch.Tensor, gradient: torch.Tensor, layer_idx: int
) -> torch.Tensor:
    """The gradient behind a layer -> that before it, `[n, length, hidden_size]`."""
    before = torch.empty_like(gradient)
    leaf = hidden.requires_grad_()
    for texts, computed in network.through(layer, leaf, layer_idx):
        (found,) = torch.autograd.grad(computed, leaf, gradient[texts])
        before[texts] = found[texts]
    return before


class _Fisher:
    """What gradients in the outputs of some modules say, while it watches them.

    rows: by module `[out]`, the sum over tokens of squared gradients
    moments: by module `[in, in]`, the sum over tokens of x x^T, each times the squares of its gradients, summed up
    """

    def __init__(self) -> None:
        self.rows: dict[str, torch.Tensor] = {}
        self.moments: dict[str, torch.Tensor] = {}

    @contextmanager
    def watching(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """Sum those of `modules` until the block ends."""
        hooks = [module.register_forward_hook(partial(self._follow, name)) for name, module in modules.items()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _follow(self, name: str, module: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        output.register_hook(partial(self._add, name, arguments[0].detach()))

    def _add(self, name: str, x: torch.Tensor, gradient: torch.Tensor) -> None:
        squares = gradient.square()
        if name not in self.rows:
            self.rows[name] = torch.zeros(gradient.shape[-1])
            self.moments[name] = torch.zeros(x.shape[-1], x.shape[-1])
        self.rows[name] += squares.sum(0)
        self.moments[name].addmm_((x * squares.sum(-1, keepdim=True)).T, x)


@torch.no_grad()
def _of_layer(
    matrices: Mapping[str, ParallelLinear], fisher: _Fisher, schemes: Sequence[Scheme], method: str
) -> dict[str, dict[Scheme, float]]:
    """Costs over all tokens, by the name of the matrix in the layer and scheme."""
    costs: dict[str, dict[Scheme, float]] = {}
    for name, module in matrices.items():
        weight = weight_of(module)
        found = _fitted(schemes, weight)
        if name not in fisher.rows:  # an expert that no token reached
            costs[name] = dict.fromkeys(found, 0.0)
            continue
        rows, left = fisher.rows[name], _left_over(fisher.moments[name], method)
        shares = rows / rows.sum().clamp_min(1e-30)
        costs[name] = {
            scheme: 0.5 * float(shares @ (step_squares(weight, scheme) @ left)) * _VARIANCE for scheme in found
        }
    return costs


def _left_over(moment: torch.Tensor, method: str) -> torch.Tensor:
    """`[in]`: of the error of each input's weight, squared, what is left in the output."""
    if method != "gptq":
        return moment.diagonal()
    found = Compensation(moment)
    left = torch.empty(len(moment)).index_copy_(0, found.order, found.factor.diagonal() ** -2)
    return left * (float(moment.diagonal().mean()) or 1.0)


def step_squares(weight: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """`[out, in]`: of each weight, the square of the step between neighbouring codes of its group.

    scheme: one that fits the inputs
    """
    groups = weight.unflatten(1, (-1, scheme.group_size or weight.shape[1]))
    low, high = groups.amin(-1).clamp_(max=0), groups.amax(-1).clamp_(min=0)
    steps = torch.maximum(-low, high) / (scheme.middle - 0.5) if scheme.symmetric else (high - low) / scheme.highest
    return steps.square_().repeat_interleave(groups.shape[-1], dim=1)


@torch.no_grad()
def _of_ends(
    network: StreamedNetwork,
    ends: tuple[torch.Tensor, ...],
    texts: torch.Tensor | None,
    gradient: torch.Tensor,
    schemes: Sequence[Scheme],
) -> dict[Scheme, float]:
    """The cost of the head, over all tokens; where it is the embedding of `texts`, of that as well."""
    inputs, outputs = ends
    of_embedding = gradient.flatten(0, 1).square() * network.config.embedding_multiplier**2
    with network.end() as (_, matrix):
        costs: dict[Scheme, float] = {}
        for scheme in _fitted(schemes, matrix):
            steps = step_squares(matrix, scheme)
            cost = float(outputs @ (steps @ inputs)) / len(of_embedding)
            if texts is not None:
                cost += float((steps[texts.flatten()] * of_embedding).sum())
            costs[scheme] = 0.5 * cost * _VARIANCE
    return costs


def _fitted(schemes: Sequence[Scheme], weight: torch.Tensor) -> list[Scheme]:
    return [*dict.fromkeys(scheme.fitted(weight.shape[1]) for scheme in schemes)]
