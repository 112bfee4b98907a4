"""Every implementation of the kernels against formulas written out in fp64, and their promise of exact rows.

The native ones in each instruction set that this machine runs, on one thread and on three; those that were not built,
for want of a compiler, are not among them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional as F

from pagoda.kernels import kv_codes
from pagoda.kernels.activations import ACTIVATIONS
from pagoda.kernels.interface import AttentionMetadata, AttentionScores, AttentionShape, Kernels
from pagoda.kernels.reference.operations import ROW_TILE, ReferenceKernels
from pagoda.kernels.window import AttentionWindow, LayerWindow

KERNELS: Kernels = ReferenceKernels()
"""Of the test that runs; see `_implementation`."""
# Around the borders of blocks (16), of tiles of query tokens (64) and of partitions of keys (128, 256).
LENGTHS = (1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300)


def _implementations() -> dict[str, Kernels]:
    found: dict[str, Kernels] = {ReferenceKernels.name: ReferenceKernels()}
    try:
        from pagoda.kernels.native import library
        from pagoda.kernels.native.operations import NativeKernels
    except ImportError:
        return found
    for num_threads, instruction_set in itertools.product((1, 3), library.instruction_sets()):
        found[f"{instruction_set} on {num_threads}"] = NativeKernels(num_threads, instruction_set)
    return found


IMPLEMENTATIONS = _implementations()


@pytest.fixture(autouse=True, params=IMPLEMENTATIONS)
def _implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(globals(), "KERNELS", IMPLEMENTATIONS[request.param])
    return str(request.param)


@pytest.fixture
def _only_reference(_implementation: str) -> None:
    if _implementation != ReferenceKernels.name:
        pytest.skip("how the reference lays out its cache, and how it trains, is its own")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=[1, 3])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(1)


@dataclass
class Sequences:
    """Random queries, keys and values of some sequences, and a paged cache with the keys and values in it."""

    lengths: Sequence[int]
    num_heads: int
    num_kv_heads: int
    head_dim: int
    block_size: int = 16
    window: LayerWindow = None
    softcap: float | None = None
    dtype: torch.dtype = torch.float32
    seed: int = 0
    in_bytes: bool = False

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        blocks_each = max(self.lengths) // self.block_size + 2
        num_blocks = blocks_each * len(self.lengths)
        block_ids = torch.randperm(num_blocks, generator=generator).tolist()
        self.tables = [block_ids[i * blocks_each : (i + 1) * blocks_each] for i in range(len(self.lengths))]

        def noise(length: int, heads: int) -> torch.Tensor:
            return torch.randn(length, heads, self.head_dim, generator=generator).to(self.dtype)

        self.queries = [noise(length, self.num_heads) for length in self.lengths]
        self.keys = [noise(length, self.num_kv_heads) for length in self.lengths]
        self.values = [noise(length, self.num_kv_heads) for length in self.lengths]
        shape = (num_blocks, self.num_kv_heads, self.block_size, self.head_dim + self.in_bytes * kv_codes.SCALE_BYTES)
        self.k_cache = torch.zeros(shape, dtype=torch.int8 if self.in_bytes else self.dtype)
        self.v_cache = torch.zeros_like(self.k_cache)
        for index, length in enumerate(self.lengths):
            self.store([(index, 0, length)], self.keys[index], self.values[index])
        if self.in_bytes:  # what the cache holds is what is attended to
            turned = [kv_codes.to_floats(kv_codes.to_codes(kv_codes.turned(x))) for x in self.keys]
            self.keys = [kv_codes.turned(x) for x in turned]  # which turns them back
            self.values = [kv_codes.to_floats(kv_codes.to_codes(x)) for x in self.values]

    def plan(self, parts: Sequence[tuple[int, int, int]]) -> object:
        """The plan of a step that computes tokens [start, end) of sequences; padded as the model runner pads."""
        starts, slots = [0], []
        for index, start, end in parts:
            starts.append(starts[-1] + end - start)
            slots += [self.slot(index, position) for position in range(start, end)]
        slots += [-1] * (-len(slots) % ROW_TILE)
        metadata = AttentionMetadata(
            query_start_loc=tuple(starts),
            seq_lens=tuple(end for _, _, end in parts),
            block_tables=torch.tensor([self.tables[index] for index, _, _ in parts]),
            slot_mapping=torch.tensor(slots),
        )
        group = self.num_heads // self.num_kv_heads
        return KERNELS.plan_attention(metadata, AttentionShape(self.num_kv_heads, group, self.block_size, self.window))

    def slot(self, index: int, position: int) -> int:
        return self.tables[index][position // self.block_size] * self.block_size + position % self.block_size

    def store(self, parts: Sequence[tuple[int, int, int]], key: torch.Tensor, value: torch.Tensor) -> None:
        KERNELS.store_kv(_padded(key), _padded(value), self.k_cache, self.v_cache, self.plan(parts))

    def attend(self, parts: Sequence[tuple[int, int, int]]) -> list[torch.Tensor]:
        """The kernel's output for each part of a step."""
        query = _padded(torch.cat([self.queries[index][start:end] for index, start, end in parts]))
        scores = AttentionScores(self.head_dim**-0.5, self.softcap)
        output = KERNELS.paged_attention(query, self.k_cache, self.v_cache, self.plan(parts), scores)
        assert output.shape == query.shape
        assert output.dtype == query.dtype
        sizes = [end - start for _, start, end in parts]
        return list(output[: sum(sizes)].split(sizes))

    def dense(self, index: int) -> torch.Tensor:
        """Attention of a whole sequence, written out in fp64: `[length, heads, head_dim]`."""
        query, key, value = (x[index].double().transpose(0, 1) for x in (self.queries, self.keys, self.values))
        group = self.num_heads // self.num_kv_heads
        key, value = key.repeat_interleave(group, 0), value.repeat_interleave(group, 0)
        position = torch.arange(self.lengths[index])
        seen = position <= position[:, None]
        if self.window is not None:
            seen &= _is_near(position[:, None], position, self.window)
        scores = query @ key.transpose(1, 2) * self.head_dim**-0.5
        if self.softcap is not None:
            scores = self.softcap * (scores / self.softcap).tanh()
        return (scores.masked_fill(~seen, -torch.inf).softmax(-1) @ value).transpose(0, 1)


