"""Proposals by a smaller model: speculative decoding proper (Leviathan et al. 2023, arXiv 2211.17192; Chen et al. 2023,
arXiv 2302.01318).

On the token's path: a `Proposer`. The draft is a model with an executor and KV blocks of its own, which follows the
texts that it is asked about: what the model said since the last time is fed, drafted tokens that were wrong are
overwritten. Texts that nobody asks about cost nothing; one that is asked about again is caught up with. It draws with
the request's own parameters and random numbers, so that where both models think alike, both say the same. Imports no
torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pagoda.engine.execution.executor import Executor
from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.sampling.rows import SampleRow, StepRows
from pagoda.engine.scheduling.config import CacheConfig
from pagoda.engine.scheduling.kv_cache_manager import KVCacheManager
from pagoda.engine.scheduling.plan import ScheduledRequest, SchedulerOutput
from pagoda.engine.scheduling.request import Request
from pagoda.sampling_params import SamplingParams


@dataclass(frozen=True, kw_only=True)
class DraftLimits:
    """max_model_len: tokens of the longest text that the draft reads; max_num_batched_tokens: of one of its steps;
    vocab_size: ids that it can be fed; target_vocab_size: ids that may be proposed.
    """

    max_model_len: int
    max_num_batched_tokens: int
    vocab_size: int
    target_vocab_size: int


@dataclass(eq=False)
class _Followed:
    """A text as the draft knows it: the request's, then what was drafted behind it.

    num_said: output tokens that the request has said itself; num_cached: tokens whose full blocks others can find.
    """

    of: CoreRequest
    text: Request
    params: SamplingParams
    num_said: int = 0
    num_cached: int = 0
    drafted: list[int] = field(default_factory=list)

    def catch_up(self) -> None:
        """Take what the request has said since; drafted tokens stay computed as far as they were right."""
        mine, said = self.text.output_token_ids, self.of.request.output_token_ids
        same = self.num_said
        while same < min(len(mine), len(said)) and mine[same] == said[same]:
            same += 1
        mine[same:] = said[same:]
        self.num_said = len(said)
        # The last token is fed in any case: what comes next is drawn from its logits.
        reusable = min(self.text.num_prompt_tokens + same, self.text.num_tokens - 1)
        self.text.num_computed_tokens = min(self.text.num_computed_tokens, reusable)
        self.drafted = []

    def take(self, token_id: int) -> None:
        self.drafted.append(token_id)
        self.text.output_token_ids.append(token_id)

    def sample_row(self) -> SampleRow:
        """As the request's own, but for its grammar and for what it wants to be told."""
        return SampleRow(
            request_id=self.text.request_id,
            params=self.params,
            seed=self.of.seed,
            position=len(self.text.output_token_ids),
            output_token_ids=self.text.output_token_ids,
            lists=self.of.lists,
            stop_token_ids=self.of.request.stop_token_ids,
        )


class DraftModelProposer:
    """Asks a draft model.

    executor: runs it, and nothing else; cache_config: of its KV blocks
    """

    def __init__(self, executor: Executor, cache_config: CacheConfig, limits: DraftLimits) -> None:
        self._executor = executor
        self._manager = KVCacheManager(cache_config)
        self._limits = limits
        self._followed: dict[str, _Followed] = {}

    def reach(self, core_request: CoreRequest, most: int) -> int:
        return min(most, self._limits.max_model_len - core_request.request.num_tokens)

    def propose(self, wanted: Sequence[tuple[CoreRequest, int]]) -> Mapping[str, Sequence[int]]:
        asked = {core_request.request.request_id for core_request, _ in wanted}
        writing = [(followed, count) for each, count in wanted if (followed := self._follow(each, asked)) is not None]
        drafts = {followed.text.request_id: followed.drafted for followed, _ in writing}
        num_drafted = 0
        while writing:
            self._advance([followed for followed, _ in writing])
            num_drafted += 1
            # Who got no token has more to catch up with than fits into a step, or no blocks.
            writing = [(each, count) for each, count in writing if num_drafted == len(each.drafted) < count]
        return drafts

    def forget(self, request_id: str) -> None:
        followed = self._followed.pop(request_id, None)
        if followed is not None:
            self._manager.free(followed.text)

    def _follow(self, core_request: CoreRequest, asked: Collection[str]) -> _Followed | None:
        """A text up to date; None where there is no room for it."""
        request = core_request.request
        followed = self._followed.get(request.request_id)
        if followed is None:
            followed = _begin(core_request)
            if not self._admit(followed, asked):
                return None
            self._followed[request.request_id] = followed
        followed.catch_up()
        # Of what the request has said itself; a draft may be overwritten.
        self._manager.cache_blocks(followed.text, followed.num_cached)
        followed.num_cached = followed.text.num_computed_tokens
        return followed

    def _admit(self, followed: _Followed, asked: Collection[str]) -> bool:
        """Find blocks for a new text, those of texts that are not asked about now among them."""
        idle = [request_id for request_id in self._followed if request_id not in asked]
        while not self._manager.admit(followed.text, prefix := self._manager.get_computed_blocks(followed.text)):
            if not idle:
                return False
            self.forget(idle.pop(0))
        followed.text.num_computed_tokens = followed.num_cached = prefix.num_tokens
        return True

    def _advance(self, followed: Sequence[_Followed]) -> None:
        """One step of the draft: each text by what is not computed of it, and by a token where that was all."""
        budget = self._limits.max_num_batched_tokens
        entries = {}
        for each in followed:
            if not self._manager.allocate(each.text):
                self.forget(each.text.request_id)  # so that the others find blocks
            elif budget:
                entry = self._entry(each.text, budget)
                entries[entry.request_id] = entry
                budget -= len(entry.token_ids)
        if not entries:
            return
        counts = {request_id: len(entry.token_ids) for request_id, entry in entries.items()}
        copies = self._manager.take_copies()
        plan = SchedulerOutput(0, tuple(entries.values()), counts, sum(counts.values()), copies, (), ())
        advanced = [each for each in followed if each.text.request_id in entries]
        rows = [each.sample_row() for each in advanced if entries[each.text.request_id].samples]
        output = self._executor.execute(plan, StepRows(rows))
        for each in advanced:
            each.text.num_computed_tokens += counts[each.text.request_id]
            for token in output.tokens.get(each.text.request_id, ()):
                if token.token_id < self._limits.target_vocab_size:
                    each.take(token.token_id)

    def _entry(self, text: Request, budget: int) -> ScheduledRequest:
        start = text.num_computed_tokens
        end = min(text.num_tokens, start + budget)
        samples = end == text.num_tokens
        known = self._limits.vocab_size  # a larger model may have ids that the draft has no row for
        return ScheduledRequest(
            request_id=text.request_id,
            token_ids=tuple(token_id if token_id < known else 0 for token_id in text.tokens_between(start, end)),
            num_computed_tokens=start,
            block_ids=self._manager.block_ids(text),
            samples=samples,
            num_logits=int(samples),
            num_prompt_tokens=text.num_prompt_tokens,
        )


def _begin(core_request: CoreRequest) -> _Followed:
    request = core_request.request
    assert request.sampling_params is not None, "embeddings draft nothing"
    text = Request(
        request_id=request.request_id,
        prompt_token_ids=request.prompt_token_ids,
        sampling_params=request.sampling_params,
        max_tokens=request.max_tokens,
        cache_salt=request.cache_salt,
    )
    text.output_token_ids.extend(request.output_token_ids)
    return _Followed(core_request, text, request.sampling_params.clone(logprobs=None, prompt_logprobs=None))
