"""The verdicts as tables: by language, by kind, pairs by language; and the failing ones of the half to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from manuals.asking import Asked, Turned

TITLES = {"en": "English", "zh": "Chinese"}
_HEAD = [
    "| questions | asked | right | wrong | declined | right file | right place | characters shown | seconds |",
    "|---" + "|--:" * 8 + "|",
]
_NONE = ["| without an answer | asked | declined | answered |", "|---|--:|--:|--:|"]
_PAIRS = ["| pairs | asked | whole | turned round | elsewhere | declined | turned in the text alone |"]


def tables(asked: Sequence[Asked], turned: Sequence[Turned]) -> str:
    """Answerable questions by language and kind, then those without an answer, then pairs."""
    codes = [code for code in TITLES if any(each.question.language == code for each in asked)]
    answerable = [each for each in asked if each.question.answers]
    others = [each for each in asked if not each.question.answers]
    lines = list(_HEAD)
    for code in codes:
        part = [each for each in answerable if each.question.language == code]
        lines.append(_row(TITLES[code], part))
        lines += [_row(f"- {kind}", rows) for kind, rows in _by_kind(part)]
    lines += ["", *_NONE]
    for code in codes:
        part = [each for each in others if each.question.language == code]
        lines += [_none(f"{TITLES[code]}, {kind.partition(', ')[2]}", rows) for kind, rows in _by_kind(part)]
    lines += ["", *_PAIRS, "|---" + "|--:" * 6 + "|"]
    lines += [_pairs(TITLES[code], [each for each in turned if each.pair.language == code]) for code in codes]
    return "\n".join(lines)


def _by_kind(part: Sequence[Asked]) -> Iterator[tuple[str, list[Asked]]]:
    for kind in sorted({each.question.kind for each in part}):
        yield kind, [each for each in part if each.question.kind == kind]


def _share(some: int, of: int) -> str:
    return f"{some / of:.3f}" if of else "-"


def _row(title: str, part: Sequence[Asked]) -> str:
    grades = [sum(each.verdict.grade == grade for each in part) for grade in ("right", "wrong", "declined")]
    answered = [each for each in part if each.verdict.grade != "declined"]
    placed = [each.verdict.is_place for each in answered if each.verdict.is_place is not None]
    cells = [
        *(_share(num, len(part)) for num in grades),
        _share(sum(each.verdict.is_file for each in answered), len(answered)),
        _share(sum(placed), len(placed)),
        f"{sum(len(each.shown.all) for each in answered) / max(1, len(answered)):.0f}",
        f"{sum(each.seconds for each in part) / max(1, len(part)):.2f}",
    ]
    return f"| {title} | {len(part)} | " + " | ".join(cells) + " |"


def _none(title: str, part: Sequence[Asked]) -> str:
    declined = sum(each.verdict.grade == "declined" for each in part)
    return f"| {title} | {len(part)} | {_share(declined, len(part))} | {_share(len(part) - declined, len(part))} |"


def _pairs(title: str, part: Sequence[Turned]) -> str:
    turns = [sum(each.turn == turn for each in part) for turn in ("whole", "turned", "elsewhere", "declined")]
    text = sum(each.text == "turned" for each in part)
    return f"| {title} | {len(part)} | " + " | ".join(_share(num, len(part)) for num in [*turns, text]) + " |"


def failing(asked: Sequence[Asked], turned: Sequence[Turned]) -> Iterator[str]:
    """Questions that are not right, and pairs turned round, with what was shown."""
    for each in asked:
        label = each.question
        if each.verdict.grade == ("right" if label.answers else "declined"):
            continue
        wanted = " / ".join(" + ".join(answer) for answer in label.answers) or "no answer"
        yield _failure(f"{label.id}: {each.verdict.grade}, {label.kind}", label.question, wanted, label.file, each)
    for pair in turned:
        if pair.turn == "turned":
            cut = pair.pair
            yield _failure(f"{cut.id}: turned round", cut.question, cut.sentence, cut.file, pair)


def _failure(head: str, question: str, wanted: str, file: str, seen: Asked | Turned) -> str:
    quotes = [f"    quote  > {each.source}, line {each.line}: {each.quote}" for each in seen.shown.citations]
    lines = [head, f"    person > {question}", f"    wanted > {wanted} ({file})", f"    text   > {seen.shown.text}"]
    return "\n".join([*lines, *quotes])


def as_json(asked: Sequence[Asked], turned: Sequence[Turned]) -> dict[str, list[dict[str, Any]]]:
    """Every verdict as plain data, without what was shown."""
    return {
        "questions": [
            {"id": each.question.id, "kind": each.question.kind, "seconds": each.seconds, **vars(each.verdict)}
            for each in asked
        ],
        "pairs": [{"id": each.pair.id, "turn": each.turn, "text": each.text} for each in turned],
    }
