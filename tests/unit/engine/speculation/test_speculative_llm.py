"""Speculative decoding through `LLM`: the settings, a draft model of its own, structured output, and the counters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pagoda.engine.speculation.speculator import Prices, Speculator
from pagoda.engine.speculation.step_costs import StepCosts
from pagoda.errors import CheckpointError, ConfigError
from pagoda.llm import LLM
from pagoda.sampling_params import SamplingParams, StructuredOutputsParams

PROMPTS = ["The fox looked at the moon, and the moon", "She put 17 apples into", "从前有一只"]
PARAMS = [
    SamplingParams(temperature=0, max_tokens=40, ignore_eos=True),
    SamplingParams(temperature=0.9, seed=3, max_tokens=40, ignore_eos=True, logprobs=2),
    SamplingParams(temperature=1.1, seed=4, top_p=0.9, top_k=30, max_tokens=40, repetition_penalty=1.1),
    SamplingParams(temperature=0.7, seed=5, n=3, max_tokens=30, stop=["e"], min_tokens=4, bad_words=["moon"]),
]


def _always(llm: LLM) -> LLM:
    """Whatever can be proposed is, whatever this machine's rows cost."""
    speculator = llm.llm_engine.core.speculator
    assert speculator is not None
    speculator._prices = Prices(step=StepCosts((1, 2), (1.0, 1.0)), most=speculator._prices.most)
    return llm


def _said(llm: LLM, params: SamplingParams | list[SamplingParams]) -> list[Any]:
    outputs = llm.generate(PROMPTS, params, use_tqdm=False)
    return [[(c.text, c.token_ids, c.logprobs, c.finish_reason, c.stop_reason) for c in o.outputs] for o in outputs]


def _stats(llm: LLM) -> tuple[int, int]:
    stats = llm.llm_engine.core.scheduler.stats
    return stats.spec_decode_num_draft_tokens, stats.spec_decode_num_accepted_tokens


@pytest.mark.parametrize("params", PARAMS, ids=["greedy", "sampled", "filtered", "stop strings"])
def test_text_is_the_same_looked_up_or_drafted(
    params: SamplingParams, llm: LLM, make_llm: Callable[..., LLM], changed_checkpoint: Callable[..., Path]
) -> None:
    expected = _said(llm, params)
    alike = changed_checkpoint(rms_norm_eps=0.01)  # to the model itself, but not quite
    for wish in (
        {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_min": 1, "prompt_lookup_max": 3},
        {"model": str(alike), "num_speculative_tokens": 3},
    ):
        other = _always(make_llm(speculative_config=wish))
        assert _said(other, params) == expected
        num_proposed, num_accepted = _stats(other)
        assert num_proposed > num_accepted >= ("model" in wish), wish  # random words seldom repeat themselves


@pytest.mark.parametrize("params", PARAMS[:3], ids=["greedy", "sampled", "filtered"])
def test_a_draft_that_is_the_model_itself_is_always_right(
    params: SamplingParams, llm: LLM, make_llm: Callable[..., LLM], checkpoint: Callable[..., Path]
) -> None:
    """It draws with the request's own random numbers: sampled tokens, too, are those that the model draws."""
    itself = _always(make_llm(speculative_config={"model": str(checkpoint()), "num_speculative_tokens": 5}))
    assert _said(itself, params) == _said(llm, params)
    num_proposed, num_accepted = _stats(itself)
    assert num_proposed == num_accepted > 30


def test_structured_outputs_follow_their_grammar_with_proposals(llm: LLM, make_llm: Callable[..., LLM]) -> None:
    words = StructuredOutputsParams(regex="(river|moon)(, (river|moon)){12,15}!")
    wishes = [SamplingParams(temperature=0.8, seed=seed, max_tokens=150, structured_outputs=words) for seed in range(3)]
    expected = _said(llm, wishes)
    looking_up = {"method": "ngram", "num_speculative_tokens": 6, "prompt_lookup_min": 1, "prompt_lookup_max": 4}
    other = _always(make_llm(speculative_config=looking_up))
    assert _said(other, wishes) == expected
    assert all(text.endswith("!") for [(text, *_)] in expected)
    num_proposed, num_accepted = _stats(other)
    assert num_proposed > num_accepted > 40


def test_scores_embeddings_and_beams_are_none_of_its_business(
    llm: LLM, make_llm: Callable[..., LLM], assert_idle: Callable[[LLM], None]
) -> None:
    other = _always(make_llm(speculative_config={"num_speculative_tokens": 4, "prompt_lookup_min": 1}, max_logprobs=-1))
    params = SamplingParams(temperature=0, max_tokens=12, prompt_logprobs=2)
    for own, its in zip(llm.generate(PROMPTS, params), other.generate(PROMPTS, params), strict=True):
        assert (own.prompt_logprobs, own.outputs[0].token_ids) == (its.prompt_logprobs, its.outputs[0].token_ids)
    assert [o.outputs.embedding for o in other.embed(PROMPTS)] == [o.outputs.embedding for o in llm.embed(PROMPTS)]
    assert_idle(other)
    assert not other.llm_engine.core.speculator._rates  # type: ignore[union-attr]


def test_by_default_nothing_is_proposed(llm: LLM) -> None:
    _said(llm, PARAMS[0])
    assert llm.llm_engine.core.speculator is None
    assert _stats(llm) == (0, 0)


def test_what_rows_cost_is_measured_when_the_engine_starts(make_llm: Callable[..., LLM]) -> None:
    speculator = make_llm(speculative_config={"num_speculative_tokens": 4}).llm_engine.core.speculator
    assert isinstance(speculator, Speculator)
    costs = speculator._prices.step
    assert costs.num_rows[0] == 1
    assert len(costs.num_rows) > 5
    assert 0 < costs.seconds[0] <= costs.seconds[-1]


def test_a_draft_with_another_tokenizer_is_refused(
    make_llm: Callable[..., LLM], changed_checkpoint: Callable[..., Path]
) -> None:
    other = changed_checkpoint()
    words = json.loads((other / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    first, second = sorted(vocabulary)[100:102]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(ConfigError, match=r"has another tokenizer, where .* is token"):
        make_llm(speculative_config={"model": str(other), "num_speculative_tokens": 3})


def test_without_tokenizers_the_vocabularies_must_have_one_size(
    make_llm: Callable[..., LLM], checkpoint: Callable[..., Path]
) -> None:
    wish = {"model": str(checkpoint("odd sizes")), "num_speculative_tokens": 3}  # 331 tokens
    with pytest.raises(ConfigError, match="has 331 tokens, but the model has 320"):
        make_llm(speculative_config=wish, skip_tokenizer_init=True)
    make_llm(speculative_config={**wish, "model": str(checkpoint())}, skip_tokenizer_init=True)


def test_a_draft_that_is_not_there_is_an_error_at_start(make_llm: Callable[..., LLM], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        make_llm(speculative_config={"model": str(tmp_path / "nothing"), "num_speculative_tokens": 3})


def test_the_draft_counts_in_the_memory_plan(make_llm: Callable[..., LLM], checkpoint: Callable[..., Path]) -> None:
    alone = make_llm().llm_engine.parts.memory_plan
    wish = {"model": str(checkpoint()), "num_speculative_tokens": 3}
    with_draft = make_llm(speculative_config=wish).llm_engine.parts.memory_plan
    assert with_draft.weight_bytes == 2 * alone.weight_bytes
    assert with_draft.kv_bytes_per_token == 2 * alone.kv_bytes_per_token
