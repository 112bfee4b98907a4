"""How well the check of sentences against sources tells what is borne from what is not.

    python benchmarks/rag_support.py FILE.jsonl [--num-questions 600]

FILE holds paragraphs with questions and answers, as SQuAD's and CMRC's, one paragraph a line: `context`, `qas` with
`question` and `answers`. For each question the paragraph's sentence with the answer is checked: as it stands (should
be borne), against another paragraph, and with its answer replaced by another question's (neither should be).
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

from machine import provenance

from pagoda.rag.documents.document import Chunk
from pagoda.rag.generative.source import Source
from pagoda.rag.generative.support import SupportCheck

_SENTENCE = re.compile(r".+?(?:[。！？]|[.!?](?:\s|$)|$)")


def questions_of(path: Path, count: int) -> list[tuple[str, str, str]]:
    """(paragraph, question, answer), drawn with a fixed seed."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        paragraph = json.loads(line)
        for asked in paragraph["qas"]:
            if asked.get("answers"):
                answer = asked["answers"][0]
                text = answer["text"] if isinstance(answer, dict) else answer
                found.append((paragraph["context"], asked["question"], text))
    random.Random(0).shuffle(found)
    return found[:count]


def source_of(text: str) -> Source:
    """A paragraph as a source."""
    sentences = tuple(match.span() for match in _SENTENCE.finditer(text))
    return Source(1, (Chunk("", "", text, 0, len(text), 1, sentences=sentences),), 1.0)


def shares(rows: list[tuple[str, str, str]]) -> tuple[int, float, float, float]:
    """(sentences, share held as they stand, against another paragraph, with another answer)."""
    check, counts, num = SupportCheck(), [0, 0, 0], 0
    for place, (context, question, answer) in enumerate(rows):
        other_context, _, other_answer = rows[(place + 7) % len(rows)]
        sentence = next((found for found in _SENTENCE.findall(context) if answer in found), None)
        if sentence is None or other_answer in context:
            continue
        num += 1
        source, other = source_of(context), source_of(other_context)
        counts[0] += check.check(sentence, question, source).holds
        counts[1] += check.check(sentence, question, other).holds
        counts[2] += check.check(sentence.replace(answer, other_answer), question, source).holds
    return num, counts[0] / num, counts[1] / num, counts[2] / num


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--num-questions", type=int, default=600)
    given = parser.parse_args()
    num, true, other, swapped = shares(questions_of(given.file, given.num_questions))
    print(f"{given.file.name}: {num} sentences; taken as borne: as they stand {true:.3f}, against another")
    print(f"paragraph {other:.3f}, with another question's answer {swapped:.3f} (the embedder has no say here)")
    print(provenance())


if __name__ == "__main__":
    main()
