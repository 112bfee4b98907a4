"""Balanced keys: the same bits of every logit, and keys that bytes hold better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from family_cases import CASES
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.kernels.kv_codes import to_codes, to_floats, turned
from pagoda.kernels.reference.operations import ReferenceKernels
from pagoda.models.balanced_keys import BalancedKeys
from pagoda.models.checkpoint.loading import load_config, load_weights
from pagoda.models.checkpoint.source import Stored, as_floats
from pagoda.models.config import ModelConfig
from pagoda.models.families.weight_names import WeightNames
from pagoda.models.llama import LlamaForCausalLM
from pagoda.models.quantise.on_load import RoundedOnLoad
from tiny_models import BASE, Case, load, logits, token_ids_of

LLAMA, QWEN2, QWEN3 = Case(), Case("Qwen2"), Case("Qwen3", {"head_dim": 16})
KEYS = ("k_proj.", "k_norm.", "qkv_proj.", "query_key_value.")


def _write(case: Case, directory: Path, by: float = 100.0) -> transformers.PreTrainedModel:
    """A tiny checkpoint, some of whose keys' dimensions are `by` times as large as the others."""
    model = case.build()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(key in name for key in KEYS):
                parameter[1::7] *= by
    model.save_pretrained(directory)
    return model


def _balanced(directory: Path, recode: str | None = None) -> LlamaForCausalLM:
    config = load_config(directory)
    ours = LlamaForCausalLM(config, ReferenceKernels())
    load_weights(
        ours, directory, recode=None if recode is None else RoundedOnLoad(recode, config), through=BalancedKeys
    )
    return ours


@pytest.mark.parametrize("model_type", CASES)
def test_no_bit_of_a_logit_changes_in_any_family(model_type: str, tmp_path: Path) -> None:
    case = CASES[model_type][-1]
    _write(case, tmp_path)
    token_ids = token_ids_of(case.num_tokens)
    assert torch.equal(logits(_balanced(tmp_path), token_ids), logits(load(tmp_path), token_ids))


@pytest.mark.parametrize("case", [LLAMA, QWEN2, QWEN3], ids=lambda case: case.family)
def test_what_is_large_moves_from_keys_to_queries(case: Case, tmp_path: Path) -> None:
    _write(case, tmp_path)
    name = "k_norm" if case.family == "Qwen3" else "k_proj"
    plain, balanced = (
        getattr(model.model.layers[0].self_attn, name).weight for model in (load(tmp_path), _balanced(tmp_path))
    )
    sizes = [weight.square().reshape(len(weight), -1).sum(1).sqrt() for weight in (plain, balanced)]
    assert sizes[0].max() / sizes[0].median() > 50
    assert sizes[1].max() / sizes[1].median() < 25
    assert torch.equal((balanced / plain).log2(), (balanced / plain).log2().round())


def test_codes_made_while_loading_are_balanced_too(tmp_path: Path) -> None:
    _write(QWEN2, tmp_path)
    token_ids, config = token_ids_of(40), load_config(tmp_path)
    plain = LlamaForCausalLM(config, ReferenceKernels())
    load_weights(plain, tmp_path, recode=RoundedOnLoad("int8", config))
    assert torch.equal(logits(_balanced(tmp_path, "int8"), token_ids), logits(plain, token_ids))


def test_bytes_hold_balanced_keys_closer(tmp_path: Path) -> None:
    """Errors of scores of queries and keys as the layers make them, at one position."""
    _write(QWEN2, tmp_path, by=400.0)
    hidden = torch.randn(200, BASE["hidden_size"], generator=torch.Generator().manual_seed(3))

    @torch.no_grad()
    def error(model: LlamaForCausalLM) -> float:
        attention = model.model.layers[1].self_attn
        query, key = (proj(hidden).unflatten(1, (-1, 16)) for proj in (attention.q_proj, attention.k_proj))
        kept = turned(to_floats(to_codes(turned(key))))
        heads = key.repeat_interleave(2, 1) - kept.repeat_interleave(2, 1)
        return float((query * heads).sum(-1).square().mean())

    # Where two of seven dimensions are large, by Cauchy and Schwarz at most 3.5 times as small.
    assert error(_balanced(tmp_path)) < error(load(tmp_path)) / 2


class _Tensors:
    """A source of tensors that are there."""

    layouts: Sequence[WeightNames] = ()

    def __init__(self, tensors: Mapping[str, Stored]) -> None:
        self._tensors = tensors
        self.files = dict.fromkeys(tensors, Path("made.gguf"))

    def stored_name(self, name: str) -> str:
        return name

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Stored]]:
        return ((name, self._tensors[name]) for name in names)


def _config(tmp_path: Path) -> ModelConfig:
    Case("Llama", {"num_hidden_layers": 1}).build().save_pretrained(tmp_path)
    return load_config(tmp_path)


def _codes(rows: int, scale: float) -> GroupedCodes:
    generator = torch.Generator().manual_seed(rows)
    codes = torch.randint(0, 16, (rows, 64), generator=generator, dtype=torch.uint8)
    return GroupedCodes(codes, 4, 32, torch.full((rows, 2), scale), zero=8)


@pytest.mark.parametrize(("smallest", "moves"), [(2.0**-6, True), (2.0**-24, False)])
def test_a_scale_that_a_half_would_not_hold_stays_and_its_partners_with_it(
    smallest: float, moves: bool, tmp_path: Path
) -> None:
    q_name, k_name = (f"model.layers.0.self_attn.{which}_proj.weight" for which in "qk")
    key, query = _codes(32, 1.0), _codes(64, 3 * 2.0**-24)  # half of that is no half-precision number
    assert isinstance(key.scales, torch.Tensor)
    key.scales[[3, 11]] = smallest  # a pair of the first head: queries are to be divided where it is small
    source = BalancedKeys(_Tensors({q_name: query, k_name: key}), _config(tmp_path))
    found = dict(source.read([q_name, k_name]))
    for name, plain in ((q_name, query), (k_name, key)):
        balanced = found[name]
        assert isinstance(balanced, GroupedCodes)
        assert isinstance(balanced.scales, torch.Tensor)
        assert torch.equal(balanced.scales.half().float(), balanced.scales)
        assert isinstance(plain.scales, torch.Tensor)
        assert (not torch.equal(balanced.scales[3], plain.scales[3])) == moves
    q, k = (as_floats(found[name]).unflatten(0, (-1, 16)) for name in (q_name, k_name))
    plain_q, plain_k = (stored.dense().unflatten(0, (-1, 16)) for stored in (query, key))
    assert torch.equal(q * k.repeat_interleave(2, 0), plain_q * plain_k.repeat_interleave(2, 0))


def test_bounded_projections_are_left_alone(tmp_path: Path) -> None:
    _write(Case("Olmo", {"clip_qkv": 3.0}), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = "model.layers.0.self_attn.k_proj.weight"
    source = BalancedKeys(_Tensors(tensors), load_config(tmp_path))
    assert torch.equal(as_floats(dict(source.read([name]))[name]), tensors[name])
