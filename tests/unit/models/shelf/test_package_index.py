"""Wheels where pip would find them: its settings, JSON and HTML, folders, files, passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_hub import Place, serving, sha256
from pagoda.models.shelf.package_index import package_index, pip_settings
from pagoda.models.shelf.settings import ShelfSettings
from pagoda.models.shelf.web import SourceError
from patience import HANG_S

NAME = "tiny_model-1.0-py3-none-any.whl"
# As PEP 503 shows it, with the attributes and the other files that an index lists beside.
PAGE = """<!DOCTYPE html><html><head><title>Links for tiny-model</title></head><body><h1>Links for tiny-model</h1>
<a href="../../files/tiny-model-1.0.tar.gz#sha256=00" >tiny-model-1.0.tar.gz</a><br/>
<a href="../../files/tiny_model-1.0-py3-none-any.whl#sha256=abc" data-requires-python="&gt;=3.9">the wheel</a><br/>
</body></html>"""


def test_pip_is_asked_for_its_settings_and_the_last_word_is_the_environment_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://one.example/simple\ncert = /etc/ca.pem\n"
        "extra-index-url =\n    https://two.example/simple\n    https://three.example/simple\n"
        "[install]\nindex-url = https://four.example/simple\n[list]\nindex-url = https://never.example\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    settings = pip_settings()
    assert settings["index-url"] == "https://four.example/simple"
    assert settings["extra-index-url"].split() == ["https://two.example/simple", "https://three.example/simple"]
    assert settings["cert"] == "/etc/ca.pem"
    monkeypatch.setenv("PIP_INDEX_URL", "https://five.example/simple")
    assert pip_settings()["index-url"] == "https://five.example/simple"


def test_without_pip_its_variables_and_uv_s_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/absent/python")
    assert pip_settings({"PIP_INDEX_URL": "https://a.example", "UV_INDEX_URL": "https://b.example"}) == {
        "index-url": "https://a.example"
    }
    assert pip_settings({"UV_INDEX_URL": "https://b.example"})["index-url"] == "https://b.example"


def test_settings_become_indexes() -> None:
    index = package_index(
        5, {"trusted-host": "a.example b.example:8443", "proxy": "http://proxy.example:3128", "cert": "/etc/ca.pem"}
    )
    assert index.web.unverified == {"a.example", "b.example"}
    assert (index.web.proxy, index.web.ca_file) == ("http://proxy.example:3128", "/etc/ca.pem")
    assert package_index(5, {"no-index": "true"}).indexes == ()
    with pytest.raises(SourceError, match="no-index"):
        package_index(5, {"no-index": "1"}).wheel("tiny-model", "1.0")


@pytest.mark.parametrize("asked", ["tiny-model", "Tiny.Model", "tiny_model"])
def test_a_wheel_is_found_in_json(place: Place, shelf_settings: ShelfSettings, asked: str) -> None:
    content = place.add_wheel(NAME, {"a": b"1"})
    wheel = package_index(HANG_S, {"index-url": f"{place.url}/simple/"}).wheel(asked, "1.0")
    assert wheel.url == f"{place.url}/files/{NAME}"
    assert (wheel.size, wheel.sha256) == (len(content), sha256(content))


def test_a_wheel_is_found_in_html(place: Place, shelf_settings: ShelfSettings) -> None:
    place.files["/simple/tiny-model/"] = PAGE.encode()
    wheel = package_index(HANG_S, {"index-url": f"{place.url}/simple"}).wheel("tiny-model", "1.0")
    assert (wheel.name, wheel.url, wheel.sha256) == (NAME, f"{place.url}/files/{NAME}", "abc")


def test_the_next_index_is_asked_and_each_says_why(place: Place, shelf_settings: ShelfSettings) -> None:
    place.add_wheel(NAME, {"a": b"1"})
    with serving() as other:
        other.told["/simple/tiny-model/"] = {"files": []}
        settings = {"index-url": f"{other.url}/simple", "extra-index-url": f"{place.url}/simple"}
        assert package_index(HANG_S, settings).wheel("tiny-model", "1.0").url.startswith(place.url)
        with pytest.raises(SourceError, match=rf"it has no tiny_model-2.0-py3-none-any.whl; .*it has no {NAME[:10]}"):
            package_index(HANG_S, settings).wheel("tiny-model", "2.0")
        other.told["/simple/tiny-model/"] = {"files": [{"name": "?"}]}
        with pytest.raises(SourceError, match="its answer is not an index's"):
            package_index(HANG_S, {"index-url": f"{other.url}/simple"}).wheel("tiny-model", "1.0")


def test_a_folder_of_wheels_and_an_index_of_files_are_read_too(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"PK")
    assert package_index(5, {"find-links": f"{tmp_path} /absent"}).wheel("tiny-model", "1.0").url.endswith(NAME)
    page = tmp_path / "simple" / "tiny-model" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE)
    index = package_index(5, {"index-url": (tmp_path / "simple").as_uri()})
    assert index.wheel("tiny-model", "1.0").url == (tmp_path / "files" / NAME).as_uri()


def test_the_index_s_password_goes_to_the_index_and_not_into_addresses(
    place: Place, shelf_settings: ShelfSettings
) -> None:
    place.add_wheel(NAME, {"a": b"1"})
    index = package_index(HANG_S, {"index-url": f"{place.url.replace('//', '//me:se%40cret@')}/simple"})
    wheel = index.wheel("tiny-model", "1.0")
    assert place.asked[0][1]["Authorization"] == wheel.headers["Authorization"] == "Basic bWU6c2VAY3JldA=="
    assert "cret" not in wheel.url
    assert "bWU6" not in repr(wheel)
