"""A request's answer is a function of the request alone: same tokens, same log-probabilities to the last bit.

Through the real engine, on tiny random checkpoints, in fp32 and in bf16. The answer of a request that was alone in a
plain engine (no prefix cache, every prompt in one step) is held against its answer under batching, chunks of every
size, prefix hits, preemption, other orders of arrival, forks, tokens proposed ahead of the model, and scenarios made up
by Hypothesis.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pagoda.engine.engine import LLMEngine
from pagoda.engine.outputs import EmbeddingRequestOutput, RequestOutput
from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.sampling.seeds import child_seed
from pagoda.engine.scheduling.request import Request
from pagoda.engine.speculation.ngram import NgramProposer
from pagoda.engine.speculation.proposer import Proposer
from pagoda.engine.speculation.speculator import Prices, Speculator
from pagoda.engine.speculation.step_costs import StepCosts
from pagoda.kernels.select import native_is_built
from pagoda.llm import LLM
from pagoda.sampling_params import PoolingParams, SamplingParams

MAX_MODEL_LEN = 320
DTYPES = ("float32", "bfloat16")
SHAPES = (
    "gqa",
    "mha, head_dim 8",
    "mqa, head_dim 24",
    "odd sizes",
    "sliding window",
    "qwen2",
    "qwen3, half the layers slide",
    "experts, one shared",
    "dynamic ntk",
    "longrope",
)
Work = tuple[tuple[int, ...], SamplingParams | PoolingParams]


def _ids(seed: int, length: int) -> tuple[int, ...]:
    rng = random.Random(seed)
    return tuple(rng.randrange(4, 320) for _ in range(length))


def _params(**fields: Any) -> SamplingParams:
    return SamplingParams(**{"temperature": 0, "max_tokens": 12, "logprobs": 3, **fields})


OPENING = _ids(0, 33)  # two blocks that several prompts have in common, and one token
LONG = _ids(1, 270)  # past the first partition of attention
WORKS: tuple[Work, ...] = (
    (OPENING, _params(max_tokens=40, ignore_eos=True)),
    (OPENING + _ids(2, 20), _params(max_tokens=40, ignore_eos=True)),
    (OPENING[:32], _params(temperature=1.0, seed=1, max_tokens=30, ignore_eos=True)),
    (_ids(3, 1), _params(temperature=0.8, seed=2, top_k=50, top_p=0.9, max_tokens=40, ignore_eos=True)),
    (OPENING[:20], _params(temperature=1.3, seed=3, min_p=0.05, repetition_penalty=1.2, frequency_penalty=0.4)),
    (_ids(4, 15), _params(max_tokens=30, stop_token_ids=list(range(200, 215)), min_tokens=3)),
    (OPENING + _ids(5, 31), _params(prompt_logprobs=2, max_tokens=6)),
    (OPENING + _ids(6, 7), PoolingParams()),
    (LONG, _params(max_tokens=8)),
    (LONG[:260], _params(temperature=1.0, seed=4, max_tokens=8)),
)
NUM_SHORT = 8  # of which each fits into 6 blocks; the others take 18
CROWDED = {"num_gpu_blocks_override": 8, "max_num_seqs": 7, "max_num_batched_tokens": 23}
ROOMY = {"max_num_batched_tokens": 330}
"""Settings under which short works are preempted, and under which all of them run together."""


KERNELS = ["torch-reference", *(["native"] if native_is_built() else [])]
"""Torch's, and those in C++ where they were built, which promise the same bits for any number of threads as well."""


@pytest.fixture(scope="module", params=KERNELS, autouse=True)
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every engine of a test computes with these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "KERNELS_OF_TEST", request.param)
        yield request.param


KERNELS_OF_TEST = "torch-reference"


