"""Embedders against transformers: networks without a head, pooled as the files beside them say, through the engine.

The expected vector is the formula of the pooling over transformers' last hidden states, one text at a time.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn import functional as F

from pagoda.errors import CheckpointError, InvalidParameterError, InvalidRequestError
from pagoda.llm import LLM
from pagoda.models.checkpoint.loading import load_config
from pagoda.models.families.table import FAMILIES
from pagoda.sampling_params import PoolingParams, SamplingParams
from tiny_models import BASE, TOLERANCE, randomize, token_ids_of

WORDS = [f"word{index}" for index in range(100)]
TEXTS = [" ".join(random.Random(seed).choices(WORDS, k=length)) for seed, length in enumerate((1, 7, 30, 45))]
MODULES = ["Transformer", "Pooling", "Normalize"]
SETTINGS: dict[str, dict[str, Any]] = {
    "Qwen3": {"head_dim": 16},
    "Llama": {},
    "Mistral": {"sliding_window": 8},
    "Qwen2": {},
    "Gemma2": {"head_dim": 16, "sliding_window": 8},
    "Phi3": {},
    "Qwen3Moe": {"head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24},
}


def _network(family: str, kind: str = "Model", **settings: Any) -> transformers.PreTrainedModel:
    config = getattr(transformers, f"{family}Config")(**{**BASE, **SETTINGS[family], **settings})
    config._attn_implementation = "eager"
    network = getattr(transformers, f"{family}{kind}")(config).eval()
    randomize(network)
    return network


def _write(
    network: transformers.PreTrainedModel,
    directory: Path,
    pooling: dict[str, Any] | None,
    *,
    normalize: bool = True,
    prompts: dict[str, Any] | None = None,
    transformer: dict[str, Any] | None = None,
) -> Path:
    """A checkpoint with a tokenizer that ends texts as Qwen3-Embedding's does; pooling: None writes no modules."""
    network.save_pretrained(directory)
    vocabulary = {word: index for index, word in enumerate(["<unk>", "<s>", "<end>", "query:", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 2)])
    tokenizer.save(str(directory / "tokenizer.json"))
    if pooling is None:
        return directory
    modules = [
        {"idx": index, "name": str(index), "path": f"{index}_{kind}" * (index > 0), "type": f"{_PACKAGE}.{kind}"}
        for index, kind in enumerate(MODULES[: 2 + normalize])
    ]
    (directory / "1_Pooling").mkdir()
    files = {
        "modules.json": modules,
        "1_Pooling/config.json": pooling,
        "config_sentence_transformers.json": prompts or {},
        "sentence_bert_config.json": transformer or {},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))
    return directory


_PACKAGE = "sentence_transformers.models"


def _llm(directory: Path, **settings: Any) -> LLM:
    return LLM(
        directory,
        **{"num_gpu_blocks_override": 64, "max_num_seqs": 3, "device": "cpu", "disable_log_stats": True, **settings},
    )


def _expected(
    network: transformers.PreTrainedModel, token_ids: list[int], pooling: str, *, normalize: bool
) -> torch.Tensor:
    base = getattr(network, "model", network)
    with torch.no_grad():
        states = base(torch.tensor([token_ids])).last_hidden_state[0]
    vector = {"last": states[-1], "mean": states.mean(0), "cls": states[0]}[pooling]
    return F.normalize(vector, dim=0) if normalize else vector


def _embed(llm: LLM, texts: list[str], **params: Any) -> list[torch.Tensor]:
    outputs = llm.embed(texts, PoolingParams(**params), use_tqdm=False)
    return [torch.tensor(output.outputs.embedding) for output in outputs]


def _close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("family", SETTINGS)
def test_a_base_model_embeds_as_its_files_say(family: str, tmp_path: Path) -> None:
    network = _network(family)
    llm = _llm(_write(network, tmp_path, {"pooling_mode_lasttoken": True}))
    config = load_config(tmp_path)
    assert (config.architecture, config.has_head) == (type(network).__name__, False)
    assert config.num_parameters == network.num_parameters()
    for text, actual in zip(TEXTS, _embed(llm, TEXTS), strict=True):
        _close(actual, _expected(network, llm.get_tokenizer().encode(text), "last", normalize=True))


