"""Beam search: keep the best few beginnings at every step instead of drawing one token (Lowerre 1976).

Beside the token's path, over the engine's door: each step asks for one more token of every beam, with the
log-probabilities of the likeliest; the prefix cache keeps a step from computing more than what is new. Ranking is
vLLM's and transformers': the sum of log-probabilities over length ** length_penalty.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from pagoda.engine.outputs import BeamSearchSequence, RequestOutput
from pagoda.sampling_params import BeamSearchParams, SamplingParams

Generate = Callable[[list[list[int]], SamplingParams], Sequence[RequestOutput]]
"""Complete prompts of token ids, all with the same parameters, in order."""


def beam_search(
    generate: Generate,
    prompts: Sequence[list[int]],
    params: BeamSearchParams,
    eos_token_ids: Collection[int],
    *,
    max_model_len: int,
) -> list[list[BeamSearchSequence]]:
    """The best `beam_width` beams of each prompt, the best first. Raises InvalidRequestError as `generate` does.

    A prompt may have fewer where its beams end early or the vocabulary is small.
    """
    ends = frozenset() if params.ignore_eos else frozenset(eos_token_ids)
    # A beam that ends takes no place from those that go on: twice the width leaves enough of them.
    step = SamplingParams(max_tokens=1, logprobs=2 * params.beam_width, temperature=0.0, detokenize=False)
    live = [[BeamSearchSequence(list(prompt), [])] for prompt in prompts]
    done: list[list[BeamSearchSequence]] = [[] for _ in prompts]
    for _ in range(params.max_tokens):
        fitting = [[beam for beam in beams if len(beam.tokens) < max_model_len] for beams in live]
        for index, beams in enumerate(live):
            done[index] += [beam for beam in beams if len(beam.tokens) >= max_model_len]
        outputs = iter(generate([beam.tokens for beams in fitting for beam in beams], step) if any(fitting) else ())
        for index, beams in enumerate(fitting):
            longer = [each for beam in beams for each in _extended(beam, next(outputs), ends)]
            done[index] += [beam for beam in longer if beam.finish_reason is not None]
            live[index] = _best((beam for beam in longer if beam.finish_reason is None), params)
    return [
        [replace(beam, finish_reason=beam.finish_reason or "length") for beam in _best((*ended, *beams), params)]
        for ended, beams in zip(done, live, strict=True)
    ]


def _extended(beam: BeamSearchSequence, output: RequestOutput, ends: Collection[int]) -> list[BeamSearchSequence]:
    """The beam with each of the likeliest next tokens."""
    [candidates] = output.outputs[0].logprobs or ({},)
    return [
        BeamSearchSequence(
            [*beam.tokens, token_id],
            [*beam.logprobs, candidates],
            beam.cum_logprob + entry.logprob,
            finish_reason="stop" if token_id in ends else None,
            stop_reason=token_id if token_id in ends else None,
        )
        for token_id, entry in candidates.items()
    ]


def _best(beams: Iterable[BeamSearchSequence], params: BeamSearchParams) -> list[BeamSearchSequence]:
    def score(beam: BeamSearchSequence) -> float:
        return beam.cum_logprob / max(len(beam.logprobs), 1) ** params.length_penalty

    return heapq.nlargest(params.beam_width, beams, key=score)
