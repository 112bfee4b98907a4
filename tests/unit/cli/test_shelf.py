"""`pagoda pull`, `list`, `show` and `rm`: what they print, to a person, to a log and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from model_hub import Place, sha256
from pagoda.cli.console.environment import Language
from pagoda.cli.console.messages import messages_in
from pagoda.cli.console.shelf_words import CHINESE, ENGLISH, shelf_words
from pagoda.models.shelf.catalogue import CATALOGUE, CatalogueEntry
from pagoda.models.shelf.settings import ShelfSettings

Invoke = Callable[..., Result]
GGUF = b"GGUF" * 100


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_pull_says_where_the_model_is_and_how_it_is_used(
    invoke: Invoke, shelf_settings: ShelfSettings, packaged: CatalogueEntry
) -> None:
    result = invoke("pull", "tiny")
    path = shelf_settings.folder / "tiny" / packaged.hub.name
    assert result.exit_code == 0
    assert result.stdout.startswith(f"tiny: 128.0 kB in {path}, pulled in ")
    lines = result.stderr.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["asking", f"{shelf_settings.hub[7:]}", "asking"]
    assert "serve tiny" in lines[-1]
    again = invoke("pull", "TINY")
    assert again.stdout == f"tiny is there already: 128.0 kB in {path}\n"


def test_a_log_gets_a_line_now_and_then(
    invoke: Invoke, place: Place, shelf_settings: ShelfSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pagoda.cli.console.downloads._LINE_EVERY_S", 0.0)
    place.repositories["org/Name"] = {"name-q8_0.gguf": GGUF}
    result = invoke("pull", "org/Name")
    assert "name-q8_0.gguf: 400 bytes to come" in result.stderr
    assert "name-q8_0.gguf: 400 bytes of 400 bytes (100 %), " in result.stderr


def test_what_came_before_is_said_to_be_gone_on_with(
    invoke: Invoke, place: Place, shelf_settings: ShelfSettings
) -> None:
    place.repositories["org/Name"] = {"name-q8_0.gguf": GGUF}
    part = shelf_settings.folder / "org--name" / f"name-q8_0.gguf.{sha256(GGUF)[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(GGUF[:100])
    assert "cut short: org--name" in invoke("list").stderr
    assert "100 bytes of 400 bytes are there, going on from them" in invoke("pull", "org/Name").stderr


def test_ctrl_c_keeps_what_came_and_says_so(
    invoke: Invoke, place: Place, shelf_settings: ShelfSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(watcher: Any, num_bytes: int) -> None:
        watcher._have += num_bytes
        raise KeyboardInterrupt

    place.repositories["org/Name"] = {"name-q8_0.gguf": GGUF}
    monkeypatch.setattr("pagoda.cli.console.downloads.DownloadProgress.received", interrupt)
    result = invoke("pull", "org/Name")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-2:] == [ENGLISH.kept, "stopped by Ctrl-C"]
    assert list(shelf_settings.folder.rglob("*.part"))


def test_a_name_that_is_none_is_refused_before_anything_is_asked(
    invoke: Invoke, place: Place, shelf_settings: ShelfSettings
) -> None:
    for command in ("pull", "show", "rm"):
        result = invoke(command, "smollm2-135m-instuct")
        assert result.exit_code == 2
        assert 'did you mean "smollm2-135m-instruct"?' in result.stderr
        assert result.stderr.count("\n") == 1
    assert place.asked == []


def test_a_pull_that_fails_is_one_line_after_what_was_tried(
    invoke: Invoke, place: Place, shelf_settings: ShelfSettings
) -> None:
    result = invoke("pull", "org/Absent")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: org/Absent cannot be fetched. ")


def test_json_says_all_there_is(invoke: Invoke, shelf_settings: ShelfSettings, packaged: CatalogueEntry) -> None:
    pulled = told(invoke("pull", "tiny", "--json"))
    assert (pulled["name"], pulled["fetched"], pulled["pulled"]) == ("tiny", True, True)
    assert Path(pulled["path"]).is_file()
    assert not told(invoke("pull", "tiny", "--json"))["fetched"]
    (listed,) = told(invoke("list", "--json"))
    assert listed["files"] == [{"name": packaged.hub.name, "size": packaged.hub.size, "sha256": packaged.hub.sha256}]
    everything = told(invoke("list", "--all", "--json"))
    assert [entry["name"] for entry in everything] == ["tiny", *(name for name in CATALOGUE if name != "tiny")]
    shown = told(invoke("show", "tiny", "--json"))
    assert (shown["architecture"], shown["pulled"], shown["path"]) == ("llama", True, pulled["path"])


def test_show_tells_what_can_be_pulled_and_what_lies_here(
    invoke: Invoke, place: Place, shelf_settings: ShelfSettings, packaged: CatalogueEntry
) -> None:
    before = invoke("show", "tiny")
    assert "134,515,008" in before.stdout
    assert "tiny-model 1.0: tiny_model/Tiny.Q4_1.gguf" in before.stdout
    assert "pull tiny" in before.stderr
    assert place.asked == []
    invoke("pull", "tiny")
    after = invoke("show", "tiny")
    assert f"sha256 {packaged.hub.sha256}" in after.stdout
    assert after.stderr == ""


def test_show_knows_no_more_of_a_hub_id_than_what_was_pulled(
    invoke: Invoke, place: Place, shelf_settings: ShelfSettings
) -> None:
    assert invoke("show", "org/Name").exit_code == 2
    place.repositories["org/Name"] = {"name-q8_0.gguf": GGUF}
    place.cards["org/Name"] = {"license": "mit", "language": ["en"]}
    invoke("pull", "org/Name")
    assert "is of GGUF version" in told(invoke("show", "org/Name", "--json"))["problem"]
    lines = dict(line.split(maxsplit=1) for line in invoke("show", "org/Name").stdout.splitlines() if line[0] != " ")
    assert (lines["name"], lines["quantisation"], lines["licence"]) == ("org/Name", "Q8_0", "mit")


def test_show_reads_a_pulled_checkpoint_for_what_it_is(
    invoke: Invoke, place: Place, shelf_settings: ShelfSettings, cli_checkpoint: Callable[[int], str]
) -> None:
    files = Path(cli_checkpoint(64)).iterdir()
    place.repositories["org/Dense"] = {file.name: file.read_bytes() for file in files}
    assert invoke("pull", "org/Dense").exit_code == 0
    facts = told(invoke("show", "org/Dense", "--json"))
    assert (facts["architecture"], facts["context"]) == ("LlamaForCausalLM", 64)
    assert "64 tokens" in invoke("show", "org/Dense").stdout


def test_rm_asks_and_where_nobody_can_answer_wants_to_be_told(
    invoke: Invoke, shelf_settings: ShelfSettings, packaged: CatalogueEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke("rm", "tiny").exit_code == 2
    invoke("pull", "tiny")
    assert "--yes deletes without asking" in invoke("rm", "tiny").stderr
    monkeypatch.setattr("pagoda.cli.shelf._is_person", lambda: True)
    assert invoke("rm", "tiny", stdin="n\n").exit_code == 1
    assert told(invoke("list", "--json"))
    assert invoke("rm", "tiny", stdin="y\n").exit_code == 0
    assert told(invoke("list", "--json")) == []
    invoke("pull", "tiny")
    assert "kB are free again" in invoke("rm", "tiny", "-y").stdout
    assert not (shelf_settings.folder / "tiny").exists()


def test_an_empty_shelf_says_what_can_be_done(invoke: Invoke, shelf_settings: ShelfSettings) -> None:
    result = invoke("list")
    assert result.stdout == ""
    assert "list --all" in result.stderr
    assert "smollm2-135m-instruct" in invoke("list", "--all").stdout


def test_all_of_it_is_said_in_chinese_too(
    invoke: Invoke, shelf_settings: ShelfSettings, packaged: CatalogueEntry
) -> None:
    assert "用时" in invoke("--lang", "zh", "pull", "tiny").stdout
    assert "最小的对话模型" in invoke("--lang", "zh", "show", "tiny").stdout
    assert "已删除" in invoke("--lang", "zh", "rm", "tiny", "-y").stdout
    assert shelf_words(messages_in(Language.ZH)) is CHINESE


@pytest.mark.parametrize("command", ["pull", "show", "rm"])
def test_a_path_of_this_machine_is_said_to_be_one(
    command: str, invoke: Invoke, shelf_settings: ShelfSettings, tmp_path: Path
) -> None:
    (tmp_path / "model.gguf").write_bytes(GGUF)
    (tmp_path / "folder").mkdir()
    for name in (str(tmp_path / "model.gguf"), str(tmp_path / "folder")):
        result = invoke(command, name)
        assert result.exit_code == 2
        assert f"{name} lies on this machine and not on the shelf" in result.stderr
        assert f"chat --model {name}" in result.stderr
    assert "不在模型架上" in invoke(command, str(tmp_path / "folder"), LC_ALL="zh_CN.UTF-8").stderr
    assert "there is no ./nosuch.gguf" in invoke(command, "./nosuch.gguf").stderr
