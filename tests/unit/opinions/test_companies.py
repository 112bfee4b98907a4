"""The user's list of companies: what is read of it, and that a bad row is refused by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.opinions.companies import read_companies

HEADER = "id,name,aliases,codes,context,country,industry\n"


def _file(folder: Path, text: str) -> Path:
    path = folder / "companies.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_codes_and_context_are_split(tmp_path: Path) -> None:
    path = _file(tmp_path, HEADER + "apple,Apple,Apple Inc | Apple,AAPL|AAPL.O,iPhone|Cook,US,hardware\n")
    (company,) = read_companies(path)
    assert company.names == ("Apple", "Apple Inc")
    assert (company.codes, company.context) == (("AAPL", "AAPL.O"), ("iPhone", "Cook"))
    assert (company.country, company.industry) == ("US", "hardware")


def test_a_spreadsheets_byte_order_mark_and_missing_columns_are_no_hindrance(tmp_path: Path) -> None:
    path = _file(tmp_path, "\ufeffname,id\n贵州茅台,600519\n")
    assert read_companies(path)[0].names == ("贵州茅台",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: no column 'id'"),
        (HEADER, "lists no company"),
        ("id,name,alias\n1,A B,x\n", "unknown column 'alias': did you mean \"aliases\""),
        (HEADER + "a,Alpha,,,,,\n,Beta,,,,,\n", "line 3: id is empty"),
        (HEADER + "a,Alpha,,,,,\na,Beta,,,,,\n", "line 3: id 'a' stands on line 2 already"),
        (HEADER + "a,Alpha, Inc,,,,,,\n", "line 2: 7 columns expected"),
        (HEADER + "a,A,,,,,\n", "line 2: the name 'A' is too short"),
        (HEADER + 'a,"Alpha\n', "cannot be read as CSV"),
    ],
)
def test_a_bad_row_is_refused_by_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("(", r"\(")):
        read_companies(_file(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.csv does not exist"):
        read_companies(tmp_path / "nothing.csv")


def test_a_list_that_a_spreadsheet_saved_in_another_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "companies.csv"
    path.write_bytes("id,name,aliases\n600001,远山能源股份有限公司,远山能源\n".encode("gb18030"))
    (company,) = read_companies(path)
    assert company.names[0] == "远山能源股份有限公司"
