"""What is written is what was measured: folders of compressed-tensors, read again, counted, and refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.models.checkpoint.loading import load_config
from pagoda.models.checkpoint.quantised_saving import save_compressed_tensors
from pagoda.models.checkpoint.reading import open_checkpoint
from pagoda.models.quantise.job import QuantisationJob, Texts
from pagoda.models.quantise.plans import HEAD, matrices_of_config, size_of, uniform_plan
from pagoda.models.quantise.scheme import INT8, Scheme
from pagoda.models.quantise.streamed import StreamedNetwork
from tiny_models import VOCAB_SIZE, Case, load, logits, token_ids_of

PLANS: Mapping[str, tuple[Scheme, ...]] = {
    "W4A16": (Scheme(4, 32, symmetric=True),),
    "W8A16": (INT8,),
    "asymmetric": (Scheme(4, 64),),
    "mixed": (Scheme(4, 32), Scheme(5, 64), Scheme(6, 32, symmetric=True), Scheme(8, None)),
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("packed_head", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_a_folder_is_read_as_what_was_measured(name: str, packed_head: bool, tied: bool, tmp_path: Path) -> None:
    Case(settings={"tie_word_embeddings": tied}).build().save_pretrained(tmp_path / "source")
    config, schemes = load_config(tmp_path / "source"), PLANS[name]
    plan = uniform_plan(config, schemes[0])
    for place, matrix in enumerate(plan):
        if matrix != HEAD:
            plan[matrix] = schemes[place % len(schemes)].fitted(matrices_of_config(config)[matrix][0])
    windows = torch.randint(3, VOCAB_SIZE, (2, 24), generator=torch.Generator().manual_seed(0))
    job = QuantisationJob(StreamedNetwork(tmp_path / "source", config), plan, "rtn", Texts(windows), tmp_path / "work")
    job.run("model")
    save_compressed_tensors(job.tensors(packed_head=packed_head), config, tmp_path / "out")
    written = dict(job.tensors(packed_head=packed_head))
    source = open_checkpoint(tmp_path / "out")
    assert source.files.keys() == written.keys()
    for tensor, found in source.read(source.files):
        expected = written[tensor]
        assert isinstance(found, GroupedCodes) == isinstance(expected, GroupedCodes), tensor
        if isinstance(found, GroupedCodes) and isinstance(expected, GroupedCodes):
            assert torch.equal(found.codes, expected.codes), tensor
            assert torch.equal(found.dense(), expected.dense()), tensor
        else:
            assert torch.allclose(found.float(), expected, rtol=1e-3, atol=1e-6), tensor  # type: ignore[union-attr,arg-type]
    read = load_config(tmp_path / "out")
    assert read.tie_word_embeddings == tied
    assert read.weight_bytes(2) == size_of(config, plan, packed_head=packed_head).num_bytes
    network, tokens = load(tmp_path / "source"), token_ids_of(20)
    parameters = dict(network.named_parameters())
    for tensor, found in written.items():
        parameters[tensor].data.copy_(found.dense() if isinstance(found, GroupedCodes) else found)
    assert torch.allclose(logits(load(tmp_path / "out"), tokens), logits(network, tokens), atol=0.02)


def test_a_family_that_fuses_matrices_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    Case("Phi3").build().save_pretrained(tmp_path / "source")
    config = load_config(tmp_path / "source")
    with pytest.raises(CheckpointError, match="Phi3ForCausalLM cannot be written"):
        save_compressed_tensors([], config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_codes_that_the_format_does_not_hold_are_refused(tmp_path: Path) -> None:
    Case().build().save_pretrained(tmp_path / "source")
    codes = GroupedCodes(torch.zeros(4, 32, dtype=torch.uint8), 4, 32, torch.ones(4, 1), order=torch.arange(32))
    with pytest.raises(CheckpointError, match="no place in compressed-tensors"):
        save_compressed_tensors([("a.weight", codes)], load_config(tmp_path / "source"), tmp_path / "out")
    assert not (tmp_path / "out" / "config.json").exists()


def test_what_transformers_reads_is_described_as_it_wants(tmp_path: Path) -> None:
    Case().build().save_pretrained(tmp_path / "source")
    codes = GroupedCodes(torch.zeros(64, 64, dtype=torch.uint8), 4, 32, torch.ones(64, 2), zero=8)
    name = "model.layers.0.self_attn.q_proj.weight"
    save_compressed_tensors([(name, codes)], load_config(tmp_path / "source"), tmp_path / "out")
    described = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert described["quant_method"] == "compressed-tensors"
    (group,) = described["config_groups"].values()
    assert group["targets"] == ["Linear"]
    assert {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": True}.items() <= group["weights"].items()
    assert described["ignore"] == ["lm_head"]
