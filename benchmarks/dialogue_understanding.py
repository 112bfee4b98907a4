"""Train the fast understanding on each development set through its public API, and test it on held-out sentences.

    python benchmarks/dialogue_understanding.py --data DEV_FOLDER --out benchmarks/results          # every set
    python benchmarks/dialogue_understanding.py --data DEV_FOLDER --sets snips atis --pictures FOLDER

Held out: SNIPS and ATIS their official "valid" part; CLINC150 its "val" and "oos_val" parts; BANKING77 and
Restaurant-8k, which have no such part, 15 % drawn by the checksum of the text. Training sees nothing of it: thresholds
and temperature come from the training part. Sentences are parsed one by one on one thread after a warm-up of fifty.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import provenance

from pagoda.nlu.fast_understanding import FastUnderstanding
from pagoda.nlu.report import Report, draw_confusions, evaluate
from pagoda.nlu.tagging import word_spans

Example = dict[str, Any]
TARGETS = {
    "snips": {"intent_accuracy": 0.98, "slot_f1": 0.93},
    "atis": {"intent_accuracy": 0.96, "slot_f1": 0.95},
    "banking77": {"intent_accuracy": 0.92},
    "clinc150": {"intent_accuracy": 0.94, "out_of_scope_recall": 0.75},
    "restaurant8k": {"slot_f1": 0.90},
}


def example_of(row: Example) -> Example:
    """A row as FastUnderstanding takes it; tokens with tags become a text with spans."""
    if "tokens" not in row:
        return row
    starts, position = [], 0
    for token in row["tokens"]:
        starts.append(position)
        position += len(token) + 1
    text = " ".join(row["tokens"])
    slots = []
    for slot, first, last in word_spans(row["tags"]):
        start, end = starts[first], starts[last - 1] + len(row["tokens"][last - 1])
        slots.append({"slot": slot, "start": start, "end": end, "value": text[start:end]})
    return {"text": text, "intent": row["intent"], "slots": slots, "split": row["split"]}


def _is_held_out(name: str) -> Callable[[Example], bool]:
    if name == "clinc150":
        return lambda example: example["split"] in ("val", "oos_val")
    if name in ("snips", "atis"):
        return lambda example: example["split"] == "valid"
    return lambda example: zlib.crc32(example["text"].encode()) % 100 < 15


def load(data: Path, name: str) -> tuple[list[Example], list[Example]]:
    """(training part, held-out part) of a development set."""
    lines = (data / f"{name}.jsonl").read_text("utf-8").splitlines()
    examples = [example_of(json.loads(line)) for line in lines]
    is_held_out = _is_held_out(name)
    return [e for e in examples if not is_held_out(e)], [e for e in examples if is_held_out(e)]


class Clock:
    """Prints progress twice a minute."""

    def __init__(self, name: str) -> None:
        self._name, self._began, self._last = name, time.perf_counter(), 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        elapsed = time.perf_counter() - self._began
        if elapsed - self._last >= 30:
            self._last = elapsed
            print(f"  {self._name}: {stage} {done}/{total}, {elapsed:.0f} s", flush=True)


def measure(name: str, data: Path, pictures: Path | None, without_outsiders: bool, epochs: int | None) -> Example:
    """Train, save, load, evaluate."""
    train, held_out = load(data, name)
    if without_outsiders:
        train = [example for example in train if example.get("intent") != "oos"]
    threads = torch.get_num_threads()
    wall, processor = time.perf_counter(), time.process_time()
    rate = 0.05 if without_outsiders else None
    trained = FastUnderstanding.train(train, false_rejects=rate, epochs=epochs, on_progress=Clock(name))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    with tempfile.TemporaryDirectory() as folder:
        trained.save(Path(folder) / name)
        size = sum(path.stat().st_size for path in (Path(folder) / name).iterdir())
        loaded = FastUnderstanding.load(Path(folder) / name)
    report = evaluated(loaded, held_out)
    if pictures is not None and report.confusions:
        pictures.mkdir(parents=True, exist_ok=True)
        draw_confusions(report, pictures / f"confusions_{name}.png")
    figures = {"set": name, "train": len(train), "held_out": len(held_out), "training_s": wall}
    figures |= {"training_cpu_s": processor, "threads": threads, "model_mb": size / 1e6}
    sweep = {} if not report.false_rejects else {"recall_at_5_percent": recall_at(loaded, held_out, 0.05)}
    return {**figures, **report.to_json(), **sweep, "reached": reached(name, report)}


def evaluated(understanding: FastUnderstanding, held_out: list[Example]) -> Report:
    """On one thread, warm."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    evaluate(understanding, held_out[:50])
    report = evaluate(understanding, held_out)
    torch.set_num_threads(threads)
    return report


def recall_at(understanding: FastUnderstanding, held_out: list[Example], rate: float) -> float:
    """Out-of-scope recall where the threshold turns away exactly `rate` of the held-out sentences in scope."""
    chances: dict[bool, list[float]] = {True: [], False: []}
    for example in held_out:
        outside = dict(understanding.parse(example["text"]).candidates).get("out_of_scope", 0.0)
        chances[example["intent"] == "oos"].append(outside)
    inside = sorted(chances[False])
    threshold = inside[int((1 - rate) * len(inside))]
    return sum(chance > threshold for chance in chances[True]) / max(1, len(chances[True]))


def reached(name: str, report: Report) -> dict[str, bool]:
    """Which of the set's aims are met."""
    figures = report.to_json()
    return {key: figures[key] >= aim for key, aim in TARGETS[name].items()}


def table(results: list[Example]) -> str:
    """Markdown, one row for each set."""
    head = "| set | train / held out | intent | slot F1 | out-of-scope recall at false rejects | training s"
    lines = [head + " (CPU s, threads) | ms, median / p95 | MB |", "|---" * 8 + "|"]
    for one in results:
        outside = "-"
        if one["out_of_scope_recall"] is not None:
            outside = f"{one['out_of_scope_recall']:.3f} at {one['false_rejects']:.3f}"
        intent = "-" if one["intent_accuracy"] is None else f"{one['intent_accuracy']:.4f}"
        slots = f"{one['slot_f1']:.4f}" if "slot_f1" in one else "-"
        cost = f"{one['training_s']:.0f} ({one['training_cpu_s']:.0f}, {one['threads']})"
        speed = f"{one['median_ms']:.1f} / {one['p95_ms']:.1f}"
        cells = [one["set"], f"{one['train']:,} / {one['held_out']:,}", intent, slots, outside, cost, speed]
        lines.append("| " + " | ".join([*cells, f"{one['model_mb']:.1f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of development sets")
    parser.add_argument("--sets", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--without-outsiders", action="store_true", help="train without the out-of-scope examples")
    parser.add_argument("--epochs", type=int, help="passes while tuning (default: by the number of examples)")
    parser.add_argument("--pictures", type=Path, help="folder for the confusion matrices")
    parser.add_argument("--out", type=Path, help="folder for the table and the figures")
    options = parser.parse_args()
    line, results = provenance(), []
    for name in options.sets:
        results.append(measure(name, options.data, options.pictures, options.without_outsiders, options.epochs))
        print(json.dumps(results[-1], ensure_ascii=False), flush=True)
    print(f"{table(results)}\n\n{line}")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "dialogue_understanding.md").write_text(f"{table(results)}\n\n{line}\n", "utf-8")
        figures = json.dumps({"provenance": line, "results": results}, ensure_ascii=False, indent=1)
        (options.out / "dialogue_understanding.json").write_text(figures + "\n", "utf-8")


if __name__ == "__main__":
    main()
