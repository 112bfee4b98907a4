"""Public sets of labelled texts in a folder of the user's, split into rows to train on and rows held out.

Beside the path *item -> opinion of a company*. Sets that come in one part are split by the hash of their text, a fifth
is held out. Of those that come in two parts only evaluation rows count that training does not hold: more than half of
FinFE's do occur there, with the same label four times in five.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pagoda.errors import ConfigError
from pagoda.opinions.reading.marked import Marked, Span

_FIFTH = 5
_MOST_CHARACTERS = 1500


@dataclass(frozen=True)
class LabelledSet:
    """rows: {"text", "label"} and maybe "target", as `SentimentModel.train` takes them."""

    name: str
    train: list[dict[str, Any]]
    held: list[dict[str, Any]]
    aims: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subjects:
    """A text, the firms that it names, and those of which it tells bad news."""

    text: str
    named: tuple[str, ...]
    negative: frozenset[str]

    def asked(self) -> Iterator[tuple[str, Marked]]:
        """Each firm with the text marked for it; a name inside a longer one counts where it stands by itself."""
        own = {name: self._alone(name) for name in self.named}
        for name in self.named:
            target = own[name] or _places(self.text, name)
            others = tuple(
                span for other in self.named if other != name for span in own[other]
                if not any(span[0] < end and start < span[1] for start, end in target)
            )  # fmt: skip
            yield name, Marked(self.text, target, others)

    def stands_alone(self, name: str) -> bool:
        """Whether a name stands anywhere but within a longer one."""
        return bool(self._alone(name))

    def _alone(self, name: str) -> tuple[Span, ...]:
        longer = [span for other in self.named if other != name and name in other for span in _places(self.text, other)]
        return tuple(
            span for span in _places(self.text, name)
            if not any(start <= span[0] and span[1] <= end for start, end in longer)
        )  # fmt: skip


def read_sets(folder: str | Path) -> list[LabelledSet]:
    """The sets of which the folder has the files. Raises ConfigError where one of these cannot be read."""
    source, found = Path(folder).expanduser(), []
    for name, (file, text, aims) in _IN_ONE_PART.items():
        if (source / file).is_file():
            rows = [{"text": text(row), "label": row["label"]} for row in _lines(source / file)]
            found.append(LabelledSet(name, *_split(rows), aims))
    for name, (aims, row_of) in _IN_TWO_PARTS.items():
        parts = _two_parts(source, name)
        if parts is not None:
            train, held = ([row_of(row) for row in part] for part in parts)
            seen = {row["text"] for row in train}
            found.append(LabelledSet(name, train, [row for row in held if row["text"] not in seen], aims))
    return found


def read_subjects(folder: str | Path) -> tuple[list[Subjects], list[Subjects]] | None:
    """FinNSP: (to train on, held out and unseen); None where the folder lacks it."""
    parts = _two_parts(Path(folder).expanduser(), "finnsp")
    if parts is None:
        return None
    train, held = ([_subjects(row) for row in part] for part in parts)
    seen = {each.text for each in train}
    return train, [each for each in held if each.text not in seen]


def _subjects(row: list[str]) -> Subjects:
    _, title, text, named, _, negative = row
    whole = f"{title}\n{text}" if title and title[:20] not in text else text
    names = tuple(dict.fromkeys(name for name in named.split(";") if name))
    return Subjects(whole[:_MOST_CHARACTERS], names, frozenset(name for name in negative.split(";") if name))


def _finfe(row: list[Any]) -> dict[str, Any]:
    return {"text": row[0], "label": row[1]}


def _finese(row: list[str]) -> dict[str, Any]:
    _, text, event, subject = row
    return {"text": text, "label": event} | ({"target": subject} if subject in text else {})


def _title_and_text(row: dict[str, Any]) -> str:
    return f"{row['title']}\n{row['text']}"


def _text(row: dict[str, Any]) -> str:
    return str(row["text"])


_IN_ONE_PART: dict[str, tuple[str, Any, dict[str, float]]] = {
    "phrasebank_en": (
        "phrasebank_en.jsonl", _text, {"accuracy": 0.83, "macro-F1": 0.80, "calibration error": 0.04},
    ),
    "finnews_zh": ("finnews_zh.jsonl", _title_and_text, {"accuracy": 0.85}),
    "stock_comments_zh": ("stock_comments_zh.jsonl", _text, {"accuracy": 0.90}),
}  # fmt: skip
_IN_TWO_PARTS: dict[str, tuple[dict[str, float], Any]] = {
    "finfe": ({"macro-F1": 0.72}, _finfe),
    "finese": ({"accuracy": 0.86, "macro-F1": 0.62}, _finese),
}


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise ConfigError(f"{path} is no JSONL ({error}): fetch it again") from error


def _two_parts(folder: Path, name: str) -> tuple[list[Any], list[Any]] | None:
    """FinCUGE's two lists, `NAME/train_list.json` as published, or `NAME_train.json`."""
    for pattern in ("{name}/{part}_list.json", "{name}_{part}.json"):
        paths = [folder / pattern.format(name=name, part=part) for part in ("train", "eval")]
        if all(path.is_file() for path in paths):
            try:
                train, held = (json.loads(path.read_text("utf-8")) for path in paths)
            except ValueError as error:
                raise ConfigError(f"{paths[0]} or its other part is no JSON ({error}): fetch it again") from error
            return train, held
    return None


def _split(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    held = [int(hashlib.sha1(row["text"].encode()).hexdigest(), 16) % _FIFTH == 0 for row in rows]
    return (
        [row for row, out in zip(rows, held, strict=True) if not out],
        [row for row, out in zip(rows, held, strict=True) if out],
    )


def _places(text: str, name: str) -> tuple[Span, ...]:
    return tuple((match.start(), match.end()) for match in re.finditer(re.escape(name), text))
