"""Random arrivals, forks, aborts and preemptions against a simulated KV cache that notices every wrong byte.

The simulated cache keeps, for each slot (block, offset), a fingerprint of all tokens up to the one written there, made
from the fingerprint that the *cache* holds for the position before. What a request samples is a function of that
fingerprint. So a page read from the wrong place, a block overwritten while shared, a copy forgotten, a prefix hit on
stale memory or a preemption that loses a token all change what comes out, and what comes out is compared with
the same request served alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pagoda.engine.outputs import SampledToken
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.plan import ScheduledRequest, SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import FinishReason, Request
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.errors import InvalidRequestError
from pagoda.sampling_params import SamplingParams

VOCAB_SIZE = 11
EOS, STOP = 0, 1


def fingerprint(past: int, token_id: int) -> int:
    return hash((past, token_id))


def fingerprints(token_ids: list[int]) -> list[int]:
    """What the cache must hold at each position of this sequence."""
    result, past = [], 0
    for token_id in token_ids:
        past = fingerprint(past, token_id)
        result.append(past)
    return result


def sample(past: int) -> int:
    return past % VOCAB_SIZE


def serve_alone(request: Request, max_model_len: int) -> tuple[list[int], FinishReason]:
    """Tokens and end of a request on a machine of its own, from the definition and without a scheduler."""
    tokens = list(request.prompt_token_ids)
    outputs: list[int] = []
    if request.sampling_params is None:
        return outputs, FinishReason.STOP
    while len(outputs) < request.max_tokens and len(tokens) < max_model_len:
        outputs.append(sample(fingerprints(tokens)[-1]))
        tokens.append(outputs[-1])
        if outputs[-1] in request.stop_token_ids and len(outputs) >= request.min_tokens:
            return outputs, FinishReason.STOP
    return outputs, FinishReason.LENGTH


@dataclass
class SimulatedRunner:
    """Runs steps on a simulated KV cache, checking every read and write."""

    block_size: int
    max_tokens_a_step: int = 1

    def __post_init__(self) -> None:
        self.slots: dict[tuple[int, int], int] = {}

    def execute(self, output: SchedulerOutput, requests: dict[str, Request]) -> StepOutput:
        holders = Counter(block_id for entry in output.scheduled for block_id in entry.block_ids)
        self.copy_blocks(output, holders)
        written: set[tuple[int, int]] = set()
        sampled = {}
        for entry in output.scheduled:
            self.check_reads(entry, requests[entry.request_id])
            past = self.write(entry, holders, written)
            if entry.samples:
                sampled[entry.request_id] = tuple(self.sample(past))
        return StepOutput(sampled)

    def sample(self, past: int) -> Iterator[SampledToken]:
        """One token or several, as a drafting executor would give; whoever ends the request stands anywhere in them."""
        for _ in range(1 + past // VOCAB_SIZE % self.max_tokens_a_step):
            token_id = sample(past)
            past = fingerprint(past, token_id)
            yield SampledToken(token_id)

    def copy_blocks(self, output: SchedulerOutput, holders: Counter[int]) -> None:
        destinations = [destination for _, destination in output.blocks_to_copy]
        assert len(set(destinations)) == len(destinations)
        before = dict(self.slots)
        for source, destination in output.blocks_to_copy:
            assert holders[destination] == 1, "a copy is made for one request"
            for offset in range(self.block_size):
                assert self.slots.get((source, offset)) == before.get((source, offset)), "copies depend on order"
                self.slots[destination, offset] = self.slots.get((source, offset), -1)

    def slot(self, entry: ScheduledRequest, position: int) -> tuple[int, int]:
        return entry.block_ids[position // self.block_size], position % self.block_size

    def check_reads(self, entry: ScheduledRequest, request: Request) -> None:
        start, end = entry.num_computed_tokens, entry.num_computed_tokens + len(entry.token_ids)
        assert entry.token_ids == tuple(request.token_ids[start:end])
        assert entry.samples == (end == request.num_tokens)
        expected = fingerprints(request.token_ids[:start])
        held = [self.slots.get(self.slot(entry, position)) for position in range(start)]
        assert held == expected, f"{entry.request_id} would read somebody else's past"

    def write(self, entry: ScheduledRequest, holders: Counter[int], written: set[tuple[int, int]]) -> int:
        start = entry.num_computed_tokens
        past = self.slots[self.slot(entry, start - 1)] if start else 0
        for position, token_id in enumerate(entry.token_ids, start):
            slot = self.slot(entry, position)
            assert holders[slot[0]] == 1, f"{entry.request_id} writes into block {slot[0]}, which others hold"
            assert slot not in written, f"slot {slot} is written twice in a step"
            written.add(slot)
            past = fingerprint(past, token_id)
            self.slots[slot] = past
        return past


# Prompts are prefixes of a few texts, sometimes with another end, so that many open alike.
TEXTS = [[(text * 7 + 3 * index + index // 5) % VOCAB_SIZE for index in range(24)] for text in range(2)]
prompts = st.builds(
    lambda text, length, tail: text[:length] + tail,
    st.sampled_from(TEXTS),
    st.integers(1, 20),
    st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=3),
)


@st.composite
def configs(draw: st.DrawFn) -> tuple[SchedulerConfig, CacheConfig]:
    max_num_seqs = draw(st.integers(1, 6))
    max_model_len = draw(st.integers(8, 40))
    chunked = draw(st.booleans())
    least = max_num_seqs if chunked else max(max_num_seqs, max_model_len)
    scheduler_config = SchedulerConfig(
        max_model_len=max_model_len,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=least + draw(st.integers(0, 24)),
        policy=draw(st.sampled_from(["fcfs", "priority"])),
        enable_chunked_prefill=chunked,
        long_prefill_token_threshold=draw(st.integers(0, 6)) if chunked else 0,
    )
    block_size = draw(st.integers(1, 5))
    cache_config = CacheConfig(
        num_blocks=draw(st.integers(2, 60 // block_size)),
        block_size=block_size,
        enable_prefix_caching=draw(st.booleans()),
        watermark=draw(st.sampled_from([0.0, 0.2])),
    )
    return scheduler_config, cache_config


class Simulation:
    """A scheduler, a simulated runner and everything that must hold between them at every step."""

    def __init__(
        self, scheduler_config: SchedulerConfig, cache_config: CacheConfig, max_tokens_a_step: int = 1
    ) -> None:
        self.scheduler_config, self.cache_config = scheduler_config, cache_config
        self.scheduler = Scheduler(scheduler_config, cache_config)
        self.runner = SimulatedRunner(cache_config.block_size, max_tokens_a_step)
        self.requests: dict[str, Request] = {}
        self.aborted: set[str] = set()
        self.finish_reasons: dict[str, FinishReason] = {}
        self.new_tokens: dict[str, list[int]] = {}
        self.announced: list[str] = []
        self.num_copies = 0

    @property
    def unfinished(self) -> list[str]:
        return [request_id for request_id, request in self.requests.items() if not request.is_finished]

    def add(self, prompt: list[int], max_tokens: int, num_forks: int = 0, is_pooling: bool = False, **fields) -> None:
        parent = Request(
            request_id=f"r{len(self.requests)}",
            prompt_token_ids=prompt,
            sampling_params=None if is_pooling else SamplingParams(),
            max_tokens=0 if is_pooling else max_tokens,
            stop_token_ids=frozenset({EOS, STOP}),
            eos_token_ids=frozenset({EOS}),
            **fields,
        )
        self.submit(parent)
        for _ in range(num_forks):
            self.submit(replace(parent, request_id=f"r{len(self.requests)}", fork_of=parent.request_id))

    def submit(self, request: Request) -> None:
        try:
            self.scheduler.add_request(request)
        except InvalidRequestError:
            assert not self.can_finish(request)
        else:
            assert self.can_finish(request)
            self.requests[request.request_id] = request
            self.new_tokens[request.request_id] = []

    def can_finish(self, request: Request) -> bool:
        num_prompt, max_len = len(request.prompt_token_ids), self.scheduler_config.max_model_len
        num_fed = min(num_prompt + request.max_tokens, max_len) - 1 if request.max_tokens else num_prompt
        has_room = num_fed <= self.cache_config.num_blocks * self.cache_config.block_size
        return has_room and num_prompt + bool(request.max_tokens) <= max_len

    def abort(self, request_id: str) -> None:
        assert self.scheduler.abort(request_id)
        self.aborted.add(request_id)

    def step(self, leaving_meanwhile: str | None = None) -> None:
        output = self.scheduler.schedule()
        self.check_plan(output)
        sampled = self.runner.execute(output, self.requests)
        self.announced += output.finished_request_ids
        self.num_copies += len(output.blocks_to_copy)
        if leaving_meanwhile is not None:
            self.abort(leaving_meanwhile)
        for news in self.scheduler.update(output, sampled):
            assert news.request_id not in self.aborted
            self.new_tokens[news.request_id].extend(token.token_id for token in news.tokens)
            if news.finish_reason is not None:
                self.finish_reasons[news.request_id] = news.finish_reason
        self.check_books()

    def check_plan(self, output: SchedulerOutput) -> None:
        config = self.scheduler_config
        assert output.total_num_scheduled_tokens <= config.max_num_batched_tokens
        assert len(output.scheduled) == self.scheduler.num_running <= config.max_num_seqs, "all running advance"
        assert bool(output.scheduled) == bool(self.unfinished), "a step without progress"
        assert {e.request_id: len(e.token_ids) for e in output.scheduled} == output.num_scheduled_tokens
        assert all(num_tokens > 0 for num_tokens in output.num_scheduled_tokens.values())
        if config.long_prefill_token_threshold:
            assert max(output.num_scheduled_tokens.values(), default=0) <= config.long_prefill_token_threshold
        if not config.enable_chunked_prefill:
            assert all(entry.samples for entry in output.scheduled)
        self.check_order(output)

    def check_order(self, output: SchedulerOutput) -> None:
        """Nobody runs who ranks behind somebody just preempted."""
        running = [self.requests[entry.request_id].rank for entry in output.scheduled]
        preempted = [self.requests[request_id].rank for request_id in output.preempted_request_ids]
        assert not preempted or max(running) < min(preempted)

    def check_books(self) -> None:
        self.scheduler.kv_cache_manager.check_invariants()
        assert self.scheduler.num_running + self.scheduler.num_waiting == len(self.unfinished)

    def finish(self) -> None:
        """Steps until nobody is left, within a bound, and compares everyone with being served alone."""
        bound = 20 + sum(3 * (len(r.prompt_token_ids) + r.max_tokens) for r in self.requests.values())
        for _ in range(bound):
            if not self.unfinished:
                break
            self.step()
        assert not self.unfinished, f"not served within {bound} steps: {self.unfinished}"
        self.check_results()

    def check_results(self) -> None:
        assert self.scheduler.kv_cache_usage == 0
        self.announced += self.scheduler.schedule().finished_request_ids
        assert sorted(self.announced) == sorted(self.requests), "each end is announced once"
        for request_id, request in self.requests.items():
            outputs, reason = serve_alone(request, self.scheduler_config.max_model_len)
            assert self.new_tokens[request_id] == request.output_token_ids
            if request_id in self.aborted:
                assert request.finish_reason is FinishReason.ABORT
                assert request.output_token_ids == outputs[: len(request.output_token_ids)]
            else:
                assert self.finish_reasons[request_id] is request.finish_reason is reason
                assert request.output_token_ids == outputs


class SchedulerMachine(RuleBasedStateMachine):
    """Callers come, fork and leave; steps are taken; at the end everyone is served."""

    simulation: Simulation | None = None

    @initialize(configs=configs(), max_tokens_a_step=st.sampled_from([1, 1, 3]))
    def start(self, configs: tuple[SchedulerConfig, CacheConfig], max_tokens_a_step: int) -> None:
        self.simulation = Simulation(*configs, max_tokens_a_step)

    @rule(
        prompt=prompts,
        max_tokens=st.integers(1, 16),
        min_tokens=st.integers(0, 16),
        priority=st.integers(0, 2),
        cache_salt=st.sampled_from([None, None, "salt"]),
        read_prefix_cache=st.sampled_from([True, True, True, False]),
        is_pooling=st.sampled_from([False, False, False, True]),
        num_forks=st.sampled_from([0, 0, 1, 3]),
    )
    def add(self, prompt: list[int], **fields) -> None:
        self.simulation.add(prompt, **fields)

    @precondition(lambda self: self.simulation and self.simulation.unfinished)
    @rule(data=st.data(), while_a_step_runs=st.booleans())
    def abort(self, data: st.DataObject, while_a_step_runs: bool) -> None:
        request_id = data.draw(st.sampled_from(self.simulation.unfinished))
        if while_a_step_runs:
            self.simulation.step(leaving_meanwhile=request_id)
        else:
            self.simulation.abort(request_id)

    @rule(num_steps=st.integers(1, 4))
    def run(self, num_steps: int) -> None:
        for _ in range(num_steps):
            self.simulation.step()

    @invariant()
    def books_balance(self) -> None:
        if self.simulation:
            self.simulation.check_books()

    def teardown(self) -> None:
        if self.simulation:
            self.simulation.finish()


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(
    max_examples=300, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def make_simulation(num_blocks: int, max_tokens_a_step: int = 1) -> Simulation:
    return Simulation(
        SchedulerConfig(max_model_len=40, max_num_seqs=6, max_num_batched_tokens=16),
        CacheConfig(num_blocks=num_blocks, block_size=4, watermark=0.0),
        max_tokens_a_step,
    )


@pytest.mark.parametrize("max_tokens_a_step", [1, 3])
def test_many_preemptions_in_a_tiny_pool_change_no_output(max_tokens_a_step: int):
    simulation = make_simulation(9, max_tokens_a_step)
    for length in (9, 17, 6, 12, 20):
        for text in TEXTS:
            simulation.add(text[:length], max_tokens=16, min_tokens=16)
    simulation.finish()
    assert simulation.scheduler.stats.num_preemptions >= 5
    assert simulation.scheduler.stats.prefix_cache_hits > 0


def test_forks_under_preemption_change_no_output():
    simulation = make_simulation(num_blocks=12)
    for length in (7, 8, 9):
        simulation.add(TEXTS[0][:length], max_tokens=16, min_tokens=16, num_forks=3)
    simulation.finish()
    assert simulation.num_copies >= 2
    assert simulation.scheduler.stats.num_preemptions > 0
