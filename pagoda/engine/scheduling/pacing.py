"""How much of a prompt a step may compute beside running answers, so that a long prompt does not stall them.

On the token's path: `core.step` asks before it plans and reports how long the step took. Chunked prefill
(Sarathi-Serve, Agrawal et al. 2024, arXiv 2403.02310) bounds a chunk by a number of tokens, but what a token costs
differs between machines, models and lengths of context; here the number follows the clock. Which tokens come out does
not depend on how a prompt is cut, so a clock may decide. Imports no torch.
"""

from __future__ import annotations

MIN_PREFILL_TOKENS = 8
"""Prompts advance by so much even where the limit cannot be kept; fewer rows would hardly be faster."""
FIRST_PREFILL_TOKENS = 64
"""Before anything has been measured."""
_MARGIN = 0.8
"""Aimed at, as a share of what is allowed: steps scatter."""
_GROWTH = 1.25
_SMOOTHING = 0.1


class PrefillPacer:
    """Keeps steps that compute prompts within `max_slowdown` times the duration of steps that do not.

    >>> pacer = PrefillPacer(2.0)
    >>> pacer.observe(num_decodes=8, num_prefill_tokens=0, elapsed_s=0.010)
    >>> pacer.observe(num_decodes=8, num_prefill_tokens=64, elapsed_s=0.040)
    >>> pacer.max_prefill_tokens
    25
    """

    def __init__(self, max_slowdown: float) -> None:
        self._max_slowdown = max_slowdown
        self._decode_s: float | None = None
        self._tokens = float(FIRST_PREFILL_TOKENS)

    @property
    def max_prefill_tokens(self) -> int:
        """For the next step, if answers run in it."""
        return int(self._tokens)

    def observe(self, *, num_decodes: int, num_prefill_tokens: int, elapsed_s: float) -> None:
        """Learn from a step: tokens of running answers, tokens of prompts, and its seconds."""
        if not num_decodes:
            return
        if not num_prefill_tokens:
            before = elapsed_s if self._decode_s is None else self._decode_s
            self._decode_s = before + _SMOOTHING * (elapsed_s - before)
        elif self._decode_s is not None:
            self._adapt(num_prefill_tokens, elapsed_s, self._decode_s)

    def _adapt(self, num_prefill_tokens: int, elapsed_s: float, decode_s: float) -> None:
        """Shrink at once to what would have kept the limit, grow step by step while there is room."""
        extra_s = elapsed_s - decode_s
        room_s = (_MARGIN * self._max_slowdown - 1.0) * decode_s
        if extra_s > room_s:
            fitting = num_prefill_tokens * max(room_s, 0.0) / extra_s
            # Not below half at a time: one slow step may be the machine's doing.
            self._tokens = max(MIN_PREFILL_TOKENS, fitting, 0.4 * self._tokens)
        elif num_prefill_tokens >= int(self._tokens):
            self._tokens *= _GROWTH
