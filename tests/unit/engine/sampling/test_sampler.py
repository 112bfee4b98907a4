"""The sampler: order of operations, filters against slow references, and rows that do not see one another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from pagoda.engine.sampling.logprobs import prompt_logprobs
from pagoda.engine.sampling.sampler import NO_TOKEN, Sampler, SampleRow
from pagoda.engine.sampling.seeds import child_seed, uniform
from pagoda.engine.sampling.token_lists import BadWords, TokenLists
from pagoda.sampling_params import SamplingParams

VOCAB_SIZE = 50


def make_row(*, seed: int = 1, prompt: Sequence[int] = (), output: Sequence[int] = (), **fields: object) -> SampleRow:
    extras = {name: fields.pop(name) for name in ("stop_token_ids", "token_bitmask") if name in fields}
    bad_words = BadWords(fields.pop("bad_words_ids", ()))
    params = SamplingParams(**fields)
    return SampleRow("a", params, seed, len(output), output, TokenLists.of(params, prompt, bad_words), **extras)


def logits_of(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


def pick(logits: torch.Tensor, **fields: object) -> int:
    return Sampler().sample(logits, [make_row(**fields)])[0].token_id


def bitmask_of(*token_ids: int) -> np.ndarray:
    return np.array([sum(1 << token_id for token_id in token_ids)], dtype=np.int32)


def support(logits: torch.Tensor, draws: int = 400, **fields: object) -> set[int]:
    """Every token that comes up in many draws."""
    rows = [make_row(seed=seed, **fields) for seed in range(draws)]
    return {token.token_id for token in Sampler().sample(logits.expand(draws, -1), rows)}


# --- greedy, masks and penalties


def test_greedy_takes_the_lowest_id_among_equals() -> None:
    assert pick(logits_of(1, 5, 5, 2), temperature=0) == 1


def test_the_logits_of_the_caller_are_left_unchanged() -> None:
    logits = torch.randn(2, VOCAB_SIZE)
    before = logits.clone()
    rows = [make_row(repetition_penalty=2.0, prompt=[1, 2], allowed_token_ids=[1]), make_row(logit_bias={3: 5})]
    Sampler().sample(logits, rows)
    assert torch.equal(logits, before)


def test_only_allowed_tokens_are_picked() -> None:
    assert pick(logits_of(9, 8, 7, 6), temperature=0, allowed_token_ids=[2, 3]) == 2


def test_the_bitmask_of_structured_output_forbids_what_is_not_set() -> None:
    assert pick(logits_of(9, 8, 7, 6), temperature=0, token_bitmask=bitmask_of(1, 3)) == 1


def test_ids_beyond_the_bitmask_are_forbidden() -> None:
    logits = torch.zeros(1, 40)
    logits[0, 35] = 9
    assert pick(logits, temperature=0, token_bitmask=bitmask_of(4)) == 4


def test_a_single_bad_word_token_is_never_picked() -> None:
    assert pick(logits_of(9, 8), temperature=0, bad_words_ids=[[0]]) == 1


@pytest.mark.parametrize(("output", "expected"), [([5, 6], 1), ([5], 0), ([], 0), ([6, 5], 0)])
def test_a_longer_bad_word_is_forbidden_only_after_its_beginning(output: list[int], expected: int) -> None:
    assert pick(logits_of(9, 8), temperature=0, bad_words_ids=[[5, 6, 0]], output=output) == expected


@pytest.mark.parametrize(("num_output", "expected"), [(0, 1), (2, 1), (3, 0)])
def test_stop_tokens_are_masked_until_min_tokens(num_output: int, expected: int) -> None:
    stop = frozenset([0])
    assert pick(logits_of(9, 8), temperature=0, min_tokens=3, stop_token_ids=stop, output=[1] * num_output) == expected


def test_a_finished_grammar_wins_over_min_tokens() -> None:
    fields = {"temperature": 0, "min_tokens": 3, "stop_token_ids": frozenset([0]), "token_bitmask": bitmask_of(0)}
    assert pick(logits_of(1, 8), **fields) == 0


def test_constraints_that_leave_no_token_are_reported_and_hurt_no_other_row() -> None:
    logits = logits_of(9, 8, 7).expand(3, -1)
    clash = {"allowed_token_ids": [0], "token_bitmask": bitmask_of(1), "logprobs": 1}
    rows = [make_row(temperature=0), make_row(**clash), make_row(top_k=2, **clash)]
    sampled = Sampler().sample(logits, rows)
    assert [token.token_id for token in sampled] == [0, NO_TOKEN, NO_TOKEN]
    assert sampled[1].logprobs is None


def test_logit_bias_is_added() -> None:
    assert pick(logits_of(9, 8, 0), temperature=0, logit_bias={1: 0.5, 2: 9.25}) == 2


def test_ids_outside_the_vocabulary_are_ignored() -> None:
    fields = {"logit_bias": {70: 9}, "allowed_token_ids": [70, 1], "stop_token_ids": frozenset([70]), "min_tokens": 1}
    assert pick(logits_of(9, 8), temperature=0, prompt=[70], repetition_penalty=1.5, **fields) == 1


def test_repetition_penalty_divides_positive_and_multiplies_negative_logits_of_prompt_and_output() -> None:
    logits = logits_of(6, 5, -1, -1.5)
    assert pick(logits, temperature=0, repetition_penalty=2.0, prompt=[0]) == 1
    assert pick(logits, temperature=0, repetition_penalty=4.0, prompt=[0], output=[1]) == 0  # 1.5 against 1.25
    negative = logits_of(-1, -1.5)
    assert pick(negative, temperature=0, repetition_penalty=2.0, output=[0, 0]) == 1


def test_frequency_penalty_counts_and_presence_penalty_does_not() -> None:
    logits = logits_of(5, 4, 3.5)
    assert pick(logits, temperature=0, frequency_penalty=0.6, output=[0]) == 0
    assert pick(logits, temperature=0, frequency_penalty=0.6, output=[0, 0]) == 1
    assert pick(logits, temperature=0, presence_penalty=0.9, output=[0] * 9) == 0
    assert pick(logits, temperature=0, presence_penalty=1.1, output=[0]) == 1


def test_frequency_and_presence_look_at_the_output_only() -> None:
    assert pick(logits_of(5, 4), temperature=0, frequency_penalty=2.0, presence_penalty=2.0, prompt=[0, 0]) == 0


def test_bias_comes_before_the_repetition_penalty() -> None:
    # (1 + 3) / 2 = 2 loses against 3; the other order gives 1 / 2 + 3 = 3.5.
    assert pick(logits_of(1, 3), temperature=0, logit_bias={0: 3}, repetition_penalty=2.0, prompt=[0]) == 1


# --- filters


def slow_kept(logits: torch.Tensor, params: SamplingParams) -> dict[int, float]:
    """Which tokens survive min-p, top-k, top-p, and their renormalised probabilities: one step after the other."""
    scaled = [value / params.temperature for value in logits.double().tolist()]
    weights = {token_id: math.exp(value - max(scaled)) for token_id, value in enumerate(scaled)}
    kept = {token_id: weight for token_id, weight in weights.items() if weight >= params.min_p}
    order = sorted(kept, key=lambda token_id: (-kept[token_id], token_id))[: params.top_k or None]
    total, reached, survivors = sum(kept[token_id] for token_id in order), 0.0, []
    for token_id in order:
        if params.top_p < 1 and reached >= params.top_p * total and survivors:
            break
        survivors.append(token_id)
        reached += kept[token_id]
    return {token_id: kept[token_id] / reached for token_id in survivors}


FILTERS = [
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 49},
    {"top_k": 500},
    {"top_p": 0.3},
    {"top_p": 0.9},
    {"top_p": 0.0001},
    {"min_p": 0.2},
    {"min_p": 1.0},
    {"min_p": 0.05, "top_k": 10, "top_p": 0.8},
    {"top_k": 10, "top_p": 0.5, "temperature": 1.7},
    {"top_p": 0.7, "temperature": 0.5},
    {"temperature": 0.6},
]


@pytest.mark.parametrize("fields", FILTERS, ids=str)
def test_the_draw_follows_the_slow_reference(fields: dict[str, float]) -> None:
    logits = torch.randn(1, VOCAB_SIZE, generator=torch.Generator().manual_seed(3)) * 2
    expected = slow_kept(logits[0], SamplingParams(**fields))
    draws = 4000
    rows = [make_row(seed=seed, **fields) for seed in range(draws)]
    counts = Counter(token.token_id for token in Sampler().sample(logits.expand(draws, -1), rows))
    assert set(counts) <= set(expected)
    statistic = sum((counts[t] - draws * p) ** 2 / (draws * p) for t, p in expected.items() if draws * p >= 5)
    freedom = sum(draws * p >= 5 for p in expected.values()) - 1
    # Mean `freedom`, variance 2 * freedom: five deviations off is a wrong distribution, and the seeds are fixed.
    assert statistic <= freedom + 5 * math.sqrt(2 * max(freedom, 1))


@pytest.mark.parametrize("fields", [{"top_k": 300}, {"top_k": 256}, {"top_p": 0.99}, {"min_p": 0.3}], ids=str)
def test_filters_that_keep_more_than_the_leading_candidates_are_exact(fields: dict[str, float]) -> None:
    logits = torch.randn(1, 600, generator=torch.Generator().manual_seed(5)) * 0.3
    expected = slow_kept(logits[0], SamplingParams(**fields))
    assert len(expected) >= 256
    found = support(logits, draws=4000, **fields)
    assert found <= set(expected)
    assert len(found) > 0.9 * len(expected)


def test_top_p_is_a_share_of_what_top_k_left_even_when_that_is_much() -> None:
    logits = torch.randn(1, 600, generator=torch.Generator().manual_seed(5)) * 0.3
    fields = {"top_k": 300, "top_p": 0.3}
    expected = slow_kept(logits[0], SamplingParams(**fields))
    assert len(expected) < 100
    assert support(logits, draws=2000, **fields) == set(expected)


def test_a_row_of_nan_gives_an_id_inside_the_vocabulary() -> None:
    logits = torch.full((1, 5), math.nan)
    assert 0 <= pick(logits) < 5
    assert 0 <= pick(logits, top_p=0.5) < 5


def test_top_k_and_top_p_cut_within_equals_by_id() -> None:
    logits = torch.zeros(1, 1000)
    assert support(logits, top_k=4) == {0, 1, 2, 3}
    assert support(logits, top_p=0.004) == {0, 1, 2, 3}


def test_a_forbidden_token_never_comes_up_in_a_draw() -> None:
    logits = torch.zeros(1, 6)
    assert support(logits, allowed_token_ids=[2, 4]) == {2, 4}
    assert support(logits, allowed_token_ids=[2, 4], top_k=5) == {2, 4}


def test_a_draw_at_the_very_end_of_the_distribution_stays_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagoda.engine.sampling.host_picking.uniform", lambda seed, position: 1 - 2.0**-53)
    logits = logits_of(0, 0, 0, -math.inf)
    assert pick(logits) == 2
    assert pick(logits, top_k=3) == 2
    monkeypatch.setattr("pagoda.engine.sampling.host_picking.uniform", lambda seed, position: 0.0)
    assert pick(logits_of(-math.inf, 0, 0)) == 1


# --- randomness


def test_the_same_seed_and_position_give_the_same_token() -> None:
    logits = torch.randn(1, VOCAB_SIZE)
    again = [pick(logits, seed=7, output=[1] * position) for position in range(30)]
    assert [pick(logits, seed=7, output=[1] * position) for position in range(30)] == again
    assert [pick(logits, seed=8, output=[1] * position) for position in range(30)] != again
    assert len(set(again)) > 5


def test_uniform_numbers_fill_the_unit_interval_evenly() -> None:
    draws = [uniform(seed, position) for seed in range(100) for position in range(100)]
    assert all(0 <= draw < 1 for draw in draws)
    counts = Counter(int(draw * 20) for draw in draws)
    assert sum((counts[cell] - 500) ** 2 / 500 for cell in range(20)) < 19 + 5 * math.sqrt(38)


def test_negative_and_huge_seeds_are_seeds_too() -> None:
    assert len({uniform(seed, 0) for seed in (-(2**63), -2, 0, 2**63 - 1)}) == 4


def test_completions_of_one_request_have_different_seeds() -> None:
    assert child_seed(5, 0) == 5
    assert len({child_seed(5, index) for index in range(100)}) == 100
    assert child_seed(5, 1) != child_seed(6, 0)


# --- log-probabilities


def test_logprobs_are_raw_and_ranked_with_the_sampled_token_first() -> None:
    logits = logits_of(3, 2, 1, 0)
    [sampled] = Sampler().sample(logits, [make_row(temperature=0, logprobs=2, allowed_token_ids=[3])])
    raw = torch.log_softmax(logits[0], dim=-1).tolist()
    assert sampled.token_id == 3
    assert sampled.logprobs is not None
    assert list(sampled.logprobs) == [3, 0, 1]
    assert [entry.rank for entry in sampled.logprobs.values()] == [4, 1, 2]
    assert [entry.logprob for entry in sampled.logprobs.values()] == pytest.approx([raw[3], raw[0], raw[1]])


@pytest.mark.parametrize(("num_logprobs", "num_entries"), [(0, 1), (1, 1), (3, 3), (-1, 4), (99, 4)])
def test_k_logprobs_give_k_entries_when_the_sampled_token_is_among_them(num_logprobs: int, num_entries: int) -> None:
    [sampled] = Sampler().sample(logits_of(3, 2, 1, 0), [make_row(temperature=0, logprobs=num_logprobs)])
    assert sampled.logprobs is not None
    assert len(sampled.logprobs) == num_entries


def test_equally_likely_tokens_share_a_rank() -> None:
    [sampled] = Sampler().sample(logits_of(1, 2, 2, 0), [make_row(temperature=0, logprobs=-1)])
    assert sampled.logprobs is not None
    assert {token_id: entry.rank for token_id, entry in sampled.logprobs.items()} == {1: 1, 2: 1, 0: 3, 3: 4}


def test_rows_without_logprobs_have_none() -> None:
    sampled = Sampler().sample(torch.randn(2, 5), [make_row(), make_row(logprobs=1)])
    assert sampled[0].logprobs is None
    assert sampled[1].logprobs is not None


def test_prompt_logprobs_show_the_actual_token_and_the_likeliest() -> None:
    logits = torch.randn(300, 7, generator=torch.Generator().manual_seed(0))
    targets = [position % 7 for position in range(300)]
    found = prompt_logprobs(logits, targets, 2)
    raw = torch.log_softmax(logits, dim=-1)
    assert len(found) == 300
    for position in (0, 255, 256, 299):
        entries = found[position]
        assert next(iter(entries)) == targets[position]
        assert entries[targets[position]].logprob == raw[position, targets[position]].item()
        assert set(raw[position].topk(2).indices.tolist()) <= set(entries)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_dtype_is_taken(dtype: torch.dtype) -> None:
    logits = torch.randn(3, VOCAB_SIZE, generator=torch.Generator().manual_seed(1)).to(dtype)
    rows = [make_row(temperature=0), make_row(logprobs=1), make_row(top_p=0.5, presence_penalty=1.0, output=[1])]
    assert Sampler().sample(logits, rows) == Sampler().sample(logits.float(), rows)
