"""Checkpoints of GPTQ, AWQ, compressed-tensors and FP8, packed here by other lines than those that read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.models.checkpoint.bit_packing import pack, unpack
from pagoda.models.checkpoint.quantised_source import QuantisedSource
from pagoda.models.checkpoint.reading import SafetensorsSource
from pagoda.models.quantization_config import QuantizationConfig

OUTPUTS, INPUTS, GROUP = 16, 64, 32
GENERATOR = torch.Generator().manual_seed(11)
LINEAR = {"targets": ["Linear"], "input_activations": None}


def _integers(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(sum(shape) + high))


def _scales(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(7)).add_(0.1).half()


def _words(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """`[rows, n]` of codes to `[rows, n * bits / 32]` of int32, one after the other by Python's own integers."""
    rows = []
    for row in codes.tolist():
        whole = sum(code << (place * bits) for place, code in enumerate(row))
        words = [(whole >> (32 * word)) & 0xFFFFFFFF for word in range(-(-len(row) * bits // 32))]
        rows.append([word - (1 << 32) if word >= 1 << 31 else word for word in words])
    return torch.tensor(rows, dtype=torch.int32)


def _source(folder: Path, tensors: dict[str, torch.Tensor], quantization: dict[str, Any]) -> QuantisedSource:
    file = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return QuantisedSource(SafetensorsSource(dict.fromkeys(tensors, file)), QuantizationConfig.from_dict(quantization))


def _read(folder: Path, parts: dict[str, torch.Tensor], quantization: dict[str, Any]) -> torch.Tensor | GroupedCodes:
    """A layer `a.q_proj` beside a dense `norm.weight`."""
    tensors = {f"a.q_proj.{name}": tensor for name, tensor in parts.items()} | {"norm.weight": torch.ones(3)}
    source = _source(folder, tensors, quantization)
    assert set(source.files) == {"a.q_proj.weight", "norm.weight"}
    read = dict(source.read(source.files))
    assert torch.equal(read["norm.weight"], torch.ones(3))
    return read["a.q_proj.weight"]


def _dense(found: torch.Tensor | GroupedCodes) -> torch.Tensor:
    assert isinstance(found, GroupedCodes)
    return found.dense()


@pytest.mark.parametrize("bits", [4, 5, 6, 8])
def test_codes_go_into_words_and_back(bits: int) -> None:
    codes = _integers(1 << bits, 5, 70)
    packed = pack(codes.to(torch.uint8), bits)
    assert torch.equal(packed, _words(codes, bits))
    assert torch.equal(unpack(packed, bits, 70), codes.to(torch.uint8))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("version", ["gptq", "gptq_v2"])
@pytest.mark.parametrize("act_order", [False, True])
def test_gptq(tmp_path: Path, bits: int, version: str, act_order: bool) -> None:
    codes, zeros = _integers(1 << bits, INPUTS, OUTPUTS), _integers(1 << bits, INPUTS // GROUP, OUTPUTS)
    scales = _scales(INPUTS // GROUP, OUTPUTS)
    group = torch.arange(INPUTS) // GROUP
    if act_order:
        group = group[torch.randperm(INPUTS, generator=GENERATOR)]
    stored = zeros.clone()
    if version == "gptq":  # one less in whole rows of words, so that 0 borrows as the format's writers do
        step = sum(1 << place for place in range(0, 32, bits))
        words = ((_words(zeros, bits).long() - step) & 0xFFFFFFFF).to(torch.uint32).view(torch.int32)
    else:
        words = _words(stored, bits)
    parts = {
        "qweight": _words(codes.T, bits).T,
        "qzeros": words,
        "scales": scales,
        "g_idx": group.int(),
    }
    settings = {"quant_method": "gptq", "bits": bits, "group_size": GROUP, "checkpoint_format": version}
    found = _read(tmp_path, parts, settings)
    expected = (scales.float()[group] * (codes - zeros[group])).T
    assert torch.allclose(_dense(found), expected, rtol=1e-5, atol=1e-5)
    assert (found.order is None) != act_order  # type: ignore[union-attr]


def test_a_zero_point_in_the_middle_everywhere_is_symmetric(tmp_path: Path) -> None:
    parts = {
        "qweight": _words(_integers(16, OUTPUTS, INPUTS), 4).T,
        "qzeros": _words(torch.full((2, OUTPUTS), 7), 4),
        "scales": _scales(2, OUTPUTS),
    }
    found = _read(tmp_path, parts, {"quant_method": "gptq", "bits": 4, "group_size": GROUP})
    assert isinstance(found, GroupedCodes)
    assert (found.shifts, found.zero) == (None, 8)


def test_biases_of_zeros_are_none(tmp_path: Path) -> None:
    tensors = {
        "a.q_proj.qweight": _words(_integers(16, OUTPUTS, INPUTS), 4).T,
        "a.q_proj.qzeros": _words(torch.full((2, OUTPUTS), 7), 4),
        "a.q_proj.scales": _scales(2, OUTPUTS),
        "a.q_proj.bias": torch.zeros(OUTPUTS),
        "a.dense.bias": torch.zeros(OUTPUTS),
    }
    settings = {"quant_method": "gptq", "bits": 4, "group_size": GROUP}
    assert _source(tmp_path, tensors, settings).files.keys() == {"a.q_proj.weight", "a.dense.bias"}
    tensors["a.q_proj.bias"][3] = 0.5
    files = _source(tmp_path, tensors, settings).files
    assert files.keys() == {"a.q_proj.weight", "a.q_proj.bias", "a.dense.bias"}


def test_awq(tmp_path: Path) -> None:
    codes, zeros, scales = _integers(16, INPUTS, OUTPUTS), _integers(16, 2, OUTPUTS), _scales(2, OUTPUTS)

    def interleaved(values: torch.Tensor) -> torch.Tensor:
        return _words(values.unflatten(1, (-1, 8))[:, :, [0, 2, 4, 6, 1, 3, 5, 7]].flatten(1), 4)

    parts = {"qweight": interleaved(codes), "qzeros": interleaved(zeros), "scales": scales}
    found = _read(tmp_path, parts, {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm"})
    group = torch.arange(INPUTS) // GROUP
    expected = (scales.float()[group] * (codes - zeros[group])).T
    assert torch.allclose(_dense(found), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", [4, 5, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_compressed_tensors_packed(tmp_path: Path, bits: int, symmetric: bool) -> None:
    codes, scales = _integers(1 << bits, OUTPUTS, INPUTS), _scales(OUTPUTS, 2)
    zeros = torch.full((OUTPUTS, 2), 1 << (bits - 1)) if symmetric else _integers(1 << bits, OUTPUTS, 2)
    parts = {
        "weight_packed": _words(codes, bits),
        "weight_scale": scales,
        "weight_shape": torch.tensor([OUTPUTS, INPUTS]),
    }
    if not symmetric:
        parts["weight_zero_point"] = _words(zeros.T, bits).T
    weights = {"num_bits": bits, "strategy": "group", "group_size": GROUP, "symmetric": symmetric}
    settings = {"config_groups": {"group_0": {**LINEAR, "weights": weights}}, "format": "pack-quantized"}
    found = _read(tmp_path, parts, {"quant_method": "compressed-tensors", **settings})
    expected = (codes.unflatten(1, (2, -1)) - zeros[:, :, None]) * scales.float()[:, :, None]
    assert torch.allclose(_dense(found), expected.flatten(1), rtol=1e-5, atol=1e-5)


def _eight_bits(kind: str, form: str) -> dict[str, Any]:
    group = {**LINEAR, "weights": {"num_bits": 8, "strategy": "channel", "type": kind}}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}, "format": form}


@pytest.mark.parametrize("scale_shape", [(OUTPUTS, 1), (1,), (OUTPUTS,)])
def test_compressed_tensors_int8(tmp_path: Path, scale_shape: tuple[int, ...]) -> None:
    weight, scales = (_integers(256, OUTPUTS, INPUTS) - 128).to(torch.int8), _scales(*scale_shape)
    parts = {"weight": weight, "weight_scale": scales, "input_scale": torch.ones(1)}
    found = _read(tmp_path, parts, _eight_bits("int", "int-quantized"))
    expected = weight.float() * (scales.float() if scales.numel() == 1 else scales.float().reshape(-1, 1))
    assert torch.allclose(_dense(found), expected, rtol=1e-6)


@pytest.mark.parametrize("scale_shape", [(OUTPUTS, 1), (1,)])
def test_compressed_tensors_fp8_is_widened(tmp_path: Path, scale_shape: tuple[int, ...]) -> None:
    weight = torch.randn(OUTPUTS, INPUTS, generator=GENERATOR).to(torch.float8_e4m3fn)
    scales = _scales(*scale_shape)
    found = _read(tmp_path, {"weight": weight, "weight_scale": scales}, _eight_bits("float", "float-quantized"))
    assert torch.equal(found, weight.float() * scales.float())  # type: ignore[arg-type]


def test_fp8_in_blocks_is_widened(tmp_path: Path) -> None:
    weight = torch.randn(200, 300, generator=GENERATOR).to(torch.float8_e4m3fn)
    scales = torch.rand(2, 3, generator=GENERATOR)
    settings = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    found = _read(tmp_path, {"weight": weight, "weight_scale_inv": scales}, settings)
    assert isinstance(found, torch.Tensor)
    for row, column in ((0, 0), (127, 128), (128, 255), (199, 299)):
        expected = float(weight[row, column].float() * scales[row // 128, column // 128])
        assert float(found[row, column]) == pytest.approx(expected)


def test_parts_in_several_files_are_found(tmp_path: Path) -> None:
    weight, scales = torch.ones(4, 8, dtype=torch.int8), torch.full((4, 1), 0.5)
    save_file({"a.q_proj.weight": weight}, tmp_path / "1.safetensors")
    save_file({"a.q_proj.weight_scale": scales}, tmp_path / "2.safetensors")
    files = {"a.q_proj.weight": tmp_path / "1.safetensors", "a.q_proj.weight_scale": tmp_path / "2.safetensors"}
    config = QuantizationConfig.from_dict(_eight_bits("int", "int-quantized"))
    ((_, found),) = QuantisedSource(SafetensorsSource(files), config).read(["a.q_proj.weight"])
    assert torch.equal(_dense(found), torch.full((4, 8), 0.5))


def test_parts_that_do_not_fit_are_named(tmp_path: Path) -> None:
    parts = {"qweight": torch.zeros(8, 16, dtype=torch.int32), "scales": torch.ones(2, 16)}
    with pytest.raises(CheckpointError, match=r"a\.q_proj\.weight cannot be made of qweight \[8, 16\]"):
        _read(tmp_path, parts, {"quant_method": "gptq", "bits": 4, "group_size": 32})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 3}, "weights of 3 bits"),
        ({"quant_method": "gptq"}, "KeyError"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "marlin"),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {"+:x": {}}}, "dynamic"),
        ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "gemv"),
        ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized", "config_groups": {}}, "nvfp4"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": 3}, "cannot be read"),
    ],
)
def test_what_is_not_read_is_refused_by_name(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        QuantizationConfig.from_dict(settings)


def test_targets_and_ignored_modules_are_told_apart() -> None:
    two = {
        "a": {"targets": ["re:.*down_proj"], "weights": {"num_bits": 8, "strategy": "channel"}},
        "b": {"targets": ["Linear"], "weights": {"num_bits": 4, "strategy": "group", "group_size": 64}},
    }
    settings = {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": two}
    config = QuantizationConfig.from_dict(
        json.loads(json.dumps({**settings, "ignore": ["lm_head", "re:.*layers.0.*"]}))
    )
    bits = {
        name: None if (found := config.of(name)) is None else (found.bits, found.group_size)
        for name in (
            "lm_head",
            "model.layers.0.mlp.up_proj",
            "model.layers.1.mlp.up_proj",
            "model.layers.1.mlp.down_proj",
        )
    }
    assert list(bits.values()) == [None, None, (4, 64), (8, None)]
