"""The command line in this process: what `generate` and the root print, what they refuse and with which exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import Result

import pagoda.llm
from pagoda import __version__
from pagoda.cli.console.environment import Language, preferred_language
from pagoda.cli.console.interrupts import StopOnInterrupt
from pagoda.cli.console.options import SERVER_OPTIONS
from pagoda.cli.console.prompts import read_prompts
from pagoda.errors import InvalidRequestError
from pagoda.server.config import ServerConfig

Invoke = Callable[..., Result]
Generate = Callable[..., Result]


@pytest.fixture(scope="session")
def checkpoint(cli_checkpoint: Callable[[int], str]) -> str:
    """A model with a short context."""
    return cli_checkpoint(256)


@pytest.fixture
def generate(invoke: Invoke) -> Generate:
    """`generate(checkpoint, *arguments, stdin=None)`: the command, which must succeed."""

    def run(checkpoint: str, *arguments: str, stdin: str | bytes | None = None) -> Result:
        result = invoke(
            "generate", "--model", checkpoint, "--max-num-seqs", "4", "--seed", "1", "--max-tokens", "8",
            "--ignore-eos", *arguments, stdin=stdin,
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        return result

    return run


def json_lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test."""

    def refuse(*arguments: object, **keywords: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(pagoda.llm.LLM, "__init__", refuse)


# generate


def test_stdout_holds_the_completion_alone_and_stderr_the_rest(generate: Generate, checkpoint: str) -> None:
    result = generate(checkpoint, "the fox")
    expected = json_lines(generate(checkpoint, "the fox", "--json"))[0]["text"]
    assert result.stdout == f"{expected}\n"
    assert "KV blocks" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("1 request, 8 tokens in ")
    assert result.stderr.rstrip().endswith("tokens/s")


def test_completions_of_several_prompts_come_in_order_divided_by_an_empty_line(
    generate: Generate, checkpoint: str
) -> None:
    texts = [line["text"] for line in json_lines(generate(checkpoint, "the fox", "the moon", "--json"))]
    result = generate(checkpoint, "the fox", "the moon")
    assert result.stdout == f"{texts[0]}\n\n{texts[1]}\n"
    assert result.stderr.splitlines()[-1].startswith("2 requests, 16 tokens in ")


def test_echo_prints_every_completion_under_its_prompt(generate: Generate, checkpoint: str) -> None:
    texts = [line["text"] for line in json_lines(generate(checkpoint, "the fox", "the moon", "--json"))]
    result = generate(checkpoint, "the fox", "the moon", "--echo")
    assert result.stdout == f"> the fox\n{texts[0]}\n\n> the moon\n{texts[1]}\n"


def test_json_lines_say_all_there_is_to_a_completion(generate: Generate, checkpoint: str) -> None:
    (line, second) = json_lines(generate(checkpoint, "春风", "--n", "2", "--json"))
    assert line["prompt"] == second["prompt"] == "春风"
    assert (line["index"], second["index"]) == (0, 1)
    assert (line["finish_reason"], line["num_completion_tokens"]) == ("length", 8)
    assert isinstance(line["num_prompt_tokens"], int)
    assert line["num_prompt_tokens"] > 1


def test_quiet_leaves_stderr_empty(generate: Generate, checkpoint: str) -> None:
    assert generate(checkpoint, "the fox", "--quiet").stderr == ""


def test_a_seed_repeats_the_text_and_no_seed_does_not(invoke: Invoke, checkpoint: str) -> None:
    arguments = ("generate", "-m", checkpoint, "--max-num-seqs", "2", "--max-tokens", "12", "--ignore-eos", "the fox")
    unseeded = {invoke(*arguments).stdout for _ in range(3)}
    seeded = {invoke(*arguments, "--seed", "5").stdout for _ in range(2)}
    assert len(unseeded) > 1
    assert len(seeded) == 1


def test_stdin_is_one_prompt_unless_lines_are_asked_for(generate: Generate, checkpoint: str) -> None:
    whole = json_lines(generate(checkpoint, "--json", stdin="the fox\nthe moon\n"))
    lines = json_lines(generate(checkpoint, "--json", "--lines", stdin="the fox\n\nthe moon\n"))
    assert [line["prompt"] for line in whole] == ["the fox\nthe moon"]
    assert [line["prompt"] for line in lines] == ["the fox", "the moon"]


def test_a_file_holds_one_prompt_a_line_and_follows_the_arguments(
    generate: Generate, checkpoint: str, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_bytes("\ufeffthe fox\r\n\n  the moon\n".encode())
    lines = json_lines(generate(checkpoint, "first", "--file", str(tmp_path / "prompts.txt"), "--json"))
    assert [line["prompt"] for line in lines] == ["first", "the fox", "  the moon"]


def test_a_dash_is_stdin(generate: Generate, checkpoint: str) -> None:
    assert [line["prompt"] for line in json_lines(generate(checkpoint, "-f", "-", "--json", stdin="the fox"))] == [
        "the fox"
    ]


def test_a_schema_shapes_the_text(invoke: Invoke, checkpoint: str, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"a": {"enum": ["fox", "moon"]}}, "required": ["a"], '
                      '"additionalProperties": false}')  # fmt: skip
    arguments = ("generate", "-m", checkpoint, "--max-num-seqs", "2", "--max-tokens", "60", "--seed", "1", "the")
    result = invoke(*arguments, "--json-schema", str(schema))
    assert json.loads(result.stdout)["a"] in ("fox", "moon")


def test_a_regex_and_choices_shape_the_text(generate: Generate, checkpoint: str) -> None:
    assert generate(checkpoint, "the", "--regex", "[0-9]{3}", "--quiet").stdout.strip().isdigit()
    chosen = generate(checkpoint, "the", "--choice", "fox", "--choice", "moon", "--quiet").stdout
    assert chosen.strip() in ("fox", "moon")


# mistakes


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--temperature", "3", "x"), "temperature is 3.0, expected a number in [0, 2]"),
        (("--min-tokens", "900", "x"), "min_tokens is 900, expected at most max_tokens"),
        (("--dtype", "float23", "x"), 'did you mean "float32"?'),
        (("--kv-cache-memory-fraction", "2", "x"), "kv_cache_memory_fraction=2.0"),
        (("--temprature", "1", "x"), "--temperature"),
        (("--top-k", "many", "x"), "--top-k"),
        (("",), "prompt 1 is empty"),
        (("--file", "nowhere.txt"), "cannot read the prompts in nowhere.txt"),
        (("--json-schema", "nowhere.json", "x"), "cannot read nowhere.json"),
        (("--regex", "a", "--choice", "b", "x"), "expected exactly one"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2_before_any_model_is_loaded(
    invoke: Invoke, arguments: Sequence[str], words: str
) -> None:
    result = invoke("generate", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert words in result.stderr


@pytest.mark.usefixtures("no_model")
def test_a_broken_schema_is_refused_with_the_place(invoke: Invoke, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": ')
    broken = invoke("generate", "--json-schema", str(schema), "x")
    schema.write_text("[1]")
    no_object = invoke("generate", "--json-schema", str(schema), "x")
    assert (broken.exit_code, no_object.exit_code) == (2, 2)
    assert "line 1 column" in broken.stderr
    assert "holds a list" in no_object.stderr


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("command", [("generate",), ("generate", "--lines")])
def test_no_prompt_at_all_is_refused(invoke: Invoke, command: Sequence[str]) -> None:
    result = invoke(*command, stdin="")
    assert result.exit_code == 2
    assert "prompt" in result.stderr


@pytest.mark.usefixtures("no_model")
def test_bytes_that_are_no_text_are_refused(invoke: Invoke) -> None:
    assert "stdin is not UTF-8 text" in invoke("generate", stdin=b"\xff\xfe fox").stderr
    with pytest.raises(InvalidRequestError, match="prompt 1 is not UTF-8"):
        read_prompts([os.fsdecode(b"\xff fox")], None, lines=False)


def test_a_missing_model_is_the_callers_mistake(invoke: Invoke) -> None:
    result = invoke("generate", "--model", "/no/such/model", "x")
    assert result.exit_code == 2
    assert "there is no /no/such/model" in result.stderr


def test_too_little_memory_is_a_failure_of_another_kind(invoke: Invoke, checkpoint: str) -> None:
    result = invoke("generate", "-m", checkpoint, "--kv-cache-memory-fraction", "0.00000001", "x")
    assert result.exit_code == 1
    assert result.stderr.count("error: ") == 1


@pytest.mark.usefixtures("no_model")
def test_an_unforeseen_error_is_one_line_and_a_traceback_only_when_asked_for(invoke: Invoke) -> None:
    plain = invoke("generate", "x")
    asked = invoke("generate", "x", PAGODA_TRACEBACK="1")
    assert plain.exit_code == asked.exit_code == 1
    assert "AssertionError: a model was loaded" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in asked.stderr


def test_errors_are_chinese_in_a_chinese_locale_and_by_option(invoke: Invoke) -> None:
    assert invoke("generate", "-t", "9", "x", LC_ALL="zh_CN.UTF-8").stderr.startswith("错误：")
    assert invoke("--lang", "zh", "generate", "-t", "9", "x").stderr.startswith("错误：")
    assert invoke("--lang", "en", "generate", "-t", "9", "x", LC_ALL="zh_CN.UTF-8").stderr.startswith("error: ")


def test_lc_all_goes_before_lang_and_an_empty_one_does_not_count() -> None:
    assert preferred_language({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}) is Language.EN
    assert preferred_language({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "zh_TW"}) is Language.ZH
    assert preferred_language({}) is Language.EN


# the root


def test_version_and_help_are_told(invoke: Invoke) -> None:
    assert invoke("--version").stdout == f"pagoda {__version__}\n"
    for arguments in ((), ("--help",)):
        result = invoke(*arguments)
        assert result.exit_code == 0
        assert all(name in result.stdout for name in ("generate", "chat", "train", "bench", "plan"))


@pytest.mark.parametrize("arguments", [("genrate", "x"), ("--lnag",), ("bench",)])
def test_an_unknown_command_or_option_is_one_line_too(invoke: Invoke, arguments: Sequence[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "--help" in result.stderr


def test_help_shows_the_defaults_of_the_records_themselves(invoke: Invoke) -> None:
    text = " ".join(invoke("generate", "--help").stdout.split())
    assert "(default 256)" in text
    assert "(default 0.4)" in text
    assert "--enable-prefix-caching" in text
    assert "MISSING" not in text


# Ctrl-C


def test_the_first_ctrl_c_waits_and_the_second_does_not() -> None:
    asked: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with StopOnInterrupt(lambda: asked.append("once")) as interrupt:
        assert not interrupt.requested
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert asked == ["once"]
    assert signal.getsignal(signal.SIGINT) is before


def test_every_setting_of_the_server_has_its_option() -> None:
    """Keys come from the environment: an option would stand in the process list."""
    settings = {field.name for field in dataclasses.fields(ServerConfig)} - {"api_keys", "staff_keys"}
    assert {option.name for option in SERVER_OPTIONS} == settings
