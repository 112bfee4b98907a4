"""Digits on a larger canvas than in training: what positions in two dimensions are worth.

A classifier of 2x2 patches that have ink, out of `pagoda.layers` (see `encoder.py`), learns the 8x8 digits of
scikit-learn on their own canvas and is tested on digits of which it saw none, at a random place of a canvas of 12x12.
Patches are numbered in reading order (`line`: one number, as a text's tokens have it, so that "one row down" is
another distance on a wider canvas), or have two coordinates, each with frequencies of its own (`axial`) or along
learned directions (`mixed`): RoPE-ViT, arXiv 2403.13298.

In a clone after `make setup` and `source .venv/bin/activate`, with `pip install scikit-learn`:
`python examples/digits_positions.py`
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass

import numpy as np
import torch
from encoder import Block
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from pagoda.layers import RMSNorm, Rope, RotaryEmbedding

PATCH, OWN_CANVAS, LARGE_CANVAS = 2, 8, 12
WIDTH, HEADS, LAYERS = 64, 4, 2
LAYOUTS = {"line": None, "axial": 2, "mixed": 2}
"""Name -> coordinates of a position; None is one number."""


class Classifier(nn.Module):
    """Patches to ten digits. Those without ink are no tokens: how many there are is the canvas's affair."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.axes = LAYOUTS[layout]
        rope = Rope(
            head_dim=WIDTH // HEADS, theta=100.0, axes=self.axes, layout="shared" if self.axes is None else layout
        )
        self.rotary = RotaryEmbedding(rope)
        self.embed = nn.Linear(PATCH * PATCH, WIDTH)
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS, 2 * WIDTH) for _ in range(LAYERS))
        self.norm, self.head = RMSNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """`[images, canvas, canvas]` from 0 to 1 -> logits `[images, 10]`."""
        side = images.shape[-1] // PATCH
        patches = images.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).flatten(3).flatten(1, 2)
        rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        positions = torch.stack((rows, columns), -1).flatten(0, 1) if self.axes else torch.arange(side * side)
        has_ink = patches.amax(-1) > 0  # [images, patches]
        x, rotation = self.embed(patches), self.rotary(positions)
        for block in self.blocks:
            x = block(x, self.rotary, rotation, has_ink)
        return self.head(self.norm(x).masked_fill(~has_ink[..., None], -torch.inf).amax(1))


@dataclass(frozen=True)
class Digits:
    """Images `[count, 8, 8]` from 0 to 1, and what they show."""

    images: torch.Tensor
    labels: torch.Tensor


def load() -> tuple[Digits, Digits]:
    """Four fifths to train on, one fifth to test on."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.images))
    images = torch.tensor(found.images[order] / 16.0, dtype=torch.float32)
    labels = torch.tensor(found.target[order])
    border = len(order) * 4 // 5
    return Digits(images[:border], labels[:border]), Digits(images[border:], labels[border:])


def on_larger_canvas(images: torch.Tensor, seed: int) -> torch.Tensor:
    """`[count, 12, 12]`: each image at a place of its own, empty around it.

    Places are whole patches apart: what a patch looks like stays as it was in training, and only positions change.
    """
    rng = np.random.default_rng(seed)
    large = torch.zeros(len(images), LARGE_CANVAS, LARGE_CANVAS)
    for image, canvas in zip(images, large, strict=True):
        row, column = PATCH * rng.integers(0, (LARGE_CANVAS - OWN_CANVAS) // PATCH + 1, size=2)
        canvas[row : row + OWN_CANVAS, column : column + OWN_CANVAS] = image
    return large


def train(layout: str, digits: Digits, steps: int, seed: int) -> Classifier:
    """AdamW on batches of 64; a seed gives all layouts the same first matrices and the same batches."""
    torch.manual_seed(seed)
    model, rng = Classifier(layout), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.from_numpy(rng.integers(len(digits.labels), size=64))
        loss = F.cross_entropy(model(digits.images[chosen]), digits.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


@torch.no_grad()
def accuracy(model: Classifier, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Percent that are right."""
    return 100.0 * float((model(images).argmax(-1) == labels).float().mean())


def main() -> None:
    """A line for each layout: accuracy on the canvas of training and on the larger one, over seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    taught, tested = load()
    print(
        f"{'positions':10} {'8x8':>18} {'12x12':>18}   (percent right: mean, lowest to highest of {options.seeds} "
        f"seeds)"
    )
    for layout in LAYOUTS:
        own, large = [], []
        for seed in range(options.seeds):
            model = train(layout, taught, options.steps, seed)
            own.append(accuracy(model, tested.images, tested.labels))
            large.append(accuracy(model, on_larger_canvas(tested.images, seed), tested.labels))
        told = (f"{statistics.mean(found):5.1f} ({min(found):.1f}-{max(found):.1f})" for found in (own, large))
        print(f"{layout:10}", *(f"{each:>18}" for each in told), flush=True)


if __name__ == "__main__":
    main()
