"""The verdicts as tables: shares by language and set, kinds of fault, and the failing turns of the half to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from judged.rules import GRADES
from judged.running import Ruled

TITLES = {"zh": "Chinese", "en": "English"}
HEAD = "| sentences | conversations | turns | skipped | right | acceptable | right or acceptable | wrong | in silence |"


def tables(ruled: Sequence[Ruled]) -> str:
    """Grades by language, then by set, then kinds of fault by language."""
    languages = [code for code in TITLES if any(each.conversation.language == code for each in ruled)]
    rows = [_row(TITLES[code], [each for each in ruled if each.conversation.language == code]) for code in languages]
    rows += [_row("both", ruled)] if len(languages) > 1 else []
    sources = sorted({_source(each) for each in ruled})
    rows += [_row(source, [each for each in ruled if _source(each) == source]) for source in sources]
    kinds = "\n\n".join(_kinds(code, ruled) for code in languages)
    return "\n".join([HEAD, "|---" + "|--:" * 8 + "|", *rows, "", kinds])


def _source(ruled: Ruled) -> str:
    return ruled.conversation.name.split("-")[0]


def _row(title: str, part: Sequence[Ruled]) -> str:
    verdicts = [each.verdict for each in part if each.verdict is not None]
    grades = Counter(verdict.grade for verdict in verdicts)
    num = max(1, len(verdicts))
    right, acceptable, wrong, silent = (grades[grade] / num for grade in GRADES)
    shares = [right, acceptable, right + acceptable, wrong, silent]
    counts = [len({each.conversation.name for each in part}), len(verdicts), len(part) - len(verdicts)]
    return " | ".join([f"| {title}", *map(str, counts), *(f"{share:.3f}" for share in shares)]) + " |"


def _kinds(code: str, ruled: Sequence[Ruled]) -> str:
    """Faults of one language: how many turns have one of the kind, the silent ones first."""
    verdicts = [each.verdict for each in ruled if each.conversation.language == code and each.verdict is not None]
    silent: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for verdict in verdicts:
        silent.update({fault.kind for fault in verdict.faults if fault.is_silent})
        others.update({fault.kind for fault in verdict.faults if not fault.is_silent})
    num = sum(verdict.grade == "wrong in silence" for verdict in verdicts)
    lines = [f"{TITLES[code]}: {num} turns wrong in silence, by kind (a turn may have several)"]
    lines += [f"  {count:4}  {kind}" for kind, count in silent.most_common()]
    lines += ["  and faults that the person hears", *(f"  {count:4}  {kind}" for kind, count in others.most_common())]
    return "\n".join(lines)


def failing(ruled: Sequence[Ruled]) -> Iterator[str]:
    """Turns that are wrong, each with what was said before; for the half that may be looked at."""
    for at, each in enumerate(ruled):
        if each.verdict is None or each.verdict.grade in ("right", "acceptable"):
            continue
        before = [old.text for old in ruled[:at] if old.conversation.name == each.conversation.name]
        faults = "; ".join(
            f"{fault.kind} [{fault.about}]" if fault.about else fault.kind for fault in each.verdict.faults
        )
        yield "\n".join(
            [
                f"{each.conversation.name}, line {each.turn.line}: {each.verdict.grade}: {faults}",
                *(f"    before> {text}" for text in [*before[-3:], *each.answers]),
                f"    person> {each.text}",
                "    reply > " + each.reply.replace("\n", "\n            "),
                f"    state > {each.seen.task} {dict(each.seen.values)} ({each.verdict.note})",
            ]
        )


def as_json(ruled: Sequence[Ruled]) -> list[dict[str, Any]]:
    """Every verdict as plain data."""
    return [
        {
            "conversation": each.conversation.name,
            "language": each.conversation.language,
            "half": each.conversation.half,
            "line": each.turn.line,
            "grade": each.verdict.grade if each.verdict else "skipped",
            "faults": [vars(fault) for fault in each.verdict.faults] if each.verdict else [],
        }
        for each in ruled
    ]