@pytest.fixture(scope="module")
def answers_alone(make_llm: Callable[..., LLM], kernels: str) -> Callable[[str, str], list[Any]]:
    """`answers_alone(shape, dtype)`: the answer to each of WORKS, one by one in an engine without prefix cache."""
    known: dict[tuple[str, str], list[Any]] = {}

    def get(shape: str, dtype: str) -> list[Any]:
        if (shape, dtype) not in known:
            engine = _engine(make_llm, shape, dtype, enable_prefix_caching=False)
            known[shape, dtype] = [_answers(engine, [work])[0] for work in WORKS]
        return known[shape, dtype]

    return get


def _engine(make_llm: Callable[..., LLM], shape: str, dtype: str, **settings: Any) -> LLMEngine:
    """dtype: with a quantisation of the weights or of the cache behind it, where they are to have one."""
    dtype, _, quantised = dtype.partition(" ")
    if quantised:
        settings["kv_cache_dtype" if quantised == "kv" else "quantization"] = "int8" if quantised == "kv" else quantised
    settings = {"max_model_len": MAX_MODEL_LEN, "max_logprobs": -1, "kernels": KERNELS_OF_TEST, **settings}
    return make_llm(shape, dtype=dtype, **settings).llm_engine


def _answers(engine: LLMEngine, works: Iterable[Work], priorities: Iterable[int] = ()) -> list[Any]:
    """Queue all, run to the end; what each was answered, in order."""
    given_priorities = dict(enumerate(priorities))
    names = []
    for index, (prompt, params) in enumerate(works):
        names.append(str(index))
        request: Any = {"prompt_token_ids": prompt}
        engine.add_request(names[-1], request, params, priority=given_priorities.get(index, 0))
    answers = dict(_finished(engine))
    return [answers[name] for name in names]


def _finished(engine: LLMEngine) -> Iterator[tuple[str, Any]]:
    while engine.has_unfinished_requests():
        yield from ((output.request_id, _answer(output)) for output in engine.step() if output.finished)


def _answer(output: RequestOutput | EmbeddingRequestOutput) -> Any:
    """Everything that must not change, as plain values. Floats compare by bits (none is NaN or -0)."""
    if isinstance(output, EmbeddingRequestOutput):
        return output.outputs.embedding
    completions = [
        (completion.token_ids, completion.text, completion.logprobs, completion.finish_reason, completion.stop_reason)
        for completion in output.outputs
    ]
    return completions, output.prompt_logprobs


# --- every shape and dtype, under everything at once --------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_answers_do_not_change_under_batching_chunks_preemption_and_prefix_hits(
    shape: str,
    dtype: str,
    make_llm: Callable[..., LLM],
    answers_alone: Callable[[str, str], list[Any]],
    assert_idle: Callable[[LLMEngine], None],
) -> None:
    expected = answers_alone(shape, dtype)
    short, short_expected = WORKS[:NUM_SHORT], expected[:NUM_SHORT]
    crowded = _engine(make_llm, shape, dtype, **CROWDED)
    assert _answers(crowded, short) == short_expected
    assert _answers(crowded, reversed(short)) == short_expected[::-1]
    assert crowded.core.scheduler.stats.num_preemptions > 4, "the pool holds all: preemption goes untested"
    roomy = _engine(make_llm, shape, dtype, **ROOMY)
    for _ in range(2):
        assert _answers(roomy, WORKS) == expected
    assert roomy.core.scheduler.stats.prefix_cache_hits > 600, "nothing was found in the cache: hits go untested"
    assert_idle(crowded)
    assert_idle(roomy)


def test_the_answers_are_worth_comparing(answers_alone: Callable[[str, str], list[Any]]) -> None:
    for shape in SHAPES:
        for dtype in DTYPES:
            generated = [answer[0][0][0] for answer in answers_alone(shape, dtype) if isinstance(answer[0], list)]
            assert len({token_id for token_ids in generated for token_id in token_ids}) > 40, "text that stands still"
    assert answers_alone("gqa", "float32") != answers_alone("gqa", "bfloat16")


