"""What each matrix costs in bits of what is said: measured, one matrix rounded at a time.

Beside the token's path, before a mixed plan is chosen. For every matrix the texts go through the network once with that
matrix alone rounded to 4 bits, and the divergence of the logits is what it costs. All those networks walk side by side:
they share each layer's weights while it is in memory, so a model that does not fit as a whole can be measured too. What
other schemes cost is scaled from that by their squared errors, to which a small divergence is proportional.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from pagoda.models.quantise.plans import HEAD
from pagoda.models.quantise.quality import divergence
from pagoda.models.quantise.rounding import round_to_nearest
from pagoda.models.quantise.scheme import Scheme
from pagoda.models.quantise.streamed import StreamedNetwork, layer_name, matrices_of, run_layer, weight_of

REFERENCE = Scheme(4, 64)
_TOKENS_AT_ONCE = 256


@torch.no_grad()
def measure_costs(
    network: StreamedNetwork, texts: torch.Tensor, schemes: Sequence[Scheme], told: Callable[[int, int], None]
) -> dict[str, dict[Scheme, float]]:
    """By matrix and scheme, the KL in nats a token that it adds by itself.

    schemes: those to tell the costs of, each with the group that a matrix's inputs allow
    texts: `[n, length]` of token ids, few: each matrix has a stream of them. told: layers done, and of how many.
    """
    streams: dict[str, torch.Tensor] = {}
    ratios: dict[str, dict[Scheme, float]] = {}
    with network.embedding() as embedding:
        clean = network.embed(embedding, texts)
        if network.is_tied:  # a rounded head is a rounded embedding, too
            weight_of(embedding).copy_(round_to_nearest(weight_of(embedding), REFERENCE).dense())
            streams[HEAD] = network.embed(embedding, texts)
    for layer_idx in range(network.num_layers):
        with network.layer(layer_idx) as layer:
            _walk(network, layer, layer_idx, clean, streams)
            ratios |= {
                f"{layer_name(layer_idx)}.{name}": error_ratios(weight_of(module), schemes)
                for name, module in matrices_of(layer).items()
            }
        told(layer_idx + 1, network.num_layers)
    streams.setdefault(HEAD, clean)
    costs = _divergences(network, clean, streams, ratios, schemes)
    return {name: {scheme: costs[name] * ratio for scheme, ratio in of.items()} for name, of in ratios.items()}


def _walk(
    network: StreamedNetwork,
    layer: nn.Module,
    layer_idx: int,
    clean: torch.Tensor,
    streams: dict[str, torch.Tensor],
) -> None:
    """All streams through a layer, and from it one more for each of its matrices."""
    for stream in streams.values():
        run_layer(network, layer, stream, layer_idx)
    for name, module in matrices_of(layer).items():
        full = f"{layer_name(layer_idx)}.{name}"
        weight = weight_of(module).clone()
        weight_of(module).copy_(round_to_nearest(weight, REFERENCE).dense())
        streams[full] = clean.clone()
        run_layer(network, layer, streams[full], layer_idx)
        weight_of(module).copy_(weight)
    run_layer(network, layer, clean, layer_idx)


def error_ratios(weight: torch.Tensor, schemes: Sequence[Scheme]) -> dict[Scheme, float]:
    """The squared error of `weight [out, in]` under each candidate, in relation to that under REFERENCE."""
    reference = REFERENCE.fitted(weight.shape[1])
    fitting = dict.fromkeys((reference, *(scheme.fitted(weight.shape[1]) for scheme in schemes)))
    errors = {scheme: float((round_to_nearest(weight, scheme).dense() - weight).square().sum()) for scheme in fitting}
    wanted = {scheme.fitted(weight.shape[1]) for scheme in schemes}
    return {scheme: error / max(errors[reference], 1e-30) for scheme, error in errors.items() if scheme in wanted}


def _divergences(
    network: StreamedNetwork,
    clean: torch.Tensor,
    streams: Mapping[str, torch.Tensor],
    ratios: dict[str, dict[Scheme, float]],
    schemes: Sequence[Scheme],
) -> dict[str, float]:
    """KL a token of each stream's logits from the clean stream's; the head's own stream has a rounded head."""
    sums = dict.fromkeys(streams, 0.0)
    with network.end() as (norm, matrix):
        ratios[HEAD] = error_ratios(matrix, schemes)
        heads = dict.fromkeys(streams, matrix) | {HEAD: round_to_nearest(matrix, REFERENCE).dense()}

        def log_probabilities(hidden: torch.Tensor, rows: slice, head: torch.Tensor) -> torch.Tensor:
            return network.scaled(norm(hidden.flatten(0, 1)[rows]) @ head.T).log_softmax(-1)

        num_tokens = clean.shape[0] * clean.shape[1]
        for start in range(0, num_tokens, _TOKENS_AT_ONCE):
            rows = slice(start, start + _TOKENS_AT_ONCE)
            expected = log_probabilities(clean, rows, matrix)
            for name, stream in streams.items():
                sums[name] += float(divergence(expected, log_probabilities(stream, rows, heads[name])).sum())
    return {name: max(total, 0.0) / num_tokens for name, total in sums.items()}
