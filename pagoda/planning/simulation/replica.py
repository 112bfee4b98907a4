"""One copy of the engine on a virtual clock: the real scheduler plans each step, and a formula says how long it takes.

Under `simulator`. What `EngineCore.step` does is done here with the same scheduler, unchanged, and with an executor
that computes nothing: schedule, execute, update. The values of tokens play no part, lengths do.

Steps in which nothing can change but lengths are taken many at a time, through the door that speculative decoding has
in the scheduler: so many tokens are proposed for each answer, and all of them are right. The plan's bookkeeping, the
blocks taken and the order of everything are those of single steps; the time is their sum, which the formula gives in
one go, as it is linear in what has been read. Imports no torch.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from pagoda.balancing import ReplicaState
from pagoda.engine.outputs import SampledToken
from pagoda.engine.scheduling.admission import check_can_finish
from pagoda.engine.scheduling.config import CacheConfig, SchedulerConfig
from pagoda.engine.scheduling.plan import RequestUpdate, SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import Request
from pagoda.engine.scheduling.scheduler import NO_PROPOSALS, Scheduler
from pagoda.planning.costs import CostModel, StepLoad
from pagoda.planning.simulation.workload import SimulatedRequest
from pagoda.sampling_params import SamplingParams

_TOKEN = SampledToken(0)
MAX_LEAP = 512


class _Sampled(dict[str, tuple[SampledToken, ...]]):
    """What every request of a step gets, without a list of them."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self._tokens = (_TOKEN,) * num_tokens

    def __missing__(self, request_id: str) -> tuple[SampledToken, ...]:
        return self._tokens


class VirtualExecutor:
    """Runs a plan without computing anything; each request that samples gets one token, and its proposals are right."""

    def __init__(self) -> None:
        self._outputs = [StepOutput(tokens=_Sampled(number + 1)) for number in range(MAX_LEAP + 1)]

    def execute(self, plan: SchedulerOutput, rows: object = None) -> StepOutput:
        """As an Executor; all requests of a plan have equally many proposals, or none has any."""
        return self._outputs[plan.scheduled[0].num_proposed]


class StepRecord(NamedTuple):
    """One step, or several alike, as the timeline shows them. Seconds; tokens and requests."""

    began_s: float
    seconds: float
    num_steps: int
    num_prompt_tokens: int
    num_decodes: int
    num_waiting: int
    kv_cache_usage: float


@dataclass
class RequestTimes:
    """Seconds at which requests arrived, got their first token and ended, by number; of those under way, nan."""

    arrival_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    end_s: list[float] = field(default_factory=list)
    num_output_tokens: list[int] = field(default_factory=list)
    gaps: dict[float, int] = field(default_factory=dict)
    """Seconds between two tokens of an answer, to the microsecond, and how many of these there were.

    Steps that are taken together have one value, their mean.
    """


