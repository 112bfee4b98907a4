"""How well a reader understands sentences that it was not trained on: figures, confusions and their picture.

Beside the path sentence -> Understanding. Slots are scored span-exactly, micro-averaged, as conlleval does it;
out-of-scope sentences by how many were found (recall) and how many sentences in scope were turned away with them (false
rejects).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.errors import MissingExtraError
from pagoda.nlu.labelled import Labelled, read_examples
from pagoda.nlu.tagging import SpanScore, score_spans
from pagoda.nlu.understanding import OUT_OF_SCOPE, TurnContext, Understander, Understanding

_MOST_IN_PICTURE = 40


@dataclass(frozen=True)
class Report:
    """What `evaluate` found. Shares are None where the examples say nothing of the kind.

    intent_accuracy: of sentences in scope, the best intent in scope, whether it was turned away or not
    accepted_accuracy: the same, with a sentence that was turned away counted as wrong
    slots_by_name: {slot: score}; confusions: {(gold, found): number}; median_ms: of one parse
    """

    num_examples: int
    intent_accuracy: float | None
    accepted_accuracy: float | None
    out_of_scope_recall: float | None
    false_rejects: float | None
    slots: SpanScore | None
    slots_by_name: Mapping[str, SpanScore]
    sentence_accuracy: float
    confusions: Mapping[tuple[str, str], int]
    median_ms: float
    p95_ms: float

    def to_json(self) -> dict[str, Any]:
        """Figures alone, for a file."""
        shares = ("intent_accuracy", "accepted_accuracy", "out_of_scope_recall", "false_rejects", "sentence_accuracy")
        figures: dict[str, Any] = {name: getattr(self, name) for name in ("num_examples", *shares)}
        if self.slots is not None:
            figures["slot_f1"] = self.slots.f1
            figures["slot_f1_by_name"] = {name: score.f1 for name, score in self.slots_by_name.items()}
        figures["confusions"] = [[*pair, count] for pair, count in self.worst_confusions(10)]
        return {**figures, "median_ms": self.median_ms, "p95_ms": self.p95_ms}

    def worst_confusions(self, most: int) -> list[tuple[tuple[str, str], int]]:
        """((gold, found), number) of wrong intents, the most frequent first."""
        wrong = [(pair, count) for pair, count in self.confusions.items() if pair[0] != pair[1]]
        return sorted(wrong, key=lambda entry: (-entry[1], entry[0]))[:most]


def evaluate(understander: Understander, examples: Sequence[Mapping[str, Any]]) -> Report:
    """Parse every example, one by one, with its requested slot as context, and compare."""
    gold = read_examples(examples)
    found, seconds = [], []
    for example in gold:
        context = TurnContext(requested_slot=example.requested[0]) if example.requested else None
        began = time.perf_counter()
        found.append(understander.parse(example.text, context))
        seconds.append(time.perf_counter() - began)
    milliseconds = np.array(seconds) * 1e3
    by_name = _slots_by_name(gold, found)
    return Report(
        len(gold),
        _share([_best_in_scope(u) == g.intent for g, u in zip(gold, found, strict=True) if _in_scope(g)]),
        _share([u.intent == g.intent for g, u in zip(gold, found, strict=True) if _in_scope(g)]),
        _share([u.intent == OUT_OF_SCOPE for g, u in zip(gold, found, strict=True) if g.intent == OUT_OF_SCOPE]),
        _share([u.intent == OUT_OF_SCOPE for g, u in zip(gold, found, strict=True) if _in_scope(g)]),
        score_spans([g.spans for g in gold], [_spans(u) for u in found]) if by_name else None,
        by_name,
        float(
            np.mean(
                [
                    g.intent in ("", u.intent) and set(g.spans) == set(_spans(u))
                    for g, u in zip(gold, found, strict=True)
                ]
            )
        ),
        Counter((g.intent, u.intent) for g, u in zip(gold, found, strict=True) if g.intent),
        float(np.median(milliseconds)),
        float(np.quantile(milliseconds, 0.95)),
    )


def draw_confusions(report: Report, path: str | Path) -> bool:
    """Write the confusion matrix as a picture; of many intents, those that are confused most. False without intents.

    Raises MissingExtraError where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("the picture of the confusions (matplotlib)", "train") from error
    names = _names_in_picture(report)
    if not names:
        return False
    table = np.array([[report.confusions.get((gold, found), 0) for found in names] for gold in names], float)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = 2.5 + 0.28 * len(names)
    figure = Figure(figsize=(side + 1.5, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("found")
    axes.set_ylabel("gold")
    for row, column in zip(*np.nonzero(table), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(int(table[row, column])), ha="center", va="center", fontsize=6, color=colour)
    figure.colorbar(image, ax=axes, shrink=0.6, label="share of the gold intent")
    figure.savefig(str(path), dpi=130)
    return True


def _names_in_picture(report: Report) -> list[str]:
    names = sorted({name for pair in report.confusions for name in pair})
    if len(names) <= _MOST_IN_PICTURE:
        return names
    chosen: dict[str, None] = {}
    for pair, _ in report.worst_confusions(len(report.confusions)):
        for name in pair:
            if len(chosen) < _MOST_IN_PICTURE:
                chosen.setdefault(name)
    return sorted(chosen)


def _slots_by_name(gold: Sequence[Labelled], found: Sequence[Understanding]) -> dict[str, SpanScore]:
    names = sorted({slot for one in gold for slot, _, _ in one.spans})
    return {
        name: score_spans(
            [[span for span in one.spans if span[0] == name] for one in gold],
            [[span for span in _spans(one) if span[0] == name] for one in found],
        )
        for name in names
    }


def _spans(understanding: Understanding) -> list[tuple[str, int, int]]:
    return [(slot.slot, slot.start, slot.end) for slot in understanding.slots]


def _best_in_scope(understanding: Understanding) -> str:
    inside = (name for name, _ in understanding.candidates if name != OUT_OF_SCOPE)
    return next(inside, understanding.intent)


def _in_scope(example: Labelled) -> bool:
    return example.intent not in ("", OUT_OF_SCOPE)


def _share(hits: Sequence[bool]) -> float | None:
    return float(np.mean(hits)) if hits else None
