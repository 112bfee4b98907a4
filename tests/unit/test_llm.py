"""The public façade: orders, counts, streams, chats, embeddings, shapes of text, and Ctrl-C."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import pagoda
from pagoda.errors import InvalidParameterError, InvalidRequestError, PromptTooLongError
from pagoda.llm import LLM
from pagoda.sampling_params import PoolingParams, RequestOutputKind, SamplingParams, StructuredOutputsParams

PROMPTS = ["Once upon a time", "The fox looked at the moon", "月亮", "She put 17 apples", "x"]
GREEDY = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)
AssertIdle = Callable[[LLM], None]


@pytest.fixture(autouse=True)
def _left_idle(llm: LLM, assert_idle: AssertIdle) -> Iterator[None]:
    yield
    assert_idle(llm)


def _texts(outputs: list[Any]) -> list[list[str]]:
    return [[completion.text for completion in output.outputs] for output in outputs]


# --- generate -----------------------------------------------------------------------------------------------------


def test_the_root_names_are_the_classes_themselves() -> None:
    assert pagoda.LLM is LLM
    assert pagoda.SamplingParams is SamplingParams


def test_results_come_in_the_order_of_the_prompts_whoever_ends_first(llm: LLM) -> None:
    params = [GREEDY.clone(max_tokens=count) for count in (30, 1, 17, 2, 9)]
    outputs = llm.generate(PROMPTS, params)
    assert [output.prompt for output in outputs] == PROMPTS
    assert [len(output.outputs[0].token_ids) for output in outputs] == [30, 1, 17, 2, 9]
    assert all(output.finished and output.outputs[0].finish_reason == "length" for output in outputs)


def test_together_and_one_by_one_give_the_same(llm: LLM) -> None:
    assert _texts(llm.generate(PROMPTS, GREEDY)) == [_texts(llm.generate(prompt, GREEDY))[0] for prompt in PROMPTS]


def test_text_is_the_decoded_ids_and_the_prompt_is_told_in_both_forms(llm: LLM) -> None:
    [output] = llm.generate("The fox", GREEDY)
    tokenizer = llm.get_tokenizer()
    assert output.outputs[0].text == tokenizer.decode(output.outputs[0].token_ids)
    assert list(output.prompt_token_ids) == tokenizer.encode("The fox")


def test_a_prompt_may_be_given_as_ids_in_several_ways(llm: LLM) -> None:
    ids = llm.get_tokenizer().encode("The fox")
    expected = _texts(llm.generate("The fox", GREEDY))
    for prompts in (ids, [ids], {"prompt_token_ids": ids}, [{"prompt_token_ids": tuple(ids)}], {"prompt": "The fox"}):
        assert _texts(llm.generate(prompts, GREEDY)) == expected
    mixed = llm.generate(["The fox", {"prompt_token_ids": ids}], GREEDY)
    assert _texts(mixed) == expected * 2
    assert [output.prompt for output in mixed] == ["The fox", None]


def test_no_prompts_give_no_results(llm: LLM) -> None:
    assert llm.generate([], GREEDY) == []


def test_n_at_temperature_0_gives_n_copies(llm: LLM) -> None:
    [output] = llm.generate("The fox", GREEDY.clone(n=3))
    assert [completion.index for completion in output.outputs] == [0, 1, 2]
    assert _texts([output]) == [_texts(llm.generate("The fox", GREEDY))[0] * 3]


def test_n_samples_differ_and_come_again_with_their_seed(llm: LLM) -> None:
    params = SamplingParams(n=4, temperature=1.0, seed=11, max_tokens=12)
    first, again = (_texts(llm.generate("The fox", params)) for _ in range(2))
    assert first == again
    assert len(set(first[0])) == 4
    assert _texts(llm.generate("The fox", params.clone(n=1)))[0] == first[0][:1]


def test_unseeded_samples_differ_from_call_to_call(llm: LLM) -> None:
    params = SamplingParams(temperature=1.0, max_tokens=12)
    assert _texts(llm.generate("The fox", params)) != _texts(llm.generate("The fox", params))


def test_the_default_parameters_are_vllms_under_the_checkpoints(make_llm: Callable[..., LLM], llm: LLM) -> None:
    assert llm.get_default_sampling_params() == SamplingParams()
    [output] = llm.generate("The fox")
    assert 1 <= len(output.outputs[0].token_ids) <= 16


def test_generation_config_json_sets_defaults(changed_checkpoint: Callable[..., Path]) -> None:
    directory = changed_checkpoint()
    settings = {"temperature": 0.0, "top_k": 7, "max_new_tokens": 3, "eos_token_id": [0, 1]}
    (directory / "generation_config.json").write_text(json.dumps(settings))
    engine = LLM(directory, num_gpu_blocks_override=64, disable_log_stats=True)
    assert engine.get_default_sampling_params() == SamplingParams(temperature=0.0, top_k=7, max_tokens=3)
    first, again = (_texts(engine.generate("The fox")) for _ in range(2))
    assert first == again
    assert engine.llm_engine.parts.eos_token_ids == (0, 1)


def test_an_end_token_ends_the_text_and_its_reason_is_stop(llm: LLM) -> None:
    [free] = llm.generate("The fox", GREEDY)
    third = free.outputs[0].token_ids[2]
    [output] = llm.generate("The fox", GREEDY.clone(stop_token_ids=[third]))
    completion = output.outputs[0]
    assert completion.token_ids == free.outputs[0].token_ids[:3]
    assert (completion.finish_reason, completion.stop_reason) == ("stop", third)


def test_a_stop_string_ends_the_text_before_itself_and_frees_the_request(llm: LLM) -> None:
    [free] = llm.generate("The fox", GREEDY.clone(max_tokens=40))
    text = free.outputs[0].text
    stop = re.findall("[!-~]{2}", text)[-1]
    [output] = llm.generate("The fox", GREEDY.clone(max_tokens=40, stop=stop))
    assert output.outputs[0].text == text[: text.index(stop)]
    assert (output.outputs[0].finish_reason, output.outputs[0].stop_reason) == ("stop", stop)


def test_the_context_window_ends_a_text_without_limit(llm: LLM) -> None:
    [output] = llm.generate({"prompt_token_ids": [5] * 300}, GREEDY.clone(max_tokens=None))
    assert len(output.outputs[0].token_ids) == 20
    assert output.outputs[0].finish_reason == "length"


def test_logprobs_are_those_of_the_tokens_and_sum_up(llm: LLM) -> None:
    [output] = llm.generate("The fox", GREEDY.clone(logprobs=2, prompt_logprobs=-1))
    completion = output.outputs[0]
    assert completion.logprobs is not None
    assert output.prompt_logprobs is not None
    for token_id, entry in zip(completion.token_ids, completion.logprobs, strict=True):
        assert entry[token_id].rank == 1
        assert len(entry) == 2
        assert entry[token_id].decoded_token == llm.get_tokenizer().token_text(token_id)
    total = sum(
        entry[token_id].logprob for token_id, entry in zip(completion.token_ids, completion.logprobs, strict=True)
    )
    assert completion.cumulative_logprob == pytest.approx(total)
    assert output.prompt_logprobs[0] is None
    for token_id, entry in zip(output.prompt_token_ids[1:], output.prompt_logprobs[1:], strict=True):
        assert token_id in entry
        assert sum(math.exp(one.logprob) for one in entry.values()) == pytest.approx(1, abs=1e-4)


def test_prompt_logprobs_agree_with_the_logprobs_of_generation(llm: LLM) -> None:
    [output] = llm.generate("The fox", GREEDY.clone(logprobs=0))
    ids = [*output.prompt_token_ids, *output.outputs[0].token_ids]
    [scored] = llm.generate({"prompt_token_ids": ids}, GREEDY.clone(prompt_logprobs=0, max_tokens=1))
    assert scored.prompt_logprobs is not None
    assert output.outputs[0].logprobs is not None
    generated = [
        entry[i].logprob for i, entry in zip(output.outputs[0].token_ids, output.outputs[0].logprobs, strict=True)
    ]
    told = [entry[i].logprob for i, entry in zip(ids, scored.prompt_logprobs, strict=True) if entry is not None]
    assert told[-len(generated) :] == generated


def test_priorities_decide_who_is_first(make_llm: Callable[..., LLM]) -> None:
    engine = make_llm(scheduling_policy="priority", max_num_seqs=1)
    outputs = engine.generate(PROMPTS[:3], GREEDY, priority=[5, -1, 2])
    finished = [output.metrics.finished_time for output in outputs]
    assert sorted(range(3), key=lambda index: finished[index]) == [1, 2, 0]


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"sampling_params": [GREEDY] * 2}, "sampling_params"),
        ({"sampling_params": GREEDY, "priority": [1]}, "priority"),
    ],
)
def test_one_each_or_one_for_all(arguments: dict[str, Any], param: str, llm: LLM) -> None:
    with pytest.raises(InvalidParameterError, match=rf"{param} has \d entries for 3 prompts") as caught:
        llm.generate(PROMPTS[:3], **arguments)
    assert caught.value.param == param


def test_one_bad_prompt_among_good_ones_refuses_all_before_anything_runs(llm: LLM) -> None:
    with pytest.raises(InvalidRequestError, match="the prompt is empty"):
        llm.generate(["fine", "fine too", ""], GREEDY)


# --- streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_pieces_of_a_stream_join_to_what_generate_gives(prompt: str, llm: LLM) -> None:
    [whole] = llm.generate(prompt, GREEDY)
    pieces = list(llm.stream(prompt, GREEDY.clone(output_kind=RequestOutputKind.DELTA)))
    assert "".join(piece.outputs[0].text for piece in pieces) == whole.outputs[0].text
    assert sum((piece.outputs[0].token_ids for piece in pieces), ()) == whole.outputs[0].token_ids
    assert [piece.finished for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert len(pieces) > 5


def test_a_cumulative_stream_grows_to_the_whole(llm: LLM) -> None:
    texts = [output.outputs[0].text for output in llm.stream("The fox", GREEDY)]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert texts[-1] == _texts(llm.generate("The fox", GREEDY))[0][0]


def test_a_stream_without_parameters_gives_pieces(llm: LLM) -> None:
    pieces = list(llm.stream("The fox"))
    assert all(len(piece.outputs[0].token_ids) <= 1 for piece in pieces)


def test_leaving_a_stream_early_ends_its_request(llm: LLM, assert_idle: AssertIdle) -> None:
    for output in llm.stream("The fox", GREEDY.clone(max_tokens=100)):
        if len(output.outputs[0].token_ids) == 3:
            break
    assert_idle(llm)


def test_a_bad_request_is_refused_when_the_stream_is_asked_for(llm: LLM) -> None:
    with pytest.raises(PromptTooLongError):
        llm.stream({"prompt_token_ids": [5] * 400}, GREEDY)


def test_two_streams_read_in_turn_lose_nothing_to_each_other(llm: LLM) -> None:
    expected = _texts(llm.generate(PROMPTS[:2], GREEDY))
    params = GREEDY.clone(output_kind=RequestOutputKind.DELTA)
    streams = [llm.stream(prompt, params) for prompt in PROMPTS[:2]]
    texts = ["", ""]
    for pair in zip(*streams, strict=True):
        texts = [text + piece.outputs[0].text for text, piece in zip(texts, pair, strict=True)]
    assert [[text] for text in texts] == expected


def test_a_stream_goes_on_after_a_generate_in_its_midst(llm: LLM) -> None:
    expected = _texts(llm.generate(PROMPTS[:2], GREEDY))
    stream = llm.stream(PROMPTS[0], GREEDY.clone(output_kind=RequestOutputKind.DELTA))
    text = next(stream).outputs[0].text
    assert _texts(llm.generate(PROMPTS[1], GREEDY.clone(max_tokens=30)))[0][0].startswith(expected[1][0])
    assert text + "".join(piece.outputs[0].text for piece in stream) == expected[0][0]


def test_a_stream_whose_request_is_aborted_elsewhere_comes_to_an_end(llm: LLM) -> None:
    stream = llm.stream("The fox", GREEDY)
    request_id = next(stream).request_id
    llm.llm_engine.abort_request(request_id)
    assert list(stream) == []


# --- chat and embed -----------------------------------------------------------------------------------------------

MESSAGES = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "A story, please."},
]


def test_a_chat_is_the_rendered_template_with_one_bos(llm: LLM) -> None:
    tokenizer = llm.get_tokenizer()
    rendered = tokenizer.apply_chat_template(MESSAGES)
    assert rendered.startswith(tokenizer.bos_token)
    ids = tokenizer.encode(rendered, add_special_tokens=False)
    assert ids.count(tokenizer.bos_token_id) == 1
    [answer] = llm.chat(MESSAGES, GREEDY)
    assert list(answer.prompt_token_ids) == ids
    assert _texts([answer]) == _texts(llm.generate({"prompt_token_ids": ids}, GREEDY))


def test_many_conversations_are_answered_in_order(llm: LLM) -> None:
    conversations = [MESSAGES, MESSAGES[1:2]]
    together = llm.chat(conversations, GREEDY)
    assert _texts(together) == [_texts(llm.chat(one, GREEDY))[0] for one in conversations]


def test_a_chat_streams_what_it_answers(llm: LLM) -> None:
    pieces = llm.stream_chat(MESSAGES, GREEDY.clone(output_kind=RequestOutputKind.DELTA))
    assert "".join(piece.outputs[0].text for piece in pieces) == _texts(llm.chat(MESSAGES, GREEDY))[0][0]


def test_a_template_of_ones_own_and_the_switches_reach_the_prompt(llm: LLM) -> None:
    template = "{{ messages[0].content }}{{ extra }}"
    [answer] = llm.chat(MESSAGES[1:2], GREEDY, chat_template=template, chat_template_kwargs={"extra": "!"})
    assert llm.get_tokenizer().decode(answer.prompt_token_ids) == "Hello!"
    [going_on] = llm.chat(MESSAGES[:3], GREEDY, add_generation_prompt=False, continue_final_message=True)
    assert llm.get_tokenizer().decode(going_on.prompt_token_ids).endswith("Hi.")


def test_a_template_that_refuses_and_no_messages_are_the_callers_mistake(llm: LLM) -> None:
    with pytest.raises(InvalidRequestError, match="roles are system, user and assistant"):
        llm.chat([{"role": "wizard", "content": "x"}], GREEDY)
    with pytest.raises(InvalidRequestError, match="messages is empty"):
        llm.chat([], GREEDY)


def test_embeddings_are_of_length_1_and_a_function_of_their_prompt(llm: LLM) -> None:
    together = [output.outputs.embedding for output in llm.embed(PROMPTS)]
    alone = [llm.embed(prompt)[0].outputs.embedding for prompt in PROMPTS]
    assert together == alone
    assert len(set(together)) == len(PROMPTS)
    for vector in together:
        assert len(vector) == 48
        assert math.sqrt(sum(x * x for x in vector)) == pytest.approx(1)


def test_embeddings_may_be_cut_and_left_at_their_length(llm: LLM) -> None:
    [raw] = llm.embed("The fox", PoolingParams(normalize=False))
    [cut] = llm.embed("The fox", PoolingParams(dimensions=8, normalize=False))
    assert cut.outputs.embedding == raw.outputs.embedding[:8]
    assert raw.outputs.hidden_size == 48
    assert math.sqrt(sum(x * x for x in raw.outputs.embedding)) > 1.5


# --- structured outputs -------------------------------------------------------------------------------------------


def _structured(llm: LLM, seed: int = 0, max_tokens: int = 120, **constraint: Any) -> str:
    params = SamplingParams(
        temperature=1.0, seed=seed, max_tokens=max_tokens, structured_outputs=StructuredOutputsParams(**constraint)
    )
    [output] = llm.generate("The fox", params)
    assert output.outputs[0].finish_reason == "stop"
    return output.outputs[0].text


def test_a_random_model_held_to_a_schema_writes_json_of_that_schema(llm: LLM) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 6},
            "kind": {"enum": ["fox", "moon"]},
            "legs": {"type": "integer", "minimum": 0, "maximum": 999},
        },
        "required": ["name", "kind", "legs"],
        "additionalProperties": False,
    }
    for seed in range(4):
        value = json.loads(_structured(llm, seed, json=schema, disable_any_whitespace=True))
        assert set(value) == {"name", "kind", "legs"}
        assert len(value["name"]) <= 6
        assert value["kind"] in ("fox", "moon")
        assert 0 <= value["legs"] <= 999


def test_a_random_model_held_to_a_regex_or_a_choice_writes_nothing_else(llm: LLM) -> None:
    for seed in range(4):
        assert re.fullmatch("[a-c]{2,5}-[0-9]{3}", _structured(llm, seed, regex="[a-c]{2,5}-[0-9]{3}"))
        assert _structured(llm, seed, choice=["月亮", "狐狸", "neither"]) in ("月亮", "狐狸", "neither")
        assert re.fullmatch(r"(ab)+", _structured(llm, seed, grammar='root ::= "ab" | "ab" root'))


def test_each_of_n_siblings_is_held_to_the_shape_by_itself(llm: LLM) -> None:
    params = SamplingParams(
        n=4, temperature=1.0, seed=1, max_tokens=60, structured_outputs=StructuredOutputsParams(regex="[a-z]{3,9}[.]")
    )
    texts = _texts(llm.generate("The fox", params))[0]
    assert all(re.fullmatch("[a-z]{3,9}[.]", text) for text in texts)
    assert len(set(texts)) > 1


def test_a_held_text_does_not_change_beside_others(llm: LLM) -> None:
    shape = StructuredOutputsParams(regex="[a-z]{20}")
    held = SamplingParams(temperature=1.0, seed=3, max_tokens=60, structured_outputs=shape)
    alone = _texts(llm.generate("The fox", held))[0]
    together = llm.generate([*PROMPTS, "The fox"], [GREEDY] * len(PROMPTS) + [held])
    assert _texts(together)[-1] == alone
    assert _texts(together)[:-1] == _texts(llm.generate(PROMPTS, GREEDY))


# --- Ctrl-C -------------------------------------------------------------------------------------------------------


@contextmanager
def _ctrl_c_in_step(llm: LLM, number: int) -> Iterator[None]:
    """KeyboardInterrupt rises from within the model's number-th step."""
    runner = llm.llm_engine.core.executor.runner  # type: ignore[attr-defined]
    execute, counter = runner.execute, iter(range(1, 10_000))

    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        if next(counter) == number:
            raise KeyboardInterrupt
        return execute(*arguments, **keywords)

    runner.execute = interrupted
    try:
        yield
    finally:
        runner.execute = execute


