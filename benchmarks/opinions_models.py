"""What the understanding of opinions reaches on public sets, and the English model that ships, made again.

    python benchmarks/opinions_models.py FOLDER [--only SET]... [--encoder NAME] [--out FILE]
    python benchmarks/opinions_models.py FOLDER --ship DIR

Beside the path *item -> opinion of a company*. FOLDER holds the sets that docs/opinions.md names; a line is written as
soon as it is measured, since CPU time is what these cost. `--ship` tunes on SEntFiN's headlines that are not held out.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import numpy as np

from pagoda.opinions.evaluation import sentfin
from pagoda.opinions.evaluation.measuring import marked_pairs, measured_lines
from pagoda.opinions.reading import model_files
from pagoda.opinions.reading.confidence import Confidence
from pagoda.opinions.reading.marked import Marked
from pagoda.opinions.reading.mixed_model import MixedModel, log_probabilities
from pagoda.opinions.reading.networks.of_minilm import minilm
from pagoda.opinions.reading.networks.tuned_model import TunedModel
from pagoda.opinions.reading.networks.tuning import tune
from pagoda.opinions.story import LABELS, Encoder

RANK = 34
_SHARE_UNMARKED = 0.35
"""Of the headlines that say one thing of all their companies, those that are shown once more without marks."""


def measure(folder: Path, only: frozenset[str], out: Path, encoder: Encoder) -> None:
    """Print and append a line for each set."""
    for line in measured_lines(folder, only, encoder):
        told = {**asdict(line), "encoder": encoder, "date": datetime.now(UTC).date().isoformat()}
        text = json.dumps(told, ensure_ascii=False)
        print(text, flush=True)
        with out.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def ship(folder: Path, place: Path) -> None:
    """Tune, cut to RANK, fit the temperature on half of what is held out, and write."""
    headlines = sentfin.read_headlines(folder)
    texts, truth = marked_pairs([each for each in headlines if not each.is_held_out])
    chance = random.Random(0)
    alike = [each for each in headlines if not each.is_held_out and not each.is_conflicting]
    plain = [each for each in alike if chance.random() < _SHARE_UNMARKED]
    texts += [Marked(each.text) for each in plain]
    truth = np.concatenate([truth, [LABELS.index(each.entities[0][1]) for each in plain]])
    tuned = MixedModel(tune(texts, truth, TunedModel.untuned(minilm(), len(LABELS), 0)), None, 0.0)
    _, tensors = tuned.stored(RANK)
    cut = MixedModel.restored({"encoder": "minilm", "grams": False, "share": 0.0}, tensors)
    held, right = marked_pairs([each for each in headlines if each.is_held_out])
    scores = log_probabilities(_tuned(cut).scores(held))
    temperature = Confidence.fitted(scores[::2], right[::2]).temperature
    fields = {
        "share": 0.0,
        "grams": False,
        "encoder": "minilm",
        "temperature": temperature,
        "version": "minilm-en-sentfin-1",
    }
    model_files.write(place, {"labels": list(LABELS), "parts": {"en": fields}}, {"en": tensors})
    print(f"pairs {(scores.argmax(1) == right).mean():.4f}, temperature {temperature:.3f}")


def _tuned(model: MixedModel) -> TunedModel:
    assert model.tuned is not None
    return model.tuned


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/opinions_models.jsonl"))
    parser.add_argument("--encoder", choices=get_args(Encoder), default="auto")
    parser.add_argument("--ship", type=Path)
    given = parser.parse_args()
    if given.ship is not None:
        ship(given.folder, given.ship)
    else:
        measure(given.folder, frozenset(given.only), given.out, given.encoder)


if __name__ == "__main__":
    main()