class Replica:
    """One engine. `run_until` and `add` alternate; times only grow.

    async_scheduling: a step is planned while the one before runs, so that it knows only of requests that had come when
        that one began, as vLLM's does
    overhead_s: from arrival until the engine has a request
    max_leap: most steps that are taken at once; with 1 each is taken alone, which gives the same times
    """

    def __init__(
        self,
        scheduler_config: SchedulerConfig,
        cache_config: CacheConfig,
        cost: CostModel,
        times: RequestTimes,
        *,
        async_scheduling: bool = False,
        overhead_s: float = 0.0,
        records: list[StepRecord] | None = None,
        max_leap: int = MAX_LEAP,
    ) -> None:
        self.scheduler = Scheduler(scheduler_config, cache_config)
        self.clock_s = 0.0
        self.busy_s = 0.0
        self.sent_s = 0.0
        """Work that was sent here, as whoever sends it reckons."""
        self._queued_tokens = 0
        self._executor = VirtualExecutor()
        self._cost = cost
        self._times = times
        self._async = async_scheduling
        self._overhead_s = overhead_s
        self._records = records
        self._max_leap = max_leap
        self._arrived: deque[tuple[float, Request]] = deque()
        self._prompts: dict[str, int] = {}
        self._stalled: dict[str, float] = {}
        self._began_s = 0.0
        self._params = SamplingParams(max_tokens=1)

    @property
    def num_requests(self) -> int:
        """Under way: arrived and not ended."""
        return self.scheduler.num_running + self.scheduler.num_waiting + len(self._arrived)

    def state(self, request: Request) -> ReplicaState:
        """What a router may know when `request` arrives."""
        cached = self.scheduler.kv_cache_manager.get_computed_blocks(request).num_tokens
        return ReplicaState(cached, self._queued_tokens, self.num_requests, self.sent_s)

    def request(self, number: int, simulated: SimulatedRequest) -> Request:
        """As the engine's door would make it."""
        request = Request(
            request_id=str(number),
            prompt_token_ids=[0] * simulated.num_prompt_tokens,
            sampling_params=self._params,
            max_tokens=simulated.num_output_tokens,
            arrival_time=simulated.arrival_s,
            read_prefix_cache=bool(simulated.prefix),
        )
        if self.scheduler.kv_cache_manager.config.enable_prefix_caching:
            block_size = self.scheduler.kv_cache_manager.config.block_size
            own = range(0 if simulated.prefix else simulated.num_prompt_tokens // block_size)
            request.block_hashes = [*simulated.block_hashes(block_size), *(b"%d:%d" % (number, i) for i in own)]
        return request

    def add(self, request: Request) -> None:
        """A request that arrives now, at its `arrival_time`. Raises InvalidRequestError if it can never finish."""
        check_can_finish(request, self.scheduler.config, self.scheduler.kv_cache_manager.config)
        there_s = request.arrival_time + self._overhead_s
        if not self.num_requests:
            self.clock_s = max(self.clock_s, there_s)
            self._began_s = self.clock_s
        self._arrived.append((there_s, request))
        self._prompts[request.request_id] = request.num_prompt_tokens
        self._queued_tokens += request.num_prompt_tokens

    def run_until(self, time_s: float) -> None:
        """Takes all steps that begin before that time."""
        while self.clock_s < time_s and self.num_requests:
            self._step(time_s)

    def _step(self, horizon_s: float) -> None:
        scheduler = self.scheduler
        self._take_arrivals()
        began_s = self._began_s = self.clock_s
        num_more = self._num_more(horizon_s)
        proposals = (
            {request.request_id: (0,) * num_more for request in scheduler.running_requests} if num_more else None
        )
        plan = scheduler.schedule(None, proposals or NO_PROPOSALS)
        seconds = self._seconds(plan, num_more)
        self.clock_s = began_s + seconds
        self.busy_s += seconds
        if self._records is not None:
            self._record(plan, began_s, seconds, num_more + 1)
        updates = scheduler.update(plan, self._executor.execute(plan))
        self._note(plan, updates, seconds, num_more)

    def _take_arrivals(self) -> None:
        """Those that the plan may know of."""
        known_s = self._began_s if self._async and self.scheduler.has_unfinished_requests() else self.clock_s
        arrived = self._arrived
        while arrived and (arrived[0][0] <= known_s or not self.scheduler.has_unfinished_requests()):
            there_s, request = arrived.popleft()
            self.clock_s = max(self.clock_s, there_s) if not self.scheduler.has_unfinished_requests() else self.clock_s
            self.scheduler.add_request(request)

    def _num_more(self, horizon_s: float) -> int:
        """How many steps beyond the next one are like it, but for lengths: 0 where something else may happen."""
        scheduler = self.scheduler
        running = scheduler.running_requests
        num_running = len(running)
        config = scheduler.config
        full = num_running >= config.max_num_seqs
        if not num_running or (scheduler.num_waiting and not full):
            return 0
        decoding = len(scheduler.decoding_requests)
        most = min(config.max_num_batched_tokens // num_running, self._max_leap) - 1
        if decoding < num_running or most < 1:
            return 0
        most = min(most, min(request.max_tokens - len(request.output_token_ids) for request in running) - 1)
        pool, block_size = scheduler.kv_cache_manager.pool, scheduler.kv_cache_manager.config.block_size
        most = min(most, (pool.num_free_blocks // num_running - 1) * block_size)
        if most < 1:
            return 0
        if self._arrived and not full:
            horizon_s = min(horizon_s, self._arrived[0][0])
        return self._num_within(horizon_s, running, most)

    def _num_within(self, horizon_s: float, running: list[Request], most: int) -> int:
        """Of `most` further steps, those that begin before the horizon; of steps the last is the longest."""
        num_running = len(running)
        keys = sum(request.num_computed_tokens for request in running) + num_running
        first_s = self._decode_s(num_running, keys)
        if self.clock_s + first_s >= horizon_s:
            return 0
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            spent_s = middle * self._decode_s(num_running, keys + num_running * (middle - 1) / 2)
            low, high = (middle, high) if self.clock_s + spent_s < horizon_s else (low, middle - 1)
        return low

    def _decode_s(self, num_running: int, keys: float) -> float:
        return self._cost.seconds(StepLoad(num_running, num_running, num_running, keys, 0.0))

    def _seconds(self, plan: SchedulerOutput, num_more: int) -> float:
        """Of the step, and of those taken with it: a step in the middle is their mean."""
        scheduled = plan.scheduled
        count = len(scheduled)
        if num_more or plan.total_num_scheduled_tokens == count:
            keys = sum(entry.num_computed_tokens for entry in scheduled) + count
            return (num_more + 1) * self._decode_s(count, keys + count * num_more / 2)
        keys = pairs = logits = 0
        for entry in scheduled:
            new, before = len(entry.token_ids), entry.num_computed_tokens
            logits += entry.samples
            if new == 1:
                keys += before + 1
            else:
                pairs += new * (2 * before + new + 1)
        return self._cost.seconds(StepLoad(plan.total_num_scheduled_tokens, logits, count, keys, pairs / 2))

    def _note(self, plan: SchedulerOutput, updates: list[RequestUpdate], seconds: float, num_more: int) -> None:
        """First tokens, ends, gaps between tokens, and who lost its blocks."""
        times, now_s = self._times, self.clock_s
        num_gaps = len(updates) * (num_more + 1)
        for entry in plan.scheduled:
            if entry.num_computed_tokens < entry.num_prompt_tokens and entry.samples:
                num_gaps -= 1
                self._note_prompt(entry.request_id, now_s)
        if num_gaps:
            step_s = round(seconds / (num_more + 1), 6)
            times.gaps[step_s] = times.gaps.get(step_s, 0) + num_gaps
        for update in updates:
            if update.finish_reason is not None:
                times.end_s[int(update.request_id)] = now_s
        for request_id in plan.preempted_request_ids:
            if request_id not in self._prompts:
                self._stalled[request_id] = now_s - seconds

    def _note_prompt(self, request_id: str, now_s: float) -> None:
        """A prompt is computed: for the first time, or again after the request had lost its blocks."""
        if (num_tokens := self._prompts.pop(request_id, None)) is not None:
            self._times.first_s[int(request_id)] = now_s
            self._queued_tokens -= num_tokens
        elif (stalled_s := self._stalled.pop(request_id, None)) is not None:
            gap_s = round(now_s - stalled_s, 6)
            self._times.gaps[gap_s] = self._times.gaps.get(gap_s, 0) + 1

    def _record(self, plan: SchedulerOutput, began_s: float, seconds: float, num_steps: int) -> None:
        assert self._records is not None, "only called where steps are kept"
        scheduler = self.scheduler
        decodes = plan.num_decode_tokens if num_steps == 1 else len(plan.scheduled)
        prompt_tokens = plan.total_num_scheduled_tokens - decodes if num_steps == 1 else 0
        usage = scheduler.kv_cache_usage
        self._records.append(
            StepRecord(began_s, seconds, num_steps, prompt_tokens, decodes, scheduler.num_waiting, usage)
        )