@pytest.mark.parametrize("number", [1, 2, 7])
def test_ctrl_c_leaves_no_block_held_and_the_engine_ready(number: int, llm: LLM, assert_idle: AssertIdle) -> None:
    expected = _texts(llm.generate(PROMPTS, GREEDY.clone(n=2)))
    with _ctrl_c_in_step(llm, number), pytest.raises(KeyboardInterrupt):
        llm.generate(PROMPTS, GREEDY.clone(n=2))
    assert_idle(llm)
    assert _texts(llm.generate(PROMPTS, GREEDY.clone(n=2))) == expected


def test_ctrl_c_in_a_stream_ends_it(llm: LLM, assert_idle: AssertIdle) -> None:
    with _ctrl_c_in_step(llm, 4), pytest.raises(KeyboardInterrupt):
        list(llm.stream("The fox", GREEDY))
    assert_idle(llm)


def test_ctrl_c_in_a_generate_spares_the_stream_beside_it(llm: LLM) -> None:
    expected = _texts(llm.generate(PROMPTS[0], GREEDY))[0][0]
    stream = llm.stream(PROMPTS[0], GREEDY.clone(output_kind=RequestOutputKind.DELTA))
    text = next(stream).outputs[0].text
    with _ctrl_c_in_step(llm, 3), pytest.raises(KeyboardInterrupt):
        llm.generate(PROMPTS[1:], GREEDY)
    assert text + "".join(piece.outputs[0].text for piece in stream) == expected


def test_ctrl_c_while_prompts_are_queued_leaves_none_behind(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    add_request, counter = llm.llm_engine.add_request, iter(range(1, 10))

    def interrupted(*args: Any, **keywords: Any) -> None:
        if next(counter) == 3:
            raise KeyboardInterrupt
        add_request(*args, **keywords)

    monkeypatch.setattr(llm.llm_engine, "add_request", interrupted)
    with pytest.raises(KeyboardInterrupt):
        llm.generate(PROMPTS, GREEDY)