def test_every_family_without_a_head_has_the_name_that_transformers_gives_it() -> None:
    known = transformers.models.auto.modeling_auto.MODEL_MAPPING_NAMES
    ours = {
        family.model_type: family.base_architecture
        for family in FAMILIES
        if hasattr(transformers, family.base_architecture)
    }
    assert len(ours) > 29
    assert ours == {model_type: known[model_type] for model_type in ours}


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", ["last", "mean", "cls"])
def test_each_pooling_is_its_formula_whatever_is_cached_and_in_chunks(
    pooling: str, normalize: bool, tmp_path: Path
) -> None:
    network = _network("Qwen3")
    said = {"pooling_mode": "lasttoken" if pooling == "last" else pooling}
    llm = _llm(_write(network, tmp_path, said, normalize=normalize), max_num_batched_tokens=16, block_size=8)
    first = _embed(llm, TEXTS)
    for text, actual in zip(TEXTS, first, strict=True):
        _close(actual, _expected(network, llm.get_tokenizer().encode(text), pooling, normalize=normalize))
    again = _embed(llm, TEXTS[::-1])[::-1]
    alone = _embed(_llm(tmp_path, enable_prefix_caching=False), TEXTS)
    scarce = _embed(_llm(tmp_path, num_gpu_blocks_override=5, block_size=16, max_num_batched_tokens=9), TEXTS)
    for vectors in (again, alone, scarce):
        assert all(torch.equal(one, other) for one, other in zip(first, vectors, strict=True))


def test_a_request_may_scale_or_cut_otherwise_than_the_files(tmp_path: Path) -> None:
    network = _network("Llama")
    llm = _llm(_write(network, tmp_path, {"pooling_mode": "mean"}, normalize=False))
    token_ids = llm.get_tokenizer().encode(TEXTS[2])
    plain = _expected(network, token_ids, "mean", normalize=False)
    _close(_embed(llm, [TEXTS[2]])[0], plain)
    _close(_embed(llm, [TEXTS[2]], normalize=True)[0], F.normalize(plain, dim=0))
    _close(_embed(llm, [TEXTS[2]], normalize=True, dimensions=10)[0], F.normalize(plain[:10], dim=0))


@pytest.mark.parametrize("has_prefix", [True, False])
@pytest.mark.parametrize("head", ["tied", "stored", "left out"])
@pytest.mark.parametrize("kind", ["Model", "ForCausalLM"])
def test_names_with_and_without_prefix_and_head_are_the_same_embedder(
    kind: str, head: str, has_prefix: bool, tmp_path: Path
) -> None:
    network = _network("Qwen3", "ForCausalLM", tie_word_embeddings=head == "tied")
    _write(network, tmp_path, {"pooling_mode_lasttoken": True})
    _edit_config(tmp_path, architectures=[f"Qwen3{kind}"])
    tensors = load_file(tmp_path / "model.safetensors")
    if head == "left out":
        del tensors["lm_head.weight"]
    if not has_prefix:
        tensors = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    llm = _llm(tmp_path)
    _close(_embed(llm, TEXTS[1:2])[0], _expected(network, llm.get_tokenizer().encode(TEXTS[1]), "last", normalize=True))


def test_without_modules_a_model_that_generates_embeds_too(tmp_path: Path) -> None:
    network = _network("Qwen3", "ForCausalLM")
    llm = _llm(_write(network, tmp_path, None))
    _close(_embed(llm, TEXTS[1:2])[0], _expected(network, llm.get_tokenizer().encode(TEXTS[1]), "last", normalize=True))
    assert llm.generate(TEXTS[1], SamplingParams(max_tokens=2), use_tqdm=False)[0].outputs[0].token_ids


