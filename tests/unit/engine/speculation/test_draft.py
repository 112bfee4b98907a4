"""The draft model beside its model: it follows texts, proposes what it would say, and costs what it must."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pagoda.engine.outputs import SampledToken
from pagoda.engine.sampling.core_request import CoreRequest
from pagoda.engine.sampling.rows import StepRows
from pagoda.engine.scheduling.config import CacheConfig
from pagoda.engine.scheduling.plan import SchedulerOutput, StepOutput
from pagoda.engine.scheduling.request import Request
from pagoda.engine.speculation.draft import DraftLimits, DraftModelProposer
from pagoda.sampling_params import SamplingParams

VOCAB_SIZE = 100


class Successor:
    """Says the successor of the last token it was fed; holds every fed token against what it has in its blocks."""

    def __init__(self) -> None:
        self.cache: dict[tuple[int, int], int] = {}  # (block, place) -> token
        self.texts: dict[str, list[int]] = {}
        self.num_fed: list[int] = []

    def execute(self, plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        assert not plan.blocks_to_copy
        self.num_fed.append(plan.total_num_scheduled_tokens)
        said = {}
        for entry in plan.scheduled:
            for position, token_id in enumerate(entry.token_ids, entry.num_computed_tokens):
                self.cache[entry.block_ids[position // 4], position % 4] = token_id
            end = entry.num_computed_tokens + len(entry.token_ids)
            text = [self.cache[entry.block_ids[position // 4], position % 4] for position in range(end)]
            self.texts[entry.request_id] = text
            if entry.samples:
                said[entry.request_id] = (SampledToken((entry.token_ids[-1] + 1) % VOCAB_SIZE),)
        assert said.keys() == {row.request_id for row in rows.samples}
        return StepOutput(said)


@pytest.fixture
def model() -> Successor:
    return Successor()


def _proposer(model: Successor, num_blocks: int = 32, **limits: int) -> DraftModelProposer:
    settings = {
        "max_model_len": 60,
        "max_num_batched_tokens": 16,
        "vocab_size": VOCAB_SIZE,
        "target_vocab_size": VOCAB_SIZE,
    } | limits
    return DraftModelProposer(model, CacheConfig(num_blocks=num_blocks, block_size=4), DraftLimits(**settings))


def _request(name: str, prompt: Sequence[int], said: Sequence[int] = (), **fields: object) -> CoreRequest:
    params = SamplingParams(temperature=0, max_tokens=50, **fields)
    request = Request(request_id=name, prompt_token_ids=list(prompt), sampling_params=params, max_tokens=50)
    request.output_token_ids.extend(said)
    return CoreRequest(request)


def test_it_proposes_what_it_would_say(model: Successor) -> None:
    a, b = _request("a", [1, 2, 3], [10]), _request("b", [5], [20])
    assert _proposer(model).propose([(a, 3), (b, 1)]) == {"a": [11, 12, 13], "b": [21]}
    assert model.num_fed == [6, 1, 1], "whoever has all it wants is left out"


@pytest.mark.parametrize("num_right", range(5))
def test_it_goes_on_from_what_was_really_said_and_feeds_only_what_is_new(model: Successor, num_right: int) -> None:
    proposer = _proposer(model)
    a = _request("a", [1, 2, 3], [10])
    proposed = proposer.propose([(a, 4)])["a"]
    a.request.output_token_ids.extend([*proposed[:num_right], 50])
    model.num_fed.clear()
    assert proposer.propose([(a, 2)]) == {"a": [51, 52]}
    # Of four drafted tokens three were fed.
    assert model.num_fed == [2 if num_right == 4 else 1, 1]
    assert model.texts["a"] == [*a.request.token_ids, 51]


def test_a_text_that_was_left_alone_is_caught_up_with(model: Successor) -> None:
    proposer = _proposer(model)
    a = _request("a", [1, 2, 3], [10])
    proposer.propose([(a, 3)])
    a.request.output_token_ids.extend([70, 71, 72, 73, 74])
    model.num_fed.clear()
    assert proposer.propose([(a, 1)]) == {"a": [75]}
    assert model.num_fed == [5]


def test_a_prompt_longer_than_a_step_is_read_in_several_and_nothing_waits_for_it(model: Successor) -> None:
    proposer = _proposer(model)
    a, b = _request("a", range(30), [60]), _request("b", [5], [20])
    assert proposer.propose([(b, 2), (a, 2)]) == {"a": [], "b": [21, 22]}
    assert proposer.propose([(b, 2), (a, 2)])["a"] == []
    assert proposer.propose([(b, 2), (a, 2)])["a"] == [61, 62]


def test_texts_that_begin_alike_share_blocks_and_drafts_do_not_show_in_them(model: Successor) -> None:
    proposer = _proposer(model)
    a = _request("a", range(9), [30])
    proposer.propose([(a, 6)])  # 31 to 36 stand in blocks, and nobody has said them
    a.request.output_token_ids.append(40)
    proposer.propose([(a, 1)])
    model.num_fed.clear()
    said, drafted = _request("b", [*range(9), 30, 40], [41]), _request("c", [*range(9), 30, 31, 32], [33])
    assert proposer.propose([(said, 1), (drafted, 1)]) == {"b": [42], "c": [34]}
    assert model.num_fed == [4 + 5], "two blocks of the prompt are there for both"
    assert model.texts["b"] == said.request.token_ids
    assert model.texts["c"] == drafted.request.token_ids


def test_where_blocks_run_out_texts_that_nobody_asks_about_go(model: Successor) -> None:
    proposer = _proposer(model, num_blocks=6)
    a, b, c = (_request(name, [1 + 10 * place] * 7, [5]) for place, name in enumerate("abc"))
    assert proposer.propose([(a, 1), (b, 1)]) == {"a": [6], "b": [6]}
    assert proposer.propose([(c, 1)]) == {"c": [6]}
    # Three texts at once are one too many as they grow: who has no room has no proposals.
    for each in (a, b, c):
        each.request.output_token_ids.extend([6, 7, 8])
    proposed = proposer.propose([(a, 2), (b, 2), (c, 2)])
    assert [9, 10] in proposed.values()
    assert all(tokens in ([9, 10], [9], []) for tokens in proposed.values())


def test_what_ended_holds_nothing(model: Successor) -> None:
    proposer = _proposer(model, num_blocks=4)
    for number in range(20):
        a = _request("a", [number] * 10, [5])
        assert proposer.propose([(a, 2)]) == {"a": [6, 7]}
        proposer.forget("a")
    assert proposer._manager.usage == 0.0


def test_it_reads_no_further_than_its_positions_go(model: Successor) -> None:
    proposer = _proposer(model, max_model_len=8)
    assert proposer.reach(_request("a", [1, 2, 3], [10]), 9) == 4
    assert proposer.reach(_request("a", range(8), [10]), 9) <= 0


def test_ids_of_one_model_alone_do_no_harm(model: Successor) -> None:
    proposer = _proposer(model, vocab_size=50, target_vocab_size=60)
    a = _request("a", [1, 99], [58])
    assert proposer.propose([(a, 3)]) == {"a": [1, 2, 3]}, "58 is fed as 0"
    assert max(token_id for text in model.texts.values() for token_id in text) < 50
    b = _request("b", [1], [48])
    smaller = _proposer(Successor(), target_vocab_size=50)
    assert smaller.propose([(b, 3)]) == {"b": [49]}, "50 is no token of the model"


def test_log_probabilities_of_a_draft_are_not_computed(model: Successor) -> None:
    seen = []
    execute = model.execute

    def recording(plan: SchedulerOutput, rows: StepRows) -> StepOutput:
        seen.extend(rows.samples)
        return execute(plan, rows)

    model.execute = recording  # type: ignore[method-assign]
    _proposer(model).propose([(_request("a", [1], [2], logprobs=5, prompt_logprobs=1, frequency_penalty=0.5), 2)])
    assert [(row.params.logprobs, row.params.frequency_penalty, row.position) for row in seen] == [
        (None, 0.5, 1),
        (None, 0.5, 2),
    ]
