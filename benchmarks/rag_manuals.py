"""Questions over openly licensed manuals in two languages, every answer judged by what a person is shown.

    python benchmarks/manuals_corpus.py --folder FOLDER
    python benchmarks/rag_manuals.py --folder FOLDER --half develop --verbose
    python benchmarks/rag_manuals.py --folder FOLDER --half report --language zh --json verdicts.json
    python benchmarks/rag_manuals.py --folder FOLDER --answerer model --model URL --sample 50 --pairs 10 --kept FILE

The whole path from outside: the manuals of a language are indexed by `pagoda.rag.RAG`, each question is asked once.
`data/manuals` holds what was asked and what the manuals say (README.md there). Right is what shows one of the labelled
answers, in the text or the quotes below it; wrong is any other answer; the rest was declined. --verbose prints what
failed in the half `develop`, never in the other. --check only holds the labels against the manuals. --sample draws so
many questions of each language, with and without an answer as they come. --data names
another set: `data/manuals_near` is split by manual, each half of it has a FOLDER and an index of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from machine import provenance
from manuals.asking import Asked, Asker, Turned, drawn
from manuals.questions import LANGUAGES, Half, faults, pairs, questions
from manuals.sources import DATA, sources
from manuals.table import as_json, failing, tables


def check(corpus: Path, data: Path, halves: Sequence[Half]) -> int:
    """Print what is wrong with the labels of these halves; how much."""
    found = [
        fault
        for half in halves
        for language in LANGUAGES
        for fault in faults(questions(half, language, data), pairs(half, language, data), corpus)
    ]
    print("\n".join([*found, f"{len(found)} faults"]))
    return len(found)


def run(options: argparse.Namespace) -> tuple[list[Asked], list[Turned]]:
    """Ask what was chosen."""
    asked: list[Asked] = []
    turned: list[Turned] = []
    for language in [options.language] if options.language else LANGUAGES:
        corpus = options.folder / "corpus" / language
        kept = options.kept and options.kept.with_suffix(f".{language}.jsonl")
        asker = Asker(corpus, options.index / language, options.answerer, options.model, kept, options.embedder)
        print(f"{language}: {asker.indexed}", file=sys.stderr)
        asked += asker.questions(drawn(questions(options.half, language, options.data), options.sample, options.seed))
        turned += asker.pairs(drawn(pairs(options.half, language, options.data), options.pairs, options.seed))
        asker.close()
    return asked, turned


def arguments() -> argparse.ArgumentParser:
    """What may be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="with the corpus, see manuals_corpus.py")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the set")
    parser.add_argument("--half", choices=["develop", "report"], default="develop")
    parser.add_argument("--language", choices=LANGUAGES)
    parser.add_argument("--index", type=Path, default=Path("pagoda-manuals"), help="kept between runs")
    parser.add_argument("--answerer", choices=["extractive", "guided", "model"], default="extractive")
    parser.add_argument("--embedder", help="by name; each has an index of its own")
    parser.add_argument("--model", help="URL of a server, for the answerers that need one")
    parser.add_argument("--sample", type=int, help="so many questions of each language, drawn by --seed")
    parser.add_argument("--pairs", type=int, help="so many pairs of each language")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, help="what was shown, a line each, kept between runs of one answerer")
    parser.add_argument("--json", type=Path, help="every verdict")
    parser.add_argument("--verbose", action="store_true", help="what failed in the half develop")
    parser.add_argument("--check", action="store_true", help="only hold the labels against the manuals")
    return parser


def main() -> None:
    """Print the tables."""
    options = arguments().parse_args()
    found = sources(options.data, options.half)
    chosen = [each for each in found if options.language in (None, each.language)]
    if any(not (options.folder / "corpus" / each.language / each.name).is_dir() for each in chosen):
        sys.exit(f"{options.folder} lacks manuals: have them with benchmarks/manuals_corpus.py --folder FOLDER")
    if options.check:
        halves: list[Half] = [options.half] if any(each.half for each in found) else ["develop", "report"]
        sys.exit(check(options.folder / "corpus", options.data, halves) > 0)
    asked, turned = run(options)
    if options.verbose and options.half == "develop":
        print("\n".join(failing(asked, turned)), end="\n\n")
    print(f"half {options.half}, {options.answerer}\n\n{tables(asked, turned)}\n\n{provenance()}")
    if options.json:
        options.json.write_text(json.dumps(as_json(asked, turned), ensure_ascii=False, indent=1), "utf-8")


if __name__ == "__main__":
    main()
