"""A whole folder of GPTQ weights through loading: the network computes what its codes mean, fused families too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pagoda.models.checkpoint.bit_packing import pack
from pagoda.models.quantise.rounding import round_to_nearest
from pagoda.models.quantise.scheme import Scheme
from tiny_models import Case, load, logits, token_ids_of

_MATRICES = ("_proj.weight",)


def _as_gptq(folder: Path, *, act_order: bool) -> dict[str, torch.Tensor]:
    """Pack the matrices of a folder as GPTQ (version 2) does; returns what they then mean, by name."""
    tensors, means = load_file(folder / "model.safetensors"), {}
    for name in [name for name in tensors if name.endswith(_MATRICES)]:
        weight = tensors.pop(name)
        inputs = weight.shape[1]
        order = (
            torch.randperm(inputs, generator=torch.Generator().manual_seed(1)) if act_order else torch.arange(inputs)
        )
        codes = round_to_nearest(weight[:, order], Scheme(4, 32))
        back = torch.argsort(order)
        module = name.removesuffix(".weight")
        means[name] = codes.dense()[:, back]
        tensors[f"{module}.qweight"] = pack(codes.codes[:, back], 4).T.contiguous()
        tensors[f"{module}.qzeros"] = pack(codes.shifts.codes.T, 4)  # type: ignore[union-attr]
        tensors[f"{module}.scales"] = codes.scales.T.half().contiguous()  # type: ignore[union-attr]
        tensors[f"{module}.g_idx"] = (back // 32).int()
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    settings = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": act_order, "sym": False}
    config["quantization_config"] = {**settings, "checkpoint_format": "gptq_v2"}
    (folder / "config.json").write_text(json.dumps(config))
    return means


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Phi3"])
def test_a_folder_computes_what_its_codes_mean(family: str, act_order: bool, tmp_path: Path) -> None:
    Case(family).build().save_pretrained(tmp_path)
    dense = tmp_path / "dense"
    dense.mkdir()
    tensors, config = load_file(tmp_path / "model.safetensors"), (tmp_path / "config.json").read_text()
    tensors |= _as_gptq(tmp_path, act_order=act_order)
    save_file(tensors, dense / "model.safetensors")
    (dense / "config.json").write_text(config)
    tokens = token_ids_of(20)
    assert torch.allclose(logits(load(tmp_path), tokens), logits(load(dense), tokens), atol=1e-4)
