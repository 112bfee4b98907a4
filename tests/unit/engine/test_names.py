"""A model is shown everywhere under the name that it was asked for by, or that its operator gave it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pagoda.engine.args import EngineArgs
from pagoda.engine.chat_model import EngineChatModel
from pagoda.engine.process.async_engine import AsyncEngine
from pagoda.errors import ConfigError
from pagoda.llm import LLM
from patience import HANG_S

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A hub's cache, as a download leaves it, that holds one model."""
    model = tmp_path / "models--acme--Tiny-Llama"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    shutil.copytree(checkpoint(), model / "snapshots" / COMMIT)
    return tmp_path


def test_a_hub_id_is_the_name_before_and_after_loading(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    settings = {"download_dir": str(hub_cache), "num_gpu_blocks_override": 64, "device": "cpu"}
    llm = LLM("acme/Tiny-Llama", **settings)
    assert llm.llm_engine.parts.args.served_names == ("acme/Tiny-Llama",)
    assert llm.llm_engine.parts.path.name == COMMIT
    assert capfd.readouterr().err.startswith("acme/Tiny-Llama: ")
    assert EngineChatModel("acme/Tiny-Llama", **settings).name == "acme/Tiny-Llama"
    named = LLM("acme/Tiny-Llama", served_model_name=["main", "other"], tokenizer="acme/Tiny-Llama", **settings)
    assert capfd.readouterr().err.startswith("main: ")
    assert named.get_tokenizer().encode("fox") == llm.get_tokenizer().encode("fox")


def test_the_engine_s_process_tells_the_name_and_not_the_place(
    checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> str:
        engine = AsyncEngine(EngineArgs(model=".", num_gpu_blocks_override=64, device="cpu", disable_log_stats=True))
        try:
            await engine.start()
            return engine.info.model
        finally:
            await engine.stop()

    monkeypatch.chdir(checkpoint())
    assert asyncio.run(asyncio.wait_for(main(), HANG_S)) == checkpoint().name


@pytest.mark.parametrize(
    ("args", "shown", "accepted"),
    [
        ({}, ("pagoda-builtin",), ("pagoda-builtin",)),
        ({"model": "acme/Tiny"}, ("acme/Tiny",), ("acme/Tiny",)),
        ({"model": "/"}, ("/",), ("/",)),
        ({"model": "/usr/lib/"}, ("lib",), ("lib", "/usr/lib/")),
        ({"model": "/usr/lib", "served_model_name": "x"}, ("x",), ("x",)),
        ({"served_model_name": ["x", "org/y", "x"]}, ("x", "org/y"), ("x", "org/y")),
    ],
)
def test_names_that_are_shown_and_names_that_are_answered_to(
    args: dict[str, object], shown: tuple[str, ...], accepted: tuple[str, ...]
) -> None:
    told = EngineArgs(**args)  # type: ignore[arg-type]
    assert told.served_names == shown
    assert tuple(dict.fromkeys(told.accepted_names)) == accepted


@pytest.mark.parametrize("names", ["", " ", ["a", ""], [3], 7, {"a": 1}])
def test_an_empty_name_is_refused(names: object) -> None:
    with pytest.raises(ConfigError, match="served_model_name="):
        EngineArgs(served_model_name=names)  # type: ignore[arg-type]
