"""A forecaster of a time series whose positions are time stamps: ETTh1, 96 hours ahead, whole and with gaps.

Seven quantities of an electric transformer, hour by hour (Zhou et al. 2021, arXiv 2012.07436), in the split that
papers use: 12 months to train on, 4 to choose by, 4 to test on, standardised by the first 12. Each quantity is
forecast by itself by one and the same network (channel independence, patches: PatchTST, arXiv 2211.14730):
neighbouring readings are a token, which stands at the mean of their times; a token of the future stands at the hours
that it is to tell. Layers are those of `pagoda.layers` (see `encoder.py`). RoPE turns tokens by hours, in frequencies
from one turn in 6 hours down to one in 768, a day among them.

`whole`: every reading is there, and a linear map of the last 336 readings is added (arXiv 2205.13504), which alone is
a good forecast already. `gaps`: 30 % of all hours are missing; the network is told when the others were read (`time`),
or only in which order (`order`: their numbers, stretched so that they are as far apart on average as the times are; it
is told how far ahead a forecast is, too).

In a clone after `make setup` and `source .venv/bin/activate`, with ETT-small/ETTh1.csv of
github.com/zhouhaoyi/ETDataset in the current folder: `python examples/etth1_forecast.py ETTh1.csv`
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from encoder import Block
from torch import nn

from pagoda.layers import RMSNorm, Rope, RotaryEmbedding

CONTEXT, HORIZON, MONTH = 336, 96, 30 * 24
TRAINED, CHOSEN, TESTED = 12 * MONTH, 16 * MONTH, 20 * MONTH
WIDTH, HEADS, LAYERS, BATCH = 32, 2, 2, 128
FASTEST_TURN, THETA = 6.0, 256.0  # hours; 8 pairs of a head turn in 6, 12, 24, ... 768 hours
EVERY = 100


@dataclass(frozen=True)
class Scheme:
    """How a series is read.

    missing:  part of the hours that are not there
    has_line: whether a linear map of the readings is added
    by_time:  whether positions are time stamps, or the numbers of the readings
    patch:    readings of a token, and hours that one of the future tells
    """

    missing: float
    has_line: bool
    by_time: bool
    patch: tuple[int, int]

    @property
    def readings(self) -> int:
        """How many there are of CONTEXT hours, whole tokens of them."""
        size = self.patch[0]
        return round(CONTEXT * (1 - self.missing)) // size * size


SCHEMES = {
    "whole": Scheme(0.0, True, True, (24, 24)),
    "gaps, by time": Scheme(0.3, False, True, (6, 8)),
    "gaps, by order": Scheme(0.3, False, False, (6, 8)),
}


class Series:
    """All readings, standardised, and which hours there are: `values [hours, quantities]`, `is_there [hours]`."""

    def __init__(self, path: Path, missing: float, seed: int) -> None:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [[float(cell) for cell in row[1:]] for row in list(csv.reader(file))[1 : TESTED + 1]]
        if len(rows) < TESTED:
            raise SystemExit(f"{path} has {len(rows)} hours, but {TESTED} are expected: give the whole ETTh1.csv")
        readings = np.array(rows, dtype=np.float32)
        mean, deviation = readings[:TRAINED].mean(0), readings[:TRAINED].std(0)
        self.values = torch.tensor((readings - mean) / deviation)
        self.is_there = torch.tensor(np.random.default_rng(seed).random(TESTED) >= missing)
        self.hours = self.is_there.nonzero()[:, 0]
        self.count = self.is_there.cumsum(0)

    def first(self, scheme: Scheme) -> int:
        """The first hour before which there are readings enough."""
        return max(CONTEXT, int(self.hours[scheme.readings - 1]) + 1)

    def windows(
        self, starts: torch.Tensor, quantities: torch.Tensor, scheme: Scheme
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`[batch, readings]`: the last ones before each start, and where they stand, in hours before it."""
        places = self.count[starts - 1, None] - scheme.readings + torch.arange(scheme.readings)
        hours = self.hours[places]
        stands = (hours - starts[:, None]).double()
        if not scheme.by_time:
            stands = torch.arange(-scheme.readings, 0).expand_as(hours).double() / (1 - scheme.missing)
        return self.values[hours, quantities[:, None]], stands

    def futures(self, starts: torch.Tensor, quantities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`[batch, HORIZON]`: what came, and which of it was read."""
        hours = starts[:, None] + torch.arange(HORIZON)
        return self.values[hours, quantities[:, None]], self.is_there[hours]


class Forecaster(nn.Module):
    """Readings of one quantity and where they stand -> the next HORIZON hours."""

    def __init__(self, scheme: Scheme, dropout: float = 0.1) -> None:
        super().__init__()
        self.size, self.told = scheme.patch
        self.rotary = RotaryEmbedding(Rope(head_dim=WIDTH // HEADS, theta=THETA))
        self.embed, self.head = nn.Linear(self.size, WIDTH), nn.Linear(WIDTH, self.told)
        self.future = nn.Parameter(0.02 * torch.randn(WIDTH))
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS, 4 * WIDTH, dropout) for _ in range(LAYERS))
        self.norm, self.dropout = RMSNorm(WIDTH), nn.Dropout(dropout)
        self.line = nn.Linear(scheme.readings, HORIZON) if scheme.has_line else None
        if self.line is not None:
            nn.init.constant_(self.line.weight, 1 / scheme.readings)

    def forward(self, values: torch.Tensor, stands: torch.Tensor) -> torch.Tensor:
        """`values`, `stands [batch, readings]` -> `[batch, HORIZON]`, each series on a scale of its own (RevIN)."""
        mean, deviation = values.mean(1, keepdim=True), values.std(1, keepdim=True) + 1e-3
        values = (values - mean) / deviation
        ahead = torch.arange(HORIZON).double().unfold(0, self.told, self.told).mean(-1)  # of the tokens of the future
        places = torch.cat((stands.unfold(1, self.size, self.size).mean(-1), ahead.expand(len(values), -1)), 1)
        x = torch.cat(
            (self.embed(values.unflatten(1, (-1, self.size))), self.future.expand(len(values), len(ahead), -1)), 1
        )
        x, rotation = self.dropout(x), self.rotary(places * (2 * math.pi / FASTEST_TURN))
        for block in self.blocks:
            x = block(x, self.rotary, rotation)
        told = self.head(self.norm(x[:, -len(ahead) :])).flatten(1)
        if self.line is not None:
            told = told + self.line(values)
        return told * deviation + mean


@torch.no_grad()
def errors(
    model: Forecaster, series: Series, scheme: Scheme, span: tuple[int, int], every: int = 1
) -> tuple[float, float]:
    """Mean squared and mean absolute error of every hour of all forecasts that lie within `span` hours."""
    model.eval()
    squared = absolute = count = 0.0
    num_quantities = series.values.shape[1]
    for starts in torch.arange(span[0], span[1] - HORIZON + 1, every).split(64):
        rows = starts.repeat_interleave(num_quantities), torch.arange(num_quantities).repeat(len(starts))
        missed = model(*series.windows(*rows, scheme)) - series.futures(*rows)[0]
        squared += float(missed.square().sum())
        absolute += float(missed.abs().sum())
        count += missed.numel()
    model.train()
    return squared / count, absolute / count


def train(series: Series, scheme: Scheme, steps: int, seed: int) -> Forecaster:
    """AdamW on random windows; of the states every EVERY steps, the one that is best on the 4 months to choose by."""
    torch.manual_seed(seed)
    model, generator = Forecaster(scheme), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.2)
    best, kept = math.inf, model
    for step in range(1, steps + 1):
        starts = torch.randint(series.first(scheme), TRAINED - HORIZON + 1, (BATCH,), generator=generator)
        quantities = torch.randint(series.values.shape[1], (BATCH,), generator=generator)
        came, was_read = series.futures(starts, quantities)
        missed = model(*series.windows(starts, quantities, scheme)) - came
        loss = missed.square()[was_read].mean()  # what was not read cannot be learned from
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % EVERY == 0 or step == steps:
            error = errors(model, series, scheme, (TRAINED, CHOSEN), every=7)[0]
            if error < best:
                best, kept = error, copy.deepcopy(model)
    return kept


def main() -> None:
    """A line for each scheme: errors of the last 4 months, over seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("series", type=Path, help="ETTh1.csv")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scheme", choices=SCHEMES, help="one of them alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'scheme':16} {'MSE':>22} {'MAE':>8}   (mean of {options.seeds} seeds, MSE: lowest to highest)")
    for name, scheme in SCHEMES.items():
        if options.scheme in (None, name):
            found = []
            for seed in range(options.seeds):
                series = Series(options.series, scheme.missing, seed)  # with other gaps
                model = train(series, scheme, options.steps, seed)
                found.append(errors(model, series, scheme, (CHOSEN, TESTED)))
            squared, absolute = ([each[at] for each in found] for at in range(2))
            told = f"{statistics.mean(squared):.4f} ({min(squared):.4f}-{max(squared):.4f})"
            print(f"{name:16} {told:>22} {statistics.mean(absolute):8.4f}", flush=True)


if __name__ == "__main__":
    main()
