"""Codes as blocks of GGUF files, held against the `gguf` package's decoders, and a file written anew."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from gguf_files import write_gguf
from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.models.checkpoint.gguf_saving import GGUFCopy
from pagoda.models.checkpoint.loading import load_config
from pagoda.models.gguf.block_encoding import encoded, type_for
from pagoda.models.gguf.container import GGUFFile
from pagoda.models.quantise.codes_file import read_codes, write_codes
from pagoda.models.quantise.gptq import Compensation, gptq, output_error
from pagoda.models.quantise.job import QuantisationJob, Texts
from pagoda.models.quantise.plans import uniform_plan
from pagoda.models.quantise.rounding import round_to_nearest
from pagoda.models.quantise.scheme import GGUF_SCHEMES, Q4_0, Q4_K, Q5_0, Q5_K, Q6_K, Q8_0, Scheme
from pagoda.models.quantise.streamed import StreamedNetwork
from tiny_models import VOCAB_SIZE, Case, load, logits, token_ids_of

BY_NAME = dict(zip(("Q4_0", "Q4_K", "Q5_0", "Q5_K", "Q6_K", "Q8_0"), GGUF_SCHEMES, strict=True))


@pytest.mark.parametrize("method", ["rtn", "gptq"])
@pytest.mark.parametrize("name", BY_NAME)
def test_blocks_decode_to_the_same_numbers(name: str, method: str, tmp_path: Path) -> None:
    scheme, weight, inputs = BY_NAME[name], torch.randn(7, 512), torch.randn(600, 512)
    weight[2], weight[3, :256] = 0, 0
    moment = inputs.T @ inputs / len(inputs)
    codes = round_to_nearest(weight, scheme) if method == "rtn" else gptq(weight, Compensation(moment), scheme)
    blocks = encoded(codes)
    decoded = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name])
    assert type_for(*astuple(scheme)).name == name
    assert np.array_equal(decoded, codes.dense().numpy())
    assert blocks.nbytes == scheme.num_bytes(512, 7)
    assert output_error(codes.dense() - weight, moment) < 0.03 * output_error(weight, moment)
    write_codes(tmp_path / "codes", {"matrix": codes}, {})
    kept = read_codes(tmp_path / "codes")[0]["matrix"]
    assert np.array_equal(encoded(kept), blocks)


def test_inputs_that_are_no_whole_super_blocks_take_blocks_of_32() -> None:
    assert [each.fitted(576) for each in (Q4_K, Q5_K, Q6_K)] == [Q4_0, Q5_0, Q8_0]
    assert Q4_K.num_bytes(576, 10) == Q4_0.num_bytes(576, 10)
    assert round_to_nearest(torch.randn(3, 96), Q4_K).shifts is None


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
    network = StreamedNetwork(source, config)
    job = QuantisationJob(network, plan, "gptq", Texts(windows), tmp_path / "work")
    job.run("model")
    types = {name: type_for(*astuple(each)) for name, each in job.coded_tensors.items()}
    assert sorted(types) == sorted(network.matrices)
    GGUFCopy(source, config, network.matrices).save(types, job.codes_of, tmp_path / "out.gguf")
    written = gguf.GGUFReader(tmp_path / "out.gguf")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in written.tensors}
    assert kinds["blk.0.attn_q.weight"] == "Q4_0"
    assert kinds["blk.1.ffn_down.weight"] == "Q5_0"
    assert kinds["token_embd.weight" if tied else "output.weight"] == "Q8_0"
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert [*GGUFFile.open(tmp_path / "out.gguf").metadata] == [*source.metadata]
    dense, tokens = load(tmp_path / "source.gguf"), token_ids_of(20)
    parameters = dict(dense.named_parameters())
    for name, found in job.tensors(packed_head=True):
        parameters[name].data.copy_(found.dense() if isinstance(found, GroupedCodes) else found)
    assert torch.allclose(logits(load(tmp_path / "out.gguf"), tokens), logits(dense, tokens), atol=1e-5)
    for tensor in written.tensors:  # where rows of q and k were put into pairs, they are so again
        assert np.isfinite(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).all()
