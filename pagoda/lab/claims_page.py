"""The page that says what came of every claim: figure, verdict, protocol and the table behind them, in Markdown.

Off the path of training, behind `claims`: puts findings into words and judges nothing, but for what has no run at all.
Of an experiment that has none, the page that is written over keeps what it said, and says so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pagoda.lab.claims import CLAIMS, OPEN, Claim, Experiment, Finding, Rows
from pagoda.lab.kept import measured_here

UNMEASURED = "not measured yet"
_PAGE_WIDTH = 120


def write_claims(results: Mapping[str, Mapping[str, Any]], path: Path, *, quick: bool) -> Path:
    """Judge every claim by the results of its recipe and write the page."""
    experiments = {name: Experiment.of(found) for name, found in results.items()}
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    judged = [_told_of(claim, experiments, before) for claim in CLAIMS]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_page(judged, experiments, quick=quick), encoding="utf-8")
    return path


@dataclass(frozen=True)
class _Told:
    """What the page says of a claim: its row in the first table, and its section without the heading.

    finding: None where both are those of the page before
    """

    claim: Claim
    row: str
    section: str
    finding: Finding | None


def _told_of(claim: Claim, experiments: Mapping[str, Experiment], before: str) -> _Told:
    """Of a claim whose experiment has not begun, what stood there, if something did."""
    experiment = experiments.get(claim.recipe)
    stood = None if _has_begun(experiment) else _stood(claim, before)
    if stood is not None:
        return _Told(claim, *stood, None)
    found = _judged(claim, experiment)
    return _Told(claim, _table([[], [claim.said, found.figure, found.verdict]])[-1], "", found)


def _has_begun(experiment: Experiment | None) -> bool:
    """None is that of a claim that needs none."""
    return experiment is None or bool(experiment.results["runs"] or experiment.results.get("timing"))


def _stood(claim: Claim, page: str) -> tuple[str, str] | None:
    """Row and section of a claim in a page that was measured."""
    rows = [line for line in page.splitlines() if line.startswith(f"| {_cell(claim.said)} |")]
    _, _, section = page.partition(f"\n## {claim.said}\n\n")
    section = section.partition("\n## ")[0].strip()
    if not rows or not section or section.startswith(f"**{UNMEASURED}**"):
        return None
    return rows[0], section


def _judged(claim: Claim, experiment: Experiment | None) -> Finding:
    """What came of a claim; few runs settle nothing, and none are less than few."""
    found = claim.judge(experiment)
    if not _has_begun(experiment):
        return replace(found, figure="", verdict=UNMEASURED)
    return replace(found, verdict=UNMEASURED) if found.verdict == OPEN and not found.figure else found


def _page(judged: Sequence[_Told], experiments: Mapping[str, Experiment], *, quick: bool) -> str:
    command = "pagoda lab claims" + (" --quick" if quick else "")
    here = measured_here()
    intro = (
        f"Written by `{command}` on {here['on']} from the results of recipes that ship with pagoda "
        "([lab.md](lab.md)): do not edit. Networks are small, and what a verdict says, it says of these. "
        f"{here['machine']}, torch {here['torch']}. Means over seeds ± 95 % interval (Student's), differences "
        "seed by seed. Times are ratios of variants that took turns, so that other work on the machine weighs on both. "
        f"{_ended(experiments, here)}"
    )
    left = dict.fromkeys(f"`{told.claim.recipe}`" for told in judged if told.finding is None)
    intro += f" As they stood on this page before: claims of {', '.join(left)}." if left else ""
    rows = [*_table([["claim", "figure", "verdict"]]), *(told.row for told in judged)]
    lines = ["# Claims, and what became of them", "", *_wrapped(intro), "", *rows]
    shown: dict[str, str] = {}
    for told in judged:
        claim, found = told.claim, told.finding
        if found is None:
            lines += ["", f"## {claim.said}", "", told.section]
            continue
        recipe = f" Recipe: `{claim.recipe}`{_counted(experiments, claim.recipe)}." if claim.recipe else ""
        lines += ["", f"## {claim.said}", ""]
        lines += [*_wrapped(f"**{found.verdict}**: {found.figure or 'no figure yet'}."), ""]
        table = "\n".join(_table(found.table))
        first = shown.setdefault(table, claim.said)
        above = f" The table is that of: {first}" if table and first != claim.said else ""
        lines += _wrapped(claim.protocol + recipe + above)
        if table and not above:
            lines += ["", table]
    return "\n".join(lines).rstrip() + "\n"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _PAGE_WIDTH, break_long_words=False, break_on_hyphens=False)


def _counted(experiments: Mapping[str, Experiment], name: str) -> str:
    """How many of a recipe's runs a claim is judged by; "" where nothing is trained."""
    if name not in experiments or not experiments[name].recipe.axes:
        return ""
    found = experiments[name].results
    return f", {len(found['runs'])} of {found['num_runs']} runs"


def _ended(experiments: Mapping[str, Experiment], here: Mapping[str, str]) -> str:
    """How many runs of each recipe, and where and when, if that is not as the page says of itself."""
    trained = {name: each.results for name, each in experiments.items() if each.recipe.axes and each.results["runs"]}
    counts = [f"`{name}` {len(found['runs'])} of {found['num_runs']}" for name, found in trained.items()]
    measured = {name: each.results.get("measured", here) for name, each in experiments.items()}  # or here and now
    elsewhere = [f"`{name}` {told['on']}" for name, told in measured.items() if told["on"] != here["on"]]
    others = [
        f"`{name}` {told['machine']}, torch {told['torch']}"
        for name, told in measured.items()
        if {**told, "on": ""} != {**here, "on": ""}
    ]
    told = f" Measured before: {', '.join(elsewhere)}." if elsewhere else ""
    told += f" Measured elsewhere: {'; '.join(others)}." if others else ""
    return f"Runs that have ended: {', '.join(counts) or 'none'}.{told}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(rows: Rows) -> list[str]:
    if not rows:
        return []
    head, *body = ([_cell(text) for text in row] for row in rows)
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]
