"""The example of digits: canvases are what they say, and it learns."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from examples_of import load_example

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return load_example("digits_positions")


def test_a_larger_canvas_holds_the_digit_and_nothing_else(example: ModuleType) -> None:
    _, tested = example.load()
    large = example.on_larger_canvas(tested.images, seed=0)
    assert large.shape == (360, 12, 12)
    assert torch.allclose(large.sum((1, 2)), tested.images.sum((1, 2)), atol=1e-4)
    places = {tuple((image > 0).nonzero().min(0).values.tolist()) for image in large}
    assert len(places) > 10
    patches = [image.unfold(1, 2, 2).unfold(2, 2, 2).flatten(3).flatten(1, 2) for image in (large, tested.images)]
    found, expected = ({tuple(patch.tolist()) for patch in each.flatten(0, 1)} for each in patches)
    assert found == expected | {(0.0, 0.0, 0.0, 0.0)}, "patches look as they did in training"


@pytest.mark.parametrize("layout", ["line", "axial", "mixed"])
def test_every_layout_learns_digits_of_their_own_canvas(example: ModuleType, layout: str) -> None:
    taught, tested = example.load()
    model = example.train(layout, taught, steps=40, seed=0)
    assert example.accuracy(model, tested.images, tested.labels) > 20, "ten digits: 10 % by chance, and soon far more"
