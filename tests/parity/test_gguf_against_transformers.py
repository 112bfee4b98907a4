"""GGUF files of every architecture that is read, against transformers on the model that each was made of, in fp32.

The files are written as llama.cpp's converter does, with the names of the `gguf` package. The last tests hold the table
of docs/network.md to what is tried here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gguf_cases import GGUF_CASES
from pagoda.models.gguf.architectures import ARCHITECTURES
from tiny_models import TOLERANCE, load, logits, token_ids_of


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("arch", "index"), [(arch, index) for arch, of in GGUF_CASES.items() for index in range(len(of))]
)
@torch.no_grad()
def test_logits_are_those_of_the_model_that_the_file_was_made_of(arch: str, index: int, tmp_path: Path) -> None:
    case = GGUF_CASES[arch][index]
    theirs = case.write(tmp_path / "model.gguf", arch)
    ours = load(tmp_path / "model.gguf")
    token_ids = token_ids_of(case.case.num_tokens)
    expected = theirs(torch.tensor([token_ids])).logits[0]
    assert expected.abs().max() > 0.5, "logits too small to tell right from wrong"
    torch.testing.assert_close(logits(ours, token_ids), expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_every_architecture_is_tried() -> None:
    assert GGUF_CASES.keys() == ARCHITECTURES.keys()
