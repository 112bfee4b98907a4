"""Collections as an operator writes them down, and what is told of mistakes in them: never a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagoda.errors import ConfigError
from pagoda.server.access import Collection, collections_of, is_among
from pagoda.server.config import ServerConfig

FILE = """
[handbook]
path = "indexes/handbook"

[contracts]
path = "/srv/contracts"
read = ["file:readers.txt", "env:EDITORS"]
write = ["env:EDITORS"]
"""


def test_a_file_names_collections_and_where_their_keys_are(tmp_path: Path) -> None:
    (tmp_path / "readers.txt").write_text("# readers\none\n\ntwo\n", "utf-8")
    (tmp_path / "collections.toml").write_text(FILE, "utf-8")
    found = collections_of(["扩展=x", str(tmp_path / "collections.toml")], {"EDITORS": "three, one"})
    assert found == (
        Collection("扩展", Path("x")),
        Collection("handbook", tmp_path / "indexes/handbook"),
        Collection("contracts", Path("/srv/contracts"), ("one", "two", "three"), ("three", "one")),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no collection"),
        ("[a", "cannot read collections"),
        ("a = 1", r"\[a\] of .* has no path"),
        ("[a]\nread = []", r"\[a\] of .* has no path"),
        ('[a]\npath = "x"\nreads = []', "'reads', expected path, read, write"),
        ('[a]\npath = "x"\nread = "env:KEYS"', "read in .* is no list"),
        ('[a]\npath = "x"\nread = ["sk-secret"]', "read in .*: entry 1 does not say where keys are"),
        ('[a]\npath = "x"\nread = ["env:MISSING"]', "variable MISSING, which holds no key"),
        ('[a]\npath = "x"\nwrite = ["file:missing.txt"]', "cannot read API keys from .*missing.txt"),
        ('["a/b"]\npath = "x"', "'a/b' is no name of a collection"),
    ],
)
def test_a_mistake_in_it_is_told_by_its_place_and_without_its_keys(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "collections.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        collections_of([str(file)], {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["name=", "=folder", "nosuch.toml", "a b=folder"])
def test_what_is_no_collection_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        collections_of([text], {})


def test_two_collections_of_one_name_or_folder_are_refused() -> None:
    for first, second in ((("a", "x"), ("a", "y")), (("a", "x"), ("b", "./x"))):
        pair = (Collection(first[0], Path(first[1])), Collection(second[0], Path(second[1])))
        with pytest.raises(ConfigError, match="give each its own"):
            ServerConfig(collections=pair)
    with pytest.raises(ConfigError, match="the name 'default'"):
        ServerConfig(rag=Path("x"), collections=(Collection("default", Path("y")),))


def test_a_key_is_one_of_several_to_the_letter() -> None:
    assert is_among("key-二", ["one", "key-二"])
    assert not any(is_among(given, ["one", "two"]) for given in ("", None, "on", "onee", "ONE", "one two"))
