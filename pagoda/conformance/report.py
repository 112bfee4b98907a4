"""What a run found, as a table for a person, as JSON for a program and as Markdown for a page.

Last station of a run. The score counts what applies: a check that was skipped is neither held nor failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pagoda.conformance.check import Check, Result
from pagoda.conformance.evidence import Verdict
from pagoda.conformance.words import Words

_MARKS = {
    Verdict.HELD: ("✓", "green"),
    Verdict.FAILED: ("✗", "bold red"),
    Verdict.SKIPPED: ("–", "dim"),
}


@dataclass(frozen=True)
class Score:
    """How many checks of a group, or of all, ended how."""

    held: int
    failed: int
    skipped: int

    @classmethod
    def of(cls, results: Sequence[Result]) -> Score:
        """The score of some results."""
        counts = Counter(result.verdict for result in results)
        return cls(*(counts[verdict] for verdict in Verdict))


def by_group(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results of each group, in the report's order."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.check.group, []).append(result)
    return groups


def as_text(results: Sequence[Result], words: Words) -> RenderableType:
    """Every check with its sentence, the score by group, and what failed with the request that showed it."""
    parts: list[RenderableType] = [_line(result, words) for result in results]
    parts += [Text(), _scores(results, words)]
    parts += [_failure(result, words) for result in results if result.verdict is Verdict.FAILED]
    parts += [Text(), Text(words.score.format(**_facts(Score.of(results))), style="bold")]
    return Group(*parts)


def as_list(checks: Sequence[Check], words: Words) -> RenderableType:
    """What there is to check, and who needs it."""
    lines = []
    for check in checks:
        line = Text.assemble((check.name, "bold"), f"  {words.sentence(check)}")
        line.append(f"  [{words.needed_by}: {check.needed_by}]", style="dim")
        lines.append(line)
    return Group(*lines)


def as_json(results: Sequence[Result], url: str) -> dict[str, Any]:
    """The whole run as plain values."""
    return {
        "url": url,
        "score": _facts(Score.of(results)),
        "groups": {group: _facts(Score.of(some)) for group, some in by_group(results).items()},
        "checks": [_record(result) for result in results],
    }


def as_markdown(results: Sequence[Result], url: str, words: Words) -> str:
    """A page with the score by group and all that failed."""
    lines = [f"# {words.title.format(url=url)}", "", words.score.format(**_facts(Score.of(results))), ""]
    lines += [f"| {' | '.join((words.group, words.held, words.failed, words.skipped))} |", "|---|--:|--:|--:|"]
    for group, some in by_group(results).items():
        score = Score.of(some)
        lines.append(f"| {group} | {score.held} | {score.failed} | {score.skipped} |")
    for result in results:
        if result.verdict is Verdict.FAILED:
            lines += ["", f"## {result.check.name}", "", words.sentence(result.check), ""]
            lines += [f"* {words.expected}: {_code(result.expected)}", f"* {words.got}: {_code(result.got)}"]
            lines += ["", "```sh", result.sent, "```"]
    return "\n".join(lines)


def _line(result: Result, words: Words) -> Text:
    mark, style = _MARKS[result.verdict]
    line = Text.assemble((f"{mark} {result.check.name}", style), f"  {words.sentence(result.check)}")
    if result.reason:
        line.append(f"  ({result.reason})", style="dim")
    return line


def _scores(results: Sequence[Result], words: Words) -> Table:
    table = Table(pad_edge=False, box=None)
    table.add_column(words.group)
    for heading in (words.held, words.failed, words.skipped):
        table.add_column(heading, justify="right")
    for group, some in by_group(results).items():
        score = Score.of(some)
        style = "bold red" if score.failed else ""
        table.add_row(group, str(score.held), str(score.failed), str(score.skipped), style=style)
    return table


def _failure(result: Result, words: Words) -> Text:
    text = Text("\n")
    text.append(f"{result.check.name}: {words.sentence(result.check)}\n", style="bold red")
    for label, value in (
        (words.needed_by, result.check.needed_by),
        (words.expected, result.expected),
        (words.got, result.got),
        (words.sent, result.sent),
    ):
        text.append(f"  {label}: ", style="dim")
        text.append(f"{value}\n")
    return text


def _record(result: Result) -> dict[str, Any]:
    facts = {"expected": result.expected, "got": result.got, "sent": result.sent, "reason": result.reason}
    return {
        "name": result.check.name,
        "sentence": result.check.sentence,
        "needed_by": result.check.needed_by,
        "verdict": result.verdict.value,
        "seconds": round(result.seconds, 3),
        **{name: value for name, value in facts.items() if value},
    }


def _facts(score: Score) -> dict[str, int]:
    return {"held": score.held, "failed": score.failed, "skipped": score.skipped, "counted": score.held + score.failed}


def _code(text: str) -> str:
    """One line that Markdown leaves alone.

    >>> _code("a `b`\\nc")
    '``a `b` c``'
    """
    return f"``{' '.join(text.split())}``"
