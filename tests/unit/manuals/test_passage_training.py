"""What was trained is written by itself; without it, or without what to train on, nothing is begun."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from multilingual_file import write_model
from pagoda.minilm.multilingual import FILE, read_multilingual
from pagoda.rag.documents.document import Chunk
from pagoda.rag.retrieval.passage_reader import PassageReader, as_told

pytest.importorskip("sklearn")
import train_passage_reader as training


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_model(tmp_path / FILE, ["<s>", "<pad>", "</s>", "<unk>", "▁", *"怎么卸载打开设置", *"query:pasg"], {})
    monkeypatch.setattr(training, "packaged_file", lambda *_: tmp_path / FILE)
    monkeypatch.setattr(training, "WEIGHTS", tmp_path / "weights.npz")
    return tmp_path / FILE


def test_export_alone_writes_what_is_kept_and_trains_nothing(model: Path, tmp_path: Path) -> None:
    reader = training.Reader(read_multilingual(model))
    with torch.no_grad():
        reader.head.copy_(torch.linspace(-0.1, 0.1, len(reader.head)))
    torch.save(reader.state_dict(), tmp_path / "kept.pt")
    training.main(["--kept", str(tmp_path / "kept.pt"), "--export"])
    passage = Chunk("c", "a.md", "打开设置", 0, 4, 1)
    with np.load(tmp_path / "weights.npz") as arrays:
        (written,) = PassageReader(read_multilingual(model), dict(arrays)).read("怎么卸载", [passage])
    with torch.inference_mode():
        (kept,) = reader([("怎么卸载", as_told(passage))]).tolist()
    # Products of bfloat16, and changes of 16 bits.
    assert written == pytest.approx(kept, abs=0.05)


@pytest.mark.parametrize("more", [["--export"], ["--minutes", "1"], []])
def test_without_weights_or_without_questions_nothing_is_begun(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        training.main(["--kept", str(tmp_path / "kept.pt"), *more])
    assert ("train first" if more == ["--export"] else "FOLDER and INDEX") in capsys.readouterr().err
    assert not (tmp_path / "weights.npz").exists()
