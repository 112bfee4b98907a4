"""SamplingParams: vLLM's names, defaults and ranges, and refusals that say what to do."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import fields

import pytest

from pagoda.errors import InvalidParameterError
from pagoda.sampling_params import (
    GuidedDecodingParams,
    PoolingParams,
    RequestOutputKind,
    SamplingParams,
    StructuredOutputsParams,
)

NAN = float("nan")
INF = float("inf")


def refusal(**values: object) -> InvalidParameterError:
    with pytest.raises(InvalidParameterError) as caught:
        SamplingParams(**values)
    return caught.value


def test_the_defaults_are_those_of_vllm() -> None:
    params = SamplingParams()
    assert (params.n, params.temperature, params.top_p, params.top_k, params.min_p) == (1, 1.0, 1.0, 0, 0.0)
    assert (params.presence_penalty, params.frequency_penalty, params.repetition_penalty) == (0.0, 0.0, 1.0)
    assert (params.max_tokens, params.min_tokens, params.seed, params.logprobs) == (16, 0, None, None)
    assert params.detokenize
    assert params.skip_special_tokens
    assert params.spaces_between_special_tokens
    assert params.output_kind is RequestOutputKind.CUMULATIVE
    assert not params.is_greedy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 0),
        ("n", 16385),
        ("n", 2.0),
        ("n", True),
        ("n", None),
        ("presence_penalty", 2.01),
        ("frequency_penalty", -2.01),
        ("repetition_penalty", 0),
        ("repetition_penalty", INF),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", NAN),
        ("temperature", "1"),
        ("temperature", True),
        ("temperature", 10**400),
        ("top_p", 0),
        ("top_p", 1.1),
        ("top_k", -2),
        ("top_k", 1.5),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("seed", 1.5),
        ("seed", 2**63),
        ("max_tokens", 0),
        ("min_tokens", -1),
        ("logprobs", -2),
        ("logprobs", True),
        ("prompt_logprobs", -2),
        ("stop", [""]),
        ("stop", ""),
        ("stop", [1]),
        ("stop", 1),
        ("stop_token_ids", [-1]),
        ("stop_token_ids", [True]),
        ("stop_token_ids", 3),
        ("bad_words", [""]),
        ("bad_words", "word"),
        ("allowed_token_ids", []),
        ("allowed_token_ids", ["1"]),
        ("logit_bias", {"x": 1}),
        ("logit_bias", {-1: 1}),
        ("logit_bias", {1: NAN}),
        ("logit_bias", [1]),
        ("ignore_eos", 1),
        ("detokenize", None),
        ("output_kind", 1),
        ("structured_outputs", {"json": {}}),
        ("skip_reading_prefix_cache", "yes"),
        ("extra_args", [1]),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(name: str, value: object) -> None:
    error = refusal(**{name: value})
    assert error.param == name
    assert str(error).startswith(f"{name} is ")
    assert "expected" in str(error)


def test_the_message_tells_the_value_and_the_range() -> None:
    assert str(refusal(temperature=2.5)) == "temperature is 2.5, expected a number in [0, 2]"
    assert str(refusal(top_p=0)) == "top_p is 0, expected a number in (0, 1]"
    assert "at most max_tokens, which is 5" in str(refusal(min_tokens=6, max_tokens=5))


def test_a_long_value_is_abridged_in_the_message() -> None:
    assert len(str(refusal(stop_token_ids=[*range(10_000), -1]))) < 200


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    error = refusal(temprature=1)
    assert error.param == "temprature"
    assert 'did you mean "temperature"?' in str(error)


def test_best_of_is_refused_with_what_to_use_instead() -> None:
    message = str(refusal(best_of=2))
    assert "removed" in message
    assert "cumulative_logprob" in message


def test_the_old_name_of_structured_outputs_means_the_same() -> None:
    shape = GuidedDecodingParams(regex="a+", backend="outlines")
    assert SamplingParams(guided_decoding=shape) == SamplingParams(structured_outputs=shape)  # type: ignore[call-arg]
    assert "twice" in str(refusal(guided_decoding=shape, structured_outputs=shape))


def test_a_field_may_be_assigned_and_is_checked_as_on_construction() -> None:
    params = SamplingParams()
    before = params.clone()
    params.max_tokens = 3  # type: ignore[misc]
    params.stop = "x"  # type: ignore[misc]
    assert (params, before) == (SamplingParams(max_tokens=3, stop="x"), SamplingParams())
    for name, value in (("top_p", 2), ("max_tokns", 3), ("min_tokens", 4)):
        with pytest.raises(InvalidParameterError, match=name):
            setattr(params, name, value)
    assert params == SamplingParams(max_tokens=3, stop="x")


def test_editors_see_the_fields_in_the_signature() -> None:
    names = list(inspect.signature(SamplingParams).parameters)
    assert names == [field.name for field in fields(SamplingParams)]


def test_it_survives_copying_and_pickling() -> None:
    params = SamplingParams(stop=["a"], logit_bias={1: 2}, structured_outputs=StructuredOutputsParams(json={}))
    assert pickle.loads(pickle.dumps(params)) == params == copy.deepcopy(params)


def test_a_clone_changes_only_what_is_named_and_is_checked() -> None:
    params = SamplingParams(seed=1, stop="x")
    assert params.clone(seed=2) == SamplingParams(seed=2, stop="x")
    with pytest.raises(InvalidParameterError, match="top_p"):
        params.clone(top_p=2)
    with pytest.raises(InvalidParameterError, match="did you mean"):
        params.clone(sede=2)


def test_a_tiny_temperature_is_raised_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    params = SamplingParams(temperature=0.001)
    assert params.temperature == 0.01
    assert not params.is_greedy
    assert "0.001" in caplog.text


def test_temperature_zero_is_greedy_and_turns_the_filters_off(caplog: pytest.LogCaptureFixture) -> None:
    params = SamplingParams(temperature=0, top_p=0.5, top_k=7, min_p=0.1, n=3)
    assert params.is_greedy
    assert (params.top_p, params.top_k, params.min_p, params.n) == (1.0, 0, 0.0, 3)
    assert caplog.text == ""


def test_minus_one_means_off_where_vllm_says_so() -> None:
    params = SamplingParams(top_k=-1, seed=-1, logprobs=-1)
    assert (params.top_k, params.seed, params.logprobs) == (0, None, -1)


def test_lists_are_normalised() -> None:
    params = SamplingParams(stop="a", stop_token_ids=[3, 1, 3], allowed_token_ids=[2, 2], bad_words=["b"])
    assert params.stop == ("a",)
    assert params.stop_token_ids == (3, 1)
    assert params.allowed_token_ids == (2,)
    assert params.bad_words == ("b",)
    assert SamplingParams().stop == ()


def test_logit_bias_takes_text_keys_and_is_clamped() -> None:
    assert SamplingParams(logit_bias={"3": 500, 4: -500, 5: 0.5}).logit_bias == {3: 100.0, 4: -100.0, 5: 0.5}


def test_stop_strings_need_text() -> None:
    error = refusal(stop="a", detokenize=False)
    assert error.param == "stop"
    assert "stop_token_ids" in str(error)


def test_max_tokens_may_be_open() -> None:
    assert SamplingParams(max_tokens=None, min_tokens=500).max_tokens is None


def test_from_dict_understands_plain_json() -> None:
    params = SamplingParams.from_dict({"output_kind": "delta", "structured_outputs": {"choice": ["a", "b"]}, "n": 2})
    assert params.output_kind is RequestOutputKind.DELTA
    assert params.structured_outputs == StructuredOutputsParams(choice=["a", "b"])
    with pytest.raises(InvalidParameterError, match="output_kind"):
        SamplingParams.from_dict({"output_kind": "sometimes"})


@pytest.mark.parametrize("values", [{}, {"json": {}, "regex": "a"}, {"json_object": False}])
def test_structured_outputs_need_exactly_one_constraint(values: dict[str, object]) -> None:
    with pytest.raises(InvalidParameterError, match="expected exactly one") as caught:
        StructuredOutputsParams(**values)
    assert caught.value.param == "structured_outputs"


@pytest.mark.parametrize(
    ("name", "value"),
    [("json", 1), ("regex", ["a"]), ("choice", []), ("choice", "ab"), ("choice", [1]), ("grammar", {}), ("json", True)],
)
def test_a_constraint_of_the_wrong_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        StructuredOutputsParams(**{name: value})
    assert caught.value.param == f"structured_outputs.{name}"


def test_an_empty_schema_counts_as_a_constraint() -> None:
    assert StructuredOutputsParams(json={}).json == {}


def test_pooling_params_are_checked_too() -> None:
    assert PoolingParams().normalize is None
    with pytest.raises(InvalidParameterError, match="dimensions"):
        PoolingParams(dimensions=0)
    with pytest.raises(InvalidParameterError, match="did you mean"):
        PoolingParams(dimension=3)
