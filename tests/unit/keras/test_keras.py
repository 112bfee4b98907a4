"""Keras layers and the Keras Llama against ours on every backend that is installed, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pagoda.errors import ConfigError, MissingExtraError
from patience import HANG_S

CHECKS = Path(__file__).with_name("on_backend.py")
BACKENDS = ("torch", "jax", "tensorflow")
LAYERS = (
    "rotary_of_every_kind",
    "rotary_of_several_axes",
    "rotary_of_other_shapes",
    "norms",
    "gradients",
    "compiled",
    "saved_and_loaded",
    "refusals",
)
MODELS = ("llamas", "other_networks", "checkpoint")


def run_on(backend: str, *arguments: str) -> str:
    """What the process said. Skips where the backend is not installed."""
    for package in ("keras", backend):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}, which is not installed")
    environment = os.environ | {"KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, str(CHECKS), backend, *arguments],
        capture_output=True,
        text=True,
        timeout=2 * HANG_S,
        env=environment,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_are_ours_values_and_gradients_eager_compiled_and_saved(backend: str) -> None:
    assert run_on(backend, ",".join(LAYERS)).split() == [*LAYERS]


def test_llamas_of_every_switch_give_our_logits() -> None:
    assert run_on("torch", "llamas,other_networks").split() == ["llamas", "other_networks"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_built_in_model_gives_our_logits_and_text(backend: str) -> None:
    assert run_on(backend, "checkpoint").split() == ["checkpoint"]


@pytest.mark.real_model
def test_a_real_gguf_file_gives_our_logits_and_text(smollm2: Path) -> None:
    # The first token's states reach 25,000, those of others a few hundred: 1.0e-4 was met there, 5e-5 elsewhere.
    assert "checkpoint" in run_on("torch", "checkpoint", str(smollm2), "3e-4")


def test_every_check_is_run() -> None:
    named = {
        line.split("(")[0].removeprefix("def ") for line in CHECKS.read_text("utf-8").splitlines() if line[:4] == "def "
    }
    helpers = {"numpy_of", "layer_of", "ours_of", "expected", "close", "_gradients", "_torch_logits", "_torch_model"}
    assert named - helpers == {*LAYERS, *MODELS, "kerashub"}


def test_kerashub_agrees_where_it_is_right_and_the_check_names_where_it_is_wrong() -> None:
    if find_spec("keras_hub") is None:
        pytest.skip("needs keras_hub, which is not installed")
    run_on("torch", "kerashub")


def test_without_keras_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import pagoda.keras

    monkeypatch.setattr("pagoda.keras.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"\[keras\]"):
        _ = pagoda.keras.RotaryEmbedding
    with pytest.raises(AttributeError, match="no attribute 'Rotary'"):
        _ = pagoda.keras.Rotary


def test_a_backend_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import pagoda.keras

    def missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr("pagoda.keras.find_spec", lambda _: True)
    monkeypatch.setattr("pagoda.keras.import_module", missing)
    with pytest.raises(ConfigError, match="KERAS_BACKEND=torch"):
        _ = pagoda.keras.RotaryEmbedding
