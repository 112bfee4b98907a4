"""Extractive answers on the gold paragraph: F1, exact match, abstention and time with the weights that ship.

    python benchmarks/rag_answers.py --data FOLDER

FOLDER holds squad11.jsonl, squad20.jsonl and cmrc2018.jsonl. On the sets that the weights were trained on the figures
are those of training: give held-out files, or take the held-out ones of
`benchmarks/train_reader.py` (English) and `benchmarks/train_extractive.py` (Chinese).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from pagoda.rag.documents.document import Chunk, Hit
from pagoda.rag.evaluation import metrics
from pagoda.rag.extractive.extractor import ExtractiveAnswerer
from pagoda.rag.extractive.spans import sentence_bounds


def rows_of(path: Path, limit: int) -> list[tuple[str, Hit, list[str]]]:
    """(question, its paragraph as a hit, answers; none where it cannot be answered)."""
    rows = []
    for line in path.read_text("utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        text = row["context"]
        hit = Hit(Chunk(row["title"], row["title"], text, 0, len(text), 1, sentences=tuple(sentence_bounds(text))), 1.0)
        asked = [qa for qa in row["qas"] if qa["question"].strip()]
        rows += [(qa["question"], hit, [] if qa.get("impossible") else qa["answers"]) for qa in asked]
    return rows[:: max(1, len(rows) // limit)]


def report(path: Path, limit: int) -> None:
    """Print one set's figures."""
    chinese = path.stem.startswith(("cmrc", "drcd"))
    score = metrics.chinese_f1 if chinese else metrics.f1
    exact = metrics.chinese_exact_match if chinese else metrics.exact_match
    answerer, rows = ExtractiveAnswerer(), rows_of(path, limit)
    answerer.answer(rows[0][0], [rows[0][1]])
    began = time.perf_counter()
    found = [answerer.answer(question, [hit]) for question, hit, _ in rows]
    each_ms = 1000 * (time.perf_counter() - began) / len(rows)
    pairs = [(extraction, answers) for extraction, (_, _, answers) in zip(found, rows, strict=True) if answers]
    mean_f1 = 100 * sum(score(extraction.text, answers) for extraction, answers in pairs) / len(pairs)
    mean_em = 100 * sum(exact(extraction.text, answers) for extraction, answers in pairs) / len(pairs)
    print(f"{path.stem}: {len(pairs)} answerable, EM {mean_em:.1f} F1 {mean_f1:.1f}, {each_ms:.1f} ms a question")
    if len(pairs) < len(rows):
        accuracy = metrics.balanced_accuracy([bool(a) for _, _, a in rows], [not e.abstained for e in found])
        print(f"{path.stem}: balanced accuracy {accuracy:.3f} on {len(rows)}; always abstaining .500")


def main() -> None:
    """Report every set that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=1000, help="questions of each set, about")
    args = parser.parse_args()
    for path in sorted(args.data.glob("*.jsonl")):
        if path.stem.startswith(("squad", "cmrc", "drcd")):
            report(path, args.limit)


if __name__ == "__main__":
    main()
