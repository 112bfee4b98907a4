"""A step's arrays say what its plan says, whatever steps came before, and keep nothing of requests that have left."""

from __future__ import annotations

import random

import torch

from pagoda.engine.execution.step_inputs import StepInputMaker
from pagoda.engine.scheduling.plan import ScheduledRequest

BLOCK_SIZE = 4


def _maker(row_multiple: int = 1, *, with_lengths: bool = False) -> StepInputMaker:
    return StepInputMaker(BLOCK_SIZE, row_multiple, torch.device("cpu"), with_lengths=with_lengths)


def _entry(name: str, first: int, count: int, blocks: list[int], num_logits: int = 1) -> ScheduledRequest:
    ids = tuple(100 * len(name) + position for position in range(first, first + count))
    return ScheduledRequest(name, ids, first, tuple(blocks), True, num_logits, 6)


def test_requests_lie_back_to_back_at_their_positions_and_slots() -> None:
    inputs = _maker(4, with_lengths=True).make([_entry("a", 5, 1, [7, 3]), _entry("bb", 2, 4, [9, 1], 2)])
    assert inputs.input_ids.tolist() == [105, 202, 203, 204, 205, 0, 0, 0]
    assert inputs.positions.tolist() == [5, 2, 3, 4, 5, 0, 0, 0]
    assert inputs.metadata.slot_mapping.tolist() == [13, 38, 39, 4, 5, -1, -1, -1]
    assert inputs.metadata.query_start_loc == (0, 1, 5)
    assert inputs.metadata.seq_lens == (6, 6)
    assert inputs.metadata.block_tables[:, :2].tolist() == [[7, 3], [9, 1]]
    assert inputs.sequence_lengths is not None
    assert inputs.sequence_lengths.tolist() == [6, 6, 6, 6, 6, 1, 1, 1]
    assert inputs.logit_rows == [0, 3, 4]


def test_no_rows_are_named_where_all_logits_are_wanted() -> None:
    assert _maker().make([_entry("a", 5, 1, [7, 3]), _entry("b", 0, 3, [1], 3)]).logit_rows is None


def test_a_step_is_the_same_after_any_other_steps() -> None:
    """Requests come, grow, go, and come again under the name of one that went; tables outgrow the first array."""
    random.seed(3)
    worn, running = _maker(), dict[str, tuple[int, ...]]()
    for _ in range(300):
        for name in [name for name in running if random.random() < 0.1]:
            del running[name]
        for name in map(str, random.sample(range(60), 5)):
            running[name] = (*running.get(name, ()), *random.sample(range(10_000), random.choice([1, 1, 40])))
        entries = [_entry(name, 4 * len(blocks) - 1, 1, list(blocks)) for name, blocks in running.items()]
        # The same tuple again where nothing changed, as the scheduler hands it on.
        entries = [entry._replace(block_ids=running[entry.request_id]) for entry in entries]
        inputs, fresh = worn.make(entries), _maker().make(entries)
        assert torch.equal(inputs.metadata.slot_mapping, fresh.metadata.slot_mapping)
        for row, entry in enumerate(entries):
            told = inputs.metadata.block_tables[row, : len(entry.block_ids)]
            assert tuple(told.tolist()) == entry.block_ids
    assert worn._tables._held.keys() == running.keys()
