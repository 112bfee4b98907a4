"""A trained model on disk: one JSON and its tensors as safetensors, put in place at once or not at all.

Beside the path *item -> opinion of a company*. A checksum of each tensor file stands in the JSON, since a model with
the weights of another calls everything negative and says so with confidence; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pagoda.errors import CheckpointError, ConfigError

FORMAT = 1
NAME = "sentiment.json"
SHIPPED = Path(__file__).with_name("english")
"""The English model that comes with pagoda: tuned on SEntFiN alone, whose licence allows it."""
Tensors = Mapping[str, np.ndarray]


def check_place(folder: str | Path) -> Path:
    """Where a model may be written. Raises ConfigError where something else lies there."""
    target = Path(folder).expanduser()
    if target.exists() and not (target.is_dir() and ((target / NAME).is_file() or not any(target.iterdir()))):
        raise ConfigError(f"{target} holds no trained sentiment model and is not empty: name another folder")
    return target


def write(folder: str | Path, described: Mapping[str, Any], tensors: Mapping[str, Tensors]) -> None:
    """described: for the JSON; tensors: of each file by its name. Raises ConfigError where it cannot be written."""
    from safetensors.numpy import save_file

    target = check_place(folder)
    fresh = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        sums = {}
        for name, arrays in tensors.items():
            path = fresh / f"{name}.safetensors"
            save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, path)
            path.chmod(0o644)  # safetensors writes for its owner alone
            sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        text = json.dumps({"format": FORMAT, **described, "sha256": sums}, ensure_ascii=False, indent=1)
        (fresh / NAME).write_text(text + "\n", "utf-8")
        fresh.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written ({error.strerror}): name another folder") from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)


def read(folder: str | Path) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """What `write` wrote. Raises CheckpointError where it is missing, damaged or of another format."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    source = Path(folder).expanduser()
    if not (source / NAME).is_file():
        raise CheckpointError(f"{source} holds no trained sentiment model ({NAME} is missing): train one, or name it")
    try:
        described = json.loads((source / NAME).read_text("utf-8"))
        if described.get("format") != FORMAT:
            raise CheckpointError(f"{source} has format {described.get('format')!r}, expected {FORMAT}: train it again")
        tensors = {}
        for name, wanted in described["sha256"].items():
            path = source / f"{name}.safetensors"
            if hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
                raise CheckpointError(f"{path} is not the file that {NAME} was written with: train the model again")
            tensors[name] = load_file(path)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, SafetensorError) as error:
        raise CheckpointError(f"{source} holds a damaged model ({type(error).__name__}): train it again") from error
    return described, tensors
