"""A checkpoint of another family under the network's names: fused matrices taken apart, rows put in their order.

Runs once before the first token, between the files (`reading`) and the network (`loading`), and the other way at
`saving`. `families/weight_names` says what a family's files look like; here that is done to tensors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.layers.norm_kinds import NORM_KINDS
from pagoda.models.checkpoint.source import CheckpointSource, Stored, as_floats
from pagoda.models.config import ModelConfig
from pagoda.models.families.weight_names import AS_NAMED, ExpertPlace, Fused, WeightNames


class Translation:
    """Between the tensors of a network, `parameters` by name, and those of its family's checkpoints.

    names: which of the family's layouts; None is the usual one
    """

    def __init__(self, config: ModelConfig, parameters: Iterable[str], names: WeightNames | None = None) -> None:
        self.config = config
        self.names = config.family.weights if names is None else names
        self.parts: dict[str, list[str]] = defaultdict(list)
        """The checkpoint's name of a tensor -> the network's tensors that are made of it."""
        self.sources = {name: self._sources(name) for name in parameters}
        """The network's name of a tensor -> the checkpoint's tensors that it is made of."""
        for name, stored in self.sources.items():
            for each in stored:
                self.parts[each].append(name)

    def _sources(self, name: str) -> list[str]:
        for ours, theirs in self.names.per_head.items():
            if f".{ours}." in name:
                stored = self.names.stored(name.replace(ours, theirs))
                num_heads = self.config.num_attention_heads if ".q_" in name else self.config.num_key_value_heads
                return [stored.format(head) for head in range(num_heads)]
        return [self.names.stored(name)]

    def to_network(self, name: str, stored: Sequence[Stored]) -> Stored:
        """The network's tensor `name` of the checkpoint's tensors of `sources[name]`. Raises CheckpointError."""
        first = stored[0]
        if len(stored) == 1 and isinstance(first, GroupedCodes) and not self._changes_numbers(name):
            if (place := self.names.place_in_stack(name)) is not None:
                return first.rows(self._rows_in_stack(place, first.shape))
            # Where its rows go is asked of a tensor that holds their numbers.
            rows = self._numbers(name, [torch.arange(first.shape[0])[:, None].expand(first.shape)])[:, 0]
            return first if torch.equal(rows, torch.arange(first.shape[0])) else first.rows(rows)
        return self._numbers(name, [as_floats(each) for each in stored])

    def _changes_numbers(self, name: str) -> bool:
        return self.config.normed_head and name == "lm_head.weight"

    def _numbers(self, name: str, stored: Sequence[torch.Tensor]) -> torch.Tensor:
        offset = NORM_KINDS[self.config.norm].offset
        tensor = torch.stack(list(stored)) if len(stored) > 1 or self._is_per_head(name) else stored[0]
        if (place := self.names.place_in_stack(name)) is not None:
            return self._unstack(place, tensor)
        if (fused := self.names.fused_of(name)) is not None:
            tensor = self._split(fused, name, tensor)
        if self.names.has_neighbouring_pairs and _is_query_or_key(name):
            tensor = self._rows_of_pairs(name, tensor, to_halves=True)
        if self.config.normed_head and name == "lm_head.weight":
            tensor = F.normalize(tensor.float()).to(tensor.dtype)
        if self.names.has_whole_gains and offset and name.endswith("norm.weight"):
            tensor = tensor.float() - offset
        return tensor.reshape(1, -1) if name.endswith("shared_expert_gate.weight") else tensor

    def rows_in_checkpoint(self, name: str, rows: torch.Tensor) -> torch.Tensor:
        """`rows [out]` of the network's tensor `name`, which is stored by itself, in the checkpoint's order."""
        if not (self.names.has_neighbouring_pairs and _is_query_or_key(name)):
            return rows
        return self._rows_of_pairs(name, rows[:, None], to_halves=False)[:, 0]

    def stored_floats(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """The network's tensor `name` of floats, which is stored by itself, as the checkpoint has it."""
        turned = self.names.has_neighbouring_pairs and _is_query_or_key(name)
        stored = self._rows_of_pairs(name, tensor, to_halves=False) if turned else tensor
        offset = NORM_KINDS[self.config.norm].offset
        has_gain = self.names.has_whole_gains and offset and name.endswith("norm.weight")
        return (stored + offset if has_gain else stored).contiguous()

    def to_checkpoint(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """All tensors of a network as its family stores them."""
        if self.names.has_neighbouring_pairs:
            tensors = {
                name: self._rows_of_pairs(name, tensor, to_halves=False) if _is_query_or_key(name) else tensor
                for name, tensor in tensors.items()
            }
        written = {}
        for stored, parts in self.parts.items():
            if self._is_per_head(parts[0]):
                written[stored] = tensors[parts[0]][self.sources[parts[0]].index(stored)].contiguous()
            elif (place := self.names.place_in_stack(parts[0])) is not None:
                experts = torch.stack([tensors[part] for part in parts])  # an expert's parts stand together
                written[stored] = experts.unflatten(0, (-1, place.num_parts)).flatten(1, 2)
            elif (fused := self.names.fused_of(parts[0])) is not None:
                written[stored] = self._join(fused, [tensors[part] for part in parts])
            else:
                written[stored] = tensors[parts[0]].contiguous()
        return written

    def _is_per_head(self, name: str) -> bool:
        return any(f".{ours}." in name for ours in self.names.per_head)

    def _unstack(self, place: ExpertPlace, tensor: torch.Tensor) -> torch.Tensor:
        """One matrix of one expert, of all in a tensor [num_experts, rows, columns]."""
        if tensor.dim() != 3 or tensor.shape[0] != self._num_experts:
            raise self._no_stack(place, tensor.shape)
        rows = tensor.flatten(0, 1)
        return rows[self._rows_in_stack(place, rows.shape)]

    def _rows_in_stack(self, place: ExpertPlace, shape: torch.Size) -> slice:
        """Where one matrix of one expert lies among the rows of all, `[num_experts * rows, columns]`."""
        num_rows, left = divmod(shape[0], self._num_experts * place.num_parts or 1)
        if left or not self._num_experts:
            raise self._no_stack(place, shape)
        first = (place.expert_idx * place.num_parts + place.part) * num_rows
        return slice(first, first + num_rows)

    @property
    def _num_experts(self) -> int:
        return 0 if self.config.experts is None else self.config.experts.num_experts

    def _no_stack(self, place: ExpertPlace, shape: torch.Size) -> CheckpointError:
        return CheckpointError(
            f"tensor {place.stored} has the shape {list(shape)}, but {self._num_experts} experts are expected, of "
            f"{place.num_parts} equal parts: check that config.json is of the same model as the weights"
        )

    def _split(self, fused: Fused, name: str, tensor: torch.Tensor) -> torch.Tensor:
        sizes = self._sizes(fused)
        if tensor.shape[0] != (total := sum(sizes) * self._num_groups(fused)):
            raise CheckpointError(
                f"tensor {self.sources[name][0]} has {tensor.shape[0]} rows, but {total} of {', '.join(fused.parts)} "
                f"are expected: check that config.json is of the same model as the weights"
            )
        part = next(index for index, part in enumerate(fused.parts) if f".{part}." in name)
        grouped = tensor.unflatten(0, (self._num_groups(fused), -1))  # [groups, rows of a group, ...]
        return grouped.split(sizes, dim=1)[part].flatten(0, 1)

    def _join(self, fused: Fused, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        groups = [part.unflatten(0, (self._num_groups(fused), -1)) for part in parts]
        return torch.cat(groups, dim=1).flatten(0, 1)

    def _num_groups(self, fused: Fused) -> int:
        return self.config.num_key_value_heads if fused.by_kv_head else 1

    def _sizes(self, fused: Fused) -> list[int]:
        """Rows of each part in one group."""
        return [self.config.matrices[part][1] // self._num_groups(fused) for part in fused.parts]

    def _rows_of_pairs(self, name: str, tensor: torch.Tensor, *, to_halves: bool) -> torch.Tensor:
        """Of the rotated rows of each head, 0, 1, 2, ... become 0, 2, 4, ..., 1, 3, 5, ..., or back."""
        rotary_dim, head_dim = self.config.rotary_dim or self.config.head_dim, self.config.head_dim
        rows = tensor.flatten() if "_norm." in name else tensor
        if rows.shape[0] % head_dim:
            return tensor  # not of this model: `loading` tells its shape
        heads = rows.unflatten(0, (-1, head_dim))  # [heads, head_dim, ...]
        rotated, rest = heads[:, :rotary_dim], heads[:, rotary_dim:]
        pairs = (-1, 2) if to_halves else (2, -1)
        rotated = rotated.unflatten(1, pairs).transpose(1, 2).flatten(1, 2)
        return torch.cat((rotated, rest), dim=1).reshape(tensor.shape)


def translated(source: CheckpointSource, config: ModelConfig, parameters: Iterable[str]) -> CheckpointSource:
    """The source under the network's names, read in that layout of its format or family that finds the most in it."""
    candidates = [Translation(config, parameters, names) for names in source.layouts or config.family.layouts]
    best = max(candidates, key=lambda each: sum(stored in source.files for stored in each.parts))
    return source if best.names is AS_NAMED else TranslatedSource(source, best)


class TranslatedSource:
    """An opened checkpoint with the network's names; one that has no place in the network keeps its own."""

    def __init__(self, source: CheckpointSource, translation: Translation) -> None:
        self.source, self.translation = source, translation
        self.layouts = (AS_NAMED,)
        self.files: dict[str, Path] = {}
        for stored, file in source.files.items():
            # A stray tensor may be called as one of the network's is: it is none, and `loading` refuses it.
            stray = f"{stored} (as such)" if stored in translation.sources else stored
            self.files |= dict.fromkeys(translation.parts.get(stored, [stray]), file)
        # A tensor of several is there when all of them are.
        for name, stored_names in translation.sources.items():
            if any(stored not in source.files for stored in stored_names):
                self.files.pop(name, None)

    def stored_name(self, name: str) -> str:
        """What the files call the tensor; of one part of a fused tensor, the whole and the part."""
        sources = self.translation.sources.get(name, [name])
        whole = sources[0] if len(sources) == 1 else f"{sources[0]} to {sources[-1]}"
        if (fused := self.translation.names.fused_of(name)) is None:
            return whole
        return f"{whole} ({next(part for part in fused.parts if f'.{part}.' in name)} of it)"

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Stored]]:
        wanted = set(names)
        waiting: dict[str, dict[str, Stored]] = defaultdict(dict)
        stored_names = {stored: None for name in names for stored in self.translation.sources[name]}
        for stored, tensor in self.source.read(stored_names):
            for name in self.translation.parts[stored]:
                if name not in wanted:
                    continue
                waiting[name][stored] = tensor
                sources = self.translation.sources[name]
                if len(waiting[name]) == len(sources):
                    found = waiting.pop(name)
                    yield name, self._to_network(name, [found[each] for each in sources])

    def _to_network(self, name: str, stored: Sequence[Stored]) -> Stored:
        try:
            return self.translation.to_network(name, stored)
        except CheckpointError as error:
            raise CheckpointError(f"{self.files[name]}: {error}") from error


def _is_query_or_key(name: str) -> bool:
    return any(f".{part}" in name for part in ("q_proj.", "k_proj.", "q_norm.", "k_norm."))
