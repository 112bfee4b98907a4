"""The three strategies on sentences of the shipped domain that were held out: accuracy and time of each, in one table.

    python benchmarks/dialogue_strategies.py

Every fifth example is held out of the training, the graph's names are known as they are in a dialogue. Compare with
`pagoda dialogue eval`, which measures sentences of one's own.
"""

from __future__ import annotations

import tempfile

from pagoda.dialogue.assembly import frames_of, lexicon_of
from pagoda.dialogue.domain.city import city
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.reading.complemented import Complemented
from pagoda.dialogue.reading.linking import Linker
from pagoda.dialogue.reading.strategies import STRATEGIES, make_strategy
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load
from pagoda.nlu.fast_understanding import FastUnderstanding
from pagoda.nlu.report import evaluate


def main() -> None:
    """Print the table."""
    domain = Domain.load()
    with tempfile.TemporaryDirectory() as folder, Graph.embedded(folder) as graph:
        load(graph, city())
        linker = Linker.from_graph(domain, graph)
    examples = domain.examples()
    held_out = examples[::5]
    learned = [example for number, example in enumerate(examples) if number % 5]
    fast = FastUnderstanding.train(learned, lexicon=lexicon_of(domain, linker), effort="heads")
    base = Complemented(fast, domain, linker)
    print(f"{len(learned)} sentences learned, {len(held_out)} held out")
    print("| strategy | intent | slot F1 | out of scope: recall / false rejects | median ms | 95 % ms |")
    print("|---|---|---|---|---|---|")
    for name in STRATEGIES:
        report = evaluate(make_strategy(name, base, frames_of(domain)), held_out)
        slots = report.slots.f1 if report.slots else 0.0
        scope = f"{report.out_of_scope_recall or 0:.3f} / {report.false_rejects or 0:.3f}"
        times = f"{report.median_ms:.1f} | {report.p95_ms:.1f}"
        print(f"| {name} | {report.accepted_accuracy or 0:.3f} | {slots:.3f} | {scope} | {times} |")


if __name__ == "__main__":
    main()
