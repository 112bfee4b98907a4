"""Tables become a graph to load: what a header tells, what is seen in the cells, and what is refused on which line."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagoda.graph.columns import TableColumn, read_header
from pagoda.graph.errors import GraphTableError
from pagoda.graph.tables import read_tables

BIKES = Path(__file__).parents[3] / "examples" / "bikes" / "tables"
BOOKS = """isbn:key,title,pages,price,lent,tags:list,phone
978-1,三体,390,30.5,true,sci-fi;近期,0990-1
978-2,Dune,612,20,false,,007
"""
PLACES = '{"id": 1, "name": "东馆", "aliases": ["east", "E"]}\n\n{"id": 2, "name": "西馆", "closed": null}\n'
HELD = "from,to,copies\n978-1,1,2\n978-2,2,1\n"


def graph(folder: Path, **files: str | bytes) -> Any:
    """The data of files by name, in which _ stands for what no keyword may hold."""
    for name, text in files.items():
        path = folder / name.replace("__", "-").replace("_csv", ".csv").replace("_jsonl", ".jsonl")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_tables([folder])


def test_a_folder_of_tables_is_a_graph_with_types_that_were_told_or_seen(tmp_path: Path) -> None:
    data = graph(tmp_path, Book_csv=BOOKS, Place_jsonl=PLACES, Book__HELD_AT__Place_csv=HELD)
    book, place = data.nodes
    assert (book.label, book.key, place.key) == ("Book", "isbn", "id")
    assert book.rows[0] == {
        **{"isbn": "978-1", "title": "三体", "pages": 390, "price": 30.5, "lent": True},
        **{"tags": ["sci-fi", "近期"], "phone": "0990-1"},
    }
    assert book.rows[1] == {
        **{"isbn": "978-2", "title": "Dune", "pages": 612, "price": 20.0, "lent": False, "phone": "007"}
    }
    assert place.rows[1] == {"id": 2, "name": "西馆"}
    (held,) = data.relations
    assert (held.type, held.source, held.target) == ("HELD_AT", "Book", "Place")
    assert held.rows == [("978-1", 1, {"copies": 2}), ("978-2", 2, {"copies": 1})]


def test_the_example_that_the_docs_load_is_a_graph() -> None:
    data = read_tables([BIKES])
    assert {table.label: len(table.rows) for table in data.nodes} == {"Bike": 6, "Kind": 3, "Station": 3}
    bike = next(table for table in data.nodes if table.label == "Bike").rows[0]
    assert (bike["number"], bike["price"], bike["electric"], bike["checked"]) == (101, 3.5, False, "2026-05-02")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"Book_csv": BOOKS + "978-1,again,1,1,true,,1\n"}, 'Book.csv:4: isbn "978-1" stands in line 2 already'),
        ({"Book_csv": BOOKS + ",nokey,1,1,true,,1\n"}, "Book.csv:4: has no key: isbn is empty"),
        ({"Book_csv": BOOKS + "978-3,short\n"}, "Book.csv:4: has 2 cells, but the first line names 7 columns"),
        ({"Book_csv": BOOKS.replace("pages", "pages:int").replace("612", "many")},
         'Book.csv:3: pages is "many", expected int'),
        ({"Book_csv": BOOKS.replace("pages", "pages:integer")}, 'Book.csv:1: "integer" tells no type of column pages'),
        ({"Book_csv": BOOKS.replace("title", "isbn")}, 'Book.csv:1: names column "isbn" twice'),
        ({"Book_csv": BOOKS.replace("title", "")}, "Book.csv:1: a column has no name"),
        ({"Book_csv": BOOKS.replace("title", "ti`tle")}, "cannot name a label, relation or property"),
        ({"Book_csv": BOOKS.replace("title", "title:key")}, "Book.csv:1: two columns are the key"),
        ({"Book_csv": 'isbn\n"open\n'}, "is no CSV"),
        ({"Book_csv": ""}, "Book.csv:1: is empty"),
        ({"Book_csv": "书名\n三体\n".encode("gbk")}, "Book.csv:1: is not UTF-8 (GBK, perhaps)"),
        ({"Book_csv": BOOKS, "Book_jsonl": '{"id": 1}\n'}, "holds the same: put both into one file"),
        ({"Book__HELD_AT_csv": HELD}, "the name says neither a label (Book.csv) nor a relation"),
        ({"PagodaLoad_csv": BOOKS}, "PagodaLoad is the loader's own label"),
        ({"Place_jsonl": PLACES + "{\n"}, "Place.jsonl:4: is no JSON"),
        ({"Place_jsonl": "[1]\n"}, "Place.jsonl:1: is no JSON object"),
        ({"Place_jsonl": '{"id": 1, "at": {"x": 2}}\n'}, 'Place.jsonl:1: at is {"x": 2}, expected text, a number'),
        ({"Place_jsonl": '{"id": 1, "at": [1, "a"]}\n'}, "Place.jsonl:1: at is a list of several types"),
        ({"Place_jsonl": '{"id": 99999999999999999999}\n'}, "Place.jsonl:1: id is a whole number beyond 64 bits"),
        ({"Place_jsonl": '{"id": NaN}\n'}, "Place.jsonl:1: id is no finite number"),
        ({"Place_jsonl": '{"id": [1]}\n'}, "Place.jsonl:1: has no key: id is a list"),
        ({"Place_jsonl": "\n"}, "Place.jsonl:1: holds no row"),
        ({"Book_csv": BOOKS, "Place_jsonl": PLACES, "Book__HELD_AT__Place_csv": HELD + "978-1,3,1\n"},
         'Book-HELD_AT-Place.csv:4: to is "3", but no Place has this key: known: 1, 2'),
        ({"Book_csv": BOOKS, "Place_jsonl": PLACES, "Book__HELD_AT__Place_csv": HELD + "978-1,1,1\n"},
         "Book-HELD_AT-Place.csv:4: joins what line 2 joins already"),
        ({"Book_csv": BOOKS, "Place_jsonl": PLACES, "Book__HELD_AT__Place_csv": "form,to\n"},
         'has no column "from", which names a node by its key: did you mean "form"?'),
        ({"Book_csv": BOOKS, "Book__HELD_AT__Place_csv": HELD}, "joins Place, of which there is no file"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, files: dict[str, str | bytes], told: str) -> None:
    with pytest.raises(GraphTableError) as caught:
        graph(tmp_path, **files)
    assert told in str(caught.value)


def test_all_mistakes_of_all_files_are_told_at_once_and_at_most_twenty(tmp_path: Path) -> None:
    with pytest.raises(GraphTableError) as caught:
        graph(tmp_path, Book_csv=BOOKS + "978-1,x,1,1,true,,1\n" * 30, Place_jsonl="{\n")
    rows = str(caught.value).splitlines()
    assert (len(rows), rows[-1]) == (21, "and 12 more")


@pytest.mark.parametrize(("path", "told"), [("none.csv", "cannot be read"), ("a.txt", "does not end in .csv")])
def test_what_is_no_table_is_refused(tmp_path: Path, path: str, told: str) -> None:
    with pytest.raises(GraphTableError, match=told):
        read_tables([tmp_path / path])
    with pytest.raises(GraphTableError, match="holds no file that ends in"):
        read_tables([tmp_path])


def test_a_key_may_be_named_beside_the_files_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "Book.csv").write_text("title,number\nDune,7\n")
    assert read_tables([tmp_path]).nodes[0].key == "title"
    assert read_tables([tmp_path], {"Book": "number"}).nodes[0].key == "number"
    with pytest.raises(GraphTableError, match='"numbre" is to be the key, which is no column: did you mean "number"'):
        read_tables([tmp_path], {"Book": "numbre"})
    with pytest.raises(GraphTableError, match="--key names label Bok"):
        read_tables([tmp_path], {"Bok": "number"})


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "", "-20"], "int"), (["1", "2.5"], "float"), (["1e3"], "float"), (["true", "FALSE"], "bool"),
        (["007"], "text"), (["1", "x"], "text"), (["yes"], "text"), (["1_000"], "text"), (["nan"], "text"),
        (["9" * 19], "text"), (["+86"], "text"), ([""], "text"), (["1٣"], "text"), (["1e999"], "text"),
    ],
)  # fmt: skip
def test_a_type_is_seen_only_where_every_cell_has_it_and_nothing_is_lost(cells: list[str], kind: str) -> None:
    assert TableColumn("c").seen(cells).type == kind


@given(
    st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text()))
)
def test_what_was_written_as_a_cell_is_read_back(values: list[int | float | str]) -> None:
    for value in values:
        cell = str(value)
        column = TableColumn("c").seen([cell])
        read = column.value(cell)
        if column.type == "float":
            assert read == float(cell)
        elif column.type == "bool":
            assert str(read).lower() == cell.strip().lower()
        else:
            assert ("" if read is None else str(read)) == cell.strip()


@given(st.text(max_size=30))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        read = read_header(header).name
    except ValueError as error:
        read = str(error)
    assert read


@given(st.lists(st.lists(st.text(max_size=6), min_size=1, max_size=4), max_size=6))
def test_any_table_is_read_or_refused_with_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    path = tmp_path_factory.getbasetemp() / "Any.csv"
    path.write_bytes(out.getvalue().encode("utf-8", "surrogatepass"))
    told = ""
    try:
        assert read_tables([path]).nodes[0].label == "Any"
    except GraphTableError as error:
        told = str(error)
    assert not told or told.startswith("Any.csv:")
