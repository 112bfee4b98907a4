"""The reference page: all of the schema, the same as the file in docs, with examples that are entries of that name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pagoda.cli.app import app
from pagoda.dialogue.domain.reference import RECORDS, SAID, entries, page

PAGE = Path(__file__).parents[4] / "docs" / "domain-file.md"


def test_the_page_in_docs_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(app, ["dialogue", "reference"])
    assert printed.exit_code == 0
    assert printed.stdout == PAGE.read_text(encoding="utf-8"), "run: pagoda dialogue reference > docs/domain-file.md"


@pytest.mark.parametrize("part", RECORDS)
def test_every_entry_that_is_read_is_told_of_and_no_other(part: str) -> None:
    said = yaml.safe_load(SAID.read_text(encoding="utf-8"))[part]["entries"]
    assert set(said) == set(entries(part)), f"{SAID.name} and the record of a {part} differ"


@pytest.mark.parametrize("part", RECORDS)
def test_an_example_is_an_entry_of_its_name(part: str) -> None:
    said = yaml.safe_load(SAID.read_text(encoding="utf-8"))[part]["entries"]
    for name, entry in said.items():
        assert list(yaml.safe_load(entry["example"])) == [name]


def test_each_entry_has_a_row_in_both_languages() -> None:
    rows = [row for row in page().splitlines() if row.startswith("| `")]
    assert len(rows) == sum(len(entries(part)) for part in RECORDS)
    assert all(row.count(" | ") >= 5 for row in rows)
