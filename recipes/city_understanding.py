"""Makes the understanding that ships for the shipped domain, so that the first start need not learn it.

    python recipes/city_understanding.py            # writes pagoda/dialogue/data/understanding
    python recipes/city_understanding.py --check    # only says whether the file there still fits

To be run whenever examples of city.yaml, spellings of its bands and choices, or how anything is learned (`LEARNER` in
dialogue/learned.py) have changed; a test says when. One thread and one seed: the same machine and torch write the same
bytes, others the same to the last bits of half precision. It takes a minute and writes data alone: safetensors and
JSON with checksums. The examples' values and short sentences are left out, since the domain file has them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile

os.environ["OMP_NUM_THREADS"] = "1"

from pagoda.dialogue.assembly import lexicon_of
from pagoda.dialogue.domain.city import city
from pagoda.dialogue.domain.domain import Domain
from pagoda.dialogue.learned import SHIPPED, learned, mark_of
from pagoda.dialogue.reading.linking import Linker
from pagoda.graph.graph import Graph
from pagoda.graph.loading import load


def main() -> int:
    """0 where the file fits, or was made; 1 where it does not fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="make nothing")
    asked = parser.parse_args()
    domain = Domain.load()
    with tempfile.TemporaryDirectory() as folder, Graph.embedded(folder) as graph:
        load(graph, city())
        lexicon = lexicon_of(domain, Linker.from_graph(domain, graph))
    place = SHIPPED / mark_of(domain.examples(), lexicon)
    if asked.check:
        print(f"{place.name}: {'fits' if place.is_dir() else 'is not there, make it'}")
        return int(not place.is_dir())
    understanding = learned(domain, lexicon, _told).without_examples()
    shutil.rmtree(SHIPPED, ignore_errors=True)
    understanding.save(place)
    size = sum(file.stat().st_size for file in place.iterdir())
    print(f"{place}: {size / 1e6:.2f} MB")
    return 0


def _told(what: str, done: int, total: int) -> None:
    if done == total:
        print(f"{what}: done", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