def _is_near(query: torch.Tensor, key: torch.Tensor, window: AttentionWindow) -> torch.Tensor:
    """The rule, written otherwise: less than a window behind, or in the same chunk."""
    near = torch.zeros(query.shape[0], key.shape[0], dtype=torch.bool)
    if window.size is not None:
        near |= query - key < window.size
    if window.chunk is not None:
        near |= query.div(window.chunk, rounding_mode="floor") == key.div(window.chunk, rounding_mode="floor")
    return near


def _padded(rows: torch.Tensor) -> torch.Tensor:
    """To a multiple of ROW_TILE; the filling is rubbish that must not show anywhere."""
    return torch.cat((rows, torch.full_like(rows[:1], 7.0).expand(-len(rows) % ROW_TILE, -1, -1)))


SHAPES = {
    "gqa": (4, 2, 16),
    "mha": (3, 3, 8),
    "mqa": (4, 1, 24),
    "gqa of 3, odd head_dim": (6, 2, 10),
    "group of 8": (8, 1, 64),
}
WINDOWS: dict[str, LayerWindow] = {
    "all": None,
    **{f"window {size}": AttentionWindow(size) for size in (1, 2, 40, 128, 200)},
    **{f"chunk {chunk}": AttentionWindow(chunk=chunk) for chunk in (1, 7, 128, 150)},
    "window 40 or chunk 100": AttentionWindow(40, 100),
    "window 200 or chunk 30": AttentionWindow(200, 30),
}
FEW_WINDOWS = {name: WINDOWS[name] for name in ("all", "window 40", "chunk 7", "window 40 or chunk 100")}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=list(WINDOWS))
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_paged_attention_equals_dense_attention_in_fp64(shape: tuple[int, int, int], window: LayerWindow) -> None:
    sequences = Sequences(LENGTHS, *shape, window=window)
    whole = sequences.attend([(index, 0, length) for index, length in enumerate(LENGTHS)])
    for index, output in enumerate(whole):
        torch.testing.assert_close(output.double(), sequences.dense(index), atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("window", FEW_WINDOWS.values(), ids=list(FEW_WINDOWS))
def test_bounded_scores_are_bounded_and_hidden_keys_stay_hidden(window: LayerWindow) -> None:
    sequences = Sequences(LENGTHS, 4, 2, 16, window=window, softcap=0.7)
    parts = _random_parts(LENGTHS, random.Random(0))
    for (index, start, end), output in zip(parts, sequences.attend(parts), strict=True):
        torch.testing.assert_close(output.double(), sequences.dense(index)[start:end], atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("block_size", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("window", FEW_WINDOWS.values(), ids=list(FEW_WINDOWS))
def test_a_step_of_chunks_and_decodes_equals_dense_attention(block_size: int, window: LayerWindow) -> None:
    sequences = Sequences(LENGTHS, 4, 2, 16, block_size=block_size, window=window)
    rng = random.Random(block_size)
    for _ in range(4):
        parts = _random_parts(LENGTHS, rng)
        for (index, start, end), output in zip(parts, sequences.attend(parts), strict=True):
            torch.testing.assert_close(output.double(), sequences.dense(index)[start:end], atol=2e-6, rtol=2e-6)


def test_paged_attention_in_bf16_is_right_to_the_last_bit_or_two() -> None:
    sequences = Sequences(LENGTHS, 4, 2, 16, dtype=torch.bfloat16)
    for index, output in enumerate(sequences.attend([(i, 0, length) for i, length in enumerate(LENGTHS)])):
        # The weight of a key may be rounded to bf16 before its values are weighted, as flash attention rounds it.
        torch.testing.assert_close(output.double(), sequences.dense(index), atol=4e-3, rtol=2**-8)


@pytest.mark.parametrize("block_size", [4, 8, 16, 64])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_a_cache_in_bytes_is_attended_to_as_what_its_bytes_mean(shape: tuple[int, int, int], block_size: int) -> None:
    window = {8: AttentionWindow(40), 16: AttentionWindow(9, 50)}.get(block_size)
    sequences = Sequences(LENGTHS, *shape, block_size=block_size, window=window, in_bytes=True)
    rng = random.Random(block_size)
    parts = _random_parts(LENGTHS, rng)
    for (index, start, end), output in zip(parts, sequences.attend(parts), strict=True):
        # Queries and weights may become whole numbers of 16 bits: 1/65,024 of a row's largest off at most.
        torch.testing.assert_close(output.double(), sequences.dense(index)[start:end], atol=3e-4, rtol=0)


def test_a_cache_in_bytes_under_bf16() -> None:
    sequences = Sequences(LENGTHS, 4, 2, 16, dtype=torch.bfloat16, in_bytes=True)
    for index, output in enumerate(sequences.attend([(i, 0, length) for i, length in enumerate(LENGTHS)])):
        # Rounded to bf16 on the way in and out.
        torch.testing.assert_close(output.double(), sequences.dense(index), atol=1.5e-2, rtol=2**-7)


@pytest.mark.parametrize("head_dim", [8, 10, 24, 64, 96])
def test_what_is_turned_keeps_its_products_and_turns_back(head_dim: int) -> None:
    one, other = torch.randn(2, 5, head_dim)
    torch.testing.assert_close(kv_codes.turned(one) @ kv_codes.turned(other).T, one @ other.T, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(kv_codes.turned(kv_codes.turned(one)), one, atol=1e-6, rtol=1e-6)


def test_bytes_of_keys_and_values_lose_half_a_step_at_most() -> None:
    x = torch.randn(50, 3, 24) * torch.logspace(-20, 20, 50)[:, None, None]
    x[7] = 0
    back = kv_codes.to_floats(kv_codes.to_codes(x))
    # Half a step, and what cutting at a scale that was rounded down takes of the largest.
    assert ((back - x).abs() <= x.abs().amax(-1, keepdim=True) / 127 * 1.02).all()
    assert (back[7] == 0).all()


def _random_parts(lengths: Sequence[int], rng: random.Random) -> list[tuple[int, int, int]]:
    """In random order, a decode or a chunk of every sequence."""
    parts = []
    for index in rng.sample(range(len(lengths)), len(lengths)):
        end = rng.randint(1, lengths[index])
        start = end - 1 if rng.random() < 0.5 else rng.randrange(end)
        parts.append((index, start, end))
    return parts


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("window", FEW_WINDOWS.values(), ids=list(FEW_WINDOWS))
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_a_token_is_attended_to_the_same_bits_alone_and_in_any_step(
    shape: tuple[int, int, int], window: LayerWindow, dtype: torch.dtype
) -> None:
    lengths = (1, 17, 64, 129, 257)
    sequences = Sequences(lengths, *shape, window=window, dtype=dtype)
    alone = [sequences.attend([(index, 0, length)])[0] for index, length in enumerate(lengths)]
    rng = random.Random(0)
    for _ in range(3):
        parts = _random_parts(lengths, rng)
        for (index, start, end), output in zip(parts, sequences.attend(parts), strict=True):
            assert torch.equal(output, alone[index][start:end])


def test_what_a_broken_request_leaves_in_its_blocks_reaches_nobody() -> None:
    sequences = Sequences((5, 20, 130), 4, 2, 16)
    parts = [(index, 0, length) for index, length in enumerate(sequences.lengths)]
    before = sequences.attend(parts)
    everything = set(range(sequences.k_cache.shape[0] * 16))
    own = {sequences.slot(index, position) for index, _, end in parts for position in range(end)}
    stale = sorted(everything - own)
    for rubbish in (torch.nan, torch.inf, -torch.inf):
        _store_at(sequences, stale, rubbish)
        assert all(torch.equal(*pair) for pair in zip(before, sequences.attend(parts), strict=True))


def test_a_request_that_is_broken_itself_harms_no_neighbour_in_its_step() -> None:
    sequences = Sequences((5, 20, 130), 4, 2, 16)
    parts = [(index, 0, length) for index, length in enumerate(sequences.lengths)]
    before = sequences.attend(parts)
    sequences.queries[1].fill_(torch.nan)
    sequences.store([parts[1]], torch.full((20, 2, 16), torch.nan), torch.full((20, 2, 16), torch.nan))
    after = sequences.attend(parts)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[2], after[2])
    assert after[1].isnan().any(), "the damage did not arrive"


def _store_at(sequences: Sequences, slots: list[int], number: float) -> None:
    filling = torch.full((len(slots), sequences.num_kv_heads, sequences.head_dim), number)
    metadata = AttentionMetadata(
        query_start_loc=(0, len(slots)),
        seq_lens=(len(slots),),
        block_tables=torch.arange(sequences.k_cache.shape[0])[None],
        slot_mapping=torch.tensor(slots),
    )
    plan = KERNELS.plan_attention(metadata, AttentionShape(sequences.num_kv_heads, 2, 16, None))
    KERNELS.store_kv(filling, filling, sequences.k_cache, sequences.v_cache, plan)


@pytest.mark.usefixtures("_only_reference")
def test_store_kv_writes_each_token_into_its_slot_and_padding_nowhere() -> None:
    sequences = Sequences((21, 6), 4, 2, 16)
    sequences.k_cache.fill_(-5.0)
    sequences.v_cache.fill_(-6.0)
    parts = [(0, 3, 21), (1, 5, 6)]
    key, value = (
        torch.cat([x[index][start:end] for index, start, end in parts]) for x in (sequences.keys, sequences.values)
    )
    sequences.store(parts, key, value)
    expected_k, expected_v = torch.full_like(sequences.k_cache, -5.0), torch.full_like(sequences.v_cache, -6.0)
    for index, start, end in parts:
        for position in range(start, end):
            block, offset = divmod(sequences.slot(index, position), 16)
            expected_k[block, :, offset] = sequences.keys[index][position]
            expected_v[block, :, offset] = sequences.values[index][position]
    assert torch.equal(sequences.k_cache, expected_k)
    assert torch.equal(sequences.v_cache, expected_v)


def test_copy_blocks_copies_in_every_layer_and_reads_all_sources_first() -> None:
    cache = torch.randn(3, 2, 6, 2, 16, 8)
    before = cache.clone()
    KERNELS.copy_blocks(cache, torch.tensor([(0, 4), (4, 2), (0, 5)]))
    for destination, source in ((4, 0), (2, 4), (5, 0), (0, 0), (1, 1), (3, 3)):
        assert torch.equal(cache[:, :, destination], before[:, :, source])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rms_norm_is_its_formula(dtype: torch.dtype) -> None:
    x, weight = (torch.randn(shape).to(dtype) for shape in ((5, 3, 24), (24,)))
    wide = x.double()
    expected = wide / (wide.pow(2).mean(-1, keepdim=True) + 1e-3).sqrt() * weight.double()
    actual = KERNELS.rms_norm(x, weight, 1e-3)
    assert actual.dtype == dtype
    tolerance = 1e-6 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(actual.double(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_silu_and_mul_is_its_formula_to_the_ends_of_the_range(dtype: torch.dtype) -> None:
    gate = torch.cat((torch.linspace(-200, 200, 401), torch.tensor([-3e38, 3e38, 0.0]))).to(dtype)
    up = torch.linspace(-2, 2, len(gate)).to(dtype)
    expected = gate.double() * torch.sigmoid(gate.double()) * up.double()
    tolerance = 1e-6 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(
        KERNELS.silu_and_mul(gate, up).double(), expected.to(dtype).double(), atol=tolerance, rtol=tolerance
    )


@pytest.mark.usefixtures("_only_reference")
def test_silu_and_mul_trains_with_the_same_values_and_finite_gradients() -> None:
    gate, up = torch.linspace(-200, 200, 401), torch.ones(401)
    plain = KERNELS.silu_and_mul(gate, up)
    trained = KERNELS.silu_and_mul(gate.clone().requires_grad_(), up)
    torch.testing.assert_close(trained.detach(), plain, atol=1e-7, rtol=1e-6)
    leaf = gate.clone().requires_grad_()
    KERNELS.silu_and_mul(leaf, up).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_finite_far_out_and_in_its_gradient(name: str) -> None:
    x = torch.cat((torch.linspace(-200, 200, 401), torch.tensor([-1e18, 1e18]))).requires_grad_()
    activated = KERNELS.activate(x, name)
    activated.sum().backward()
    assert activated.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_rest_of_a_head_stays_where_only_a_share_of_it_rotates() -> None:
    x, angles = torch.randn(5, 3, 12), torch.randn(5, 2)
    turned = KERNELS.apply_rotary(x, angles.cos(), angles.sin())
    assert torch.equal(turned[..., 4:], x[..., 4:])
    assert torch.equal(turned[..., :4], KERNELS.apply_rotary(x[..., :4], angles.cos(), angles.sin()))


def test_apply_rotary_turns_each_pair_of_halves_by_its_angle() -> None:
    x, angles = torch.randn(5, 3, 12), torch.randn(5, 6)
    turned = KERNELS.apply_rotary(x, angles.cos(), angles.sin())
    before, after = (torch.complex(*part.double().chunk(2, dim=-1)) for part in (x, turned))
    expected = before * torch.polar(torch.ones(5, 6, dtype=torch.float64), angles.double())[:, None]
    torch.testing.assert_close(after, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("bias", "dtype"), list(itertools.product([False, True], [torch.float32, torch.bfloat16])))
def test_linear_is_f_linear_for_widths_of_every_remainder(bias: bool, dtype: torch.dtype) -> None:
    for out_features in (*range(1, 34), 100):
        x, weight = torch.randn(32, 24).to(dtype), torch.randn(out_features, 24).to(dtype)
        shift = torch.randn(out_features).to(dtype) if bias else None
        tolerance = 1e-5 if dtype == torch.float32 else 2**-6
        torch.testing.assert_close(
            KERNELS.linear(x, weight, shift), F.linear(x, weight, shift), atol=tolerance, rtol=tolerance
        )


@pytest.mark.usefixtures("_threads")
def test_threads_that_multiply_at_once_do_not_meet() -> None:
    """A server embeds questions in one thread while documents are indexed in another."""
    weight = KERNELS.pack(torch.randn(70, 90))
    inputs = [torch.randn(rows, 90) for rows in (1, 7, 40, 130)] * 20
    expected = [KERNELS.linear(x, weight, None) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: KERNELS.linear(x, weight, None), inputs))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1), (31, 8), (32, 7), (33, 64), (331, 50)])
def test_rows_of_a_packed_matrix_come_back_as_they_were(shape: tuple[int, int], dtype: torch.dtype) -> None:
    weight = torch.randn(shape).to(dtype)
    indices = torch.tensor([*range(shape[0]), 0, shape[0] - 1])
    assert torch.equal(KERNELS.take_rows(KERNELS.pack(weight), indices), weight[indices])
    with pytest.raises(IndexError):
        KERNELS.take_rows(KERNELS.pack(weight), torch.tensor([shape[0]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 16), (31, 8), (97, 50), (331, 16)])
def test_the_best_output_is_the_first_of_the_largest(shape: tuple[int, int], dtype: torch.dtype) -> None:
    weight = torch.randn(shape).to(dtype)
    weight[shape[0] // 2 :] = weight[: -(shape[0] // 2) or None].flip(0)  # outputs that are equal, far apart
    x = torch.randn(30, shape[1]).to(dtype)
    packed = KERNELS.pack(weight)
    for rows in (x, x[:1], x[:5]):
        outputs = KERNELS.linear(rows, packed, None)
        expected = outputs.float().numpy().argmax(-1)
        assert KERNELS.linear_argmax(rows, packed).tolist() == expected.tolist()


def test_an_output_that_is_no_number_is_the_best() -> None:
    weight = torch.ones(80, 8)
    weight[[7, 50]] = float("nan")
    assert KERNELS.linear_argmax(torch.ones(2, 8), KERNELS.pack(weight)).tolist() == [7, 7]


@pytest.mark.parametrize("out_features", [1, 8, 10, 24, 40, 64, 100, 331])
def test_a_row_of_a_product_has_the_same_bits_wherever_it_stands(out_features: int) -> None:
    x, weight = torch.randn(160, 90), torch.randn(out_features, 90)
    whole = KERNELS.linear(x, weight, None)
    for num_rows, start in itertools.product((16, 32, 80), (0, 1, 5, 13)):
        part = x[start : start + num_rows].clone()
        assert torch.equal(KERNELS.linear(part, weight, None), whole[start : start + num_rows])


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("width", [63, 80, 704, 1000])
def test_a_row_of_an_elementwise_function_has_the_same_bits_wherever_it_stands(width: int) -> None:
    x, up, weight = torch.randn(160, width) * 3, torch.randn(160, width), torch.randn(width)
    functions: list[Callable[[tuple[torch.Tensor, torch.Tensor]], torch.Tensor]] = [
        lambda part: KERNELS.silu_and_mul(*part),
        lambda part: KERNELS.rms_norm(part[0], weight, 1e-6),
        lambda part: KERNELS.layer_norm(part[0], weight, weight, 1e-6),
        lambda part: KERNELS.layer_norm(part[0], None, None, 1e-6),
        *(lambda part, name=name: KERNELS.activate(part[0], name) for name in ACTIVATIONS),
    ]
    for function in functions:
        whole = function((x, up))
        for num_rows, start in itertools.product((16, 48, 112), (0, 1, 13)):
            rows = slice(start, start + num_rows)
            assert torch.equal(function((x[rows].clone(), up[rows].clone())), whole[rows])
