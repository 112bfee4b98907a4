"""The command line in this process: what it prints, what it refuses and with which exit code."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import pagoda.llm
from pagoda import __version__
from pagoda.cli.app import app
from pagoda.cli.bench import Workload
from pagoda.cli.conversation import Conversation, Message
from pagoda.cli.environment import Language, preferred_language
from pagoda.cli.interrupts import StopOnInterrupt
from pagoda.cli.prompts import read_prompts
from pagoda.errors import ConfigError, InvalidRequestError
from pagoda.kernels.reference import ReferenceKernels
from pagoda.models.config import ModelConfig
from pagoda.models.llama import LlamaForCausalLM
from pagoda.models.loader import save_checkpoint
from pagoda.train.config import TokenizerConfig
from pagoda.train.data import save_tokenizer, train_tokenizer

WORDS = "the little fox looked at the moon and the moon looked back. 春风又绿江南岸。"
CONTEXT = 256


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random model with a tokenizer and a chat template: its words mean nothing, its seeds repeat."""
    directory = tmp_path_factory.mktemp("cli") / "tiny"
    tokenizer = train_tokenizer(iter([WORDS] * 20), TokenizerConfig(vocab_size=320))
    config = ModelConfig(
        vocab_size=320, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=CONTEXT, tie_word_embeddings=True,
        bos_token_id=0, eos_token_ids=(0,),
    )  # fmt: skip
    model = LlamaForCausalLM(config, ReferenceKernels())
    model.initialize(0)
    save_checkpoint(model, config, directory)
    save_tokenizer(tokenizer, directory, CONTEXT)
    return str(directory)


def invoke(*arguments: str, stdin: str | bytes | None = None, **environment: str) -> Result:
    runner = CliRunner(env={"LC_ALL": "C", "LANG": "C", "PAGODA_TRACEBACK": "", **environment})
    return runner.invoke(app, list(arguments), input=stdin)


