"""Makes the understandings that ship for the shipped domains, so that the first start need not learn them.

    python recipes/city_understanding.py            # writes pagoda/dialogue/data/understanding
    python recipes/city_understanding.py --check    # only says whether the files there still fit

One is of the city, one of the city with what the service desk adds. To be run whenever examples of city.yaml or
service.yaml, spellings of bands and choices, or how anything is learned (`LEARNER` in dialogue/learned.py) have
changed; a test says when. One thread and one seed: the same machine and torch write the same bytes, others the same to
the last bits of half precision. It takes a minute each and writes data alone: safetensors and JSON with checksums; what
fits already is kept. The examples' values and short sentences are left out, since the domain files have them.
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
from pagoda.service.shipped import service_domain


def main() -> int:
    """0 where the files fit, or were made; 1 where one does not fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="make nothing")
    asked = parser.parse_args()
    domains = (Domain.load(), service_domain())
    with tempfile.TemporaryDirectory() as folder, Graph.embedded(folder) as graph:
        load(graph, city())
        lexicons = [lexicon_of(domain, Linker.from_graph(domain, graph)) for domain in domains]
    marks = [mark_of(domain.examples(), lexicon) for domain, lexicon in zip(domains, lexicons, strict=True)]
    lacking = [mark for mark in marks if not (SHIPPED / mark).is_dir()]
    if asked.check:
        print("all fit" if not lacking else f"not there, make them: {', '.join(lacking)}")
        return int(bool(lacking))
    for old in SHIPPED.iterdir() if SHIPPED.is_dir() else ():
        if old.name not in marks:
            shutil.rmtree(old)
    for domain, lexicon, mark in zip(domains, lexicons, marks, strict=True):
        if mark in lacking:
            place = SHIPPED / mark
            learned(domain, lexicon, _told).without_examples().save(place)
            print(f"{place}: {sum(file.stat().st_size for file in place.iterdir()) / 1e6:.2f} MB")
    return 0


def _told(what: str, done: int, total: int) -> None:
    if done == total:
        print(f"{what}: done", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