def test_shapes_that_change_with_the_length_or_the_window_give_other_answers_than_the_plain_one(
    answers_alone: Callable[[str, str], list[Any]],
) -> None:
    plain = answers_alone("gqa", "float32")
    for shape in ("sliding window", "dynamic ntk", "longrope"):
        assert answers_alone(shape, "float32")[-1] != plain[-1], f"{shape} is without effect"


# --- one circumstance at a time -----------------------------------------------------------------------------------

CIRCUMSTANCES: dict[str, dict[str, Any]] = {
    "all at once": {},
    "one after another": {"max_num_seqs": 1},
    "two at a time": {"max_num_seqs": 2},
    "a token of a prompt a step": {"max_num_seqs": 1, "max_num_batched_tokens": 1},
    "chunks of 16 and less": {"max_num_seqs": 4, "max_num_batched_tokens": 16},
    "chunks of at most 5": {"long_prefill_token_threshold": 5},
    "chunks of at most 65": {"long_prefill_token_threshold": 65},
    "prompts whole": {"enable_chunked_prefill": False, "max_num_batched_tokens": 321},
    "no prefix cache": {"enable_prefix_caching": False},
    "blocks of 8": {"block_size": 8},
    "blocks of 128": {"block_size": 128, "num_gpu_blocks_override": 16},
    "few blocks": {"num_gpu_blocks_override": 20},
    "few blocks, no prefix cache": {"num_gpu_blocks_override": 20, "enable_prefix_caching": False},
}


@pytest.mark.parametrize("name", list(CIRCUMSTANCES))
@pytest.mark.parametrize("shape", ["gqa", "odd sizes"])
def test_answers_do_not_change_with(
    name: str, shape: str, make_llm: Callable[..., LLM], answers_alone: Callable[[str, str], list[Any]]
) -> None:
    engine = _engine(make_llm, shape, "float32", **CIRCUMSTANCES[name])
    assert _answers(engine, WORKS) == answers_alone(shape, "float32")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("num_threads", [3, 5])
