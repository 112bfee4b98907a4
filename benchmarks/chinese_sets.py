"""Which Chinese paragraphs the ranker of spans is trained on, which are kept to choose by, and which it never sees.

Before a question's path: sets of questions -> *parts* -> `train_chinese.py`, `train_showing.py`. A paragraph's part is
told by its title, so that no article stands in two. Paper: Cui et al. 2019, "A Span-Extraction Dataset for Chinese
Machine Reading Comprehension" (arXiv 1810.07366).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = 12
"""Every twelfth article of CMRC's training set is kept."""
UNSEEN = {"drcd_zh": 3, "cmrc2018": 3, "cmrc2018_trial": 1}
"""Of other sets every third article, or each, is seen by no training."""
REST = {"drcd_zh": "train", "cmrc2018": "thrice"}
"""Which part the others of a set are. The questions of CMRC's development set have three answers each."""


@dataclass(frozen=True)
class Asked:
    """A question with the labelled answers; none where the paragraph has none."""

    id: str
    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph with its questions."""

    title: str
    text: str
    questions: tuple[Asked, ...]


def paragraphs(train: Path, data: Path) -> dict[str, list[Paragraph]]:
    """By part: "train", "thrice", "kept"; by its name what is unseen of another set. train: CMRC's training set."""
    parts: dict[str, list[Paragraph]] = {"train": [], "thrice": [], "kept": []}
    for paragraph in training_set(train):
        parts["kept" if _share(paragraph, KEPT) else "train"].append(paragraph)
    for name, share in UNSEEN.items():
        rows = [json.loads(line) for line in (data / f"{name}.jsonl").read_text("utf-8").splitlines()]
        for row in rows:
            asked = tuple(Asked(qa["id"], qa["question"], tuple(qa["answers"])) for qa in row["qas"])
            paragraph = Paragraph(row["title"], row["context"], asked)
            parts.setdefault(name if _share(paragraph, share) else REST[name], []).append(paragraph)
    return parts


def training_set(path: Path) -> Iterator[Paragraph]:
    """All of a file in the form of SQuAD."""
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    for article in told["data"]:
        for row in article["paragraphs"]:
            asked = (
                Asked(qa["id"], qa["question"], tuple(each["text"] for each in qa["answers"])) for qa in row["qas"]
            )
            yield Paragraph(article["title"], row["context"], tuple(each for each in asked if each.question.strip()))


def _share(paragraph: Paragraph, every: int) -> bool:
    return zlib.crc32(paragraph.title.encode()) % every == 0
