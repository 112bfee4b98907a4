"""Programs of the shapes that vLLM's users write, with only the import and the model theirs to change."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pagoda import (
    LLM,
    AsyncEngineArgs,
    AsyncLLMEngine,
    BeamSearchParams,
    EngineArgs,
    GuidedDecodingParams,
    LLMEngine,
    PoolingParams,
    RequestOutput,
    RequestOutputKind,
    SamplingParams,
    StructuredOutputsParams,
    TextPrompt,
    TokensPrompt,
)
from pagoda.engine.outputs import EmbeddingRequestOutput
from pagoda.errors import ConfigError, EngineDeadError, InvalidParameterError, InvalidRequestError
from patience import HANG_S

PROMPTS = ["Once upon a time", "The fox looked at", "月亮"]
GREEDY = SamplingParams(temperature=0, max_tokens=6, ignore_eos=True)
Settings = dict[str, Any]


@pytest.fixture(scope="module")
def settings(checkpoint: Callable[..., Path]) -> Settings:
    """What a vLLM program hands over, half of it of no meaning here."""
    return {
        "model": str(checkpoint()), "tokenizer": None, "dtype": "float32", "enforce_eager": True, "swap_space": 4,
        "tensor_parallel_size": 1, "trust_remote_code": True, "gpu_memory_utilization": 0.5, "max_model_len": 128,
        "max_num_seqs": 8, "seed": 0, "disable_log_stats": True, "num_gpu_blocks_override": 128, "runner": "auto",
    }  # fmt: skip


def _texts(outputs: list[RequestOutput]) -> list[str]:
    return [output.outputs[0].text for output in outputs]


def test_offline_batch_with_changed_defaults(llm: LLM) -> None:
    params = llm.get_default_sampling_params()
    params.max_tokens = 4
    params.temperature = 0.0
    for prompt, output in zip(PROMPTS, llm.generate(PROMPTS, params, use_tqdm=lambda *a, **k: None), strict=True):
        assert output.prompt == prompt
        assert len(output.outputs[0].token_ids) <= 4
        assert output.prompt_token_ids + list(output.outputs[0].token_ids)
        assert output.metrics is not None
        assert output.metrics.num_generation_tokens == len(output.outputs[0].token_ids)


def test_what_is_changed_after_a_call_does_not_reach_into_it(llm: LLM) -> None:
    params = GREEDY.clone()
    stream = llm.stream("The fox", params)
    params.max_tokens = 1
    assert len(list(stream)[-1].outputs[0].token_ids) == 6


def test_prompts_of_every_form(llm: LLM) -> None:
    ids = llm.get_tokenizer().encode("The fox")
    expected = _texts(llm.generate("The fox", GREEDY))
    forms: list[Any] = [
        TextPrompt(prompt="The fox"), TokensPrompt(prompt_token_ids=ids), np.array(ids), torch.tensor(ids),
        {"prompt": "The fox", "multi_modal_data": None}, {"prompt": "The fox", "cache_salt": "tenant"},
    ]  # fmt: skip
    for form in forms:
        assert _texts(llm.generate(form, GREEDY)) == expected
    assert _texts(llm.generate(np.array(["The fox", "The fox"]), GREEDY)) == expected * 2  # type: ignore[arg-type]


def test_prompts_of_another_salt_share_no_blocks(llm: LLM) -> None:
    prompt = "The old man said that the river was deep, but the children did not believe him. " * 2
    hits = [
        llm.generate({"prompt": prompt, "cache_salt": salt}, GREEDY)[0].num_cached_tokens for salt in ("a", "b", "a")
    ]
    assert hits[0] == hits[1] == 0
    assert hits[2] > 0
    assert llm.reset_prefix_cache()
    assert llm.generate({"prompt": prompt, "cache_salt": "a"}, GREEDY)[0].num_cached_tokens == 0


def test_a_running_request_keeps_the_cache(llm: LLM) -> None:
    stream = llm.stream("The fox", GREEDY)
    next(stream)
    assert not llm.reset_prefix_cache()
    list(stream)


def test_old_and_new_names_of_structured_outputs(llm: LLM) -> None:
    for shaped in (
        SamplingParams(structured_outputs=StructuredOutputsParams(choice=["fox", "moon"]), temperature=0),
        SamplingParams(guided_decoding=GuidedDecodingParams(choice=["fox", "moon"]), temperature=0),  # type: ignore[call-arg]
    ):
        assert _texts(llm.generate("x", shaped))[0] in ("fox", "moon")


def test_enqueue_then_wait(llm: LLM) -> None:
    first = llm.enqueue(PROMPTS[:2], GREEDY)
    between = llm.generate(PROMPTS[2], GREEDY, priority=0)
    second = llm.enqueue(PROMPTS[2], [GREEDY], priority=[0])
    done = llm.wait_for_completion(use_tqdm=False)
    assert [output.request_id for output in done] == [*first, *second]
    assert _texts(done) == _texts(llm.generate(PROMPTS, GREEDY))
    assert _texts(between) == _texts(done)[2:]
    assert llm.wait_for_completion() == []


def test_embed_encode_and_score(llm: LLM) -> None:
    [embedded] = llm.embed("The fox")
    [encoded] = llm.encode("The fox", pooling_task="embed")
    assert encoded.outputs.data.tolist() == pytest.approx(embedded.outputs.embedding)
    scores = [each.outputs.score for each in llm.score("The fox", ["The fox", "月亮"])]
    assert scores[0] == pytest.approx(1.0)
    other = llm.embed("月亮")[0].outputs.embedding
    cosine = float(np.dot(embedded.outputs.embedding, other))
    assert scores[1] == pytest.approx(cosine, abs=1e-6)
    raw = PoolingParams(use_activation=False)  # type: ignore[call-arg]
    assert llm.score("The fox", "月亮", pooling_params=raw)[0].outputs.score == pytest.approx(cosine, abs=1e-6)
    assert [each.outputs.score for each in llm.score(["a", "b"], ["a", "b"])] == pytest.approx([1.0, 1.0])
    for left, right in ((["a", "b"], ["c"]), ([], ["c"]), ("a", [])):
        with pytest.raises(InvalidRequestError, match="cannot be paired"):
            llm.score(left, right)
    with pytest.raises(InvalidParameterError, match="pooling_task is 'classify'"):
        llm.encode("x", pooling_task="classify")


def _exhaustive(llm: LLM, prompt: list[int], length: int) -> dict[tuple[int, ...], float]:
    """Log-probability of every continuation of `length` tokens whose beginnings are among the best 8 each."""
    found: dict[tuple[int, ...], float] = {(): 0.0}
    for _ in range(length):
        beginnings = list(found)
        outputs = llm.generate(
            [{"prompt_token_ids": [*prompt, *beginning]} for beginning in beginnings],
            SamplingParams(max_tokens=1, temperature=0, logprobs=8),
        )
        longer = {}
        for beginning, output in zip(beginnings, outputs, strict=True):
            assert output.outputs[0].logprobs is not None
            for token_id, entry in output.outputs[0].logprobs[0].items():
                longer[(*beginning, token_id)] = found[beginning] + entry.logprob
        found = longer
    return found


def test_beam_search_finds_what_going_through_all_finds(llm: LLM) -> None:
    prompt = llm.get_tokenizer().encode("The fox")
    [found] = llm.beam_search([{"prompt_token_ids": prompt}], BeamSearchParams(4, 3, ignore_eos=True))
    everything = _exhaustive(llm, prompt, 3)
    best = max(everything, key=lambda tokens: everything[tokens])
    assert len(found.sequences) == 4
    totals = [beam.cum_logprob for beam in found.sequences]
    assert totals == sorted(totals, reverse=True)
    assert all(
        beam.cum_logprob == pytest.approx(everything[tuple(beam.tokens[len(prompt) :])]) for beam in found.sequences
    )
    assert totals[0] == pytest.approx(everything[best])
    assert found.sequences[0].text == llm.get_tokenizer().decode(found.sequences[0].tokens)


def test_beams_end_at_end_tokens_and_at_the_context(llm: LLM) -> None:
    long = BeamSearchParams(beam_width=2, max_tokens=50, ignore_eos=True)
    [found] = llm.beam_search({"prompt_token_ids": [5] * 318}, long)
    assert [(len(beam.tokens), beam.finish_reason) for beam in found.sequences] == [(320, "length")] * 2
    params = BeamSearchParams(beam_width=8, max_tokens=40)
    for beam in (beam for each in llm.beam_search(PROMPTS, params, concurrency_limit=2) for beam in each.sequences):
        assert (beam.finish_reason == "stop") == (beam.tokens[-1] == 0)
        assert 0 not in beam.tokens[len(beam.tokens) - len(beam.logprobs) : -1]
        assert math.isfinite(beam.cum_logprob)
    with pytest.raises(InvalidParameterError, match="beam_width is 0"):
        BeamSearchParams(beam_width=0, max_tokens=1)


def test_an_argument_parser_s_program(settings: Settings) -> None:
    parser = argparse.ArgumentParser()
    EngineArgs.add_cli_args(parser)
    parser.set_defaults(**settings)
    args = vars(parser.parse_args(["--max-num-seqs", "4"]))
    llm = LLM(**args)
    assert llm.llm_engine.parts.args.max_num_seqs == 4
    assert _texts(LLM.from_engine_args(EngineArgs(**args)).generate(PROMPTS, GREEDY)) == _texts(
        llm.generate(PROMPTS, GREEDY)
    )


def test_a_program_that_steps_the_engine_itself(settings: Settings) -> None:
    engine = LLMEngine.from_engine_args(EngineArgs(**settings))
    for number, prompt in enumerate(PROMPTS):
        engine.add_request(str(number), prompt, GREEDY)
    engine.add_request("gone", PROMPTS[0], GREEDY)
    engine.abort_request(["gone"])
    assert engine.get_num_unfinished_requests() == 3
    done = {}
    while engine.has_unfinished_requests():
        done.update({output.request_id: output for output in engine.step() if output.finished})
    assert sorted(done) == ["0", "1", "2"]
    assert engine.get_tokenizer().decode(done["0"].prompt_token_ids) == PROMPTS[0]


def test_an_asyncio_program(settings: Settings) -> None:
    async def read(engine: AsyncLLMEngine, prompt: Any, number: int, kind: RequestOutputKind) -> list[RequestOutput]:
        params = GREEDY.clone(output_kind=kind, logprobs=1)
        return [output async for output in engine.generate(prompt, params, request_id=f"{number}")]

    async def main() -> None:
        engine = AsyncLLMEngine.from_engine_args(AsyncEngineArgs(**settings, enable_log_requests=False))
        kinds = (RequestOutputKind.CUMULATIVE, RequestOutputKind.DELTA, RequestOutputKind.FINAL_ONLY)
        told = await asyncio.gather(*(read(engine, PROMPTS[0], n, kind) for n, kind in enumerate(kinds)))
        whole = told[0][-1].outputs[0]
        assert [len(output.outputs[0].token_ids) for output in told[0]] == sorted({*map(_length, told[0])})
        assert "".join(output.outputs[0].text for output in told[1]) == whole.text == told[2][0].outputs[0].text
        assert len(whole.token_ids) == len(whole.logprobs or ()) == 6
        [embedded] = [output async for output in engine.encode("The fox", PoolingParams(), "e")]
        assert isinstance(embedded, EmbeddingRequestOutput)
        for bad, said in (("\ud83d", "surrogate"), (7, "a prompt is a string"), ({"prompt_embeds": 1}, "leave it out")):
            with pytest.raises(InvalidRequestError, match=said):
                await read(engine, bad, 9, RequestOutputKind.DELTA)
        with pytest.raises(InvalidParameterError, match="SamplingParams are expected"):
            [output async for output in engine.generate("x", None, "n")]  # type: ignore[arg-type]
        endless = engine.generate("x", GREEDY.clone(max_tokens=120), "long")
        await anext(endless)
        await engine.abort(["long", "absent"])
        assert len([output async for output in endless]) <= 1
        await engine.wait_for_requests_to_drain()
        await engine.check_health()
        assert engine.is_running
        assert (await engine.get_tokenizer()).encode("x") == engine.tokenizer.encode("x")
        engine.shutdown()
        assert engine.errored
        with pytest.raises(EngineDeadError):
            await engine.check_health()

    asyncio.run(asyncio.wait_for(main(), HANG_S))


def _length(output: RequestOutput) -> int:
    return len(output.outputs[0].token_ids)


def test_generation_config_auto_vllm_or_a_folder(
    changed_checkpoint: Callable[..., Path], tmp_path: Path, settings: Settings
) -> None:
    directory = changed_checkpoint()
    (directory / "generation_config.json").write_text(json.dumps({"temperature": 0.5, "eos_token_id": [0, 7]}))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "generation_config.json").write_text(json.dumps({"top_k": 3, "eos_token_id": 9}))
    settings = {**settings, "model": directory}
    for given, expected, ends in (
        ({}, {"temperature": 0.5}, (0, 7)),
        ({"generation_config": "auto"}, {"temperature": 0.5}, (0, 7)),
        ({"generation_config": "vllm"}, {}, (0, 7)),
        ({"generation_config": tmp_path / "other"}, {"top_k": 3}, (9, 0)),
        ({"override_generation_config": {"max_new_tokens": 5}}, {"temperature": 0.5, "max_tokens": 5}, (0, 7)),
        ({"generation_config": "vllm", "override_generation_config": {"min_p": 0.1}}, {"min_p": 0.1}, (0, 7)),
    ):  # fmt: skip
        llm = LLM(**settings, **given)
        assert llm.get_default_sampling_params() == SamplingParams(**expected)
        assert llm.llm_engine.parts.eos_token_ids == ends
    for given, said in (
        ({"generation_config": "absent"}, "no generation_config.json lies there"),
        ({"override_generation_config": {"tempreature": 1}}, 'did you mean "temperature"'),
        ({"override_generation_config": {"top_k": "x"}}, "override_generation_config has top_k='x'"),
        ({"override_generation_config": "x"}, "a dict of"),
    ):
        with pytest.raises(ConfigError, match=said):
            LLM(**settings, **given)


def test_hf_overrides_stand_in_for_config_json(settings: Settings) -> None:
    told = LLM(**{**settings, "max_model_len": None}, hf_overrides={"max_position_embeddings": 96})
    assert told.llm_engine.max_model_len == 96
    yarn = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 320}
    longer = {"rope_parameters": yarn, "max_model_len": 640}
    assert LLM(**{**settings, "max_model_len": None}, hf_overrides=longer).llm_engine.max_model_len == 640


def test_an_engine_without_a_tokenizer_takes_and_gives_ids(settings: Settings, llm: LLM) -> None:
    bare = LLM(**settings, skip_tokenizer_init=True)
    ids = llm.get_tokenizer().encode("The fox")
    [output] = bare.generate({"prompt_token_ids": ids}, GREEDY.clone(detokenize=False))
    assert output.outputs[0].token_ids == llm.generate("The fox", GREEDY)[0].outputs[0].token_ids
    for bad in ("text", {"prompt": "text"}):
        with pytest.raises(InvalidRequestError, match="no tokenizer"):
            bare.generate(bad, GREEDY.clone(detokenize=False))


def test_what_older_programs_say_is_answered_with_what_to_write(llm: LLM, settings: Settings) -> None:
    with pytest.raises(InvalidParameterError, match=r"give prompts=.*'prompt_token_ids'"):
        llm.generate(prompt_token_ids=[[5, 6]], sampling_params=GREEDY)
    assert llm.generate("x", GREEDY, prompt_adapter_request=None)
    for embeds in (torch.zeros(2, 3), np.zeros((2, 3))):
        with pytest.raises(InvalidParameterError, match="prompts are text or token ids"):
            llm.generate({"prompt_embeds": embeds}, GREEDY)
    with pytest.raises(AttributeError, match=r"LLM\(model, tokenizer="):
        llm.set_tokenizer(llm.get_tokenizer())
    with pytest.raises(ConfigError, match="keys is expected"):
        EngineArgs(**{**settings, "hf_overrides": lambda config: config})


def test_a_program_that_takes_the_tokenizer_for_transformers_is_told_what_to_call(llm: LLM) -> None:
    tokenizer = llm.get_tokenizer()
    for name, instead in (
        ("batch_decode", "decode each"),
        ("convert_tokens_to_ids", "token_to_id"),
        ("pad_token_id", ""),
    ):
        with pytest.raises(AttributeError, match=f"Tokenizer.{name} is not supported: .*{instead}"):
            getattr(tokenizer, name)
    assert not hasattr(tokenizer, "no_such_thing")
    messages = [{"role": "user", "content": "hello"}]
    text = tokenizer.apply_chat_template(messages, chat_template="{{ messages[0].content }}", tokenize=False)
    assert text == "hello"
    with pytest.raises(InvalidParameterError, match="call encode_chat"):
        tokenizer.apply_chat_template(messages, chat_template="x", tokenize=True)
