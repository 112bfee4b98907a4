"""GGUF files of every architecture that is read, against transformers on the model that each was made of, in fp32.

The files are written as llama.cpp's converter does, with the names of the `gguf` package. The last tests hold the table
of docs/network.md to what is tried here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from gguf_cases import GGUF_CASES
from pagoda.models.checkpoint.saving import save_checkpoint
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


@pytest.mark.parametrize("arch", sorted({*GGUF_CASES} - {"internlm2", "minicpm", "baichuan"}))
@torch.no_grad()
def test_what_is_saved_of_a_file_is_a_checkpoint_for_transformers(arch: str, tmp_path: Path) -> None:
    """Of every family whose code transformers has: the config.json that the file amounts to is one that it reads."""
    GGUF_CASES[arch][0].write(tmp_path / "model.gguf", arch)
    ours = load(tmp_path / "model.gguf")
    save_checkpoint(ours, ours.config, tmp_path / "saved")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved", attn_implementation="eager")
    token_ids = token_ids_of(24)
    expected = theirs(torch.tensor([token_ids])).logits[0]
    torch.testing.assert_close(logits(ours, token_ids), expected, atol=TOLERANCE, rtol=TOLERANCE)


PAGE = Path(__file__).parents[2] / "docs" / "network.md"


def table_of_architectures() -> str:
    """The table of docs/network.md: what is read from GGUF files, and how much of it is tried here."""
    lines = [
        "| `general.architecture` | read as | rows of q and k | files tried | logits agree within |",
        "|---|---|---|---|---|",
    ]
    for name, record in ARCHITECTURES.items():
        families = ", ".join(f"`{family}`" for family in record.families)
        rows = "neighbouring pairs" if record.names.has_neighbouring_pairs else "halves"
        lines.append(f"| `{name}` | {families} | {rows} | {len(GGUF_CASES[name])} | {TOLERANCE:.0e} |")
    return "\n".join(lines)


def test_the_page_has_the_table_of_architectures() -> None:
    table = table_of_architectures()
    assert table in PAGE.read_text(encoding="utf-8"), f"docs/network.md should hold:\n{table}"


def test_every_architecture_is_tried() -> None:
    assert GGUF_CASES.keys() == ARCHITECTURES.keys()