def generate(checkpoint: str, *arguments: str, stdin: str | bytes | None = None) -> Result:
    result = invoke(
        "generate", "--model", checkpoint, "--max-num-seqs", "4", "--seed", "1", "--max-tokens", "8", "--ignore-eos",
        *arguments, stdin=stdin,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return result


def json_lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test."""

    def refuse(*arguments: object, **keywords: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(pagoda.llm.LLM, "__init__", refuse)


# generate


def test_stdout_holds_the_completion_alone_and_stderr_the_rest(checkpoint: str) -> None:
    result = generate(checkpoint, "the fox")
    expected = json_lines(generate(checkpoint, "the fox", "--json"))[0]["text"]
    assert result.stdout == f"{expected}\n"
    assert "KV blocks" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("1 request, 8 tokens in ")
    assert result.stderr.rstrip().endswith("tokens/s")


def test_completions_of_several_prompts_come_in_order_divided_by_an_empty_line(checkpoint: str) -> None:
    texts = [line["text"] for line in json_lines(generate(checkpoint, "the fox", "the moon", "--json"))]
    result = generate(checkpoint, "the fox", "the moon")
    assert result.stdout == f"{texts[0]}\n\n{texts[1]}\n"
    assert result.stderr.splitlines()[-1].startswith("2 requests, 16 tokens in ")


def test_echo_prints_every_completion_under_its_prompt(checkpoint: str) -> None:
    texts = [line["text"] for line in json_lines(generate(checkpoint, "the fox", "the moon", "--json"))]
    result = generate(checkpoint, "the fox", "the moon", "--echo")
    assert result.stdout == f"> the fox\n{texts[0]}\n\n> the moon\n{texts[1]}\n"


def test_json_lines_say_all_there_is_to_a_completion(checkpoint: str) -> None:
    (line, second) = json_lines(generate(checkpoint, "春风", "--n", "2", "--json"))
    assert line["prompt"] == second["prompt"] == "春风"
    assert (line["index"], second["index"]) == (0, 1)
    assert (line["finish_reason"], line["num_completion_tokens"]) == ("length", 8)
    assert isinstance(line["num_prompt_tokens"], int)
    assert line["num_prompt_tokens"] > 1


def test_quiet_leaves_stderr_empty(checkpoint: str) -> None:
    assert generate(checkpoint, "the fox", "--quiet").stderr == ""


def test_a_seed_repeats_the_text_and_no_seed_does_not(checkpoint: str) -> None:
    arguments = ("generate", "-m", checkpoint, "--max-num-seqs", "2", "--max-tokens", "12", "--ignore-eos", "the fox")
    unseeded = {invoke(*arguments).stdout for _ in range(3)}
    seeded = {invoke(*arguments, "--seed", "5").stdout for _ in range(2)}
    assert len(unseeded) > 1
    assert len(seeded) == 1


def test_stdin_is_one_prompt_unless_lines_are_asked_for(checkpoint: str) -> None:
    whole = json_lines(generate(checkpoint, "--json", stdin="the fox\nthe moon\n"))
    lines = json_lines(generate(checkpoint, "--json", "--lines", stdin="the fox\n\nthe moon\n"))
    assert [line["prompt"] for line in whole] == ["the fox\nthe moon"]
    assert [line["prompt"] for line in lines] == ["the fox", "the moon"]


def test_a_file_holds_one_prompt_a_line_and_follows_the_arguments(checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes("\ufeffthe fox\r\n\n  the moon\n".encode())
    lines = json_lines(generate(checkpoint, "first", "--file", str(tmp_path / "prompts.txt"), "--json"))
    assert [line["prompt"] for line in lines] == ["first", "the fox", "  the moon"]


def test_a_dash_is_stdin(checkpoint: str) -> None:
    assert [line["prompt"] for line in json_lines(generate(checkpoint, "-f", "-", "--json", stdin="the fox"))] == [
        "the fox"
    ]


def test_a_schema_shapes_the_text(checkpoint: str, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"a": {"enum": ["fox", "moon"]}}, "required": ["a"], '
                      '"additionalProperties": false}')  # fmt: skip
    arguments = ("generate", "-m", checkpoint, "--max-num-seqs", "2", "--max-tokens", "60", "--seed", "1", "the")
    result = invoke(*arguments, "--json-schema", str(schema))
    assert json.loads(result.stdout)["a"] in ("fox", "moon")


def test_a_regex_and_choices_shape_the_text(checkpoint: str) -> None:
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
def test_a_mistake_is_one_line_and_exit_code_2_before_any_model_is_loaded(arguments: Sequence[str], words: str) -> None:
    result = invoke("generate", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert words in result.stderr


@pytest.mark.usefixtures("no_model")
def test_a_broken_schema_is_refused_with_the_place(tmp_path: Path) -> None:
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
def test_no_prompt_at_all_is_refused(command: Sequence[str]) -> None:
    result = invoke(*command, stdin="")
    assert result.exit_code == 2
    assert "prompt" in result.stderr


@pytest.mark.usefixtures("no_model")
def test_bytes_that_are_no_text_are_refused() -> None:
    assert "stdin is not UTF-8 text" in invoke("generate", stdin=b"\xff\xfe fox").stderr
    with pytest.raises(InvalidRequestError, match="prompt 1 is not UTF-8"):
        read_prompts([os.fsdecode(b"\xff fox")], None, lines=False)


def test_a_missing_model_is_the_callers_mistake() -> None:
    result = invoke("generate", "--model", "/no/such/model", "x")
    assert result.exit_code == 2
    assert "no model '/no/such/model'" in result.stderr


def test_too_little_memory_is_a_failure_of_another_kind(checkpoint: str) -> None:
    result = invoke("generate", "-m", checkpoint, "--kv-cache-memory-fraction", "0.00000001", "x")
    assert result.exit_code == 1
    assert result.stderr.count("error: ") == 1


@pytest.mark.usefixtures("no_model")
def test_an_unforeseen_error_is_one_line_and_a_traceback_only_when_asked_for() -> None:
    plain = invoke("generate", "x")
    asked = invoke("generate", "x", PAGODA_TRACEBACK="1")
    assert plain.exit_code == asked.exit_code == 1
    assert "AssertionError: a model was loaded" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in asked.stderr


def test_errors_are_chinese_in_a_chinese_locale_and_by_option() -> None:
    assert invoke("generate", "-t", "9", "x", LC_ALL="zh_CN.UTF-8").stderr.startswith("错误：")
    assert invoke("--lang", "zh", "generate", "-t", "9", "x").stderr.startswith("错误：")
    assert invoke("--lang", "en", "generate", "-t", "9", "x", LC_ALL="zh_CN.UTF-8").stderr.startswith("error: ")


def test_lc_all_goes_before_lang_and_an_empty_one_does_not_count() -> None:
    assert preferred_language({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}) is Language.EN
    assert preferred_language({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "zh_TW"}) is Language.ZH
    assert preferred_language({}) is Language.EN


# the root


def test_version_and_help_are_told() -> None:
    assert invoke("--version").stdout == f"pagoda {__version__}\n"
    for arguments in ((), ("--help",)):
        result = invoke(*arguments)
        assert result.exit_code == 0
        assert all(name in result.stdout for name in ("generate", "chat", "train", "bench", "plan"))


@pytest.mark.parametrize("arguments", [("genrate", "x"), ("--lnag",), ("bench",)])
def test_an_unknown_command_or_option_is_one_line_too(arguments: Sequence[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "--help" in result.stderr


def test_help_shows_the_defaults_of_the_records_themselves() -> None:
    text = " ".join(invoke("generate", "--help").stdout.split())
    assert "(default 256)" in text
    assert "(default 0.4)" in text
    assert "--enable-prefix-caching" in text


# chat


def chat(checkpoint: str, lines: str, *arguments: str, lc_all: str = "C") -> Result:
    settings = ("-m", checkpoint, "--max-num-seqs", "1", "--seed", "1", "--max-tokens", "6", "--min-tokens", "6")
    return invoke("chat", *settings, *arguments, stdin=lines, LC_ALL=lc_all)


def test_chat_answers_every_line_on_stdout(checkpoint: str) -> None:
    one = chat(checkpoint, "hello fox\n")
    two = chat(checkpoint, "hello fox\nand the moon?\n")
    assert one.exit_code == two.exit_code == 0, two.stderr
    assert one.stdout.strip()
    assert two.stdout.startswith(one.stdout)
    assert len(two.stdout) > len(one.stdout)


def test_chat_keeps_the_conversation_in_the_context_until_it_is_cleared(checkpoint: str, tmp_path: Path) -> None:
    saved = tmp_path / "chat.json"
    chat(checkpoint, f"hello\n/save {saved}\n", "--system", "be brief")
    messages = json.loads(saved.read_text(encoding="utf-8"))
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    after_clear = tmp_path / "cleared.json"
    chat(checkpoint, f"hello\n/clear\n/system -\nagain\n/save {after_clear}\n", "--system", "be brief")
    contents = [message["content"] for message in json.loads(after_clear.read_text(encoding="utf-8"))]
    assert contents[0] == "again"
    assert len(contents) == 2


def test_chat_never_overwrites_a_file_and_goes_on_after_a_mistake(checkpoint: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious.json"
    precious.write_text("mine")
    result = chat(checkpoint, f"/save {precious}\n/save\n/sytem x\nhello\n")
    assert precious.read_text() == "mine"
    assert "exists already" in result.stderr
    assert "/save needs the name" in result.stderr
    assert 'did you mean "/system"?' in result.stderr
    assert result.stdout.strip()
    assert result.exit_code == 0


def test_chat_drops_the_oldest_turns_when_the_context_is_full_and_says_so(checkpoint: str) -> None:
    line = "1 2 3 4 5 6 7 8 9 " * 5 + "\n"  # 90 tokens: two fit into the context, three do not
    result = chat(checkpoint, line * 3)
    assert f"the context of {CONTEXT} tokens is full: the oldest 2 messages were dropped" in result.stderr
    assert result.exit_code == 0


def test_chat_survives_a_message_that_never_fits(checkpoint: str) -> None:
    result = chat(checkpoint, "1 2 3 4 5 6 7 8 9 " * 40 + "\nhello\n")
    assert "maximum context length" in result.stderr
    assert result.exit_code == 0
    assert result.stdout.strip()


def test_chat_stops_at_quit(checkpoint: str) -> None:
    assert chat(checkpoint, "/quit\nhello\n").stdout == ""


def test_chat_speaks_chinese(checkpoint: str) -> None:
    assert "列出" not in chat(checkpoint, "/help\n").stderr
    assert "清空对话" in chat(checkpoint, "/help\n", lc_all="zh_CN.UTF-8").stderr
    assert "清空对话" in chat(checkpoint, "/help\n", "--lang", "zh").stderr


def test_a_model_without_a_chat_template_cannot_chat(checkpoint: str, tmp_path: Path) -> None:
    for file in Path(checkpoint).iterdir():
        if file.name != "tokenizer_config.json":
            (tmp_path / file.name).symlink_to(file)
    result = invoke("chat", "-m", str(tmp_path), "--max-num-seqs", "1", stdin="hello\n")
    assert result.exit_code == 2
    assert "no chat template" in result.stderr


def test_dropping_keeps_whole_turns_and_the_newest_question() -> None:
    def length(messages: Sequence[Message]) -> int:
        return sum(len(message["content"]) for message in messages)

    conversation = Conversation("sys")
    for text in ("11", "22", "33"):
        conversation.add_user(text)
        conversation.add_assistant(text)
    conversation.add_user("44")
    assert conversation.drop_to_fit(length, 100) == 0
    assert conversation.drop_to_fit(length, 9) == 4
    assert [turn["content"] for turn in conversation.turns] == ["33", "33", "44"]
    assert conversation.drop_to_fit(length, 0) == 2
    assert [turn["content"] for turn in conversation.turns] == ["44"]


def test_a_question_without_an_answer_is_forgotten() -> None:
    conversation = Conversation()
    conversation.add_user("anyone there?")
    conversation.add_assistant("")
    assert conversation.messages == []


# bench and plan


def test_bench_throughput_counts_every_token(checkpoint: str) -> None:
    sizes = ("--num-prompts", "3", "--input-len", "10", "--output-len", "6", "--max-num-seqs", "4")
    result = invoke("bench", "throughput", "-m", checkpoint, *sizes, "--json")
    report = json.loads(result.stdout)
    measured = report["measured"]
    assert measured["output_tokens_per_s"] * measured["elapsed_s"] == pytest.approx(18)
    assert measured["requests_per_s"] * measured["elapsed_s"] == pytest.approx(3)
    assert measured["total_tokens_per_s"] * measured["elapsed_s"] == pytest.approx(48)
    assert report["machine"]["kernels"]
    assert report["workload"] == {"num_prompts": 3, "input_len": 10, "output_len": 6, "seed": 0}


def test_bench_latency_orders_its_percentiles(checkpoint: str) -> None:
    sizes = ("--num-prompts", "2", "--input-len", "10", "--output-len", "5", "--max-num-seqs", "1")
    measured = json.loads(invoke("bench", "latency", "-m", checkpoint, *sizes, "--json").stdout)["measured"]
    assert 0 < measured["time_to_first_token_ms_p50"] <= measured["time_to_first_token_ms_p99"]
    assert 0 < measured["inter_token_latency_ms_p50"] <= measured["inter_token_latency_ms_p99"]
    table = invoke("bench", "latency", "-m", checkpoint, *sizes).stdout
    assert "inter_token_latency_ms_p99" in table


def test_bench_refuses_what_does_not_fit(checkpoint: str) -> None:
    result = invoke("bench", "throughput", "-m", checkpoint, "--input-len", "300", "--max-num-seqs", "1")
    assert result.exit_code == 2
    assert f"max_model_len is {CONTEXT}" in result.stderr
    with pytest.raises(ConfigError, match="output_len is 0"):
        Workload(num_prompts=1, output_len=0)


def test_bench_prompts_depend_on_the_seed_alone() -> None:
    assert Workload(num_prompts=2).prompts(100) == Workload(num_prompts=2).prompts(100)
    assert Workload(num_prompts=2).prompts(100) != Workload(num_prompts=2, seed=1).prompts(100)


def write_config(directory: Path) -> str:
    config = {
        "architectures": ["LlamaForCausalLM"], "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
        "torch_dtype": "float16",
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config))
    return str(directory)


def test_plan_counts_what_a_config_says(tmp_path: Path) -> None:
    result = invoke("plan", write_config(tmp_path), "--memory", "0.5", "--json")
    plan = json.loads(result.stdout)
    parameters = 2 * 1000 * 64 + 3 * (64 * 16 * 2 * 6 + 3 * 64 * 128 + 2 * 64) + 64
    assert plan["num_parameters"] == parameters
    fp32, bf16 = plan["dtypes"]
    assert (fp32["weight_bytes"], bf16["weight_bytes"]) == (4 * parameters, 2 * parameters)
    assert (fp32["kv_bytes_per_token"], bf16["kv_bytes_per_token"]) == (2 * 3 * 2 * 16 * 4, 2 * 3 * 2 * 16 * 2)
    blocks = ((1 << 29) - 4 * parameters) // (16 * 768)
    assert fp32["num_requests"] == {"256": blocks // 16, "1024": blocks // 64, "2048": blocks // 128}


def test_plan_downloads_the_config_of_a_hub_model_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    def download(hub_id: str, file: str, *, revision: str | None, local_files_only: bool) -> str:
        asked.append((hub_id, file, revision, local_files_only))
        return str(Path(write_config(tmp_path)) / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    result = invoke("plan", "qwen3-0.6b", "--revision", "v1", "--json")
    assert asked == [("Qwen/Qwen3-0.6B", "config.json", "v1", False)]
    assert json.loads(result.stdout)["model"] == "qwen3-0.6b"


def test_plan_says_what_does_not_fit_and_takes_one_dtype(tmp_path: Path) -> None:
    model = write_config(tmp_path)
    text = invoke("plan", model, "--memory", "0.001", "--dtype", "auto").stdout
    assert "float16" in text
    assert "bfloat16" not in text
    assert "requests of 1,024 tokens" in text
    assert "do not fit" in invoke("plan", model, "--memory", "0.0001").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--memory", "0"), "memory is 0.0 GiB"),
        (("--dtype", "flot16"), 'did you mean "float16"?'),
        (("--max-model-len", "4096"), "max_model_len is 4096"),
    ],
)
def test_plan_refuses_impossible_settings(tmp_path: Path, arguments: Sequence[str], words: str) -> None:
    result = invoke("plan", write_config(tmp_path), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


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
