"""Build the corpus of the judged questions over manuals: fetch what is missing, check it, unpack it.

    python benchmarks/manuals_corpus.py --folder FOLDER
    python benchmarks/manuals_corpus.py --folder FOLDER --data benchmarks/data/manuals_near --half develop

FOLDER is used by `rag_manuals.py`. What lies in FOLDER/sources already is not fetched; with --offline nothing is, and
what is missing is said. The manuals, their licences and addresses: `sources.toml` of the set, `data/manuals` where no
other is named. A set that is split by manual has a corpus for each half: one FOLDER for each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from manuals.corpus import Corpus, checksums
from manuals.sources import DATA, sources


def main() -> None:
    """Build all manuals; exit with 1 where one cannot be had."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the set")
    parser.add_argument("--half", choices=["develop", "report"], help="manuals of one half alone")
    parser.add_argument("--offline", action="store_true", help="fetch nothing")
    options = parser.parse_args()
    corpus = Corpus(options.folder, checksums(options.data), fetches=not options.offline)
    failed = 0
    for source in sources(options.data, options.half):
        try:
            corpus.build(source)
            print(f"{source.language} {source.name}: {len(source.files)} files ({source.licence})")
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            failed += 1
            print(f"{source.language} {source.name}: {error}", file=sys.stderr)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