def test_answers_do_not_change_with_the_rows_that_fall_to_a_thread(
    num_threads: int, make_llm: Callable[..., LLM], answers_alone: Callable[[str, str], list[Any]], kernels: str
) -> None:
    with _threads(num_threads):
        for shape in ("odd sizes", "dynamic ntk"):
            together = _answers(_engine(make_llm, shape, "float32"), WORKS)
            in_chunks = _engine(make_llm, shape, "float32", max_num_seqs=3, max_num_batched_tokens=33)
            assert _answers(in_chunks, WORKS) == together
            if kernels == "native":
                assert together == answers_alone(shape, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_prefix_hit_changes_nothing_but_the_count_of_cached_tokens(
    dtype: str, make_llm: Callable[..., LLM], answers_alone: Callable[[str, str], list[Any]]
) -> None:
    engine = _engine(make_llm, "gqa", dtype)
    for index, (prompt, params) in enumerate(WORKS):
        for run in range(2):
            engine.add_request(f"{index}/{run}", {"prompt_token_ids": prompt}, params)
            output = [output for output in _run(engine) if output.finished][-1]
            assert _answer(output) == answers_alone("gqa", dtype)[index]
            if run == 1 and isinstance(output, RequestOutput) and output.prompt_logprobs is None:
                assert output.num_cached_tokens == (len(prompt) - 1) // 16 * 16


def _run(engine: LLMEngine) -> Iterator[RequestOutput | EmbeddingRequestOutput]:
    while engine.has_unfinished_requests():
        yield from engine.step()


@pytest.mark.parametrize("shape", ["gqa", "dynamic ntk", "longrope"])
def test_a_continued_text_finds_its_own_output_in_the_cache_and_goes_on_as_if_computed_anew(
    shape: str, make_llm: Callable[..., LLM]
) -> None:
    """Where RoPE depends on the length, the keys of an output are other than those of the same text as a prompt."""
    engine = _engine(make_llm, shape, "float32")
    plain = _engine(make_llm, shape, "float32", enable_prefix_caching=False)
    text = OPENING[:24]
    for _ in range(4):
        work = (text, _params(max_tokens=20, ignore_eos=True))
        [answer] = _answers(engine, [work])
        assert [answer] == _answers(plain, [work])
        text += answer[0][0][0]
    if shape == "gqa":
        assert engine.core.scheduler.stats.prefix_cache_hits > 60


def test_priorities_and_order_of_arrival_change_no_answer(
    make_llm: Callable[..., LLM], answers_alone: Callable[[str, str], list[Any]]
) -> None:
    expected = answers_alone("gqa", "float32")
    for seed in range(3):
        order = random.Random(seed).sample(range(len(WORKS)), len(WORKS))
        engine = _engine(make_llm, "gqa", "float32", scheduling_policy="priority", num_gpu_blocks_override=24)
        answers = _answers(engine, [WORKS[index] for index in order], priorities=order[::-1])
        assert answers == [expected[index] for index in order]


# --- forks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_blocks", [256, 7])
@pytest.mark.parametrize("prompt_length", [1, 15, 16, 17, 33])
def test_each_of_n_siblings_answers_like_a_request_with_its_seed(
    prompt_length: int, num_blocks: int, make_llm: Callable[..., LLM], assert_idle: Callable[[LLMEngine], None]
) -> None:
    prompt = OPENING[:prompt_length]
    params = _params(temperature=1.0, seed=7, max_tokens=20)
    plain = _engine(make_llm, "gqa", "float32", enable_prefix_caching=False)
    singles = [params.clone(seed=_signed(child_seed(7, index))) for index in range(4)]
    expected = [_answers(plain, [(prompt, single)])[0][0][0] for single in singles]
    assert len({token_ids for token_ids, *_ in expected}) == 4, "siblings that say the same"
    engine = _engine(make_llm, "gqa", "float32", num_gpu_blocks_override=num_blocks)
    [(completions, _)] = _answers(engine, [(prompt, params.clone(n=4))])
    assert completions == expected
    assert_idle(engine)


def _signed(seed: int) -> int:
    """The same 64 bits within the range that SamplingParams takes."""
    return seed - (1 << 64) if seed >= 1 << 63 else seed


def test_siblings_share_blocks_and_copy_before_they_write(make_llm: Callable[..., LLM]) -> None:
    engine = _engine(make_llm, "gqa", "float32", enable_prefix_caching=False)
    copies = []
    schedule = engine.core.scheduler.schedule

    def recording_schedule(*limits: Any) -> Any:
        plan = schedule(*limits)
        copies.extend(plan.blocks_to_copy)
        return plan

    engine.core.scheduler.schedule = recording_schedule  # type: ignore[method-assign]
    engine.add_request("a", {"prompt_token_ids": OPENING[:20]}, _params(n=4, temperature=1.0, seed=7))
    engine.step()
    engine.step()
    tables = [engine.core.scheduler.kv_cache_manager.block_ids(r) for r in engine.core.scheduler._running]
    assert len(tables) == 4
    assert len({table[0] for table in tables}) == 1, "the full first block is held once"
    assert len({table[1] for table in tables}) == 4, "the block that is written to is each one's own"
    assert copies


# --- tokens proposed ahead ---------------------------------------------------------------------------------------


class Guesser:
    """A Proposer that knows the answers of WORKS, and gets one token in so many wrong."""

    def __init__(self, expected: list[Any], one_wrong_of: int) -> None:
        self._answers = {tuple(prompt): answer for (prompt, _), answer in zip(WORKS, expected, strict=True)}
        self._one_wrong_of = one_wrong_of

    def reach(self, core_request: CoreRequest, most: int) -> int:
        return most

    def propose(self, wanted: Sequence[tuple[CoreRequest, int]]) -> dict[str, list[int]]:
        return {each.request.request_id: self._guess(each.request, count) for each, count in wanted}

    def _guess(self, request: Request, count: int) -> list[int]:
        place = len(request.output_token_ids)
        right = self._answers[tuple(request.prompt_token_ids)][0][0][0][place : place + count]
        rng = random.Random(place)
        return [7 if rng.randrange(self._one_wrong_of) == 0 else token_id for token_id in (*right, 7)[:count]]

    def forget(self, request_id: str) -> None:
        pass


FREE_ROWS = Prices(step=StepCosts((1, 2), (1.0, 1.0)), most=6)
"""As if a row more cost nothing: whatever can be proposed is."""


def _speculating(engine: LLMEngine, proposer: Proposer) -> LLMEngine:
    engine.core.speculator = Speculator(proposer, FREE_ROWS)
    return engine


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_answers_do_not_change_with_tokens_proposed_ahead(
    shape: str,
    dtype: str,
    make_llm: Callable[..., LLM],
    answers_alone: Callable[[str, str], list[Any]],
    assert_idle: Callable[[LLMEngine], None],
) -> None:
    expected = answers_alone(shape, dtype)
    short, short_expected = WORKS[:NUM_SHORT], expected[:NUM_SHORT]
    crowded = _engine(make_llm, shape, dtype, **CROWDED)
    assert _answers(_speculating(crowded, Guesser(expected, 4)), short) == short_expected
    roomy = _engine(make_llm, shape, dtype, **ROOMY)
    assert _answers(_speculating(roomy, NgramProposer(1, 3)), WORKS) == expected
    assert _answers(_speculating(roomy, Guesser(expected, 9)), WORKS) == expected
    for engine in (crowded, roomy):
        stats = engine.core.scheduler.stats
        assert 30 < stats.spec_decode_num_accepted_tokens < stats.spec_decode_num_draft_tokens
        assert_idle(engine)
    assert crowded.core.scheduler.stats.num_preemptions > 2, "the pool holds all: preemption goes untested"


@pytest.mark.parametrize("num_wrong", [1, 10**9])
def test_a_step_brings_as_many_tokens_as_were_right(
    num_wrong: int, make_llm: Callable[..., LLM], answers_alone: Callable[[str, str], list[Any]]
) -> None:
    """Wrong everywhere, and right everywhere."""
    expected = answers_alone("gqa", "float32")
    engine = _speculating(_engine(make_llm, "gqa", "float32"), Guesser(expected, num_wrong))
    assert _answers(engine, [WORKS[0]]) == expected[:1]
    stats = engine.core.scheduler.stats
    if num_wrong == 1:
        assert stats.spec_decode_num_accepted_tokens == 0
        assert 5 < stats.spec_decode_num_drafts < 38, "it does not stop where nothing is right"
    else:
        assert stats.spec_decode_num_accepted_tokens == stats.spec_decode_num_draft_tokens == 33
        assert stats.spec_decode_num_drafts == 6  # and 6 tokens of their own after 1 of the prompt, of 40


# --- scenarios by Hypothesis --------------------------------------------------------------------------------------

ENGINES = st.fixed_dictionaries(
    {
        "num_gpu_blocks_override": st.one_of(st.integers(6, 14), st.integers(18, 34)),
        "max_num_seqs": st.integers(1, 6),
        "max_num_batched_tokens": st.sampled_from([6, 17, 40, 64, 330]),
        "enable_prefix_caching": st.booleans(),
        "scheduling_policy": st.sampled_from(["fcfs", "priority"]),
    }
)
NUM_THREADS = st.sampled_from([1, 2, 3])
NUM_EXAMPLES = {"torch-reference": 40, "native": 70}
"""Of each shape: the native kernels are held to more than 200 workloads, each on a number of threads of its own."""

ADD = st.tuples(st.just("add"), st.integers(0, len(WORKS) - 1), st.integers(0, 2))
STEP = st.tuples(st.just("step"), st.integers(1, 8), st.just(0))
ABORT = st.tuples(st.just("abort"), st.integers(0, 8), st.just(0))
EVENTS = st.tuples(
    st.lists(ADD, min_size=3, max_size=8), st.lists(st.one_of(ADD, STEP, STEP, ABORT), min_size=4, max_size=16)
).map(lambda parts: parts[0] + parts[1])


class Scenario:
    """Plays events on an engine; every output must be the opening of what its request is answered alone."""

    def __init__(self, engine: LLMEngine, expected: list[Any]) -> None:
        self.engine = engine
        self.expected = expected
        self.live: dict[str, int] = {}
        self.seen: Counter[str] = Counter()
        self._num_added = 0

    def play(self, events: list[tuple[str, int, int]]) -> Counter[str]:
        for kind, number, priority in events:
            getattr(self, kind)(number, priority)
        while self.live:
            self.step(1, 0)
        stats = self.engine.core.scheduler.stats
        self.seen.update(preemptions=stats.num_preemptions, hits=stats.prefix_cache_hits)
        self.seen.update(accepted=stats.spec_decode_num_accepted_tokens)
        return self.seen

    def add(self, index: int, priority: int) -> None:
        request_id = f"request {self._num_added}"
        self._num_added += 1
        if self.engine.parts.memory_plan.num_blocks < 18:
            index %= NUM_SHORT
        prompt, params = WORKS[index]
        self.engine.add_request(request_id, {"prompt_token_ids": prompt}, params, priority=priority)
        self.live[request_id] = index

    def abort(self, number: int, _: int) -> None:
        if not self.live:
            return
        request_id = sorted(self.live)[number % len(self.live)]
        last = self.engine.abort_request(request_id)
        if last is not None:
            self._check_opening(last)
            self.seen["aborts under way"] += bool(last.outputs[0].token_ids)
        del self.live[request_id]

    def step(self, count: int, _: int) -> None:
        for _ in range(count):
            for output in self.engine.step():
                if output.finished:
                    assert _answer(output) == self.expected[self.live.pop(output.request_id)]
                    self.seen["finished"] += 1
                else:
                    self._check_opening(output)
        self.engine.core.scheduler.kv_cache_manager.check_invariants()

    def _check_opening(self, output: RequestOutput | EmbeddingRequestOutput) -> None:
        assert isinstance(output, RequestOutput)
        told = output.outputs[0]
        token_ids, _, logprobs, *_ = self.expected[self.live[output.request_id]][0][0]
        assert told.token_ids == token_ids[: len(told.token_ids)]
        assert told.logprobs == logprobs[: len(told.token_ids)]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ("gqa", "bfloat16"),
        ("longrope", "float32"),
        ("odd sizes", "float32"),
        ("gqa", "bfloat16 int4"),
        ("gqa", "float32 int8"),
        ("gqa", "bfloat16 kv"),
    ],
)
def test_no_arrival_abort_or_preemption_changes_another_requests_answer(
    shape: str,
    dtype: str,
    make_llm: Callable[..., LLM],
    answers_alone: Callable[[str, str], list[Any]],
    assert_idle: Callable[[LLMEngine], None],
    kernels: str,
) -> None:
    if " " in dtype and kernels != "native":
        pytest.skip("torch widens codes, and is held to its bits over floats already")
    expected = answers_alone(shape, dtype)
    seen: Counter[str] = Counter()

    @settings(
        max_examples=NUM_EXAMPLES[kernels], derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(ENGINES, EVENTS, NUM_THREADS, st.sampled_from([None, 2, 5, 20]))
    def play(
        engine_settings: dict[str, Any],
        events: list[tuple[str, int, int]],
        num_threads: int,
        one_wrong_of: int | None,
    ) -> None:
        engine_settings["max_num_seqs"] = min(
            engine_settings["max_num_seqs"], engine_settings["max_num_batched_tokens"]
        )
        with _threads(num_threads if kernels == "native" else 1):
            engine = _engine(make_llm, shape, dtype, **engine_settings)
            if one_wrong_of is not None:
                _speculating(engine, Guesser(expected, one_wrong_of))
            seen.update(Scenario(engine, expected).play(events))
        assert_idle(engine)

    play()
    for kind in ("finished", "preemptions", "hits", "aborts under way", "accepted"):
        assert seen[kind], f"the scenarios had no {kind}"
