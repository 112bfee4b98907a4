"""Codes as blocks of GGUF files, held against the `gguf` package's decoders, and a file written anew."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from gguf_files import write_gguf
from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.models.checkpoint.gguf_saving import save_gguf
from pagoda.models.checkpoint.loading import load_config
from pagoda.models.gguf.block_encoding import encoded, type_for
from pagoda.models.gguf.container import GGUFFile
from pagoda.models.quantise.job import QuantisationJob, Texts
from pagoda.models.quantise.plans import uniform_plan
from pagoda.models.quantise.rounding import round_to_nearest
from pagoda.models.quantise.scheme import Scheme
from pagoda.models.quantise.streamed import StreamedNetwork
from tiny_models import VOCAB_SIZE, Case, load, logits, token_ids_of


@pytest.mark.parametrize(("bits", "name"), [(4, "Q4_0"), (5, "Q5_0"), (8, "Q8_0")])
def test_blocks_decode_to_the_same_numbers(bits: int, name: str) -> None:
    codes = round_to_nearest(torch.randn(7, 96), Scheme(bits, 32, symmetric=True))
    blocks = encoded(codes)
    decoded = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name])
    assert type_for(bits, 32, True).name == name
    assert np.array_equal(decoded, codes.dense().numpy())


@pytest.mark.parametrize(
    "scheme", [Scheme(4, 64, symmetric=True), Scheme(4, 32), Scheme(6, 32, symmetric=True)], ids=str
)
def test_codes_of_no_block_type_are_refused(scheme: Scheme) -> None:
    with pytest.raises(CheckpointError, match="no block type"):
        encoded(round_to_nearest(torch.randn(4, 64), scheme))


@pytest.mark.parametrize("tied", [True, False])
def test_a_file_is_written_anew_with_other_blocks(tied: bool, tmp_path: Path) -> None:
    theirs = Case(settings={"tie_word_embeddings": tied}).build()
    write_gguf(theirs, tmp_path / "source.gguf", "llama")
    source = GGUFFile.open(tmp_path / "source.gguf")
    config = load_config(source)
    plan = uniform_plan(config, Scheme(4, 32, symmetric=True), Scheme(8, 32, symmetric=True))
    plan["model.layers.1.mlp.down_proj"] = Scheme(5, 32, symmetric=True)
    windows = torch.randint(3, VOCAB_SIZE, (2, 24), generator=torch.Generator().manual_seed(0))
    job = QuantisationJob(StreamedNetwork(source, config), plan, "gptq", Texts(windows), tmp_path / "work")
    job.run("model")
    types = {name: type_for(each.bits, each.group_size, each.symmetric) for name, each in job.coded_tensors.items()}
    save_gguf(source, config, types, job.codes_of, tmp_path / "out.gguf")
    written = gguf.GGUFReader(tmp_path / "out.gguf")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in written.tensors}
    assert kinds["blk.0.attn_q.weight"] == "Q4_0"
    assert kinds["blk.1.ffn_down.weight"] == "Q5_0"
    assert kinds["token_embd.weight" if tied else "output.weight"] == "Q8_0"
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert [*GGUFFile.open(tmp_path / "out.gguf").metadata] == [*source.metadata]
    network, tokens = load(tmp_path / "source.gguf"), token_ids_of(20)
    parameters = dict(network.named_parameters())
    for name, found in job.tensors(packed_head=True):
        parameters[name].data.copy_(found.dense() if isinstance(found, GroupedCodes) else found)
    assert torch.allclose(logits(load(tmp_path / "out.gguf"), tokens), logits(network, tokens), atol=1e-5)
    for tensor in written.tensors:  # where rows of q and k were put into pairs, they are so again
        assert np.isfinite(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).all()
