"""The shipped domain's understanding on sentences written beside it: intents, slots and what is out of scope.

    python benchmarks/dialogue_city.py
    python benchmarks/dialogue_city.py --wordings          # also its own examples, in folds

First station of a turn. data/city_heldout.jsonl was written from the schema and the slots' words before the examples
were read: colloquial, misspelt, short and polite sentences of both languages, and sentences for somebody else. One that
stands among the examples to the letter is left out. Training is that of a dialogue (`assembly.trained`). Slots are
scored by their exact words (conlleval), and by what these mean: the normalised value, or the graph's node.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from machine import provenance

from pagoda.dialogue.assembly import frames_of, lexicon_of
from pagoda.dialogue.domain.city import city
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.complemented import Complemented
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.reading.strategies import make_strategy
from pagoda.dialogue.slots.normalise import normalise
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.language import language_of
from pagoda.nlu.fast_understanding import FastUnderstanding
from pagoda.nlu.known_sentences import key_of
from pagoda.nlu.report import Report, evaluate
from pagoda.nlu.tagging import SpanScore
from pagoda.nlu.understanding import OUT_OF_SCOPE, TurnContext, Understander, Understanding

Example = dict[str, Any]
HELD_OUT = Path(__file__).parent / "data" / "city_heldout.jsonl"
NOON = datetime(2026, 11, 21, 12, 0)
FOLDS = 5
HEAD = "| sentences | in scope / out | intent | slot F1 | value F1 | out of scope: recall | false rejects | median ms |"


class City:
    """The domain and its graph's names: trains readers, and tells what a slot's words mean."""

    def __init__(self, domain: Domain, linker: Linker) -> None:
        self.domain, self._linker = domain, linker

    def trained(self, examples: Sequence[Example]) -> Understander:
        """As `assembly.trained` does it, with the rules around it."""
        lexicon = lexicon_of(self.domain, self._linker)
        fast = FastUnderstanding.train(examples, lexicon=lexicon, effort="heads")
        return make_strategy("intent_first", Complemented(fast, self.domain, self._linker), frames_of(self.domain))

    def meaning(self, slot: str, words: str) -> str:
        """The normalised value, the node's key, or the words where they are neither."""
        declared = self.domain.slots[slot]
        if declared.type == "name":
            node = self._linker.link(words, declared.labels).node
            return node.key if node is not None else words.casefold()
        found = normalise(declared, words, NOON)
        return repr(found) if found is not None else words.casefold()

    def value_score(self, understander: Understander, examples: Sequence[Example]) -> SpanScore:
        """Like the spans' score, of meanings."""
        right = num_found = num_gold = 0
        for example in examples:
            gold = {(one["slot"], self.meaning(one["slot"], one["value"])) for one in example["slots"]}
            read = understander.parse(example["text"]).slots
            found = {(one.slot, self.meaning(one.slot, one.value)) for one in read}
            right, num_found, num_gold = right + len(gold & found), num_found + len(found), num_gold + len(gold)
        return SpanScore(right, num_found, num_gold)

    def in_folds(self, examples: Sequence[Example]) -> Understander:
        """Readers of which each has not learned one part of the examples."""
        readers = [self.trained([e for n, e in enumerate(examples) if n % FOLDS != k]) for k in range(FOLDS)]
        return ByFold(readers, {example["text"]: number % FOLDS for number, example in enumerate(examples)})


@dataclass
class ByFold:
    """Reads a sentence with the understander that did not learn it."""

    readers: Sequence[Understander]
    fold: Mapping[str, int]

    def parse(self, text: str, context: TurnContext | None = None) -> Understanding:
        """See `Understander`."""
        return self.readers[self.fold[text]].parse(text, context)


def held_out(domain: Domain) -> list[Example]:
    """The sentences beside the domain, without those that it holds."""
    known = {key_of(example["text"]) for example in domain.examples()}
    rows = [json.loads(line) for line in HELD_OUT.read_text("utf-8").splitlines()]
    return [row for row in rows if key_of(row["text"]) not in known]


def rows_of(name: str, city_domain: City, understander: Understander, examples: Sequence[Example]) -> list[str]:
    """A row of the table for each language and one for both."""
    rows = []
    for title, languages in (("Chinese", {"zh"}), ("English", {"en"}), ("both", {"zh", "en"})):
        part = [example for example in examples if language_of(example["text"]) in languages]
        report, values = evaluate(understander, part), city_domain.value_score(understander, part)
        rows.append(_row(f"{name}, {title}", part, report, values))
    return rows


def _row(name: str, part: Sequence[Example], report: Report, values: SpanScore) -> str:
    outside = sum(example["intent"] == OUT_OF_SCOPE for example in part)
    slots = report.slots.f1 if report.slots else 0.0
    figures = [f"{share or 0:.3f}" for share in (report.accepted_accuracy, slots, values.f1)]
    figures += [f"{share or 0:.3f}" for share in (report.out_of_scope_recall, report.false_rejects)]
    return " | ".join([f"| {name}", f"{len(part) - outside} / {outside}", *figures, f"{report.median_ms:.1f} |"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordings", action="store_true", help=f"also its own examples in {FOLDS} folds")
    options = parser.parse_args()
    domain = Domain.load()
    with tempfile.TemporaryDirectory() as folder, Graph.embedded(folder) as graph:
        load(graph, city())
        city_domain = City(domain, Linker.from_graph(domain, graph))
    began = time.process_time()
    understander = city_domain.trained(domain.examples())
    print(f"{len(domain.examples())} examples learned in {time.process_time() - began:.1f} s of processor time\n")
    print("\n".join([HEAD, "|---" * 8 + "|", *rows_of("held out", city_domain, understander, held_out(domain))]))
    if options.wordings:
        examples = domain.examples()
        print("\n".join(rows_of(f"{FOLDS} folds", city_domain, city_domain.in_folds(examples), examples)))
    print(f"\n{provenance()}")


if __name__ == "__main__":
    main()
