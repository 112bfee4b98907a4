"""The folder of models, the catalogue, and where they are by default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.filesize import decimal

from pagoda.errors import CheckpointError
from pagoda.models.gguf.architectures import ARCHITECTURES
from pagoda.models.shelf.catalogue import CATALOGUE, CatalogueEntry, shelf_name
from pagoda.models.shelf.folder import MANIFEST, Shelf, ShelvedFile, ShelvedModel
from pagoda.models.shelf.gguf_files import gguf_models
from pagoda.models.shelf.settings import shelf_settings
from pagoda.models.shelf.short_names import KNOWN_MODELS

MODEL = ShelvedModel(
    name="org/Name:Q8_0", model="a.gguf", source="somewhere", revision="1", licence="mit", languages=("en",),
    quantisation="Q8_0", pulled_at="2026-01-01T00:00:00+00:00", files=(ShelvedFile("a.gguf", 4, "0" * 64),),
)  # fmt: skip


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path)
    place = shelf.place(MODEL.name)
    place.mkdir()
    (place / "a.gguf").write_bytes(b"GGUF")
    shelf.add(MODEL)
    return shelf


def test_a_model_is_found_by_its_name_in_any_case(shelf: Shelf) -> None:
    assert shelf.get("ORG/name:q8_0") == MODEL
    assert shelf.models() == [MODEL]
    assert shelf.path(MODEL).read_bytes() == b"GGUF"
    assert shelf.get("org/Name") is None


@pytest.mark.parametrize("name", ["..", ".", "", "../x", "/etc", "a" * 300, "a\0b", "a b"])
def test_what_is_no_name_is_neither_found_nor_deleted(shelf: Shelf, name: str) -> None:
    assert shelf.get(name) is None
    with pytest.raises(CheckpointError, match="is no name of a model"):
        shelf.remove(name)


def test_a_model_that_was_cut_or_taken_away_does_not_count(shelf: Shelf) -> None:
    shelf.path(MODEL).write_bytes(b"GG")
    assert shelf.get(MODEL.name) is None
    shelf.path(MODEL).unlink()
    assert shelf.get(MODEL.name) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2, "files": []}', '{"format": 1, "files": [{}]}'])
def test_a_manifest_that_cannot_be_read_says_what_to_do(shelf: Shelf, text: str) -> None:
    (shelf.place(MODEL.name) / MANIFEST).write_text(text)
    with pytest.raises(CheckpointError, match=r"cannot be read .*: delete the folder and pull the model anew"):
        shelf.get(MODEL.name)


def test_a_deleted_model_is_gone_and_what_was_cut_short_is_listed(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    assert shelf.unfinished() == ["half"]
    size = shelf.size(MODEL.name)
    assert size is not None
    assert size > 4
    shelf.remove(MODEL.name)
    assert shelf.models() == []
    assert shelf.size(MODEL.name) is None


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_an_entry_is_whole(entry: CatalogueEntry) -> None:
    """What it is made from has the same short name elsewhere, and its file is one that names its quantisation."""
    assert KNOWN_MODELS[entry.name] == entry.base
    assert entry.architecture in ARCHITECTURES
    (model,) = gguf_models([entry.hub.name])
    assert model.quantisation == entry.quantisation
    assert all(re.fullmatch("[a-z]{2}", language) for language in entry.languages)
    # Bits a weight: of Q4_0 4.5, of Q8_0 8.5; an embedding that is stored twice, and larger, for small ones more.
    assert 4 < 8 * entry.hub.size / entry.num_parameters < 9
    assert all(entry.about)
    assert entry.hub.sha256 is None or (len(entry.hub.sha256) == 64 and len(entry.hub.revision) == 40)
    assert entry.package is None or entry.hub.sha256


def test_the_catalogue_goes_from_small_to_large_and_names_are_lower_case() -> None:
    sizes = [entry.hub.size for entry in CATALOGUE.values()]
    assert sizes == sorted(sizes)
    assert all(name == name.lower() == entry.name for name, entry in CATALOGUE.items())


def test_names_on_the_shelf_are_the_catalogue_s_or_the_hub_s() -> None:
    assert shelf_name("QWEN3-0.6B") == "qwen3-0.6b"
    assert shelf_name("qwen3-32b") == "Qwen/Qwen3-32B"
    assert shelf_name("org/Name-GGUF:Q4_K_M") == "org/Name-GGUF:Q4_K_M"
    with pytest.raises(CheckpointError, match=r'did you mean "qwen3-0\.6b"'):
        shelf_name("qwen3-06b")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"PAGODA_HOME": "/srv/pagoda", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/srv/pagoda/models"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/pagoda/models"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/pagoda/models"),
    ],
)
def test_models_lie_where_the_environment_says(environ: dict[str, str], folder: str) -> None:
    assert str(shelf_settings(environ).folder) == folder


def test_the_environment_names_hub_mirror_and_whether_there_is_a_network() -> None:
    settings = shelf_settings(
        {"HF_ENDPOINT": "https://a.example/", "PAGODA_HUB": "https://b.example", "HF_HUB_OFFLINE": "1"}
    )
    assert (settings.hub, settings.mirror, settings.offline) == ("https://a.example", "https://b.example", True)
    assert not shelf_settings({"HF_HUB_OFFLINE": "0"}).offline


def test_the_page_about_models_lists_the_catalogue_as_it_is() -> None:
    page = (Path(__file__).parents[4] / "docs" / "models.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    listed = [(name.strip("`"), what, file, licence, of) for name, what, file, _, licence, of in rows]
    assert listed == [
        (name, entry.about[0], f"{decimal(entry.hub.size)}, {entry.quantisation}", entry.licence, entry.hub.hub_id)
        for name, entry in CATALOGUE.items()
    ]
