"""`pagoda serve`: what becomes of its command line, and of vLLM's scripts, up to the moment at which it would start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from pagoda.cli.console import first_model
from pagoda.engine.args import EngineArgs
from pagoda.errors import CheckpointError
from pagoda.models.shelf.folder import Shelf, ShelvedModel
from pagoda.models.shelf.settings import shelf_settings
from pagoda.server.config import ServerConfig

Invoke = Callable[..., Result]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[EngineArgs, ServerConfig]]:
    """What the server was asked to serve, in place of serving it."""
    calls: list[tuple[EngineArgs, ServerConfig]] = []
    monkeypatch.setattr("pagoda.server.serve.serve", lambda args, config, announce: calls.append((args, config)))
    monkeypatch.setattr("pagoda.server.observing.access_log.log_to_stderr", lambda: None)
    return calls


def test_a_script_of_vllm_s_starts_the_same_server(
    invoke: Invoke, started: list[tuple[EngineArgs, ServerConfig]], tmp_path: Path
) -> None:
    (tmp_path / "t.jinja").write_text("{{ messages }}")
    script = (
        "serve org/model --served-model-name main other --host 0.0.0.0 --port 81 --api-key k1 k2 --max-model-len 1K "
        "--tensor-parallel-size 1 --enforce-eager --swap-space 4 --disable-log-requests --enable-auto-tool-choice "
        "--tool-call-parser hermes --trust_remote_code --gpu-memory-utilization=0.8 --max-logprobs 5 --seed 3 "
        '--override-generation-config {"temperature":0.5} --hf-overrides {"a":1} --generation-config vllm '
        '--speculative-config {"method":"ngram","num_speculative_tokens":5} '
        f"--chat-template {tmp_path}/t.jinja --no-enable-prefix-caching --uvicorn-log-level warning -O3"
    )
    result = invoke(*script.split())
    assert result.exit_code == 0, result.output
    [(args, config)] = started
    assert args == EngineArgs(
        model="org/model", served_model_name=["main", "other"], max_model_len=1024, gpu_memory_utilization=0.8,
        max_logprobs=5, seed=3, override_generation_config={"temperature": 0.5}, hf_overrides={"a": 1},
        generation_config="vllm", enable_prefix_caching=False,
        speculative_config={"method": "ngram", "num_speculative_tokens": 5},
    )  # fmt: skip
    assert (config.host, config.port, config.api_keys) == ("0.0.0.0", 81, ("k1", "k2"))
    assert (config.chat_template, config.tool_call_parser) == ("{{ messages }}", "hermes")
    [warning] = [line for line in result.stderr.splitlines() if "without effect" in line]
    for flag in ("--enforce-eager (", "--swap-space (", "--disable-log-requests (", "--trust-remote-code ("):
        assert flag in warning
    assert "--api-key can be read" in result.stderr


@pytest.mark.parametrize(
    ("given", "model"), [(["m"], "m"), (["--model", "m"], "m"), (["m", "--model", "m"], "m"), ([], None)]
)
def test_the_model_is_given_either_way(
    given: list[str], model: str | None, invoke: Invoke, started: list[tuple[EngineArgs, ServerConfig]]
) -> None:
    assert invoke("serve", *given).exit_code == 0
    assert started[0][0].model == model


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serve a --model b", "give it once"),
        ("serve a --enable-lora", "adapters are not applied"),
        ("serve a --nnodes 2", "ranks are counted by tensor_parallel_size"),
        ("serve a --hf-overrides [1]", "a dict of config.json's keys"),
        ("serve a --speculative-config ngram", "a mapping is expected"),
        ('serve a --speculative-config {"num_speculative_tokens":5,"metod":"ngram"}', "no key 'metod'"),
        ("serve a --chat-template absent/t.jinja", "absent/t.jinja cannot be read"),
        ("serve a --served-model-name=", "none of them empty"),
        ("serve a --enforce-eger", "No such option"),
    ],
)
def test_what_cannot_be_is_one_line(
    line: str, said: str, invoke: Invoke, started: list[tuple[EngineArgs, ServerConfig]]
) -> None:
    result: Any = invoke(*line.split())
    assert result.exit_code == 2
    assert said in result.stderr
    assert started == []


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names that were pulled, onto an empty shelf of the test's own."""
    monkeypatch.setenv("PAGODA_HOME", str(tmp_path / "home"))
    names: list[str] = []

    def pull(name: str, settings: Any, progress: Any) -> None:
        if name != first_model.FIRST_MODEL:
            raise CheckpointError(f"{name}: nobody has it")
        names.append(name)
        shelf = Shelf(shelf_settings().folder)
        shelf.place(name).mkdir(parents=True)
        shelf.add(ShelvedModel(name, "", "a test", "1", "apache-2.0", ("en",), "Q4_1", "2026-01-01", ()))

    monkeypatch.setattr(first_model, "pull", pull)
    return names


