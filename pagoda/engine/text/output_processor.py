"""Puts one request's answer together again: n completions, token by token, into `RequestOutput`s.

On the token's path: the last station before the stream. The scheduler's updates come in, text and token ids in the
form of `output_kind` go out. Stop strings are found here, because they live in text and the scheduler knows only
ids; the engine is then told to finish that completion.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

from pagoda.engine.outputs import CompletionOutput, Logprob, RequestMetrics, RequestOutput, SampledToken
from pagoda.engine.scheduling.plan import RequestUpdate
from pagoda.engine.scheduling.request import FinishReason
from pagoda.engine.text.detokenizer import IncrementalDetokenizer, TextTokenizer
from pagoda.engine.text.stop_strings import StopStringMatcher, StopStrings
from pagoda.sampling_params import RequestOutputKind, SamplingParams


class OutputProcessor:
    """The answer to one request of a caller.

    tokenizer: None only with `detokenize=False`; clock: seconds, the one that gave `arrival_time`.
    `metrics.first_scheduled_time` and `num_cached_tokens` are the engine's to fill in.
    """

    def __init__(
        self,
        request_id: str,
        prompt_token_ids: Sequence[int],
        params: SamplingParams,
        tokenizer: TextTokenizer | None,
        *,
        prompt: str | None = None,
        arrival_time: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert tokenizer is not None or not params.detokenize, "text needs a tokenizer"
        self.request_id = request_id
        self.metrics = RequestMetrics(clock() if arrival_time is None else arrival_time)
        self.num_cached_tokens = 0
        self._prompt = prompt
        self._prompt_token_ids = list(prompt_token_ids)
        self._kind = params.output_kind
        self._clock = clock
        self._told_at = -math.inf
        self._tokenizer = tokenizer if params.detokenize else None
        stop = StopStrings(params.stop or ())
        self._completions = [_Completion(index, params, self._tokenizer, stop) for index in range(params.n)]
        self._num_unfinished = params.n
        self._prompt_logprobs: list[dict[int, Logprob] | None] | None = None
        if params.prompt_logprobs is not None:
            self._prompt_logprobs = [None]

    @property
    def finished(self) -> bool:
        """Whether all n completions have ended."""
        return not self._num_unfinished

    def process(self, index: int, update: RequestUpdate) -> str | None:
        """Take what a step brought for the index-th of the n completions.

        Returns the stop string that has just ended it: the engine must then finish it in the scheduler, with
        FinishReason.STOP and this string. What still arrives for an ended completion is dropped.
        """
        completion = self._completions[index]
        if completion.finish_reason is not None:
            return None
        if update.tokens:
            self._note_token_time()
            self.metrics.num_generation_tokens += len(update.tokens)
        stop = completion.take(update)
        self._num_unfinished -= completion.finish_reason is not None
        if self.finished:
            self.metrics.finished_time = self._clock()
        return stop

    def finish_all(self, reason: FinishReason) -> None:
        """End every completion that still runs: the caller left, or the engine failed."""
        for completion in self._completions:
            self.process(completion.index, RequestUpdate(self.request_id, finish_reason=reason))

    def add_prompt_logprobs(self, logprobs: Sequence[Mapping[int, Logprob]]) -> None:
        """Take the log-probabilities of the next prompt tokens, from the second token on, in order."""
        assert self._prompt_logprobs is not None, "prompt_logprobs was not asked for"
        self._prompt_logprobs += [_with_text(entry, self._tokenizer) for entry in logprobs]

    def next_output(self, pause_s: float = 0.0) -> RequestOutput | None:
        """What there is to tell since the last output, in the form of `output_kind`; None if nothing.

        pause_s: seconds of tokens that come as one at least; neither the first output nor the last has to wait.
        """
        latest = self.metrics.last_token_time or 0.0
        if not self.finished and (self._kind is RequestOutputKind.FINAL_ONLY or latest < self._told_at + pause_s):
            return None
        changed = [completion for completion in self._completions if completion.has_news]
        if not changed:
            return None
        self._told_at = latest
        delta = self._kind is RequestOutputKind.DELTA
        told = changed if delta else self._completions
        return RequestOutput(
            request_id=self.request_id,
            prompt=self._prompt,
            prompt_token_ids=self._prompt_token_ids,
            prompt_logprobs=self._told_prompt_logprobs(delta),
            outputs=tuple(completion.tell(delta) for completion in told),
            finished=self.finished,
            metrics=self.metrics,
            num_cached_tokens=self.num_cached_tokens,
        )

    def _note_token_time(self) -> None:
        now = self._clock()
        if self.metrics.first_token_time is None:
            self.metrics.first_token_time = now
        self.metrics.last_token_time = now

    def _told_prompt_logprobs(self, delta: bool) -> tuple[dict[int, Logprob] | None, ...] | None:
        """As the other fields: a stream of deltas carries them once."""
        told = self._prompt_logprobs
        if delta:
            self._prompt_logprobs = None
        return None if told is None else tuple(told)


class _Completion:
    """One of the n completions while it grows."""

    def __init__(self, index: int, params: SamplingParams, tokenizer: TextTokenizer | None, stop: StopStrings) -> None:
        self.index = index
        self.finish_reason: FinishReason | None = None
        self.has_news = False
        self._stop_reason: int | str | None = None
        self._tokenizer = tokenizer
        self._min_tokens = params.min_tokens
        self._matcher = StopStringMatcher(stop, params.include_stop_str_in_output)
        self._detokenizer: IncrementalDetokenizer | None = None
        if tokenizer is not None:
            self._detokenizer = IncrementalDetokenizer(
                tokenizer,
                skip_special_tokens=params.skip_special_tokens,
                spaces_between_special_tokens=params.spaces_between_special_tokens,
            )
        wants_logprobs = params.logprobs is not None
        self._token_ids: list[int] = []
        self._texts: list[str] = []
        self._logprobs: list[dict[int, Logprob]] | None = [] if wants_logprobs else None
        self._cumulative_logprob: float | None = 0.0 if wants_logprobs else None
        self._num_told_tokens = 0
        self._num_told_texts = 0

    def take(self, update: RequestUpdate) -> str | None:
        """Record a step; the stop string that ended the completion here, if one did."""
        self.has_news = True
        for token in update.tokens:
            self._record(token)
            if self._detokenizer is None:  # stop strings are found in text
                continue
            if (stop := self._push(self._detokenizer.push(token.token_id))) is not None:
                # Tokens behind the one that completed it were never said.
                return stop if update.finish_reason is None else None
        if update.finish_reason is not None:
            if self._detokenizer is not None and self._push(self._detokenizer.flush()) is not None:
                return None
            self._texts.append(self._matcher.flush())
            self._finish(update.finish_reason, update.stop_reason)
        return None

    def _push(self, text: str) -> str | None:
        """Take new text; the stop string that it completes, if it does."""
        match = self._matcher.push(text, may_stop=len(self._token_ids) > self._min_tokens)
        self._texts.append(match.text)
        if match.stop is not None:
            self._finish(FinishReason.STOP, match.stop)
        return match.stop

    def tell(self, delta: bool) -> CompletionOutput:
        """Everything so far, or what is new since the last call."""
        first_token = self._num_told_tokens if delta else 0
        first_text = self._num_told_texts if delta else 0
        self.has_news = False
        self._num_told_tokens, self._num_told_texts = len(self._token_ids), len(self._texts)
        return CompletionOutput(
            index=self.index,
            text="".join(self._texts[first_text:]),
            token_ids=tuple(self._token_ids[first_token:]),
            cumulative_logprob=self._cumulative_logprob,
            logprobs=None if self._logprobs is None else tuple(self._logprobs[first_token:]),
            finish_reason=None if self.finish_reason is None else self.finish_reason.value,
            stop_reason=self._stop_reason,
        )

    def _record(self, token: SampledToken) -> None:
        self._token_ids.append(token.token_id)
        if self._logprobs is not None and self._cumulative_logprob is not None:
            assert token.logprobs is not None, "logprobs were asked for, but the step brought none"
            self._logprobs.append(_with_text(token.logprobs, self._tokenizer))
            self._cumulative_logprob += token.logprobs[token.token_id].logprob

    def _finish(self, reason: FinishReason, stop_reason: int | str | None) -> None:
        self.finish_reason = reason
        self._stop_reason = stop_reason


def _with_text(logprobs: Mapping[int, Logprob], tokenizer: TextTokenizer | None) -> dict[int, Logprob]:
    if tokenizer is None:
        return dict(logprobs)
    return {
        token_id: entry._replace(decoded_token=tokenizer.token_text(token_id)) for token_id, entry in logprobs.items()
    }
