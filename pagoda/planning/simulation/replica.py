"""One copy of the engine on a virtual clock: the real scheduler plans each step, and a formula says how long it takes.

Under `simulator`. What `EngineCore.step` does is done here with the same scheduler and with an executor that computes
nothing: schedule, execute, update. The values of tokens play no part, lengths do.

Where the scheduler's plan names nobody, nothing but lengths changes until the next answer needs a block or ends
(`cohort`), or a request comes: these steps are one jump. Its time is their sum, in closed form, as a step of answers
alone takes what it takes by their number, and so much for each key that they see. Times are whole femtoseconds, so that
sum is the sum of the single steps to the last digit. A jump is put down when its end comes, or a request before that.
Imports no torch.
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
from pagoda.engine.scheduling.scheduler import Scheduler
from pagoda.planning.costs import CostModel, StepLoad
from pagoda.planning.simulation.cohort import CohortScheduler
from pagoda.planning.simulation.gaps import FEMTOSECONDS, GapCounts
from pagoda.planning.simulation.workload import SimulatedRequest
from pagoda.sampling_params import SamplingParams

_TOKEN = SampledToken(0)
_KEYS = 1 << 20
"""Over which a key's time is taken."""
_NEVER = 1 << 200


class _Sampled(dict[str, tuple[SampledToken, ...]]):
    """One token for whoever samples, without a list of them."""

    def __missing__(self, request_id: str) -> tuple[SampledToken, ...]:
        return (_TOKEN,)


class VirtualExecutor:
    """Runs a plan without computing anything; each request that samples gets one token."""

    def __init__(self) -> None:
        self._output = StepOutput(tokens=_Sampled())

    def execute(self, plan: SchedulerOutput, rows: object = None) -> StepOutput:
        """As an Executor."""
        return self._output


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
    gap_counts: GapCounts = field(default_factory=GapCounts)

    @property
    def gaps(self) -> dict[float, int]:
        """Seconds between two tokens of an answer, to the microsecond, and how many of these there were."""
        return self.gap_counts.counts()


class _Jump(NamedTuple):
    """Steps alike from one moment on: the first takes so long, each further one so much longer.

    end: when the last is over; num_seqs: requests in each
    passes: whether a request that comes meanwhile changes nothing
    """

    began: int
    first: int
    growth: int
    num_steps: int
    end: int
    num_seqs: int
    passes: bool

    def over_after(self, num_steps: int) -> int:
        """When so many of them are over."""
        return self.began + _sum(self.first, self.growth, num_steps)

    def after(self, num_steps: int) -> _Jump:
        """What is left of it then."""
        first = self.first + self.growth * num_steps
        return self._replace(began=self.over_after(num_steps), first=first, num_steps=self.num_steps - num_steps)