@pytest.mark.parametrize("pooling", [None, {"pooling_mode": "mean"}])
def test_generation_is_refused_by_name_and_embedding_goes_on(pooling: dict[str, Any] | None, tmp_path: Path) -> None:
    llm = _llm(_write(_network("Qwen3"), tmp_path, pooling))
    with pytest.raises(InvalidRequestError, match=r"Qwen3Model.*no output head.*LLM\.embed"):
        llm.generate(TEXTS[0], SamplingParams(max_tokens=1), use_tqdm=False)
    assert len(_embed(llm, TEXTS)) == len(TEXTS)


def test_a_missing_tensor_of_a_bare_network_is_told_by_its_bare_name(tmp_path: Path) -> None:
    _write(_network("Qwen3"), tmp_path, {"pooling_mode": "mean"})
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["layers.1.mlp.up_proj.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing: layers\.1\.mlp\.up_proj\.weight"):
        _llm(tmp_path)


def test_prompts_stand_before_texts_as_part_of_them(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": "query"}
    network = _network("Qwen3")
    llm = _llm(_write(network, tmp_path, {"pooling_mode": "mean"}, prompts=prompts))
    encode = llm.get_tokenizer().encode
    asked = _expected(network, encode("query: " + TEXTS[1]), "mean", normalize=True)
    plain = _expected(network, encode(TEXTS[1]), "mean", normalize=True)
    assert (asked - plain).abs().max() > 100 * TOLERANCE
    _close(_embed(llm, [TEXTS[1]])[0], asked)
    _close(_embed(llm, [TEXTS[1]], prompt_name="document")[0], plain)
    token_ids = llm.embed({"prompt_token_ids": encode(TEXTS[1])}, use_tqdm=False)[0]
    _close(torch.tensor(token_ids.outputs.embedding), plain)
    with pytest.raises(InvalidParameterError, match="passage"):
        _embed(llm, [TEXTS[1]], prompt_name="passage")
    with pytest.raises(InvalidParameterError, match="token ids were given"):
        llm.embed({"prompt_token_ids": [5]}, PoolingParams(prompt_name="query"), use_tqdm=False)


def test_a_text_is_no_longer_than_the_embedder_takes(tmp_path: Path) -> None:
    directory = _write(_network("Qwen3"), tmp_path, {"pooling_mode": "mean"}, transformer={"max_seq_length": 20})
    llm = _llm(directory)
    assert llm.llm_engine.max_model_len == 20
    with pytest.raises(InvalidRequestError, match="20 tokens"):
        _embed(llm, [TEXTS[2]])
    assert _llm(directory, max_model_len=40).llm_engine.max_model_len == 40


def test_what_the_files_say_and_we_do_not_compute_is_refused_before_weights_are_read(tmp_path: Path) -> None:
    _write(_network("Qwen3"), tmp_path, {"pooling_mode": "weightedmean"})
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="weightedmean"):
        _llm(tmp_path)


@pytest.mark.parametrize("said", [{"pooling_mode_mean_tokens": True}, {"pooling_mode_lasttoken": True}])
def test_an_embedder_is_the_one_that_sentence_transformers_makes_of_the_same_files(
    said: dict[str, bool], tmp_path: Path
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    prompts = {"prompts": {"query": "query: "}}
    _write(_network("Qwen3"), tmp_path, {**said, "word_embedding_dimension": 64}, prompts=prompts)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<unk>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")
    llm = _llm(tmp_path)
    for name in ("query", "document"):
        expected = torch.from_numpy(theirs.encode(TEXTS, prompt_name=name))
        for actual, vector in zip(_embed(llm, TEXTS, prompt_name=name), expected, strict=True):
            _close(actual, vector)


def test_ids_alone_embed_where_there_is_no_tokenizer(tmp_path: Path) -> None:
    network = _network("Llama")
    _write(network, tmp_path, {"pooling_mode": "cls"}, normalize=False)
    (tmp_path / "tokenizer.json").unlink()
    token_ids = token_ids_of(9)
    [output] = _llm(tmp_path).embed({"prompt_token_ids": token_ids}, use_tqdm=False)
    _close(torch.tensor(output.outputs.embedding), _expected(network, token_ids, "cls", normalize=False))


def _edit_config(directory: Path, **changes: Any) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, **changes}))
