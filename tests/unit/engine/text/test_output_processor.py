"""The output processor: what each output_kind carries, stop strings, n completions, log-probabilities, times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pagoda.engine.outputs import CompletionOutput, Logprob, RequestOutput, SampledToken
from pagoda.engine.scheduling.plan import RequestUpdate
from pagoda.engine.scheduling.request import FinishReason
from pagoda.engine.text.output_processor import OutputProcessor
from pagoda.sampling_params import RequestOutputKind, SamplingParams

EOS = 0
HALF = 200
"""A token that is the first two bytes of a Chinese character; 201 is the third."""


class LetterTokenizer:
    """A token per ASCII character, two for 中, and 0 for the special end of sequence."""

    all_special_ids = (EOS,)

    def decode(self, token_ids: list[int], skip_special_tokens: bool = True) -> str:
        return b"".join(map(self.token_bytes, token_ids)).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        special = {EOS: b"", HALF: "中".encode()[:2], HALF + 1: "中".encode()[2:]}
        return special.get(token_id, bytes([token_id % 128]))

    def token_text(self, token_id: int) -> str:
        return "</s>" if token_id == EOS else self.token_bytes(token_id).decode("utf-8", errors="replace")

    def token_to_id(self, token: str) -> int | None:
        return None


def make_processor(**fields: object) -> OutputProcessor:
    params = SamplingParams(max_tokens=None, **fields)
    tokenizer = LetterTokenizer() if params.detokenize else None
    return OutputProcessor("request", [1, 2], params, tokenizer, prompt="hi")


def step(
    token_id: int,
    reason: FinishReason | None = None,
    stop_reason: int | None = None,
    *,
    index: int = 0,
    logprobs: dict[int, Logprob] | None = None,
) -> tuple[int, RequestUpdate]:
    """A step that brings one token: what `process` takes."""
    return index, RequestUpdate("request", (SampledToken(token_id, logprobs),), reason, stop_reason)


def feed(processor: OutputProcessor, text: str, index: int = 0) -> list[str | None]:
    return [processor.process(*step(ord(character), index=index)) for character in text]


def end(processor: OutputProcessor, reason: FinishReason = FinishReason.STOP, index: int = 0) -> None:
    processor.process(*step(EOS, reason, index=index))


def told(processor: OutputProcessor) -> RequestOutput:
    output = processor.next_output()
    assert output is not None
    return output


def only(output: RequestOutput) -> CompletionOutput:
    [completion] = output.outputs
    return completion


def test_cumulative_outputs_repeat_what_was_said() -> None:
    processor = make_processor()
    feed(processor, "a")
    assert only(told(processor)).text == "a"
    feed(processor, "b")
    assert (only(told(processor)).text, only_ids(processor, "c")) == ("ab", (97, 98, 99))


def only_ids(processor: OutputProcessor, text: str) -> tuple[int, ...]:
    feed(processor, text)
    return only(told(processor)).token_ids


def test_deltas_joined_are_the_final_text() -> None:
    kinds = {kind: make_processor(output_kind=kind, stop=["xyz"]) for kind in RequestOutputKind}
    texts = {}
    for kind, processor in kinds.items():
        texts[kind] = [only(output).text for output in stream(processor, "abxyc")]
    assert "".join(texts[RequestOutputKind.DELTA]) == texts[RequestOutputKind.FINAL_ONLY][0] == "abxyc"
    assert texts[RequestOutputKind.CUMULATIVE][-1] == "abxyc"
    assert len(texts[RequestOutputKind.FINAL_ONLY]) == 1
    assert texts[RequestOutputKind.DELTA] == ["a", "b", "", "", "xyc", ""]


def stream(processor: OutputProcessor, text: str) -> Iterator[RequestOutput]:
    """The outputs of a completion that says `text` and ends."""
    for character in text:
        feed(processor, character)
        if (output := processor.next_output()) is not None:
            yield output
    end(processor)
    yield told(processor)


def test_nothing_new_gives_no_output() -> None:
    processor = make_processor(output_kind=RequestOutputKind.DELTA)
    assert processor.next_output() is None
    feed(processor, "a")
    told(processor)
    assert processor.next_output() is None


def test_several_steps_between_two_outputs_come_as_one_delta() -> None:
    processor = make_processor(output_kind=RequestOutputKind.DELTA)
    feed(processor, "abc")
    assert only(told(processor)).token_ids == (97, 98, 99)


def test_a_stop_string_ends_the_completion_and_the_engine_is_told_once() -> None:
    processor = make_processor(stop=["STOP"])
    assert feed(processor, "ab STOP") == [None] * 6 + ["STOP"]
    completion = only(told(processor))
    assert (completion.text, completion.finish_reason, completion.stop_reason) == ("ab ", "stop", "STOP")
    assert processor.finished
    assert feed(processor, "more") == [None] * 4
    assert processor.next_output() is None


def test_the_stop_string_can_stay_in_the_text() -> None:
    processor = make_processor(stop=["ST"], include_stop_str_in_output=True)
    feed(processor, "abST")
    assert only(told(processor)).text == "abST"


def test_text_held_for_a_stop_string_comes_out_at_the_end() -> None:
    processor = make_processor(stop=["xyz"])
    feed(processor, "abxy")
    assert only(told(processor)).text == "ab"
    end(processor, FinishReason.LENGTH)
    assert only(told(processor)).text == "abxy"


def test_a_stop_string_counts_only_after_min_tokens() -> None:
    processor = make_processor(stop=["b"], min_tokens=2)
    assert feed(processor, "abcb") == [None, None, None, "b"]
    assert only(told(processor)).text == "abc"


def test_a_stop_string_in_the_last_held_text_wins_over_length() -> None:
    processor = make_processor(stop=["\N{REPLACEMENT CHARACTER}"])
    feed(processor, "a")
    assert processor.process(*step(HALF, FinishReason.LENGTH)) is None
    completion = only(told(processor))
    assert (completion.text, completion.finish_reason) == ("a", "stop")


def test_half_a_character_waits_and_is_flushed_at_the_end() -> None:
    processor = make_processor(output_kind=RequestOutputKind.DELTA)
    processor.process(*step(HALF))
    assert (only(told(processor)).text, only_text_after(processor, HALF + 1)) == ("", "中")
    processor.process(*step(HALF, FinishReason.LENGTH))
    completion = only(told(processor))
    assert (completion.text, completion.finish_reason) == ("\N{REPLACEMENT CHARACTER}", "length")


def only_text_after(processor: OutputProcessor, token_id: int) -> str:
    processor.process(*step(token_id))
    return only(told(processor)).text


def test_the_stop_token_counts_among_the_ids_but_is_no_text() -> None:
    processor = make_processor()
    feed(processor, "a")
    processor.process(*step(EOS, FinishReason.STOP, EOS))
    completion = only(told(processor))
    assert (completion.text, completion.token_ids, completion.stop_reason) == ("a", (97, EOS), EOS)


def test_without_detokenisation_there_are_only_ids() -> None:
    processor = make_processor(detokenize=False, logprobs=0)
    processor.process(*step(97, logprobs={97: Logprob(-1.0, 1)}))
    completion = only(told(processor))
    assert (completion.text, completion.token_ids) == ("", (97,))
    assert completion.logprobs == ({97: Logprob(-1.0, 1, None)},)


def test_n_completions_end_one_by_one() -> None:
    processor = make_processor(n=2)
    feed(processor, "a", index=1)
    end(processor, index=0)
    output = told(processor)
    assert [completion.index for completion in output.outputs] == [0, 1]
    assert [completion.finished() for completion in output.outputs] == [True, False]
    assert not output.finished
    end(processor, index=1)
    assert told(processor).finished


def test_a_delta_names_only_the_completions_with_news() -> None:
    processor = make_processor(n=3, output_kind=RequestOutputKind.DELTA)
    feed(processor, "a", index=2)
    assert [completion.index for completion in told(processor).outputs] == [2]


def test_final_only_waits_for_the_last_completion() -> None:
    processor = make_processor(n=2, output_kind=RequestOutputKind.FINAL_ONLY)
    end(processor, index=0)
    assert processor.next_output() is None
    feed(processor, "b", index=1)
    end(processor, index=1)
    output = told(processor)
    assert [completion.text for completion in output.outputs] == ["", "b"]
    assert processor.next_output() is None


def test_finishing_all_leaves_the_ended_ones_as_they_are() -> None:
    processor = make_processor(n=2)
    end(processor, index=0)
    processor.finish_all(FinishReason.ABORT)
    assert [completion.finish_reason for completion in told(processor).outputs] == ["stop", "abort"]


def test_logprobs_get_their_text_and_add_up() -> None:
    processor = make_processor(logprobs=1)
    processor.process(*step(97, logprobs={97: Logprob(-1.0, 2), HALF: Logprob(-0.5, 1)}))
    processor.process(*step(98, logprobs={98: Logprob(-0.25, 1)}))
    completion = only(told(processor))
    assert completion.cumulative_logprob == pytest.approx(-1.25)
    assert completion.logprobs is not None
    assert completion.logprobs[0][97] == Logprob(-1.0, 2, "a")
    assert completion.logprobs[0][HALF].decoded_token == "\N{REPLACEMENT CHARACTER}"
    assert only(told_after(processor, "")).cumulative_logprob == pytest.approx(-1.25)


def told_after(processor: OutputProcessor, text: str) -> RequestOutput:
    feed(processor, text)
    processor.finish_all(FinishReason.ABORT)
    return told(processor)


def test_without_logprobs_there_is_no_sum() -> None:
    processor = make_processor()
    feed(processor, "a")
    assert only(told(processor)).cumulative_logprob is None


@pytest.mark.parametrize(("kind", "again"), [(RequestOutputKind.CUMULATIVE, True), (RequestOutputKind.DELTA, False)])
def test_prompt_logprobs_start_with_none(kind: RequestOutputKind, again: bool) -> None:
    processor = make_processor(prompt_logprobs=0, output_kind=kind)
    processor.add_prompt_logprobs([{98: Logprob(-2.0, 5)}])
    feed(processor, "a")
    expected = (None, {98: Logprob(-2.0, 5, "b")})
    assert told(processor).prompt_logprobs == expected
    feed(processor, "a")
    assert told(processor).prompt_logprobs == (expected if again else None)


def test_times_are_read_from_the_clock() -> None:
    ticks = iter([2.0, 3.0, 5.0, 7.0])
    params = SamplingParams()
    processor = OutputProcessor("r", [1], params, LetterTokenizer(), arrival_time=1.0, clock=lambda: next(ticks))
    feed(processor, "ab")
    end(processor)
    processor.metrics.first_scheduled_time = 1.5
    metrics = told(processor).metrics
    assert metrics is not None
    assert (metrics.first_token_time, metrics.last_token_time, metrics.finished_time) == (2.0, 5.0, 7.0)
    assert (metrics.time_in_queue_s, metrics.time_to_first_token_s, metrics.e2e_latency_s) == (0.5, 1.0, 6.0)


def test_the_prompt_and_cached_tokens_are_passed_on() -> None:
    processor = make_processor()
    processor.num_cached_tokens = 16
    feed(processor, "a")
    output = told(processor)
    assert (output.request_id, output.prompt, output.prompt_token_ids) == ("request", "hi", [1, 2])
    assert output.num_cached_tokens == 16


def test_with_a_pause_the_first_and_the_last_token_come_at_once_and_those_between_together() -> None:
    ticks = iter([1.0, 1.1, 1.2, 1.6, 1.7, 1.8])
    params = SamplingParams(output_kind=RequestOutputKind.DELTA)
    processor = OutputProcessor("r", [1], params, LetterTokenizer(), arrival_time=0.0, clock=lambda: next(ticks))
    pieces = []
    for character in "abcd":
        feed(processor, character)
        output = processor.next_output(pause_s=0.5)
        pieces.append(None if output is None else only(output).text)
    assert pieces == ["a", None, None, "bcd"]
    end(processor)
    last = processor.next_output(pause_s=0.5)
    assert last is not None
    assert last.finished
