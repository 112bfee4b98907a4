"""The Grafana dashboard among the examples: sound, and about figures that the server really has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pagoda.engine.process.messages import EngineInfo
from pagoda.server.observing.metrics import Metrics

EXAMPLES = Path(__file__).parents[4] / "examples"
DASHBOARD = json.loads((EXAMPLES / "grafana" / "pagoda.json").read_text(encoding="utf-8"))
_NAME = re.compile(r"\$\{prefix\}:(\w+)")
_SELECTED = re.compile(r"\$\{prefix\}:(\w+)\{(\w+)=~")
_GROUPED = re.compile(r"sum by \(([\w, ]+)\) \(rate\(\$\{prefix\}:(\w+)")
INFO = EngineInfo("m", "m", 1, 1, 1, 1, "float32", "cpu", "reference", 16, 1, 1, 1, (), {}, {"load": 1.0}, 1)


def samples(prefix: str = "pagoda") -> dict[str, set[str]]:
    """Name of each series, without the prefix -> its labels."""
    metrics = Metrics(prefix)
    metrics.on_loaded(INFO, "m")
    metrics.on_http("GET", "/health", 200, 0.1)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name.removeprefix(f"{prefix}:"), set()).update(sample.labels)
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


@pytest.mark.parametrize("prefix", ["pagoda", "vllm"])
def test_every_figure_on_the_dashboard_exists(prefix: str) -> None:
    named = {name for expression in expressions() for name in _NAME.findall(expression)}
    assert named <= set(samples(prefix))
    assert len(named) > 20


def test_every_label_that_is_selected_or_grouped_by_exists() -> None:
    labels = samples()
    for expression in expressions():
        for name, label in _SELECTED.findall(expression):
            assert label in labels[name], expression
        for grouped, name in _GROUPED.findall(expression):
            assert set(grouped.split(", ")) <= labels[name], expression


def test_no_name_has_a_prefix_of_its_own() -> None:
    assert not re.search(r"\b(pagoda|vllm):\w", json.dumps(DASHBOARD))


def test_braces_and_parentheses_are_closed() -> None:
    for expression in expressions():
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), expression


def test_prometheus_and_prefix_are_chosen_by_variables() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert [option["value"] for option in variables["prefix"]["options"]] == ["pagoda", "vllm"]
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in columns for y in rows}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_says_what_it_shows() -> None:
    assert all(panel["title"] and panel["description"] for panel in panels())
    assert DASHBOARD["schemaVersion"] >= 39
