"""A trained understanding on disk: understanding.json and one safetensors file for each language, never a pickle.

Beside the path sentence -> Understanding. A folder is written under another name and then put in place, so that an
interrupted save leaves the old one as it was. Each tensor file's checksum stands in the JSON: half a file is no file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pagoda.errors import CheckpointError, ConfigError
from pagoda.language import Language
from pagoda.nlu.calibration import Calibration
from pagoda.nlu.chinese_reader import ChineseReader
from pagoda.nlu.english_reader import EnglishReader
from pagoda.nlu.gazetteer import Gazetteer
from pagoda.nlu.reading import Labels

FORMAT = 2
_NAME = "understanding.json"
Parts = tuple[EnglishReader | ChineseReader, Calibration | None, Mapping[str, str]]
"""A reader, its calibration, the short sentences that it knows."""


def save(readers: Mapping[Language, Parts], folder: str | Path) -> None:
    """Write the readers. Raises ConfigError where the folder holds something else or cannot be written."""
    target = check_place(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise ConfigError(f"{target} cannot be written ({error.strerror}): name another folder") from error
    try:
        _write(readers, fresh)
        fresh.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written ({error.strerror}): name another folder") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check_place(folder: str | Path) -> Path:
    """Where an understanding may be written; known before minutes of training. Raises ConfigError as `save` does."""
    target = Path(folder).expanduser()
    if target.exists() and not _may_be_replaced(target):
        raise ConfigError(f"{target} holds no trained understanding and is not empty: name another folder")
    return target


def load(folder: str | Path) -> dict[Language, Parts]:
    """Read them. Raises CheckpointError where a file is missing, damaged or of another format."""
    source = Path(folder).expanduser()
    try:
        described = json.loads((source / _NAME).read_text("utf-8"))
        if described.get("format") != FORMAT:
            raise CheckpointError(
                f"{source} has format {described.get('format')!r}, expected {FORMAT}: train it with this version"
            )
        return {
            language: _read(fields, source / f"{language}.safetensors")
            for language, fields in described["readers"].items()
        }
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{source} holds no trained understanding ({Path(error.filename).name} is missing)"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise CheckpointError(
            f"{source} holds a damaged understanding ({type(error).__name__}): train it again"
        ) from error


def _may_be_replaced(folder: Path) -> bool:
    return folder.is_dir() and ((folder / _NAME).is_file() or not any(folder.iterdir()))


def _write(readers: Mapping[Language, Parts], folder: Path) -> None:
    described = {}
    for language, (reader, calibration, known) in readers.items():
        path = folder / f"{language}.safetensors"
        if isinstance(reader, EnglishReader):
            from safetensors.torch import save_file

            save_file(reader.tensors(), path)
        else:
            from safetensors.numpy import save_file as save_arrays

            save_arrays(reader.tensors(), path)
        path.chmod(0o644)  # safetensors writes for its owner alone
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        described[language] = {**_described(reader, calibration), "known": dict(known), "sha256": checksum}
    text = json.dumps({"format": FORMAT, "readers": described}, ensure_ascii=False, separators=(",", ":"))
    (folder / _NAME).write_text(text, "utf-8")


def _described(reader: EnglishReader | ChineseReader, calibration: Calibration | None) -> dict[str, Any]:
    return {
        "kind": "minilm" if isinstance(reader, EnglishReader) else "characters",
        "intents": reader.labels.intents,
        "tags": reader.labels.tags,
        "num_tuned": reader.model.num_tuned if isinstance(reader, EnglishReader) else 0,
        "requestable": sorted(reader.requestable),
        "gazetteer": reader.gazetteer.to_json(),
        "calibration": calibration.to_json() if calibration is not None else None,
    }


def _read(fields: Mapping[str, Any], path: Path) -> Parts:
    from safetensors import SafetensorError

    labels = Labels(tuple(fields["intents"]), tuple(fields["tags"]))
    gazetteer, requestable = Gazetteer.from_json(fields["gazetteer"]), frozenset(fields["requestable"])
    calibration = Calibration.from_json(fields["calibration"]) if fields["calibration"] else None
    known = dict(fields["known"])
    if not path.is_file():
        raise FileNotFoundError(2, "missing", str(path))
    if hashlib.sha256(path.read_bytes()).hexdigest() != fields["sha256"]:
        raise ValueError("another checksum")
    try:
        if fields["kind"] == "characters":
            from safetensors.numpy import load_file as load_arrays

            return ChineseReader.from_tensors(load_arrays(path), labels, gazetteer, requestable), calibration, known
        from safetensors.torch import load_file

        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError("damaged tensors") from error
    return EnglishReader.from_tensors(tensors, labels, fields["num_tuned"], gazetteer, requestable), calibration, known
