"""`pagoda chat`, `bench` and `plan` in this process: what they print, keep and refuse."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import EntryNotFoundError
from typer.testing import Result

from pagoda import LLM
from pagoda.cli.bench.offline import OfflineWorkload
from pagoda.cli.conversation import Conversation, Message
from pagoda.errors import CheckpointError, ConfigError
from pagoda.models.quantization_config import QUANTISED_FILES

CONTEXT = 256
Invoke = Callable[..., Result]
Chat = Callable[..., Result]


@pytest.fixture(scope="session")
def checkpoint(cli_checkpoint: Callable[[int], str]) -> str:
    """A model with a short context."""
    return cli_checkpoint(CONTEXT)


@pytest.fixture
def chat(invoke: Invoke) -> Chat:
    """`chat(checkpoint, lines, *arguments)`: a chat whose answers have six tokens."""

    def run(checkpoint: str, lines: str, *arguments: str, lc_all: str = "C") -> Result:
        settings = ("-m", checkpoint, "--max-num-seqs", "1", "--seed", "1", "--max-tokens", "6", "--min-tokens", "6")
        return invoke("chat", *settings, *arguments, stdin=lines, LC_ALL=lc_all)

    return run


def test_chat_answers_every_line_on_stdout(chat: Chat, checkpoint: str) -> None:
    one = chat(checkpoint, "hello fox\n")
    two = chat(checkpoint, "hello fox\nand the moon?\n")
    assert one.exit_code == two.exit_code == 0, two.stderr
    assert one.stdout.strip()
    assert two.stdout.startswith(one.stdout)
    assert len(two.stdout) > len(one.stdout)


def test_chat_draws_as_the_page_does_where_nobody_says_how(chat: Chat, checkpoint: str) -> None:
    left_open, told, as_the_api = (
        chat(checkpoint, "hello fox\n", *arguments).stdout
        for arguments in ((), ("-t", "0.2", "--top-p", "0.9"), ("-t", "1", "--top-p", "1"))
    )
    assert left_open == told != as_the_api


def test_chat_keeps_the_conversation_in_the_context_until_it_is_cleared(
    chat: Chat, checkpoint: str, tmp_path: Path
) -> None:
    saved = tmp_path / "chat.json"
    chat(checkpoint, f"hello\n/save {saved}\n", "--system", "be brief")
    messages = json.loads(saved.read_text(encoding="utf-8"))
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    after_clear = tmp_path / "cleared.json"
    chat(checkpoint, f"hello\n/clear\n/system -\nagain\n/save {after_clear}\n", "--system", "be brief")
    contents = [message["content"] for message in json.loads(after_clear.read_text(encoding="utf-8"))]
    assert contents[0] == "again"
    assert len(contents) == 2


def test_chat_never_overwrites_a_file_and_goes_on_after_a_mistake(chat: Chat, checkpoint: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious.json"
    precious.write_text("mine")
    result = chat(checkpoint, f"/save {precious}\n/save\n/sytem x\nhello\n")
    assert precious.read_text() == "mine"
    assert "exists already" in result.stderr
    assert "/save needs the name" in result.stderr
    assert 'did you mean "/system"?' in result.stderr
    assert result.stdout.strip()
    assert result.exit_code == 0


def test_chat_drops_the_oldest_turns_when_the_context_is_full_and_says_so(chat: Chat, checkpoint: str) -> None:
    line = "1 2 3 4 5 6 7 8 9 " * 5 + "\n"  # 90 tokens: two fit into the context, three do not
    result = chat(checkpoint, line * 3)
    assert f"the context of {CONTEXT} tokens is full: the oldest 2 messages were dropped" in result.stderr
    assert result.exit_code == 0


def test_chat_survives_a_message_that_never_fits(chat: Chat, checkpoint: str) -> None:
    result = chat(checkpoint, "1 2 3 4 5 6 7 8 9 " * 40 + "\nhello\n")
    assert "maximum context length" in result.stderr
    assert result.exit_code == 0
    assert result.stdout.strip()


def test_chat_stops_at_quit(chat: Chat, checkpoint: str) -> None:
    assert chat(checkpoint, "/quit\nhello\n").stdout == ""


def test_chat_speaks_chinese(chat: Chat, checkpoint: str) -> None:
    assert "列出" not in chat(checkpoint, "/help\n").stderr
    assert "清空对话" in chat(checkpoint, "/help\n", lc_all="zh_CN.UTF-8").stderr
    assert "清空对话" in chat(checkpoint, "/help\n", "--lang", "zh").stderr


def test_a_model_without_a_chat_template_cannot_chat(invoke: Invoke, checkpoint: str, tmp_path: Path) -> None:
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


def test_bench_throughput_counts_every_token(invoke: Invoke, checkpoint: str) -> None:
    sizes = ("--num-prompts", "3", "--input-len", "10", "--output-len", "6", "--max-num-seqs", "4")
    result = invoke("bench", "throughput", "-m", checkpoint, *sizes, "--json")
    report = json.loads(result.stdout)
    measured = report["measured"]
    assert measured["output_tokens_per_s"] * measured["elapsed_s"] == pytest.approx(18)
    assert measured["requests_per_s"] * measured["elapsed_s"] == pytest.approx(3)
    assert measured["total_tokens_per_s"] * measured["elapsed_s"] == pytest.approx(48)
    assert report["machine"]["kernels"]
    assert report["workload"] == {"num_prompts": 3, "input_len": 10, "output_len": 6, "seed": 0}


def test_bench_latency_orders_its_percentiles(invoke: Invoke, checkpoint: str) -> None:
    sizes = ("--num-prompts", "2", "--input-len", "10", "--output-len", "5", "--max-num-seqs", "1")
    measured = json.loads(invoke("bench", "latency", "-m", checkpoint, *sizes, "--json").stdout)["measured"]
    assert 0 < measured["time_to_first_token_ms_p50"] <= measured["time_to_first_token_ms_p99"]
    assert 0 < measured["inter_token_latency_ms_p50"] <= measured["inter_token_latency_ms_p99"]
    table = invoke("bench", "latency", "-m", checkpoint, *sizes).stdout
    assert "inter_token_latency_ms_p99" in table


def test_bench_refuses_what_does_not_fit(invoke: Invoke, checkpoint: str) -> None:
    result = invoke("bench", "throughput", "-m", checkpoint, "--input-len", "300", "--max-num-seqs", "1")
    assert result.exit_code == 2
    assert f"max_model_len is {CONTEXT}" in result.stderr
    with pytest.raises(ConfigError, match="output_len is 0"):
        OfflineWorkload(num_prompts=1, output_len=0)


def test_bench_prompts_depend_on_the_seed_alone() -> None:
    assert OfflineWorkload(num_prompts=2).prompts(100) == OfflineWorkload(num_prompts=2).prompts(100)
    assert OfflineWorkload(num_prompts=2).prompts(100) != OfflineWorkload(num_prompts=2, seed=1).prompts(100)


def write_config(directory: Path) -> str:
    config = {
        "architectures": ["LlamaForCausalLM"], "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
        "torch_dtype": "float16",
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config))
    return str(directory)


def test_plan_counts_what_a_config_says(invoke: Invoke, tmp_path: Path) -> None:
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
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    def download(hub_id: str, file: str, *, revision: str | None = None, local_files_only: bool = False) -> str:
        asked.append((hub_id, file, revision, local_files_only))
        if file != "config.json":
            raise EntryNotFoundError(f"{file} is not there")
        return str(Path(write_config(tmp_path)) / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    result = invoke("plan", "qwen3-0.6b", "--revision", "v1", "--json")
    files = ["config.json", "modules.json", *QUANTISED_FILES]
    assert asked == [("Qwen/Qwen3-0.6B", file, "v1", False) for file in files]
    assert json.loads(result.stdout)["model"] == "qwen3-0.6b"


def test_plan_of_an_embedder_on_the_hub_counts_no_head_and_refuses_its_pooling(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Path(write_config(tmp_path))
    package = "sentence_transformers.models"
    modules = [{"path": "", "type": f"{package}.Transformer"}, {"path": "1_Pooling", "type": f"{package}.Pooling"}]
    contents: dict[str, Any] = {"modules.json": modules, "1_Pooling/config.json": {"pooling_mode": "lasttoken"}}

    def download(hub_id: str, file: str, **_: Any) -> str:
        if file in contents:
            (directory / file).parent.mkdir(exist_ok=True)
            (directory / file).write_text(json.dumps(contents[file]))
        elif file != "config.json":
            raise EntryNotFoundError(f"{file} is not there")
        return str(directory / file)

    alone = json.loads(invoke("plan", str(directory), "--json").stdout)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    plan = json.loads(invoke("plan", "qwen3-embedding-0.6b", "--json").stdout)
    assert plan["num_parameters"] == alone["num_parameters"] - 1000 * 64
    contents["1_Pooling/config.json"] = {"pooling_mode": "max"}
    result = invoke("plan", "qwen3-embedding-0.6b")
    assert result.exit_code == 2
    assert "pooling_mode='max'" in result.stderr


def test_plan_tells_what_a_token_costs_where_there_are_experts(invoke: Invoke, tmp_path: Path) -> None:
    file = Path(write_config(tmp_path)) / "config.json"
    experts = {"architectures": ["MixtralForCausalLM"], "num_local_experts": 4, "num_experts_per_tok": 1}
    file.write_text(json.dumps({**json.loads(file.read_text()), **experts}))
    plan = json.loads(invoke("plan", str(tmp_path), "--json").stdout)
    idle = 3 * 3 * 3 * 64 * 128  # layers, experts, matrices
    assert plan["num_parameters"] - plan["num_active_parameters"] == idle
    assert plan["dtypes"][0]["weight_bytes"] == 4 * plan["num_parameters"]
    text = " ".join(invoke("plan", str(tmp_path)).stdout.split())
    assert f"{plan['num_active_parameters']:,} of them for a token" in text


def test_plan_says_what_does_not_fit_and_takes_one_dtype(invoke: Invoke, tmp_path: Path) -> None:
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
def test_plan_refuses_impossible_settings(invoke: Invoke, tmp_path: Path, arguments: Sequence[str], words: str) -> None:
    result = invoke("plan", write_config(tmp_path), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_plan_refuses_a_config_that_it_cannot_honour(invoke: Invoke, tmp_path: Path) -> None:
    file = Path(write_config(tmp_path)) / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "quantization_config": {"quant_method": "hqq"}}))
    result = invoke("plan", str(tmp_path))
    assert result.exit_code == 2
    assert "quant_method='hqq': the weights are quantised" in result.stderr
    assert not result.stdout


def test_plan_goes_as_far_as_rope_reaches(invoke: Invoke, tmp_path: Path) -> None:
    file = Path(write_config(tmp_path)) / "config.json"
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}
    file.write_text(json.dumps({**json.loads(file.read_text()), "rope_scaling": yarn}))
    plan = json.loads(invoke("plan", str(tmp_path), "--max-model-len", "4096", "--json").stdout)
    assert list(plan["dtypes"][0]["num_requests"]) == ["256", "1024", "4096"]
    assert invoke("plan", str(tmp_path), "--max-model-len", "4097").exit_code == 2


def _copied(tmp_path: Path, checkpoint: str, **changes: Any) -> Path:
    """A copy of a checkpoint whose config.json says something else."""
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


def _cut(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-64])


def _spoiled(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(b"no tensors")


def _pickled(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    file.rename(folder / "pytorch_model.bin")


def _sharded(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    file.unlink()
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "changes", "told"),
    [
        (_cut, {}, r"has \d+ bytes of \d+: get it again"),
        (_spoiled, {}, "is no safetensors file, or is cut off"),
        (_pickled, {}, "pickled weights only"),
        (_sharded, {}, "lacks model-00001-of-00002.safetensors"),
        (None, {"intermediate_size": 80}, "but config.json makes it .*: they are of two models"),
        (None, {"num_hidden_layers": 5}, "matrices that config.json speaks of, model.layers.2.self_attn.q_proj"),
    ],
)
def test_plan_refuses_files_that_no_engine_would_load(
    spoil: Callable[[Path], None] | None,
    changes: dict[str, Any],
    told: str,
    invoke: Invoke,
    checkpoint: str,
    tmp_path: Path,
) -> None:
    folder = _copied(tmp_path, checkpoint, **changes)
    if spoil is not None:
        spoil(folder)
    result = invoke("plan", str(folder))
    assert result.exit_code == 2
    assert re.search(told, result.stderr), result.stderr
    with pytest.raises((CheckpointError, ConfigError)):
        LLM(str(folder), disable_log_stats=True)


def test_plan_of_a_config_alone_says_that_there_are_no_weights(invoke: Invoke, checkpoint: str, tmp_path: Path) -> None:
    folder = _copied(tmp_path, checkpoint)
    next(folder.glob("*.safetensors")).unlink()
    result = invoke("plan", str(folder))
    assert result.exit_code == 0
    assert "holds no weights: planned from its config.json alone" in result.stderr
    assert "没有权重" in invoke("plan", str(folder), LC_ALL="zh_CN.UTF-8").stderr
    assert invoke("plan", checkpoint).stderr == ""


def test_plan_of_devices_on_which_nothing_meets_the_target_fails(invoke: Invoke, checkpoint: str) -> None:
    settings = ("plan", checkpoint, "--devices", "1xH100-80GB", "--input-len", "64", "--output-len", "32")
    assert invoke(*settings).exit_code == 0
    hopeless = invoke(*settings, "--target-throughput", "1e15")
    assert (hopeless.exit_code, "nothing fits and meets the target" in hopeless.stdout) == (1, True)
