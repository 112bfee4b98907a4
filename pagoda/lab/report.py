"""One page that shows an experiment: figures in tables, pictures in the page itself, the recipe at its end.

Last station. The page needs nothing beside it; every number in it is one of `results.json`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pagoda.lab.analysis import ArmComparison, compare
from pagoda.lab.charts import draw_all, draw_rates
from pagoda.lab.recipe import LabRecipe
from pagoda.lab.runner import write_json

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:left}"
    "img{max-width:100%}pre{background:#f6f6f6;padding:1rem;overflow:auto}"
)


def write_report(recipe: LabRecipe, results: dict[str, Any], directory: Path) -> Path:
    """`report.html`, `results.json` and PNGs in `directory`; returns the page's path.

    Raises MissingExtraError without matplotlib.
    """
    write_json(directory / "results.json", results)
    comparisons = compare(recipe, results["runs"])
    charts = draw_all(comparisons, directory)
    rates = draw_rates(recipe, results["runs"], directory / "rates.png")
    if rates is not None:
        charts["By " + recipe.lab.best_of] = rates
    page = directory / "report.html"
    page.write_text(_page(recipe, results, comparisons, charts), encoding="utf-8")
    return page


def comparison_rows(recipe: LabRecipe, comparisons: Sequence[ArmComparison]) -> list[list[str]]:
    """The table of the page, its head first."""
    lab = recipe.lab
    others = [axis for axis in recipe.axes if axis not in (lab.compare, lab.best_of)]
    panels, bests = [", ".join(others)] if others else [], [lab.best_of] if lab.best_of else []
    rows = [[*panels, lab.compare, *bests, lab.metric, f"against {lab.against}", "diverged"]]
    for each in comparisons:
        rows.append(
            [
                *([each.panel] if others else []),
                each.choice,
                *([each.best] if lab.best_of else []),
                "every run diverged" if each.metric is None else each.metric.told(),
                "" if each.difference is None else each.difference.told(),
                str(each.diverged),
            ]
        )
    return rows


def timing_rows(timing: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The table of what norms cost, its head first."""
    head = ["width", "what", "RMSNorm / LayerNorm", "95 % interval", "saved"]
    return [head] + [
        [
            str(row["width"]),
            row["what"],
            f"{row['ratio']:.3f}",
            f"{row['low']:.3f} to {row['high']:.3f}",
            f"{100 * (1 - row['ratio']):.1f} %",
        ]
        for row in timing
    ]


def _page(
    recipe: LabRecipe, results: Mapping[str, Any], comparisons: Sequence[ArmComparison], charts: Mapping[str, Path]
) -> str:
    parts = [f"<h1>{escape(recipe.name)}</h1>"]
    if recipe.axes:
        done = f"{len(results['runs'])} of {results['num_runs']} runs have ended"
        parts += [f"<p>{done}; mean over seeds and 95 % interval, differences seed by seed.</p>"]
        parts += [_table(comparison_rows(recipe, comparisons))]
    if results.get("timing"):
        parts += ["<h2>What a norm costs</h2>", _table(timing_rows(results["timing"]))]
    for title, path in charts.items():
        picture = base64.b64encode(path.read_bytes()).decode("ascii")
        parts += [f"<h2>{escape(title)}</h2>", f'<img alt="{escape(title)}" src="data:image/png;base64,{picture}">']
    parts += ["<h2>Recipe</h2>", f"<pre>{escape(json.dumps(recipe.raw, indent=1, ensure_ascii=False))}</pre>"]
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(recipe.name)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return "<table>\n" + "\n".join(lines) + "\n</table>"
