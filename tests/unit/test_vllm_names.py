"""Every name of vLLM's API has one place here: it works, it changes nothing, or it is refused with what to write.

`vllm_api.json` holds the names of vLLM's own lists. docs/vllm.md is made from the same tables.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pagoda
from pagoda.cli.console.vllm_flags import translate
from pagoda.engine.args import AsyncEngineArgs, EngineArgs
from pagoda.engine.async_llm import AsyncLLM
from pagoda.engine.engine import LLMEngine
from pagoda.engine.outputs import CompletionOutput, Logprob, PoolingRequestOutput, RequestMetrics, RequestOutput
from pagoda.errors import ConfigError, InvalidParameterError, MissingMethodError
from pagoda.llm import LLM
from pagoda.parameter_rules import NameTable
from pagoda.sampling_params import BeamSearchParams
from pagoda.vllm_names import CALLS, ENGINE_SETTINGS, METHODS, PROMPT_KEYS, ROOT, SERVE_FLAGS, VALUELESS_FLAGS
from vllm_page import API, MARK, PAGE, RECORDS, rendered

OLDER: dict[str, list[str]] = API["older"]


def _places(name: str, works: set[str], table: NameTable) -> list[str]:
    found = {
        "works": name in works or name in table.renamed,
        "without effect": name in table.without_effect,
        "refused": name in table.refused,
    }
    return [place for place, is_there in found.items() if is_there]


@pytest.mark.parametrize("record", RECORDS)
def test_a_parameter_works_or_changes_nothing_or_is_refused(record: str) -> None:
    ours, table = RECORDS[record]
    works = {field.name for field in dataclasses.fields(ours)}
    astray = {name: _places(name, works, table) for name in (*API[record], *OLDER.get(record, ()))}
    assert {name: places for name, places in astray.items() if len(places) != 1} == {}
    assert not works & (table.refused.keys() | table.without_effect.keys())
    assert set(table.renamed.values()) <= works


@pytest.mark.parametrize("record", RECORDS)
def test_the_tables_hold_no_name_that_vllm_never_had(record: str) -> None:
    _, table = RECORDS[record]
    known = {*API[record], *OLDER.get(record, ())}
    assert {*table.renamed, *table.without_effect, *table.refused} - known <= {
        # Of versions between those that the lists were taken from.
        "long_lora_scaling_factors", "truncate_prompt_tokens", "softmax", "activation",
    }  # fmt: skip


def test_what_changes_nothing_and_what_asks_for_nothing_is_accepted() -> None:
    everything = dict.fromkeys(ENGINE_SETTINGS.without_effect, "x")
    assert EngineArgs(**everything).without_effect == tuple(everything)
    for empty in (None, False, 0, "", {}, []):
        assert EngineArgs(**dict.fromkeys(ENGINE_SETTINGS.without_effect, empty)) == EngineArgs()
    for name, refused in ENGINE_SETTINGS.refused.items():
        for value in (None, False, 0, "", [], {}, *refused.harmless):
            assert EngineArgs(**{name: value}) == EngineArgs()


@pytest.mark.parametrize("name", ENGINE_SETTINGS.refused)
def test_a_refused_setting_says_what_to_write(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EngineArgs(**{name: ["something"]})
    assert str(caught.value).startswith(f"the engine was given {name}=['something'], which is not supported: ")
    assert ENGINE_SETTINGS.refused[name].instead in str(caught.value)


def test_a_misspelt_setting_gets_the_nearest_name_of_either_kind() -> None:
    for wrong, right in (("max_modle_len", "max_model_len"), ("enforce_eger", "enforce_eager")):
        with pytest.raises(ConfigError, match=f'did you mean "{right}"'):
            EngineArgs(**{wrong: 1})
    with pytest.raises(ConfigError, match=r"known: .*block_size"):
        EngineArgs(qqqqqq=1)  # type: ignore[call-arg]


def test_the_page_says_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8").partition(MARK)[2] == "\n" + rendered(), "run tests/vllm_page.py"


def test_there_is_one_warning_for_all_settings_together(
    checkpoint: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pagoda"):
        LLM(
            str(checkpoint()), enforce_eager=True, swap_space=4, trust_remote_code=True, disable_log_stats=True,
            max_num_seqs=None, enable_prefix_caching=None, tensor_parallel_size=1, quantization=None,
            tokenizer_mode="auto", kv_cache_dtype="auto", load_format="safetensors", num_gpu_blocks_override=64,
        )  # fmt: skip
    [record] = caplog.records
    assert [name for name in ("enforce_eager", "swap_space", "trust_remote_code") if name in record.message]
    assert "accepted, and without effect here" in record.message


def test_settings_survive_the_ways_that_programs_hand_them_on() -> None:
    args = AsyncEngineArgs(model="m", enforce_eager=True, served_model_name=["a", "b", "a"])
    assert pickle.loads(pickle.dumps(args)) == args == EngineArgs(**dataclasses.asdict(args))
    assert args == dataclasses.replace(args) == EngineArgs("m", enforce_eager=True, served_model_name=("a", "b"))
    assert dataclasses.replace(args, seed=3).without_effect == ("enforce_eager",)


def test_settings_come_from_a_program_s_own_command_line() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mine", type=int)
    EngineArgs.add_cli_args(parser).set_defaults(model="org/name", runner="pooling", enforce_eager=True)
    line = '--mine 3 --max-model-len 64 --no-enable-prefix-caching --hf-overrides {"a":1} --swap-space 4 --dtype half'
    args = EngineArgs.from_cli_args(parser.parse_args(line.split()))
    assert (args.model, args.max_model_len, args.enable_prefix_caching) == ("org/name", 64, False)
    assert (args.hf_overrides, args.dtype, set(args.without_effect)) == (
        {"a": 1}, "float16", {"enforce_eager", "swap_space"},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="adapters are not applied"):
        EngineArgs.from_cli_args(parser.parse_args(["--enable-lora"]))


def test_every_name_of_vllm_s_root_is_there_or_says_why_not() -> None:
    for name in API["root"]:
        if name in ROOT:
            with pytest.raises(ImportError, match=f"pagoda has no {name}: "):
                getattr(pagoda, name)
        else:
            assert getattr(pagoda, name) is not None


@pytest.mark.parametrize("owner", [LLM, LLMEngine, AsyncLLM], ids=lambda owner: owner.__name__)
def test_every_method_is_there_or_says_what_to_do(owner: type[Any]) -> None:
    given = owner.__new__(owner)
    for name in API[owner.__name__]:
        if not hasattr(owner, name) and (owner, name) != (LLMEngine, "tokenizer"):  # that one is the object's own
            assert name in METHODS, name
            assert not hasattr(given, name)
            with pytest.raises(MissingMethodError, match=f"{owner.__name__}.{name} is not supported: "):
                getattr(given, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = given.nonsense


def test_every_parameter_of_llm_s_methods_is_known() -> None:
    for method, parameters in API["LLM"].items():
        if not hasattr(LLM, method):
            continue
        own = set(inspect.signature(getattr(LLM, method)).parameters)
        table = ENGINE_SETTINGS if method == "__init__" else CALLS
        settings = {field.name for field in dataclasses.fields(EngineArgs)} if method == "__init__" else set()
        astray = [name for name in parameters if name not in own and len(_places(name, settings, table)) != 1]
        assert astray == [], method


def test_keywords_of_calls_are_refused_by_name(llm: LLM) -> None:
    calls: list[Callable[..., object]] = [
        llm.generate, llm.chat, llm.embed, llm.encode, llm.enqueue,
        lambda prompt, **rest: llm.score(prompt, prompt, **rest),
        lambda prompt, **rest: llm.beam_search(prompt, BeamSearchParams(beam_width=2, max_tokens=1), **rest),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(InvalidParameterError, match=r"lora_request.*adapters are not applied"):
            call("x", lora_request="adapter")
        with pytest.raises(InvalidParameterError, match="has no parameter 'nonsense'"):
            call("x", nonsense=1)


def test_outputs_have_vllm_s_attributes() -> None:
    completion = CompletionOutput(0, "x", (1,), finish_reason="stop")
    output = RequestOutput("id", "p", [1], None, (completion,), finished=True)
    shown = {
        "CompletionOutput": completion,
        "RequestOutput": output,
        "PoolingRequestOutput": PoolingRequestOutput("id", None),
        "Logprob": Logprob(-0.5, 1, "x"),
    }
    for name, value in shown.items():
        assert [attribute for attribute in API[name] if not hasattr(value, attribute)] == []
    told = RequestMetrics(1.0, first_scheduled_time=2.0, first_token_time=4.0, last_token_time=5.0)
    lacking = {"is_corrupted", "is_watermarked", "is_watermark_skipped"}
    assert [name for name in API["RequestStateStats"] if not hasattr(told, name) and name not in lacking] == []
    assert (told.queued_ts, told.scheduled_ts, told.first_token_ts, told.last_token_ts) == (1.0, 2.0, 4.0, 5.0)
    assert told.first_token_latency == 3.0
    assert completion.finished()


def test_every_key_of_a_prompt_is_known() -> None:
    works = {"prompt", "prompt_token_ids", "cache_salt"}
    assert [name for name in API["prompts"] if len(_places(name, works, PROMPT_KEYS)) != 1] == []


def _served_flags() -> dict[str, bool]:
    """Flags of `pagoda serve`, and whether a value follows."""
    import typer.main

    from pagoda.cli.app import app

    command: Any = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    return {flag: not p.is_flag for p in command.params for flag in (*p.opts, *p.secondary_opts) if flag[:2] == "--"}


def test_every_flag_of_vllm_serve_is_known() -> None:
    flags = _served_flags()
    for name in (*API["serve"], *API["EngineArgs"], *OLDER["EngineArgs"]):
        ours = SERVE_FLAGS.renamed.get(name, name.replace("_", "-"))
        tables = (SERVE_FLAGS, ENGINE_SETTINGS)
        known = any(name in {*table.without_effect, *table.refused} for table in tables)
        assert f"--{ours}" in flags or known, name
    assert {f"--{flag}" for flag in SERVE_FLAGS.renamed.values()} <= flags.keys()
    assert not {*SERVE_FLAGS.without_effect} & {*SERVE_FLAGS.refused}
    taken_out = {*SERVE_FLAGS.without_effect, *SERVE_FLAGS.refused, *ENGINE_SETTINGS.without_effect}
    assert VALUELESS_FLAGS.keys() <= taken_out | {*ENGINE_SETTINGS.refused}


SCRIPTS = {
    "M --served-model-name a b --port 80 --nnodes 1": "M --served-model-name a --served-model-name b --port 80",
    "M -tp 2 --pipeline_parallel_size=2": "M --tensor-parallel-size 2 --pipeline-parallel-size 2",
    "--served-model-name a M": "--served-model-name a M",
    "M --max_model_len=512 --dtype half": "M --max-model-len 512 --dtype half",
    "M --max-model-len 32K --max-num-batched-tokens=2.5k": "M --max-model-len 32768 --max-num-batched-tokens 2500",
    "--model M --enforce-eager --swap-space 4 --gpu-memory-utilization 0.9": "--model M --gpu-memory-utilization 0.9",
    "--enforce-eager M -O3 --enable-auto-tool-choice --no-enable-log-requests": "M",
    'M --allowed-origins ["*","b"]': "M --allowed-origin * --allowed-origin b",
    "--disable-uvicorn-access-log M": "--no-access-log M",
    "M --api-key k1 k2 --trust-remote-code --strict": "M --api-key k1 --api-key k2 --strict",
    "M --kv-cache-dtype auto --load-format=auto --unknown 3": "M --kv-cache-dtype auto --unknown 3",
    "M --compilation-config {} --limit-mm-per-prompt {} --shutdown-timeout 3": "M --drain-timeout-s 3",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_s_flags_become_ours(script: str) -> None:
    assert translate(script.split(), _served_flags()).arguments == SCRIPTS[script].split()


def test_a_script_s_flags_that_cannot_work_are_refused() -> None:
    for script, said in {
        "M --enable-lora": "adapters are not applied",
        "M --num-speculative-tokens 5": 'use speculative_config={"method": "ngram"',
        "M --uds /tmp/x": "serve a port",
        "M --nnodes 2": "ranks are counted by tensor_parallel_size",
        'M --quantization-config {"a":1}': "how weights are stored",
        "M --allowed-origins [x": "a JSON list is expected",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(said)):
            translate(script.split(), _served_flags())
