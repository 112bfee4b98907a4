"""The door: prompts and parameters become requests in which nothing is left open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pagoda.engine.core import CoreRequest
from pagoda.engine.text.input_processor import InputProcessor, child_id
from pagoda.errors import InvalidParameterError, InvalidRequestError, PromptTooLongError, StructuredOutputError
from pagoda.llm import LLM
from pagoda.models.config import ModelConfig
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import PoolingParams, SamplingParams, StructuredOutputsParams

EOS = 0


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Callable[..., Path]) -> Tokenizer:
    return Tokenizer.from_directory(checkpoint())


@pytest.fixture(scope="module")
def door(checkpoint: Callable[..., Path], tokenizer: Tokenizer) -> InputProcessor:
    return _door(checkpoint(), tokenizer)


def _door(directory: Path, tokenizer: Tokenizer | None, **settings: Any) -> InputProcessor:
    config = ModelConfig.from_directory(directory)
    given = {"max_model_len": 40, "max_logprobs": 20, "seed": 0, **settings}
    return InputProcessor(config, tokenizer, [EOS], **given)


def _one(door: InputProcessor, prompt: list[int] | None = None, **fields: Any) -> CoreRequest:
    [made] = door.generation_requests("a", prompt or [5, 6, 7], SamplingParams(**fields))
    return made


# --- prompts ------------------------------------------------------------------------------------------------------


def test_a_text_is_encoded_with_its_bos_and_kept(door: InputProcessor, tokenizer: Tokenizer) -> None:
    text, ids = door.token_ids("The fox")
    assert text == "The fox"
    assert ids == tokenizer.encode("The fox")
    assert ids[0] == tokenizer.bos_token_id
    assert door.token_ids({"prompt": "The fox"}) == (text, ids)


@pytest.mark.parametrize("prompt", [{"prompt_token_ids": [5, 6]}, {"prompt_token_ids": (5, 6)}, [5, 6], (5, 6)])
def test_ids_are_taken_as_they_are_without_bos(prompt: Any, door: InputProcessor) -> None:
    assert door.token_ids(prompt) == (None, [5, 6])


def test_ids_go_before_a_text_that_stands_beside_them(door: InputProcessor) -> None:
    assert door.token_ids({"prompt": "shown", "prompt_token_ids": [9]}) == ("shown", [9])


@pytest.mark.parametrize("prompt", ["", {"prompt": ""}, {"prompt_token_ids": []}, []])
def test_an_empty_prompt_is_refused(prompt: Any, door: InputProcessor) -> None:
    with pytest.raises(InvalidRequestError, match="the prompt is empty: give some text or at least one token id"):
        door.token_ids(prompt)


@pytest.mark.parametrize("prompt", [7, None, {}, {"prompt": 3}, {"prompt": None}, {"x"}, b"bytes", object()])
def test_what_is_no_prompt_is_refused_with_what_one_looks_like(prompt: Any, door: InputProcessor) -> None:
    with pytest.raises(InvalidRequestError, match="a prompt is a string, "):
        door.token_ids(prompt)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ({"promt": "x"}, 'did you mean "prompt"?'),
        ({"prompt_token_ids": "5"}, "a list of token ids is expected"),
        ({"prompt": "x", "multi_modal_data": {"image": 1}}, "models take text only"),
        ({"prompt": "x", "cache_salt": 3}, "cache_salt is 3, but a string"),
        ("\ud83d", "character 0 of the text is '\\ud83d', half of a surrogate pair"),
        ("fox \udc00", "character 4"),
    ],
)
def test_what_is_wrong_with_a_prompt_is_told(prompt: Any, said: str, llm: LLM) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        llm.llm_engine.add_request("bad", prompt, SamplingParams())
    assert said in str(caught.value)


def test_ids_of_numpy_and_torch_are_ids(door: InputProcessor) -> None:
    for ids in (np.array([5, 6]), [np.int64(5), 6], torch.tensor([5, 6]), (5, np.int32(6)), range(5, 7)):
        for prompt in (ids, {"prompt_token_ids": ids}):
            assert door.token_ids(prompt) == (None, [5, 6])
            assert {type(token_id) for token_id in door.token_ids(prompt)[1]} == {int}


@pytest.mark.parametrize("wrong", [-1, 320, 1 << 40, 1.0, "5", True, None])
def test_an_id_outside_the_vocabulary_is_named(wrong: Any, door: InputProcessor) -> None:
    with pytest.raises(InvalidParameterError, match="whole numbers from 0 to 319") as caught:
        door.token_ids({"prompt_token_ids": [5, wrong, 6]})
    assert f"holds {wrong!r}" in str(caught.value)
    assert caught.value.param == "prompt_token_ids"


def test_a_prompt_over_the_limit_says_both_lengths(door: InputProcessor) -> None:
    assert len(door.token_ids([5] * 40)[1]) == 40
    with pytest.raises(PromptTooLongError, match=r"maximum context length is 40 tokens.*prompt contains 41 tokens"):
        door.token_ids([5] * 41)


def test_without_a_tokenizer_ids_are_asked_for(checkpoint: Callable[..., Path]) -> None:
    door = _door(checkpoint(), None)
    assert door.token_ids([5]) == (None, [5])
    with pytest.raises(InvalidRequestError, match="no tokenizer: give prompt_token_ids"):
        door.token_ids("text")
    with pytest.raises(InvalidParameterError, match="set detokenize=False"):
        _one(door)
    assert _one(door, detokenize=False)
    with pytest.raises(InvalidParameterError, match="structured_outputs need a tokenizer"):
        _one(door, detokenize=False, structured_outputs=StructuredOutputsParams(regex="a"))


# --- what was left open -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt_length", "max_tokens", "resolved"), [(10, None, 30), (10, 5, 5), (10, 100, 30), (39, None, 1)]
)
def test_max_tokens_is_resolved_to_what_the_context_leaves(
    prompt_length: int, max_tokens: int | None, resolved: int, door: InputProcessor
) -> None:
    assert _one(door, [5] * prompt_length, max_tokens=max_tokens).request.max_tokens == resolved


def test_stop_tokens_are_the_models_and_the_callers(door: InputProcessor) -> None:
    request = _one(door, stop_token_ids=[7, 8], min_tokens=2).request
    assert request.stop_token_ids == {EOS, 7, 8}
    assert request.eos_token_ids == {EOS}
    assert request.min_tokens == 2
    ignoring = _one(door, stop_token_ids=[7], ignore_eos=True).request
    assert ignoring.stop_token_ids == {7}
    assert not ignoring.eos_token_ids


def test_prompt_logprobs_keep_the_request_from_reading_the_prefix_cache(door: InputProcessor) -> None:
    assert _one(door).request.read_prefix_cache
    assert not _one(door, prompt_logprobs=0).request.read_prefix_cache
    assert not _one(door, skip_reading_prefix_cache=True).request.read_prefix_cache


def test_n_requests_share_one_prompt_and_differ_in_seed_and_matcher(door: InputProcessor) -> None:
    params = SamplingParams(n=3, seed=5, structured_outputs=StructuredOutputsParams(choice=["a", "b"]))
    made = door.generation_requests("a", [5, 6], params, priority=3, cache_salt="salt")
    assert [one.request.request_id for one in made] == [child_id("a", index) for index in range(3)]
    assert [one.request.fork_of for one in made] == [None, child_id("a", 0), child_id("a", 0)]
    assert {one.request.priority for one in made} == {3}
    assert {one.request.cache_salt for one in made} == {"salt"}
    assert made[0].seed == 5
    assert len({one.seed for one in made}) == 3
    assert len({id(one.matcher) for one in made}) == 3


def test_unseeded_requests_draw_their_seeds_from_the_engines(checkpoint: Callable[..., Path]) -> None:
    doors = [_door(checkpoint(), None, seed=seed) for seed in (1, 1, 2)]
    first, again, other = ([_one(door, detokenize=False).seed for _ in range(3)] for door in doors)
    assert first == again
    assert first != other
    assert len(set(first)) == 3


def test_bad_words_are_spelled_as_at_the_start_of_a_text_and_after_a_space(
    door: InputProcessor, tokenizer: Tokenizer
) -> None:
    words = _one(door, bad_words=["fox"]).lists.bad_words
    for text in ("fox", " fox"):
        *before, last = tokenizer.encode(text, add_special_tokens=False)
        assert last in words.forbidden([5, *before])
        assert (last in words.forbidden([])) == (not before)


@pytest.mark.parametrize("shape", ["dynamic ntk", "longrope"])
def test_where_rope_depends_on_the_length_long_prompts_of_unequal_length_share_nothing(
    shape: str, checkpoint: Callable[..., Path]
) -> None:
    door = _door(checkpoint(shape), None, max_model_len=200)

    def salt(length: int, given: str | None = None) -> str | None:
        params = SamplingParams(detokenize=False)
        return door.generation_requests("a", [5] * length, params, cache_salt=given)[0].request.cache_salt

    assert salt(31) == salt(32) is None
    assert len({salt(32), salt(33), salt(34), salt(33, "b")}) == 4
    assert salt(33) == salt(33)
    pooling = door.pooling_request("a", [5] * 33, PoolingParams()).request
    assert pooling.cache_salt == salt(33)


def test_a_pooling_request_asks_for_no_token(door: InputProcessor) -> None:
    request = door.pooling_request("a", [5, 6], PoolingParams()).request
    assert request.is_pooling
    assert not request.wants_tokens


# --- parameters that depend on the model --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"logprobs": 21}, "logprobs", "logprobs is 21, but this engine gives at most 20"),
        ({"prompt_logprobs": 21}, "prompt_logprobs", "prompt_logprobs is 21"),
        ({"logprobs": -1}, "logprobs", "raise max_logprobs"),
        ({"stop_token_ids": [5, 320]}, "stop_token_ids", "stop_token_ids holds 320"),
        ({"allowed_token_ids": [999]}, "allowed_token_ids", "allowed_token_ids holds 999"),
        ({"logit_bias": {320: 1.0}}, "logit_bias", "logit_bias holds 320"),
    ],
)
def test_a_parameter_beyond_the_model_is_refused(
    fields: dict[str, Any], param: str, said: str, door: InputProcessor
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        _one(door, **fields)
    assert said in str(caught.value)
    assert caught.value.param == param


def test_no_limit_on_logprobs_lets_the_whole_vocabulary_through(
    checkpoint: Callable[..., Path], tokenizer: Tokenizer
) -> None:
    assert _one(_door(checkpoint(), tokenizer, max_logprobs=-1), logprobs=-1)


def test_more_dimensions_than_the_model_has_are_refused(door: InputProcessor) -> None:
    with pytest.raises(InvalidParameterError, match="dimensions is 49, but the model's embeddings have 48"):
        door.pooling_request("a", [5], PoolingParams(dimensions=49))


@pytest.mark.parametrize(
    "constraint", [{"json": {"type": "no such type"}}, {"regex": "(unclosed"}, {"grammar": "root ::= missing"}]
)
def test_a_shape_that_cannot_be_compiled_is_refused_at_the_door(
    constraint: dict[str, Any], door: InputProcessor
) -> None:
    with pytest.raises(StructuredOutputError, match=f"structured_outputs.{next(iter(constraint))} cannot be compiled"):
        _one(door, structured_outputs=StructuredOutputsParams(**constraint))


@pytest.mark.parametrize(
    ("scaling", "num_tokens", "advice"),
    [
        (None, 41, "or raise max_model_len"),
        (None, 319, "or raise max_model_len"),
        (None, 320, "reach 320 tokens and no further"),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 160}, 639, "or raise max_model_len"),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 160}, 640, "reach 640 tokens"),
        ({"rope_type": "dynamic", "factor": 2.0}, 5000, "or raise max_model_len"),
    ],
)
def test_a_longer_context_is_advised_only_where_it_may_be_set(
    scaling: dict[str, Any] | None, num_tokens: int, advice: str, changed_checkpoint: Callable[..., Path]
) -> None:
    door = _door(changed_checkpoint(rope_scaling=scaling), None)
    with pytest.raises(PromptTooLongError, match=f"maximum context length is 40 tokens.*{advice}") as caught:
        door.token_ids([5] * num_tokens)
    assert ("raise max_model_len" in str(caught.value)) == (num_tokens < door.config.rope.max_length)