def test_without_a_name_it_is_the_pulled_model_or_the_built_in_one_and_that_is_said(
    invoke: Invoke, started: list[tuple[EngineArgs, ServerConfig]], pulled: list[str]
) -> None:
    result = invoke("serve")
    assert "taking the built-in story-teller" in result.stderr
    assert "pull smollm2-135m-instruct" in result.stderr
    assert started[-1][0].model is None
    assert "which was pulled" in invoke("serve", "--pull").stderr
    assert "which was pulled" in invoke("serve").stderr
    assert [args.model for args, _ in started[1:]] == [first_model.FIRST_MODEL] * 2
    assert started[-1][0].served_names == (first_model.FIRST_MODEL,)
    assert pulled == [first_model.FIRST_MODEL] * 1


def test_where_the_first_model_cannot_be_had_the_built_in_one_serves(
    invoke: Invoke, started: list[tuple[EngineArgs, ServerConfig]], pulled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*arguments: Any) -> None:
        raise CheckpointError("there is no network")

    monkeypatch.setattr(first_model, "pull", no_network)
    result = invoke("serve", "--pull")
    assert result.exit_code == 0
    assert "smollm2-135m-instruct could not be fetched: there is no network" in result.stderr
    assert started[-1][0].model is None


def test_of_a_named_model_what_is_no_path_is_pulled_and_has_to_come(
    invoke: Invoke, started: list[tuple[EngineArgs, ServerConfig]], pulled: list[str], tmp_path: Path
) -> None:
    for name in ("builtin", "pagoda-builtin", str(tmp_path)):
        assert invoke("serve", "--pull", name).exit_code == 0
    assert pulled == []
    assert [args.model for args, _ in started] == [None, None, str(tmp_path)]
    result = invoke("serve", "--pull", "some/model")
    assert result.exit_code == 2
    assert "some/model: nobody has it" in result.stderr
    assert len(started) == 3


def test_a_dialogue_of_ones_own_is_served_as_it_is_talked_with(
    invoke: Invoke, started: list[tuple[EngineArgs, ServerConfig]]
) -> None:
    result = invoke(
        "serve", "m", "--dialogue", "d", "--domain", "my.yaml", "--graph", "bolt://g:1", "--graph-user", "me",
        "--graph-password-env", "MINE", "--graph-database", "films", "--trained", "t", "--timezone", "Asia/Shanghai",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    [(_, config)] = started
    assert (config.dialogue, config.domain, config.trained) == (Path("d"), Path("my.yaml"), Path("t"))
    assert (config.graph, config.graph_user, config.graph_password_env) == ("bolt://g:1", "me", "MINE")
    assert (config.graph_database, config.timezone) == ("films", "Asia/Shanghai")


@pytest.mark.parametrize("flag", ["--domain", "--graph", "--trained", "--timezone"])
def test_an_option_of_a_dialogue_without_one_is_refused(
    invoke: Invoke, started: list[tuple[EngineArgs, ServerConfig]], flag: str
) -> None:
    result = invoke("serve", "m", flag, "x")
    assert result.exit_code == 2
    assert "give dialogue, its folder, too" in result.stderr
    assert not started


@pytest.mark.parametrize(
    "command",
    [["serve", "m"], ["service", "desk"], ["recommend", "serve", "shop"], ["opinions", "watch", "--demo"]],
    ids=" ".join,
)
def test_each_command_that_starts_a_server_takes_the_same_address_and_keys(
    invoke: Invoke, started: list[tuple[EngineArgs, ServerConfig]], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("PAGODA_API_KEY", "k1,k2")
    monkeypatch.setenv("PAGODA_STAFF_KEY", "s1")
    names = ("--allowed-host", "desk.example", "--allowed-host", "*.shop.example")
    result = invoke(*command, "--host", "0.0.0.0", "--port", "81", *names)
    assert result.exit_code == 0, result.output
    assert invoke(*command).exit_code == 0
    (_, told), (_, default) = started
    assert (told.host, told.port, told.allowed_hosts) == ("0.0.0.0", 81, ("desk.example", "*.shop.example"))
    assert (default.host, default.port, default.allowed_hosts) == ("127.0.0.1", 8000, ())
    assert told.api_keys == default.api_keys == ("k1", "k2")
