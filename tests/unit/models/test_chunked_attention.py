"""Chunks, and windows over their borders: a line in a recipe, trained densely, served from blocks of any size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pagoda.errors import CheckpointError
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.kernels.window import AttentionWindow
from pagoda.layers.attention import DenseAttention
from pagoda.llm import LLM
from pagoda.models.checkpoint.saving import save_checkpoint
from pagoda.models.config import ModelConfig
from pagoda.models.families.windows import CHUNKED, EITHER, FULL, SLIDING
from pagoda.models.llama import LlamaForCausalLM
from pagoda.sampling_params import SamplingParams
from pagoda.train.config import Recipe
from pagoda.train.trainer import Trainer

OWN = {"architectures": ["PagodaForCausalLM"], "model_type": "pagoda", "norm": "rms_norm", "norm_placement": "pre"}
SEGMENTS: dict[str, dict[str, Any]] = {
    "chunks": {"attention_chunk_size": 12},
    "chunks or windows": {"attention_chunk_size": 12, "sliding_window": 5},
    "one layer of chunks, one that sees all": {"attention_chunk_size": 12, "layer_types": [CHUNKED, FULL]},
}
IDS = torch.randint(4, 300, (45,), generator=torch.Generator().manual_seed(0)).tolist()


@torch.no_grad()
def _dense(model: LlamaForCausalLM, ids: list[int]) -> torch.Tensor:
    hidden = model(torch.tensor(ids), torch.arange(len(ids)), DenseAttention(1, model.config.layer_windows))
    return model.compute_logits(hidden)


def _saved(config: ModelConfig, folder: Path) -> LlamaForCausalLM:
    model = LlamaForCausalLM(config, ReferenceKernels())
    model.initialize(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)  # or attention would hardly tell one key from another
    save_checkpoint(model, config, folder)
    return model


@pytest.mark.parametrize("block_size", [8, 16, 64])
@pytest.mark.parametrize("segments", SEGMENTS.values(), ids=list(SEGMENTS))
def test_the_engine_computes_what_whole_sequences_are_trained_with(
    segments: dict[str, Any], block_size: int, changed_checkpoint: Callable[..., Path]
) -> None:
    folder = changed_checkpoint(**OWN, **segments)
    model = _saved(ModelConfig.from_directory(folder), folder)
    llm = LLM(
        folder, block_size=block_size, num_gpu_blocks_override=64, disable_log_stats=True, dtype="float32",
        max_num_batched_tokens=17, max_num_seqs=4, enable_prefix_caching=True,
    )  # fmt: skip
    params = SamplingParams(temperature=0, max_tokens=20, prompt_logprobs=0, ignore_eos=True)
    (output,) = llm.generate({"prompt_token_ids": IDS}, params, use_tqdm=False)
    told = [step[token].logprob for step, token in zip(output.prompt_logprobs[1:], IDS[1:], strict=True)]
    whole = _dense(model, IDS).log_softmax(-1)
    expected = [float(whole[place, token]) for place, token in enumerate(IDS[1:])]
    assert told == pytest.approx(expected, abs=1e-4)
    text = list(IDS)
    for _ in range(20):
        text.append(int(_dense(model, text)[-1].argmax()))
    assert text[len(IDS) :] == list(output.outputs[0].token_ids)


@pytest.mark.parametrize(
    ("sliding", "layers", "after_last"),
    [
        (None, 2, 12),  # its own chunk ends there
        (5, 1, 16),  # four tokens of the second chunk have a window over the border
        (5, 2, 24),  # and all of that chunk sees these
        (5, 3, 28),  # of which the last ones are seen over the next border
    ],
)
def test_nothing_crosses_the_border_of_a_chunk_but_what_a_window_lets_through(
    sliding: int | None, layers: int, after_last: int, changed_checkpoint: Callable[..., Path]
) -> None:
    raw = json.loads((changed_checkpoint(**OWN) / "config.json").read_text())
    raw = {**raw, "num_hidden_layers": layers, "attention_chunk_size": 12, "sliding_window": sliding}
    model = LlamaForCausalLM(ModelConfig.from_dict(raw), ReferenceKernels())
    model.initialize(0)
    other = [*IDS[:11], 7, *IDS[12:]]  # the last token of the first chunk is another
    changed = (_dense(model, IDS) != _dense(model, other)).any(-1)
    assert changed.nonzero().flatten().tolist() == list(range(11, after_last))


def test_a_recipe_of_chunks_trains_and_its_checkpoint_says_so(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("\n<|endoftext|>\n".join(["The moon looked at the fox."] * 60), "utf-8")
    recipe = Recipe.from_dict(
        {
            "model": {
                "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
                "num_key_value_heads": 1, "head_dim": 16, "attention_chunk_size": 8, "sliding_window": 3,
            },
            "tokenizer": {"vocab_size": 270},
            "train": {
                "tokens": 256, "tokens_per_step": 64, "micro_batch_tokens": 64, "length_schedule": [[0.0, 16]],
                "warmup_steps": 1, "eval_every": 100, "eval_tokens": 32, "held_back": 20, "precision": "fp32",
            },
            "sources": [{"path": "corpus.txt"}],
        },
        tmp_path,
    )  # fmt: skip
    trainer = Trainer(recipe, tmp_path / "run", device="cpu")
    reports = list(trainer.run())
    assert reports[-1].loss < reports[0].loss
    config = ModelConfig.from_directory(tmp_path / "run" / "step-0000004")
    assert (config.architecture, config.layer_types) == ("PagodaForCausalLM", (EITHER, EITHER))
    assert config.layer_windows == (AttentionWindow(3, 8),) * 2


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"attention_chunk_size": 0}, "attention_chunk_size=0, but a whole number of at least 1"),
        ({"layer_types": [CHUNKED, FULL]}, "'chunked_attention' with sliding_window=None and attention_chunk_size="),
        ({"attention_chunk_size": 4, "layer_types": [EITHER, FULL]}, "'sliding_or_chunked_attention' with sliding_"),
        ({"attention_chunk_size": 4, "layer_types": ["chunked", FULL]}, "known: chunked_attention"),
        ({"attention_chunk_size": 4, "layer_types": [SLIDING, FULL]}, "sliding_window"),
        ({"attention_chunk_size": -4}, "attention_chunk_size=-4"),
    ],
)
def test_segments_that_are_none_are_refused(
    facts: dict[str, Any], told: str, changed_checkpoint: Callable[..., Path]
) -> None:
    raw = json.loads((changed_checkpoint(**OWN) / "config.json").read_text())
    with pytest.raises(CheckpointError, match=told):
        ModelConfig.from_dict({**raw, **facts})


def test_a_llama_is_never_read_as_one_with_chunks(changed_checkpoint: Callable[..., Path]) -> None:
    raw = json.loads((changed_checkpoint() / "config.json").read_text())
    with pytest.raises(CheckpointError, match="attention_chunk_size=64"):
        ModelConfig.from_dict({**raw, "attention_chunk_size": 64})


@pytest.mark.parametrize("chunk", [1, 5, 16])
def test_chunks_are_those_of_transformers(chunk: int) -> None:
    masks = pytest.importorskip("transformers.masking_utils")
    theirs = masks.chunked_overlay(chunk, torch.zeros(1, dtype=torch.int))
    positions = torch.arange(40)
    ours = AttentionWindow(chunk=chunk).sees(positions[:, None], positions)
    for query in range(40):
        assert [bool(theirs(0, 0, query, key)) for key in range(query + 1)] == ours[query, : query + 1].tolist()
