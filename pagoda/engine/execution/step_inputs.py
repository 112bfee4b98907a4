"""One step's plan as the arrays that the network reads: tokens, positions, and where keys and values lie.

On the token's path: first thing in `model_runner`. A decode step of a small model takes a millisecond, so nothing here
goes through tokens one by one, and block tables are kept as one array between steps: of most requests nothing is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch

from pagoda.engine.scheduling.plan import ScheduledRequest
from pagoda.kernels.interface import AttentionMetadata

_FEWEST = 32
"""Rows and columns that the array of block tables begins with."""


@dataclass(frozen=True)
class StepInputs:
    """Rows of a step's tokens, requests back to back, filled up to a multiple of what the kernels take.

    sequence_lengths: how long the sequence was when each token came in: the whole prompt came at once, outputs one by
        one; None where the network does not ask
    logit_rows: those whose logits are wanted; None where all are
    """

    input_ids: torch.Tensor
    positions: torch.Tensor
    sequence_lengths: torch.Tensor | None
    metadata: AttentionMetadata
    logit_rows: list[int] | None


class StepInputMaker:
    """Makes the inputs of one step after the other.

    row_multiple: the kernels'; with_lengths: whether the network asks for `sequence_lengths`
    """

    def __init__(self, block_size: int, row_multiple: int, device: torch.device, *, with_lengths: bool) -> None:
        self._block_size = block_size
        self._row_multiple = row_multiple
        self._device = device
        self._with_lengths = with_lengths
        self._tables = _BlockTables()

    def make(self, scheduled: Sequence[ScheduledRequest]) -> StepInputs:
        """For the requests of a plan."""
        counts = _array([len(entry.token_ids) for entry in scheduled])
        computed = _array([entry.num_computed_tokens for entry in scheduled])
        ends = counts.cumsum()
        request_of = np.arange(len(scheduled)).repeat(counts)  # by row
        positions = np.arange(len(request_of)) + (computed - ends + counts)[request_of]
        tables = self._tables.of(scheduled)
        slots = tables[request_of, positions // self._block_size] * self._block_size + positions % self._block_size
        lengths = None
        if self._with_lengths:
            prompts = _array([entry.num_prompt_tokens for entry in scheduled])
            lengths = self._rows(np.maximum(prompts[request_of], positions + 1), 1)
        metadata = AttentionMetadata(
            query_start_loc=(0, *ends.tolist()),
            seq_lens=tuple((computed + counts).tolist()),
            block_tables=torch.from_numpy(tables).to(self._device),
            slot_mapping=self._rows(slots, -1),
        )
        ids = _array([*chain.from_iterable(entry.token_ids for entry in scheduled)])
        return StepInputs(
            self._rows(ids, 0), self._rows(positions, 0), lengths, metadata, logit_rows(scheduled, len(ids))
        )

    def _rows(self, values: np.ndarray, filler: int) -> torch.Tensor:
        """As int64 on the device, filled up."""
        missing = -len(values) % self._row_multiple
        if missing:
            values = np.concatenate((values, np.full(missing, filler)))
        return torch.from_numpy(values).to(self._device)


class _BlockTables:
    """Block tables of the requests under way as rows of one array; a row is written anew where its table has changed.

    A copy of what stands in the plans, which any plan can fill again: nothing depends on the steps before.
    """

    def __init__(self) -> None:
        self._array = np.zeros((_FEWEST, _FEWEST), dtype=np.int64)
        self._held: dict[str, tuple[int, tuple[int, ...]]] = {}  # request id -> its row, and what stands there
        self._free = list(range(_FEWEST))

    def of(self, scheduled: Sequence[ScheduledRequest]) -> np.ndarray:
        """int64 [len(scheduled), width]; past a table's end stand ids of any blocks."""
        rows = [self._row(entry.request_id, entry.block_ids) for entry in scheduled]
        if len(self._held) > len(scheduled):  # who runs is in every plan
            self._keep_only({entry.request_id for entry in scheduled})
        return self._array.take(rows, axis=0)

    def _keep_only(self, request_ids: set[str]) -> None:
        for request_id in self._held.keys() - request_ids:
            self._free.append(self._held.pop(request_id)[0])

    def _row(self, request_id: str, block_ids: tuple[int, ...]) -> int:
        held = self._held.get(request_id)
        if held is not None and held[1] is block_ids:
            return held[0]
        row = self._free.pop() if held is None and self._free else self._new_row() if held is None else held[0]
        if len(block_ids) > self._array.shape[1]:
            self._grow(1, len(block_ids))
        self._array[row, : len(block_ids)] = block_ids
        self._held[request_id] = row, block_ids
        return row

    def _new_row(self) -> int:
        first = len(self._array)
        self._grow(0, first + 1)
        self._free.extend(range(first + 1, len(self._array)))
        return first

    def _grow(self, axis: int, least: int) -> None:
        """To twice the rows or columns, or more."""
        shape = list(self._array.shape)
        shape[axis] = max(2 * shape[axis], least)
        grown = np.zeros(shape, dtype=np.int64)
        grown[: self._array.shape[0], : self._array.shape[1]] = self._array
        self._array = grown


def _array(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def logit_rows(scheduled: Sequence[ScheduledRequest], num_rows: int) -> list[int] | None:
    """Of `num_rows` tokens, for each request those of its last `num_logits`; None where these are all."""
    if sum(entry.num_logits for entry in scheduled) == num_rows:
        return None
    rows: list[int] = []
    end = 0
    for entry in scheduled:
        end += len(entry.token_ids)
        rows.extend(range(end - entry.num_logits, end))
    return rows
