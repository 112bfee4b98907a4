"""The page that says what came of every claim: figure, verdict, protocol and the table behind them, in Markdown.

Off the path of training, behind `claims`: puts findings into words and judges nothing, but for what has no run at all.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pagoda.lab.claims import CLAIMS, OPEN, Claim, Experiment, Finding, Rows
from pagoda.lab.kept import measured_here

UNMEASURED = "not measured yet"
_PAGE_WIDTH = 120


def write_claims(results: Mapping[str, Mapping[str, Any]], path: Path, *, quick: bool) -> Path:
    """Judge every claim by the results of its recipe and write the page."""
    experiments = {name: Experiment.of(found) for name, found in results.items()}
    findings = [(claim, _judged(claim, experiments.get(claim.recipe))) for claim in CLAIMS]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_page(findings, experiments, quick=quick), encoding="utf-8")
    return path


def _judged(claim: Claim, experiment: Experiment | None) -> Finding:
    """What came of a claim; few runs settle nothing, and none are less than few."""
    found = claim.judge(experiment)
    return replace(found, verdict=UNMEASURED) if found.verdict == OPEN and not found.figure else found


def _page(findings: Sequence[tuple[Claim, Finding]], experiments: Mapping[str, Experiment], *, quick: bool) -> str:
    command = "pagoda lab claims" + (" --quick" if quick else "")
    here = measured_here()
    intro = (
        f"Written by `{command}` on {here['on']} from the results of recipes that ship with pagoda "
        "([lab.md](lab.md)): do not edit. Networks are small, and what a verdict says, it says of these. "
        f"{here['machine']}, torch {here['torch']}. Means over seeds ± 95 % interval (Student's), differences "
        "seed by seed. Times are ratios of variants that took turns, so that other work on the machine weighs on both. "
        f"{_ended(experiments, here)}"
    )
    rows = [["claim", "figure", "verdict"]] + [[claim.said, found.figure, found.verdict] for claim, found in findings]
    lines = ["# Claims, and what became of them", "", *_wrapped(intro), "", *_table(rows)]
    shown: dict[str, str] = {}
    for claim, found in findings:
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
    trained = {name: each.results for name, each in experiments.items() if each.recipe.axes}
    counts = [f"`{name}` {len(found['runs'])} of {found['num_runs']}" for name, found in trained.items()]
    measured = {name: each.results.get("measured", here) for name, each in experiments.items()}
    elsewhere = [f"`{name}` {told['on']}" for name, told in measured.items() if told["on"] != here["on"]]
    others = [
        f"`{name}` {told['machine']}, torch {told['torch']}"
        for name, told in measured.items()
        if {**told, "on": ""} != {**here, "on": ""}
    ]
    told = f" Measured before: {', '.join(elsewhere)}." if elsewhere else ""
    told += f" Measured elsewhere: {'; '.join(others)}." if others else ""
    return f"Runs that have ended: {', '.join(counts)}.{told}"


def _table(rows: Rows) -> list[str]:
    if not rows:
        return []
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]
