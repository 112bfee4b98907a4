"""Kernels are chosen once, by name or by what this machine's BLAS can promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
import torch

from pagoda.errors import ConfigError
from pagoda.kernels.reference.operations import ROW_SPAN, ReferenceKernels, TiledReferenceKernels
from pagoda.kernels.select import (
    KERNELS,
    described,
    native_is_built,
    rows_are_exact,
    select_exact_kernels,
    select_kernels,
)
from pagoda.llm import LLM
from pagoda.sampling_params import SamplingParams

CPU = torch.device("cpu")


class Inexact(ReferenceKernels):
    """A BLAS whose rows depend on how many there are."""

    def linear(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return super().linear(x, weight, bias) * (1 + 1e-6 * len(x))


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match='did you mean "torch-reference"'):
        select_kernels("torch-referenc")


def test_the_probe_sees_rows_that_depend_on_their_number() -> None:
    assert not rows_are_exact(Inexact(), 64, 32, torch.float32, CPU)


class InexactFrom(ReferenceKernels):
    """A BLAS that works otherwise from `height` rows on, as MKL does on several threads."""

    height = 0

    def _product(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return super()._product(x, weight, bias) * (1 + 1e-6 * (len(x) >= self.height))


@pytest.mark.parametrize("height", [48, 64, 100, 128])
def test_the_probe_sees_a_product_that_changes_at_some_height(height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InexactFrom, "height", height)
    assert not rows_are_exact(InexactFrom(), 64, 32, torch.float32, CPU)


@torch.inference_mode()
def test_a_product_is_never_higher_than_what_the_probe_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on two threads: shapes whose bits hold up to 496 rows, and not at 512, went unnoticed."""
    monkeypatch.setattr(InexactFrom, "height", ROW_SPAN + 1)
    kernels, weight = InexactFrom(), torch.randn(32, 64)
    assert rows_are_exact(kernels, 64, 32, torch.float32, CPU)
    many = torch.randn(3 * ROW_SPAN + 16, 64)
    alone = torch.cat([kernels.linear(rows, weight, None) for rows in many.split(16)])
    assert torch.equal(kernels.linear(many, weight, None), alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tiles_are_exact_and_agree_with_the_plain_product(dtype: torch.dtype) -> None:
    assert rows_are_exact(TiledReferenceKernels(), 64, 48, dtype, CPU)
    x, weight, bias = torch.randn(40, 64, dtype=dtype), torch.randn(48, 64, dtype=dtype), torch.randn(48, dtype=dtype)
    tiled = TiledReferenceKernels().linear(x, weight, bias)
    torch.testing.assert_close(tiled, torch.nn.functional.linear(x, weight, bias))


def test_auto_falls_back_to_tiles_where_rows_are_not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    assert select_exact_kernels("torch-reference", [(64, 32)], torch.float32, CPU).name == "torch-reference"
    monkeypatch.setattr("pagoda.kernels.select.native_is_built", lambda: False)
    assert select_exact_kernels("auto", [(64, 32)], torch.float32, CPU).name == "torch-reference"
    monkeypatch.setattr("pagoda.kernels.select.select_kernels", lambda name: Inexact())
    assert select_exact_kernels("auto", [(64, 32)], torch.float32, CPU).name == "torch-reference-tiled"


@pytest.mark.skipif(not native_is_built(), reason="no compiler, no library")
def test_auto_takes_the_native_kernels_for_what_they_compute() -> None:
    assert select_exact_kernels("auto", [], torch.bfloat16, CPU).name == "native"
    assert select_exact_kernels("auto", [], torch.float32, CPU).name == "native"
    assert select_exact_kernels("auto", [], torch.float16, CPU).name != "native"
    with pytest.raises(ConfigError, match=r"kernels='native' do not compute in torch.float16"):
        select_exact_kernels("native", [], torch.float16, CPU)


def test_the_start_says_what_would_run_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagoda.kernels.select.native_is_built", lambda: False)
    assert "C++20 compiler" in described(ReferenceKernels(), CPU)
    assert described(ReferenceKernels(), torch.device("cuda")) == "torch-reference kernels"


def test_tiled_kernels_attend_in_one_width_and_generate_the_same_tokens(make_llm: Callable[..., LLM]) -> None:
    params = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)
    prompts = ["The fox looked at the moon, and the moon looked back", "The river"]
    tokens = []
    for name in ("torch-reference", "torch-reference-tiled"):
        outputs = make_llm("gqa", kernels=name).generate(prompts, params, use_tqdm=False)
        tokens.append([output.outputs[0].token_ids for output in outputs])
    assert tokens[0] == tokens[1]
    assert len(TiledReferenceKernels.tile_widths) == 1


class Wide(ReferenceKernels):
    """Kernels that take 24 rows at a time."""

    name, row_multiple = "wide", 24
    rows: ClassVar[set[int]] = set()

    def linear(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        self.rows.add(len(x))
        return super().linear(x, weight, bias)


def test_a_step_has_as_many_rows_as_the_kernels_ask_for(
    make_llm: Callable[..., LLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KERNELS, Wide.name, Wide)
    params = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True)
    outputs = make_llm("gqa", kernels=Wide.name).generate(["The fox looked at the moon " * 4], params, use_tqdm=False)
    assert len(outputs[0].outputs[0].token_ids) == 4
    assert len(Wide.rows) > 1
    assert all(num_rows % 24 == 0 for num_rows in Wide.rows)
