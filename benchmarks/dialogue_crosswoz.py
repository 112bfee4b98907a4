"""Dialogue acts and belief states of CrossWOZ: micro F1 of the user's acts and joint goal accuracy by rules.

    python benchmarks/dialogue_crosswoz.py FOLDER [--folds 5] [--test FILE.jsonl] [--only 1]

FOLDER holds crosswoz.jsonl (dialogues: `turns` with `role`, `text`, `acts` and, on the system's, `state`) and the
three databases that `examples/crosswoz/load.py` reads. Trains on all but one fold of the dialogues and measures on it,
fold by fold; with --test, trains on all of crosswoz.jsonl and measures on FILE. One thread.

Acts: [act, domain, slot, value] as sets of each user's turn; the reader hears its own earlier readings.
States: `state` of the system's turns (sys_state_init without empty slots), the whole of it, lists in any order.
  "turn"      from the annotated state of the system's turn before, as CrossWOZ's RuleDST is measured (which is given
              more: the state after the system's own edits of that turn)
  "dialogue"  from nothing to the end of the dialogue, no annotated state seen
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from crosswoz.context import act_turns
from crosswoz.ontology import ActOntology
from crosswoz.scores import ActScore, read_dialogue, share, state_hits
from crosswoz.tracking import ActTracker
from crosswoz.understanding import ActUnderstanding
from machine import provenance

_EXAMPLE = Path(__file__).parents[1] / "examples" / "crosswoz"
sys.path.insert(0, str(_EXAMPLE))
from load import read_records  # noqa: E402

Dialogues = Sequence[dict[str, Any]]
_STATES = [(acts, start) for start in ("turn", "dialogue") for acts in ("gold acts", "read acts")]


def read_dialogues(path: Path) -> list[dict[str, Any]]:
    """One a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measure(
    training: Dialogues, held_out: Dialogues, ontology: ActOntology, tracker: ActTracker
) -> tuple[ActScore, dict[tuple[str, str], list[bool]], float]:
    """Score of acts, hits of states by kind, seconds of training."""
    began = time.perf_counter()
    reader = ActUnderstanding.train((turn for each in training for turn in act_turns(ontology, each)), ontology)
    took = time.perf_counter() - began
    score = ActScore(0, 0, 0)
    hits: dict[tuple[str, str], list[bool]] = {kind: [] for kind in _STATES}
    for dialogue in held_out:
        read, own = read_dialogue(reader, dialogue)
        score += own
        for acts, start in _STATES:
            given = read if acts == "read acts" else None
            hits[acts, start] += state_hits(tracker, dialogue, given, from_annotated=start == "turn")
    return score, hits, took


def report(name: str, score: ActScore, hits: dict[tuple[str, str], list[bool]], took_s: float) -> None:
    """One block of figures."""
    times = sorted(score.seconds)
    precision, recall = score.num_right / score.num_found, score.num_right / score.num_gold
    print(f"{name}: user acts F1 {score.f1:.3f} (precision {precision:.3f}, recall {recall:.3f}), {len(times)} turns")
    for (acts, start), found in hits.items():
        print(f"  joint goal accuracy, {acts}, {start}: {share(found):.3f} ({len(found)} states)")
    median, late = 1e3 * statistics.median(times), 1e3 * times[int(0.99 * len(times))]
    print(f"  trained in {took_s:.0f} s, a sentence read in {median:.2f} ms at the median, {late:.2f} ms at p99")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, help="measure this many folds and no more")
    parser.add_argument("--test", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    records = read_records(given.folder)
    ontology = ActOntology.read(_EXAMPLE / "acts.yaml").with_databases(records)
    tracker = ActTracker(ontology, records)
    dialogues = read_dialogues(given.folder / "crosswoz.jsonl")
    if given.test:
        report(given.test.name, *measure(dialogues, read_dialogues(given.test), ontology, tracker))
    else:
        whole, times = ActScore(0, 0, 0), list[float]()
        all_hits: dict[tuple[str, str], list[bool]] = {kind: [] for kind in _STATES}
        for fold in range(given.only or given.folds):
            kept = [each for index, each in enumerate(dialogues) if index % given.folds != fold]
            score, hits, took = measure(kept, dialogues[fold :: given.folds], ontology, tracker)
            print(f"fold {fold + 1}: F1 {score.f1:.3f}", flush=True)
            whole, times = whole + score, [*times, took]
            all_hits = {kind: all_hits[kind] + hits[kind] for kind in _STATES}
        report(f"{len(times)} of {given.folds} folds", whole, all_hits, statistics.mean(times))
    print(provenance())


if __name__ == "__main__":
    main()
