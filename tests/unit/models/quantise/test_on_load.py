"""Rounding while a checkpoint is loaded: which matrices, how many bytes, what comes of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import pagoda
from pagoda import LLM, SamplingParams
from pagoda.engine.args import EngineArgs
from pagoda.errors import ConfigError
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.llama import LlamaForCausalLM
from pagoda.models.quantise.on_load import RoundedOnLoad
from pagoda.models.quantise.rounding import round_to_nearest
from pagoda.models.quantise.scheme import INT4, INT8, Scheme
from tiny_models import Case

PROMPT = "Once upon a time, there was a little girl"


@pytest.mark.parametrize(("name", "scheme"), [("int8", INT8), ("int4", INT4)])
@pytest.mark.parametrize("tied", [True, False])
def test_matrices_are_rounded_and_everything_else_is_as_stored(
    name: str, scheme: Scheme, tied: bool, tmp_path: Path
) -> None:
    Case("Qwen2", {"tie_word_embeddings": tied}).build().save_pretrained(tmp_path)
    config = load_config(tmp_path)
    plain, rounded = LlamaForCausalLM(config, ReferenceKernels()), LlamaForCausalLM(config, ReferenceKernels())
    load_weights(plain, tmp_path)
    load_weights(rounded, tmp_path, recode=RoundedOnLoad(name, config))
    parameters = dict(rounded.named_parameters())
    for parameter, stored in plain.named_parameters():
        expected = stored.data
        if parameter.startswith(("model.embed_tokens", "lm_head")):
            expected = round_to_nearest(expected, INT8, search=False).dense()
        elif parameter.endswith("proj.weight"):
            expected = round_to_nearest(expected, scheme, search=name == "int4").dense()
        assert torch.equal(parameters[parameter], expected), parameter
        assert torch.equal(stored, expected) == parameter.endswith(("norm.weight", "bias")), parameter


def test_routers_stay_floats(tmp_path: Path) -> None:
    Case("Mixtral", {"num_local_experts": 4}).build().save_pretrained(tmp_path)
    config = load_config(tmp_path)
    plain, rounded = LlamaForCausalLM(config, ReferenceKernels()), LlamaForCausalLM(config, ReferenceKernels())
    load_weights(plain, tmp_path)
    load_weights(rounded, tmp_path, recode=RoundedOnLoad("int4", config))
    for (name, stored), parameter in zip(plain.named_parameters(), rounded.parameters(), strict=True):
        assert torch.equal(stored, parameter) == ("norm" in name or name.endswith("mlp.gate.weight")), name


@pytest.mark.parametrize("kernels", ["auto", "torch-reference"])
def test_an_engine_rounds_and_answers(kernels: str) -> None:
    params = SamplingParams(temperature=0.0, max_tokens=12, logprobs=1)
    logprobs = {}
    for quantization in (None, "int8", "int4"):
        llm = LLM(quantization=quantization, kernels=kernels, disable_log_stats=True, num_gpu_blocks_override=32)
        (output,) = llm.generate([PROMPT], params, use_tqdm=False)
        logprobs[quantization] = output.outputs[0].cumulative_logprob or 0.0
        assert len(output.outputs[0].token_ids) == 12
    assert logprobs["int8"] != logprobs[None]
    assert logprobs["int8"] == pytest.approx(logprobs[None], abs=1.0)
    assert logprobs["int4"] == pytest.approx(logprobs[None], abs=4.0)


def test_its_bytes_are_counted() -> None:
    config = load_config(Path(pagoda.__file__).parent / "builtin")
    for name, scheme in (("int8", INT8), ("int4", INT4)):
        coded = RoundedOnLoad(name, config).coded(config)
        head = INT8.num_bytes(config.hidden_size, config.vocab_size)
        assert coded.num_bytes == head + sum(scheme.num_bytes(*size) for size in config.all_matrices)
        assert config.num_parameters - coded.num_weights == (2 * config.num_hidden_layers + 1) * config.hidden_size


def test_a_checkpoint_that_has_codes_is_not_rounded_again(tmp_path: Path) -> None:
    config = load_config(Path(pagoda.__file__).parent / "builtin")
    raw = {**(config.source or {}), "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 64}}
    with pytest.raises(ConfigError, match="quantised already"):
        RoundedOnLoad("int8", type(config).from_dict(raw))


def test_names_that_are_none_or_not_the_checkpoint_s_are_refused() -> None:
    with pytest.raises(ConfigError, match="one of int8, int4, gguf, gptq, awq"):
        EngineArgs(quantization="int3")
    with pytest.raises(ConfigError, match="the checkpoint holds floats"):
        LLM(quantization="awq", disable_log_stats=True)


def test_the_name_of_another_quantisation_is_refused_and_its_own_asks_for_nothing(tmp_path: Path) -> None:
    from pagoda.cli.app import run

    folder, file = tmp_path / "folder", tmp_path / "file.gguf"
    for out in (folder, file):
        assert run(["quantize", "builtin", "--to", "int8", "--method", "rtn", "--out", str(out)]) == 0
    settings: dict[str, Any] = {"disable_log_stats": True, "num_gpu_blocks_override": 32}
    with pytest.raises(ConfigError, match="quantization='awq', but the checkpoint is a GGUF file: leave it out"):
        LLM(str(file), quantization="awq", **settings)
    with pytest.raises(
        ConfigError, match="'gptq', but the checkpoint is quantised by compressed-tensors: leave it out"
    ):
        LLM(str(folder), quantization="gptq", **settings)
    with pytest.raises(ConfigError, match="quantization='fp8', but the checkpoint holds floats"):
        LLM(quantization="fp8", **settings)
    LLM(str(file), quantization="gguf", **settings)
    LLM(str(folder), quantization="compressed-tensors", **settings)
    with pytest.raises(ConfigError, match=r"max_model_len=99999, but the model has a context of \d+ tokens: lower"):
        LLM(str(file), max_model_len=99999, **settings)
