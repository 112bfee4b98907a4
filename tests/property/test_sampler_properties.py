"""Whatever else is in the batch, a row samples the same token, bit for bit."""

from __future__ import annotations

from unittest import mock

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pagoda.engine.sampling import device_picking, host_picking
from pagoda.engine.sampling.sampler import Sampler, SampleRow
from pagoda.engine.sampling.token_lists import TokenLists
from pagoda.sampling_params import SamplingParams

VOCAB_SIZE = 700
NUM_ROWS = 12

params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0, 0.3, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 40, 256, 300]),
    top_p=st.sampled_from([1.0, 0.99, 0.6, 0.05]),
    min_p=st.sampled_from([0.0, 0.01, 0.5]),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    presence_penalty=st.sampled_from([0.0, 1.0]),
    logit_bias=st.sampled_from([None, {3: 5.0}]),
    logprobs=st.sampled_from([None, 0, 3, -1]),
    allowed_token_ids=st.sampled_from([None, range(50)]),
)


def _row(made: SamplingParams, seed: int, position: int) -> SampleRow:
    return SampleRow("a", made, seed, position, [4, 3][:position], TokenLists.of(made, [1, 2, 3]))


@st.composite
def batches(draw: st.DrawFn) -> tuple[torch.Tensor, list[SampleRow]]:
    """Logits with many exact ties, and rows of every kind."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    logits = torch.randn(NUM_ROWS, VOCAB_SIZE, generator=generator) * draw(st.sampled_from([0.1, 1.0, 8.0]))
    if draw(st.booleans()):
        logits = logits.round()
    rows = [
        _row(draw(params), draw(st.integers(0, 99)), position)
        for position in draw(st.lists(st.integers(0, 2), min_size=NUM_ROWS, max_size=NUM_ROWS))
    ]
    return logits, rows


@settings(deadline=None, max_examples=40)
@given(batch=batches(), chosen=st.lists(st.integers(0, NUM_ROWS - 1), min_size=1, max_size=NUM_ROWS))
def test_a_row_does_not_depend_on_the_rows_beside_it(
    batch: tuple[torch.Tensor, list[SampleRow]], chosen: list[int]
) -> None:
    logits, rows = batch
    whole = Sampler().sample(logits, rows)
    assert Sampler().sample(logits[chosen], [rows[index] for index in chosen]) == [whole[index] for index in chosen]
    alone = [Sampler().sample(logits[index : index + 1], [rows[index]])[0] for index in chosen]
    assert alone == [whole[index] for index in chosen]


@settings(deadline=None, max_examples=40)
@given(batch=batches())
def test_a_filtered_draw_stays_within_top_k(batch: tuple[torch.Tensor, list[SampleRow]]) -> None:
    logits, rows = batch
    plain = [
        row._replace(
            params=row.params.clone(
                logit_bias=None, repetition_penalty=1.0, presence_penalty=0.0, allowed_token_ids=None
            ),
            lists=TokenLists(),
        )
        for row in rows
    ]
    for row, row_logits, sampled in zip(plain, logits, Sampler().sample(logits, plain), strict=True):
        order = torch.sort(row_logits, descending=True, stable=True).indices.tolist()
        limit = 1 if row.params.is_greedy else row.params.top_k or VOCAB_SIZE
        assert order.index(sampled.token_id) < limit


@settings(deadline=None, max_examples=60)
@given(
    made=st.lists(params, min_size=1, max_size=6),
    vocab_size=st.sampled_from([3, 700, 2050, 9000]),
    spread=st.sampled_from([0.05, 1.0, 4.0]),
    is_coarse=st.booleans(),
    seed=st.integers(0, 1 << 40),
)
def test_a_processor_picks_the_tokens_that_an_accelerator_picks(
    made: list[SamplingParams], vocab_size: int, spread: float, is_coarse: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(made), vocab_size, generator=generator) * spread
    if is_coarse:
        logits = logits.bfloat16().float()
    logits[:, ::7] = float("-inf")
    rows = [_row(each, seed + index, index % 3) for index, each in enumerate(made)]
    assert host_picking.pick(logits.numpy(), rows) == device_picking.pick(logits, rows)


@settings(deadline=None, max_examples=100)
@given(
    temperature=st.sampled_from([0.01, 0.3, 1.0, 2.0]),
    top_p=st.sampled_from([1.0, 0.999, 0.95, 0.5, 1e-6]),
    vocab_size=st.sampled_from([3, 700, 2050, 9000, 49152]),
    spread=st.sampled_from([0.0, 0.05, 1.0, 4.0, 300.0]),
    lost=st.sampled_from([0, 1, 2, 100]),
    seed=st.integers(0, 1 << 40),
)
def test_what_float32_decides_float64_decides_alike(
    temperature: float, top_p: float, vocab_size: int, spread: float, lost: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(4, vocab_size, generator=generator) * spread).numpy()
    logits[:, 1 : lost + 1] = -np.inf
    rows = [_row(SamplingParams(temperature=temperature, top_p=top_p), seed, position) for position in (0, 1, 2, 0)]
    picked = host_picking.pick(logits, rows)
    with mock.patch.object(host_picking, "_rough_weights", _no_numbers):
        assert host_picking.pick(logits, rows) == picked


@settings(deadline=None, max_examples=50)
@given(
    count=st.sampled_from([1, 511, 512, 3000]),
    scale=st.sampled_from([1e-40, 1.0, 1e30]),
    odd=st.lists(st.sampled_from([0.0, -0.0, np.inf, -np.inf, np.nan]), max_size=3),
    seed=st.integers(0, 1 << 40),
)
def test_order_is_that_of_a_stable_sort(count: int, scale: float, odd: list[float], seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = (generator.standard_normal(count).round(2) * scale).astype(np.float32)
    for value in odd:
        values[generator.random(count) < 0.2] = value
    assert host_picking._descending(values).tolist() == np.argsort(-values, kind="stable").tolist()


def test_float32_decides_most_draws() -> None:
    rows = [_row(SamplingParams(top_p=top_p), seed, 0) for seed in range(50) for top_p in (1.0, 0.9)]
    logits = (torch.randn(len(rows), 9000, generator=torch.Generator().manual_seed(0)) * 3).numpy()
    with mock.patch.object(host_picking, "_weights", wraps=host_picking._weights) as exact:
        host_picking.pick(logits, rows)
    whole = [call for call in exact.call_args_list if len(call.args[0]) == logits.shape[1]]
    assert len(whole) < len(rows) / 3


def _no_numbers(logits: np.ndarray, best: np.floating, temperature: float) -> np.ndarray:
    """In the place of rough weights: all is left to the exact ones."""
    return np.full(len(logits), np.nan, dtype=np.float32)