def _sum(first: int, growth: int, count: int) -> int:
    return count * first + growth * (count * (count - 1) // 2)


class Replica:
    """One engine. `run_until` and `add` alternate; times only grow.

    async_scheduling: a step is planned while the one before runs, so that it knows only of requests that had come when
        that one began, as vLLM's does
    overhead_s: from arrival until the engine has a request
    jumps: False has `Scheduler` itself plan every single step, which gives the same times
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
        jumps: bool = True,
    ) -> None:
        self._cohort = CohortScheduler(scheduler_config, cache_config) if jumps else None
        self.scheduler: Scheduler = self._cohort or Scheduler(scheduler_config, cache_config)
        self.sent_s = 0.0
        """Work that was sent here, as whoever sends it reckons."""
        self._queued_tokens = 0
        self._executor = VirtualExecutor()
        self._cost = cost
        self._times = times
        self._async = async_scheduling
        self._overhead = _units(overhead_s)
        self._records = records
        self._arrived: deque[tuple[int, Request]] = deque()
        self._prompts: dict[str, int] = {}
        self._stalled: dict[str, int] = {}
        self._clock = self._busy = self._began = 0
        self._jump: _Jump | None = None
        self._decode_costs: dict[int, tuple[int, int]] = {}
        self._names_blocks = cache_config.enable_prefix_caching
        self._params = SamplingParams(max_tokens=1)

    @property
    def clock_s(self) -> float:
        """When the last step was over."""
        return self._clock / FEMTOSECONDS

    @property
    def busy_s(self) -> float:
        """Of all steps."""
        return self._busy / FEMTOSECONDS

    @property
    def num_requests(self) -> int:
        """Under way: arrived and not ended."""
        return self.scheduler.num_running + self.scheduler.num_waiting + len(self._arrived)

    def state(self, request: Request) -> ReplicaState:
        """What a router may know when `request` arrives."""
        if self._jump is not None and self._names_blocks:
            self._put_down(self._num_begun(self._jump, _units(request.arrival_time)), goes_on=True)
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
        arrival = _units(request.arrival_time)
        there = arrival + self._overhead
        if self._jump is not None and not self._jump.passes:
            self._put_down(self._num_begun(self._jump, arrival))
        if not self.num_requests:
            self._clock = self._began = max(self._clock, there)
        self._arrived.append((there, request))
        self._prompts[request.request_id] = request.num_prompt_tokens
        self._queued_tokens += request.num_prompt_tokens

    def run_until(self, time_s: float | None) -> None:
        """Takes all steps that begin before that time, but for a jump that goes on then. None: to the end."""
        time = _NEVER if time_s is None else _units(time_s)
        while True:
            if self._jump is not None:
                if self._jump.end >= time:
                    return
                self._put_down(self._jump.num_steps)
            elif self._clock < time and self.num_requests:
                self._step()
            else:
                return

    def _step(self) -> None:
        """The next step, or a jump."""
        self._take_arrivals()
        plan = self.scheduler.schedule()
        if self._cohort is not None and not plan.scheduled:
            self._jump = self._begun_jump(self._cohort)
            return
        began = self._began = self._clock
        count = 0 if self._cohort is None else self._cohort.cohort_size
        duration = self._duration(plan)
        self._clock += duration
        self._busy += duration
        if self._records is not None:
            decodes = plan.num_decode_tokens + count
            prompt_tokens = plan.total_num_scheduled_tokens + count - decodes
            self._record(began, duration, 1, prompt_tokens, decodes)
        updates = self.scheduler.update(plan, self._executor.execute(plan))
        self._note(plan, updates, duration, count)

    def _take_arrivals(self) -> None:
        """Those that the plan may know of."""
        known = self._began if self._async and self.scheduler.has_unfinished_requests() else self._clock
        arrived = self._arrived
        while arrived and (arrived[0][0] <= known or not self.scheduler.has_unfinished_requests()):
            there, request = arrived.popleft()
            if not self.scheduler.has_unfinished_requests():
                self._clock = max(self._clock, there)
            self.scheduler.add_request(request)

    def _begun_jump(self, cohort: CohortScheduler) -> _Jump:
        """From here to the next step in which somebody is named."""
        count = cohort.cohort_size
        base, key = self._decode_cost(count)
        first, growth = base + key * cohort.cohort_keys, key * count
        # Whoever waits was just refused and will be until then, and nobody overtakes: newcomers wait as well.
        passes = bool(cohort.num_waiting) or cohort.num_running >= cohort.config.max_num_seqs
        num_steps = cohort.num_quiet_steps
        jump = _Jump(self._clock, first, growth, num_steps, self._clock + _sum(first, growth, num_steps), count, passes)
        if self._arrived and not passes:
            num_steps = max(1, self._num_begun(jump, self._arrived[0][0]))
            jump = jump._replace(num_steps=num_steps, end=jump.over_after(num_steps))
        return jump

    def _num_begun(self, jump: _Jump, time: int) -> int:
        """Of its steps, those that begin before that time."""
        low, high = 0, jump.num_steps
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if jump.over_after(middle - 1) < time else (low, middle - 1)
        return low

    def _put_down(self, num_steps: int, *, goes_on: bool = False) -> None:
        """So many steps of the jump have been; the others are to come, or are planned anew."""
        jump = self._jump
        assert jump is not None, "called where there is one"
        assert self._cohort is not None, "which alone makes one"
        self._jump = jump.after(num_steps) if goes_on and num_steps < jump.num_steps else None
        if num_steps == 0:
            return
        self._began, self._clock = jump.over_after(num_steps - 1), jump.over_after(num_steps)
        self._busy += self._clock - jump.began
        if self._records is not None:
            self._record(jump.began, self._clock - jump.began, num_steps, 0, jump.num_seqs)
        self._times.gap_counts.add_run(jump.first, jump.growth, num_steps, jump.num_seqs)
        self._cohort.jump(num_steps)

    def _decode_cost(self, count: int) -> tuple[int, int]:
        """Of a step that gives so many answers a token each: without keys, and for each key."""
        found = self._decode_costs.get(count)
        if found is None:
            without, with_keys = (
                self._cost.seconds(StepLoad(count, count, count, keys, 0.0)) for keys in (0.0, float(_KEYS))
            )
            found = self._decode_costs[count] = _units(without), _units((with_keys - without) / _KEYS)
        return found

    def _duration(self, plan: SchedulerOutput) -> int:
        count = keys = 0
        if self._cohort is not None:
            count, keys = self._cohort.cohort_size, self._cohort.cohort_keys
        num_seqs = len(plan.scheduled) + count
        num_tokens = plan.total_num_scheduled_tokens + count
        logits, pairs = count, 0
        for entry in plan.scheduled:
            new, before = len(entry.token_ids), entry.num_computed_tokens
            logits += entry.samples
            if new == 1:
                keys += before + 1
            else:
                pairs += new * (2 * before + new + 1)
        if num_tokens == num_seqs:
            base, key = self._decode_cost(num_seqs)
            return base + key * keys
        return _units(self._cost.seconds(StepLoad(num_tokens, logits, num_seqs, keys, pairs / 2)))

    def _note(self, plan: SchedulerOutput, updates: list[RequestUpdate], duration: int, count: int) -> None:
        """First tokens, ends, gaps between tokens, and who lost its blocks. count: of the cohort."""
        times, now_s = self._times, self._clock / FEMTOSECONDS
        num_gaps = len(updates) + count
        for entry in plan.scheduled:
            if entry.num_computed_tokens < entry.num_prompt_tokens and entry.samples:
                num_gaps -= 1
                self._note_prompt(entry.request_id)
        if num_gaps:
            times.gap_counts.add(duration, num_gaps)
        for update in updates:
            if update.finish_reason is not None:
                times.end_s[int(update.request_id)] = now_s
        for request_id in plan.preempted_request_ids:
            if request_id not in self._prompts:
                self._stalled[request_id] = self._clock - duration

    def _note_prompt(self, request_id: str) -> None:
        """A prompt is computed: for the first time, or again after the request had lost its blocks."""
        if (num_tokens := self._prompts.pop(request_id, None)) is not None:
            self._times.first_s[int(request_id)] = self._clock / FEMTOSECONDS
            self._queued_tokens -= num_tokens
        elif (stalled := self._stalled.pop(request_id, None)) is not None:
            self._times.gap_counts.add(self._clock - stalled, 1)

    def _record(self, began: int, duration: int, num_steps: int, num_prompt_tokens: int, num_decodes: int) -> None:
        assert self._records is not None, "only called where steps are kept"
        scheduler = self.scheduler
        times = began / FEMTOSECONDS, duration / FEMTOSECONDS
        usage = scheduler.kv_cache_usage
        self._records.append(
            StepRecord(*times, num_steps, num_prompt_tokens, num_decodes, scheduler.num_waiting, usage)
        )


def _units(seconds: float) -> int:
    return round(seconds * FEMTOSECONDS)
