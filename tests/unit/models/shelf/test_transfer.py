"""One file from a server: cuts, ranges, wrong hashes, full disks; it is whole in the end, or not there at all."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from model_hub import Place, serving, sha256
from pagoda.models.shelf.transfer import Patience, RemoteFile, Watcher, download, part_of
from pagoda.models.shelf.web import SourceError, Web
from patience import HANG_S

CONTENT = bytes(range(256)) * 4000
SIZE = len(CONTENT)


@pytest.fixture
def file(place: Place) -> RemoteFile:
    place.files["/model.gguf"] = CONTENT
    return RemoteFile(f"{place.url}/model.gguf", "model.gguf", SIZE, sha256(CONTENT))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "shelf" / "model.gguf"


def fetch(file: RemoteFile, target: Path, watcher: Watcher | None = None) -> str:
    return download(file, target, Web(HANG_S), Patience(2, 0, lambda _: None), watcher or Watcher())


def left_behind(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_arrives_whole_with_its_hash_and_nothing_beside_it(file: RemoteFile, target: Path) -> None:
    assert fetch(file, target) == sha256(CONTENT)
    assert target.read_bytes() == CONTENT
    assert left_behind(target) == ["model.gguf"]


def test_a_cut_is_gone_on_with_where_it_was(place: Place, file: RemoteFile, target: Path) -> None:
    place.cuts = [300_000, 0, 200_000]
    assert fetch(file, target) == sha256(CONTENT)
    assert target.read_bytes() == CONTENT
    assert place.ranges_of("model.gguf") == ["", "bytes=300000-", "bytes=300000-", "bytes=500000-"]


def test_a_server_without_ranges_is_read_from_the_beginning(place: Place, file: RemoteFile, target: Path) -> None:
    place.cuts, place.ranges = [300_000, 400_000], False
    fetch(file, target)
    assert target.read_bytes() == CONTENT


def test_what_came_before_is_hashed_and_only_the_rest_is_asked_for(
    place: Place, file: RemoteFile, target: Path
) -> None:
    target.parent.mkdir()
    part_of(file, target).write_bytes(CONTENT[:700_000])
    begun: list[int] = []

    class Follower(Watcher):
        def begun(self, name: str, size: int | None, have: int) -> None:
            begun.append(have)

    assert fetch(file, target, Follower()) == sha256(CONTENT)
    assert place.ranges_of("model.gguf") == ["bytes=700000-"]
    assert begun == [700_000]


def test_a_part_that_is_whole_already_is_not_asked_for(place: Place, file: RemoteFile, target: Path) -> None:
    target.parent.mkdir()
    part_of(file, target).write_bytes(CONTENT)
    fetch(file, target)
    assert place.asked == []
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("there", [b"\1" * 700_000, CONTENT + b"more", b"\1" * SIZE])
def test_a_part_that_was_damaged_is_fetched_anew(file: RemoteFile, target: Path, there: bytes) -> None:
    target.parent.mkdir()
    part_of(file, target).write_bytes(there)
    assert fetch(file, target) == sha256(CONTENT)
    assert target.read_bytes() == CONTENT


def test_a_part_larger_than_a_file_whose_size_nobody_tells_is_fetched_anew(
    place: Place, file: RemoteFile, target: Path
) -> None:
    target.parent.mkdir()
    unsized = RemoteFile(file.url, file.name, None, file.sha256)
    part_of(unsized, target).write_bytes(CONTENT + b"more")
    fetch(unsized, target)
    assert target.read_bytes() == CONTENT
    assert place.ranges_of("model.gguf") == [f"bytes={SIZE + 4}-", ""]


def test_a_file_without_a_hash_begins_anew_for_its_part_may_be_of_another_version(
    place: Place, file: RemoteFile, target: Path
) -> None:
    target.parent.mkdir()
    unhashed = RemoteFile(file.url, file.name, SIZE)
    part_of(unhashed, target).write_bytes(b"older")
    assert fetch(unhashed, target) == sha256(CONTENT)
    assert place.ranges_of("model.gguf") == [""]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"sha256": "0" * 64}, "came with the hash"),
        ({"git_id": "0" * 40, "sha256": None}, "came with the hash"),
        ({"size": SIZE + 1}, "bytes there, but"),
    ],
)
def test_what_comes_otherwise_than_told_is_refused_and_deleted(
    file: RemoteFile, target: Path, told: dict[str, object], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        fetch(RemoteFile(**{**vars(file), **told}), target)
    assert not target.exists()
    assert all(path.stat().st_size == 0 for path in target.parent.iterdir())


def test_a_missing_file_is_refused_at_once(place: Place, file: RemoteFile, target: Path) -> None:
    place.files.clear()
    with pytest.raises(SourceError, match="it answered 404"):
        fetch(file, target)
    assert len(place.asked) == 1


def test_a_server_that_is_busy_is_asked_again(place: Place, file: RemoteFile, target: Path) -> None:
    place.refusals["/model.gguf"] = [(503, ""), (429, "")]
    waits: list[str] = []

    class Follower(Watcher):
        def waiting(self, reason: str, seconds: float) -> None:
            waits.append(reason)

    fetch(file, target, Follower())
    assert waits == ["it answered 503 Service Unavailable", "it answered 429 Too Many Requests"]


def test_attempts_that_bring_nothing_come_to_an_end_and_the_part_stays(
    place: Place, file: RemoteFile, target: Path
) -> None:
    place.cuts = [300_000, 0, 0, 0, 0, 0]
    with pytest.raises(SourceError, match="the connection ended after 300,000 of 1,024,000 bytes"):
        fetch(file, target)
    assert part_of(file, target).read_bytes() == CONTENT[:300_000]
    place.cuts = []
    fetch(file, target)
    assert target.read_bytes() == CONTENT


def test_a_server_that_falls_silent_is_left_after_a_while(place: Place, file: RemoteFile, target: Path) -> None:
    place.cuts, place.holds = [300_000] * 9, threading.Event()
    with pytest.raises(SourceError, match=r"it does not answer \(timed out"):
        download(file, target, Web(0.2), Patience(0, 0), Watcher())
    assert part_of(file, target).stat().st_size == 300_000


def test_a_full_disk_is_no_fault_of_the_server_s(
    place: Place, file: RemoteFile, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pagoda.models.shelf.transfer._Part.add", full)
    with pytest.raises(OSError, match="No space left") as caught:
        fetch(file, target)
    assert not isinstance(caught.value, SourceError)
    assert len(place.asked) == 1


def test_no_server_at_all_is_one_sentence(target: Path) -> None:
    with serving() as gone:
        pass
    with pytest.raises(SourceError, match=r"it does not answer \(Connection refused\)"):
        fetch(RemoteFile(f"{gone.url}/model.gguf", "model.gguf", 1, "0" * 64), target)


def test_a_token_goes_to_its_host_and_to_no_other(place: Place, file: RemoteFile, target: Path) -> None:
    with serving() as elsewhere:
        elsewhere.files["/there"] = CONTENT
        place.redirects = {"/model.gguf": "/renamed.gguf", "/renamed.gguf": f"{elsewhere.url}/there"}
        fetch(RemoteFile(**{**vars(file), "headers": {"Authorization": "Bearer secret"}}), target)
        sent = [headers.get("Authorization") for _, headers in (*place.asked, *elsewhere.asked)]
    assert sent == ["Bearer secret", "Bearer secret", None]
    assert target.read_bytes() == CONTENT


def test_a_redirection_to_this_machine_s_files_is_not_followed(place: Place, file: RemoteFile, target: Path) -> None:
    place.redirects["/model.gguf"] = "file:///etc/hostname"
    with pytest.raises(SourceError, match="not allowed"):
        fetch(file, target)
