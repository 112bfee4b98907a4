"""Candidates for pairs, one JSON object a line: questions on sentences of the manuals that deny, limit or except.

    python benchmarks/manuals_pairs.py --folder FOLDER --language zh > candidates.jsonl

To be read before they are used: about a third is thrown away, because the sentence cannot be understood alone or the
question is none.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from manuals.corpus import Corpus
from manuals.questions import LANGUAGES
from manuals.sentences import sentences
from manuals.sources import places, sources
from manuals.text import lines_of
from manuals.turning import turned

MAX_A_FILE = 9
MAX_LENGTH = {"en": 190, "zh": 110}


def candidates(path: Path, language: str) -> Iterator[dict[str, object]]:
    """Of one file, each with the lines on which its core stands."""
    manual = lines_of(path)
    for sentence in sentences(path, language):
        for pair in turned(sentence, language) if len(sentence) <= MAX_LENGTH[language] else ():
            if lines := manual.find(pair.core):
                yield {**vars(pair), "lines": lines[:4]}


def main() -> None:
    """Print the candidates of one language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="with the corpus, see manuals_corpus.py")
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    options = parser.parse_args()
    corpus = Corpus(options.folder, {})
    for source, _, place in places(sources()):
        if source.language == options.language:
            for row, _ in zip(candidates(corpus.path(place), source.language), range(MAX_A_FILE), strict=False):
                print(json.dumps({"file": place.partition("/")[2], **row}, ensure_ascii=False))


if __name__ == "__main__":
    main()
