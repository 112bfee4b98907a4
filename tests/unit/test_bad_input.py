"""Bad input gets one clear error, and nothing else suffers: what runs beside it ends with the tokens it would have.

Each refusal is held to its type and to what a reader needs of its message: what was given, what was expected.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pagoda.engine.engine import LLMEngine
from pagoda.errors import (
    CheckpointError,
    ConfigError,
    ConstraintError,
    InsufficientMemoryError,
    InvalidParameterError,
    InvalidRequestError,
    PagodaError,
    PromptTooLongError,
    StructuredOutputError,
    UnknownArchitectureError,
)
from pagoda.llm import LLM
from pagoda.sampling_params import PoolingParams, SamplingParams, StructuredOutputsParams

NEIGHBOURS = [
    ({"prompt_token_ids": list(range(5, 40))}, SamplingParams(temperature=0, max_tokens=20, logprobs=0)),
    ({"prompt_token_ids": [7]}, SamplingParams(temperature=1.0, seed=4, max_tokens=25, n=2)),
]
OK: dict[str, Any] = {"prompt_token_ids": [5, 6]}
Changed = Callable[..., Path]


def _params(**fields: Any) -> SamplingParams:
    return SamplingParams(**{"max_tokens": 4, **fields})


def _shaped(**constraint: Any) -> SamplingParams:
    return _params(structured_outputs=StructuredOutputsParams(**constraint))


REQUESTS: dict[str, tuple[Any, Callable[[], Any], type[PagodaError], list[str]]] = {
    "empty text": (
        "",
        _params,
        InvalidRequestError,
        ["the prompt is empty", "give some text or at least one token id"],
    ),
    "no ids": ({"prompt_token_ids": []}, _params, InvalidRequestError, ["the prompt is empty"]),
    "no prompt": (None, _params, InvalidRequestError, ["a prompt is a string", "this is None"]),
    "id too large": (
        {"prompt_token_ids": [5, 320]},
        _params,
        InvalidParameterError,
        ["prompt_token_ids holds 320", "from 0 to 319"],
    ),
    "id below zero": ({"prompt_token_ids": [-1]}, _params, InvalidParameterError, ["holds -1", "from 0 to 319"]),
    "prompt over the limit": (
        {"prompt_token_ids": [5] * 321},
        _params,
        PromptTooLongError,
        ["maximum context length is 320 tokens", "contains 321 tokens", "shorten the prompt, for", "reach 320 tokens"],
    ),
    "prompt at the limit, no room for a token": (
        {"prompt_token_ids": [5] * 320},
        _params,
        PromptTooLongError,
        ["maximum context length is 320 tokens", "contains 320 tokens", "shorten the prompt, for", "reach 320 tokens"],
    ),
    "more than the cache holds": (
        {"prompt_token_ids": [5] * 200},
        lambda: _params(max_tokens=100),
        PromptTooLongError,
        ["takes 19 blocks of 16 tokens", "the KV cache has 14", "lower max_tokens"],
    ),
    "temperature": (OK, lambda: _params(temperature=-1), InvalidParameterError, ["temperature is -1", "in [0, 2]"]),
    "not a number": (OK, lambda: _params(temperature=float("nan")), InvalidParameterError, ["temperature is nan"]),
    "top_p": (OK, lambda: _params(top_p=0), InvalidParameterError, ["top_p is 0", "(0, 1]"]),
    "n": (OK, lambda: _params(n=0), InvalidParameterError, ["n is 0", "[1, 16384]"]),
    "max_tokens": (OK, lambda: _params(max_tokens=0), InvalidParameterError, ["max_tokens is 0", "at least 1"]),
    "type": (OK, lambda: _params(max_tokens="12"), InvalidParameterError, ["max_tokens is '12'", "a whole number"]),
    "misspelt": (OK, lambda: _params(temprature=1), InvalidParameterError, ["'temprature'", 'mean "temperature"?']),
    "removed": (OK, lambda: _params(best_of=2), InvalidParameterError, ["best_of was removed", "logprobs=0"]),
    "logprobs": (OK, lambda: _params(logprobs=21), InvalidParameterError, ["logprobs is 21", "at most 20"]),
    "empty stop": (OK, lambda: _params(stop=[""]), InvalidParameterError, ["stop is", "none of them empty"]),
    "unknown token": (OK, lambda: _params(allowed_token_ids=[999]), InvalidParameterError, ["holds 999", "0 to 319"]),
    "dimensions": (OK, lambda: PoolingParams(dimensions=99), InvalidParameterError, ["is 99", "have 48"]),
    "schema": (
        OK,
        lambda: _shaped(json={"type": "objekt"}),
        StructuredOutputError,
        ["structured_outputs.json cannot be compiled", "objekt"],
    ),
    "schema that is no JSON": (OK, lambda: _shaped(json="{'a'"), StructuredOutputError, ["json cannot be compiled"]),
    "regex": (OK, lambda: _shaped(regex="(a"), StructuredOutputError, ["regex cannot be compiled"]),
    "grammar": (OK, lambda: _shaped(grammar="root ::= x"), StructuredOutputError, ["grammar cannot be compiled"]),
    "shape that no text has": (
        OK,
        lambda: _shaped(json={"type": "integer", "minimum": 5, "maximum": 4}),
        StructuredOutputError,
        ["json cannot be compiled"],
    ),
    "two shapes": (
        OK,
        lambda: _shaped(regex="a", choice=["b"]),
        InvalidParameterError,
        ["2 constraints", "exactly one"],
    ),
}


@pytest.fixture
def engine(make_llm: Callable[..., LLM]) -> LLMEngine:
    return make_llm(num_gpu_blocks_override=14).llm_engine


@pytest.fixture(scope="module")
def undisturbed(make_llm: Callable[..., LLM]) -> dict[str, Any]:
    engine = make_llm(num_gpu_blocks_override=14).llm_engine
    _start_neighbours(engine)
    return dict(_finish(engine))


def _start_neighbours(engine: LLMEngine) -> None:
    for index, (prompt, params) in enumerate(NEIGHBOURS):
        engine.add_request(f"neighbour {index}", prompt, params)


def _finish(engine: LLMEngine) -> Iterator[tuple[str, Any]]:
    while engine.has_unfinished_requests():
        for output in engine.step():
            if output.finished:
                completions = output.outputs
                yield output.request_id, [(one.token_ids, one.text, one.logprobs) for one in completions]  # type: ignore


@pytest.mark.parametrize("name", list(REQUESTS))
def test_a_bad_request_is_refused_at_once_and_harms_nobody(
    name: str, engine: LLMEngine, undisturbed: dict[str, Any], assert_idle: Callable[[LLMEngine], None]
) -> None:
    prompt, params, error, said = REQUESTS[name]
    _start_neighbours(engine)
    for _ in range(3):
        engine.step()
    with pytest.raises(InvalidRequestError) as caught:
        engine.add_request("bad", prompt, params())
    assert type(caught.value) is error
    assert [part for part in said if part not in str(caught.value)] == []
    assert dict(_finish(engine)) == undisturbed
    assert_idle(engine)


def test_an_id_in_use_is_refused_and_may_be_used_again_afterwards(
    engine: LLMEngine, undisturbed: dict[str, Any], assert_idle: Callable[[LLMEngine], None]
) -> None:
    for _ in range(2):
        _start_neighbours(engine)
        with pytest.raises(InvalidRequestError, match="request id 'neighbour 0' is in use"):
            engine.add_request("neighbour 0", OK, _params())
        assert dict(_finish(engine)) == undisturbed
        assert_idle(engine)


def test_constraints_that_leave_no_token_end_their_own_request_with_an_error(
    engine: LLMEngine, undisturbed: dict[str, Any], assert_idle: Callable[[LLMEngine], None]
) -> None:
    _start_neighbours(engine)
    engine.add_request("bad", OK, _params(bad_words=["b"], structured_outputs=StructuredOutputsParams(regex="ab")))
    answers = {}
    failure = None
    while engine.has_unfinished_requests():
        for output in engine.step():
            if output.request_id == "bad":
                failure = output
            elif output.finished:
                answers[output.request_id] = [(one.token_ids, one.text, one.logprobs) for one in output.outputs]  # type: ignore
    assert failure is not None
    assert failure.finished
    assert failure.outputs[0].finish_reason == "error"
    assert "allow no token" in failure.outputs[0].stop_reason
    assert answers == undisturbed
    assert_idle(engine)


@pytest.mark.parametrize(
    ("wishes", "named"),
    [
        (
            {"allowed_token_ids": [200], "structured_outputs": {"regex": "a"}},
            ["structured_outputs", "allowed_token_ids"],
        ),
        ({"bad_words": ["a"], "structured_outputs": {"choice": ["a"]}}, ["structured_outputs", "bad_words"]),
        ({"allowed_token_ids": [200], "stop_token_ids": [200], "min_tokens": 2}, ["allowed_token_ids", "min_tokens"]),
        (
            {"allowed_token_ids": [200], "bad_words": ["\ufffd"], "structured_outputs": {"regex": "a"}},
            ["structured_outputs"],
        ),
    ],
    ids=str,
)
def test_constraints_that_allow_no_first_token_are_refused_at_the_door_by_name(
    engine: LLMEngine, wishes: dict[str, Any], named: list[str], assert_idle: Callable[[LLMEngine], None]
) -> None:
    with pytest.raises(ConstraintError, match="allow no token to begin with") as refusal:
        engine.add_request("bad", OK, SamplingParams.from_dict({"max_tokens": 4, **wishes}))
    assert all(name in str(refusal.value) for name in named)
    assert refusal.value.param in wishes
    assert_idle(engine)


@pytest.mark.parametrize(
    "wishes",
    [{"min_tokens": 9}, {"logit_bias": dict.fromkeys(range(256), -100)}, {"stop_token_ids": [5]}, {"bad_words": ["b"]}],
    ids=lambda wishes: next(iter(wishes)),
)
def test_wishes_that_leave_a_choice_its_tokens_leave_its_text(engine: LLMEngine, wishes: dict[str, Any]) -> None:
    params = SamplingParams.from_dict({"max_tokens": 12, "structured_outputs": {"choice": ["aaa"]}, **wishes})
    engine.add_request("good", OK, params)
    outputs = []
    while engine.has_unfinished_requests():
        outputs += engine.step()
    assert (outputs[-1].outputs[0].text, outputs[-1].outputs[0].finish_reason) == ("aaa", "stop")


# --- engine settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_num_seq": 4}, ["'max_num_seq'", 'did you mean "max_num_seqs"?']),
        ({"zzz": 4}, ["'zzz'", "known:", "max_model_len"]),
        ({"dtype": "float31"}, ["dtype='float31'", '"float32"?']),
        ({"dtype": "int4"}, ["dtype='int4'"]),
        ({"device": "tpu"}, ["device='tpu'", "auto, cpu or cuda"]),
        ({"kernels": "torch-referenc"}, ["kernels='torch-referenc'", '"torch-reference"?']),
        ({"block_size": 17}, ["block_size=17", "one of (1, 8, 16"]),
        ({"kv_cache_memory_fraction": 1.5}, ["kv_cache_memory_fraction=1.5", "a number in (0, 1]"]),
        ({"kv_cache_memory_fraction": None}, ["kv_cache_memory_fraction=None"]),
        ({"gpu_memory_utilization": 0}, ["gpu_memory_utilization=0"]),
        ({"gpu_memory_utilization": "0.9"}, ["gpu_memory_utilization='0.9'"]),
        ({"kv_cache_memory_bytes": 0}, ["kv_cache_memory_bytes=0"]),
        ({"num_gpu_blocks_override": 2.5}, ["num_gpu_blocks_override=2.5", "a whole number of at least 1"]),
        ({"max_num_seqs": "8"}, ["max_num_seqs='8'"]),
        ({"max_logprobs": -2}, ["max_logprobs=-2"]),
        ({"enable_prefix_caching": "no"}, ["enable_prefix_caching='no'", "True or False"]),
        ({"device": None}, ["device=None"]),
        ({"tensor_parallel_size": 3}, ["tensor_parallel_size=3", "4 attention heads", "1, 2 or 4 ranks"]),
        ({"pipeline_parallel_size": 3}, ["pipeline_parallel_size=3", "2 layers"]),
        ({"tensor_parallel_size": 0}, ["tensor_parallel_size=0", "at least 1"]),
        ({"nnodes": 2}, ["nnodes=2", "distributed_executor_backend='ray'"]),
        ({"distributed_executor_backend": "uni", "tensor_parallel_size": 2}, ["'uni' runs one rank", "'mp'"]),
        ({"quantization": "awq"}, ["quantization='awq'", "leave it out"]),
        ({"scheduling_policy": "fcsf"}, ['"fcsf"', '"fcfs"?']),
        ({"max_num_seqs": 0}, ["max_num_seqs=0", "at least 1"]),
        ({"max_num_seqs": 8, "max_num_batched_tokens": 4}, ["max_num_batched_tokens is 4", "max_num_seqs 8"]),
        ({"max_model_len": -1}, ["max_model_len=-1", "at least 1"]),
        ({"max_model_len": 321}, ["max_model_len=321", "a context of 320 tokens"]),
        ({"enable_chunked_prefill": False, "max_num_batched_tokens": 256}, ["256", "320", "enable chunked prefill"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_bad_engine_setting_is_refused(
    settings: dict[str, Any], said: list[str], checkpoint: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigError) as caught:
        LLM(checkpoint(), disable_log_stats=True, **settings)
    assert [part for part in said if part not in str(caught.value)] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_said_so(checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="device='cuda', but torch sees no GPU: give device='cpu'"):
        LLM(checkpoint(), device="cuda")


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kv_cache_memory_fraction": 1e-9}, ["the weights take", "kv_cache_memory_fraction"]),
        ({"num_gpu_blocks_override": 1 << 40}, ["KV blocks of 8192 bytes were asked for", "leaves room for"]),
        ({"kv_cache_memory_bytes": 1}, ["less than one block"]),
    ],
    ids=str,
)
def test_too_little_memory_is_told_in_figures_before_anything_is_loaded(
    settings: dict[str, Any], said: list[str], checkpoint: Callable[..., Path]
) -> None:
    with pytest.raises(InsufficientMemoryError) as caught:
        LLM(checkpoint(), device="cpu", dtype="float32", disable_log_stats=True, **settings)
    assert [part for part in said if part not in str(caught.value)] == []


def test_a_model_larger_than_the_machine_is_refused_by_its_config_alone(changed_checkpoint: Changed) -> None:
    directory = changed_checkpoint(hidden_size=1 << 20, intermediate_size=1 << 22, num_hidden_layers=200)
    with pytest.raises(InsufficientMemoryError, match=r"the weights take \d+\.\d\d GiB in float32"):
        LLM(directory, dtype="float32", device="cpu")


# --- checkpoints --------------------------------------------------------------------------------------------------


def _load(directory: Path) -> LLM:
    return LLM(directory, num_gpu_blocks_override=32, disable_log_stats=True)


def test_the_undamaged_copy_loads(changed_checkpoint: Changed) -> None:
    assert _load(changed_checkpoint()).generate("The fox", _params())


@pytest.mark.parametrize("architecture", ["MambaForCausalLM", "LlamaForCausalLm"])
def test_an_unknown_architecture_is_answered_with_the_known_ones(
    architecture: str, changed_checkpoint: Changed
) -> None:
    with pytest.raises(UnknownArchitectureError) as caught:
        _load(changed_checkpoint(architectures=[architecture]))
    for name in (architecture, "LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_key_value_heads": 3}, "4 attention heads and 3 KV heads"),
        ({"head_dim": 15}, "head_dim=15"),
        ({"hidden_size": "big"}, "hidden_size='big'"),
        ({"rope_scaling": {"rope_type": "yern"}}, "'yern'"),
        ({"rope_scaling": {"rope_type": "linear"}}, "needs factor"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(
    changes: dict[str, Any], said: str, changed_checkpoint: Changed
) -> None:
    with pytest.raises(CheckpointError) as caught:
        _load(changed_checkpoint(**changes))
    assert said in str(caught.value)


def test_what_cannot_run_is_refused_before_its_weights_are_downloaded(
    changed_checkpoint: Changed, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = changed_checkpoint(quantization_config={"quant_method": "hqq", "bits": 4})
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda hub_id, file, **_: str(directory / file))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda hub_id, **_: pytest.fail("downloaded"))
    with pytest.raises(CheckpointError, match="quant_method='hqq': the weights are quantised"):
        LLM("Qwen/Qwen2.5-7B-Instruct-HQQ")


def test_a_length_that_yarn_reaches_may_be_asked_for(changed_checkpoint: Changed) -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 160}
    directory = changed_checkpoint(rope_scaling=yarn)
    settings = {"num_gpu_blocks_override": 64, "device": "cpu", "disable_log_stats": True}
    assert LLM(directory, **settings).llm_engine.core.scheduler.config.max_model_len == 320
    assert LLM(directory, max_model_len=640, **settings).generate("The fox " * 80, _params())
    with pytest.raises(ConfigError, match=r"max_model_len=641.*its rope_scaling stretches to 640.*of a larger factor"):
        LLM(directory, max_model_len=641, **settings)


def test_missing_files_are_named(changed_checkpoint: Changed, tmp_path: Path) -> None:
    directory = changed_checkpoint()
    (directory / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"holds no weights: expected model.safetensors"):
        _load(directory)
    (directory / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config.json does not exist"):
        _load(directory)
    with pytest.raises(CheckpointError, match=r"no model 'lama2-7b'.*did you mean .llama2-7b"):
        _load(Path("lama2-7b"))


@pytest.mark.parametrize("keep", [0.99, 0.5, 0.001])
def test_truncated_weights_are_told_from_their_size(keep: float, changed_checkpoint: Changed) -> None:
    file = changed_checkpoint() / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(CheckpointError) as caught:
        _load(file.parent)
    assert "model.safetensors" in str(caught.value)
    assert "download it again" in str(caught.value)


def test_weights_that_are_something_else_are_refused(changed_checkpoint: Changed) -> None:
    file = changed_checkpoint() / "model.safetensors"
    for content in (
        b"",
        b"<html>not found</html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"PK\x03\x04" * 99,
    ):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"model.safetensors"):
            _load(file.parent)
    file.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(CheckpointError, match=r"model.safetensors"):
        _load(file.parent)


def test_mislabelled_weights_are_named(changed_checkpoint: Changed) -> None:
    directory = changed_checkpoint()
    file = directory / "model.safetensors"
    whole = load_file(file)
    key = "model.layers.1.mlp.up_proj.weight"
    save_file({("up.weight" if name == key else name): tensor for name, tensor in whole.items()}, file)
    with pytest.raises(CheckpointError) as caught:
        _load(directory)
    for part in (f"missing: {key} [80, 48]", "no place in the model: up.weight (in model.safetensors)"):
        assert part in str(caught.value)
    save_file({**whole, key: whole[key].T.contiguous()}, file)
    with pytest.raises(CheckpointError, match=r"up_proj.weight has the shape \[48, 80\], the model expects \[80, 48\]"):
        _load(directory)
    save_file({(f"{name[:-7]}.qweight" if name == key else name): tensor for name, tensor in whole.items()}, file)
    with pytest.raises(CheckpointError, match=r"holds quantised weights \(GPTQ or AWQ"):
        _load(directory)
    pickled = directory / "pytorch_model.bin"
    file.rename(pickled)
    with pytest.raises(CheckpointError, match="pickled weights only"):
        _load(directory)


def test_a_config_of_another_model_is_found_out_by_the_weights(changed_checkpoint: Changed) -> None:
    with pytest.raises(CheckpointError, match=r"check that config\.json"):
        _load(changed_checkpoint(num_hidden_layers=3))


def test_a_failed_load_leaves_the_process_able_to_load_another(
    changed_checkpoint: Changed, checkpoint: Callable[..., Path]
) -> None:
    directory = changed_checkpoint(architectures=["Qwen3ForCausalLM"])
    with pytest.raises(CheckpointError, match="q_norm"):
        _load(directory)
    assert torch.get_default_dtype() == torch.float32
    assert _load(checkpoint()).generate("The fox", _params())


def test_files_beside_the_weights_are_checked_too(changed_checkpoint: Changed) -> None:
    directory = changed_checkpoint()
    (directory / "generation_config.json").write_text(json.dumps({"temperature": "hot"}))
    with pytest.raises(CheckpointError, match=r"generation_config.json has temperature='hot', expected a number"):
        _load(directory)
    (directory / "generation_config.json").unlink()
    (directory / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer.json"):
        _load(directory)
