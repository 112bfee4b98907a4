"""Weights in and out: safetensors to a module, strictly, and a trained module to a directory that others read.

Runs once before the first token. Every tensor of the module must come from the checkpoint and every tensor of the
checkpoint must go into the module: a weight that is silently left at random is the hardest kind of bug to see. Files
are memory-mapped and tensors copied one by one, so that loading needs the memory of the model and one tensor.
Pickled weights are refused: unpickling runs whatever code the file holds. safetensors holds only numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from pagoda.errors import CheckpointError
from pagoda.models.config import ModelConfig
from pagoda.models.generation_config import GenerationDefaults
from pagoda.models.hub import resolve_model
from pagoda.models.llama2c import load_llama2c, load_llama2c_config
from pagoda.models.tokenizer import Tokenizer
from pagoda.models.tokenizer_files import VOCABULARY_FILES

__all__ = [
    "iterate_weights",
    "load_config",
    "load_llama2c",
    "load_tokenizer",
    "load_weights",
    "resolve_model",
    "save_checkpoint",
]

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_LFS_POINTER = b"version https://git-lfs"


def load_config(path: str | Path) -> ModelConfig:
    """Configuration of a checkpoint directory or of a llama2.c `.bin` file. Raises CheckpointError."""
    path = Path(path)
    return load_llama2c_config(path) if path.is_file() else ModelConfig.from_directory(path)


def load_tokenizer(path: str | Path, tokenizer: str | Path | None = None) -> Tokenizer:
    """The tokenizer of a checkpoint; `tokenizer` names another directory or file.

    Beside a llama2.c `.bin` file lie tokenizers of several sizes: the one of the model's size is taken. Raises
    CheckpointError where there is none.
    """
    chosen = Path(tokenizer) if tokenizer is not None else Path(path)
    if chosen.is_dir():
        return Tokenizer.from_directory(chosen)
    if tokenizer is not None:
        return Tokenizer.from_file(chosen)
    vocab_size = load_llama2c_config(chosen).vocab_size
    present = [chosen.parent / name for name in VOCABULARY_FILES if (chosen.parent / name).is_file()]
    for candidate in map(Tokenizer.from_file, present):
        if candidate.num_tokens == vocab_size:
            return candidate
    raise CheckpointError(
        f"no tokenizer of {vocab_size} tokens lies beside {chosen} (found: "
        f"{', '.join(file.name for file in present) or 'none'}): name its file in the parameter tokenizer"
    )


def load_weights(module: nn.Module, directory: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Fills every parameter of `module` from a checkpoint directory or a llama2.c `.bin` file.

    dtype: what floating-point tensors are converted to before they are handed on; by default the parameter's own.
    A parameter's attribute `weight_loader(full_tensor)`, where it has one, takes the full tensor and keeps its shard.

    Raises CheckpointError, naming file, tensor and shapes, when a tensor is missing, left over, of the wrong shape,
    or a file is cut short. The module may then be filled in part: do not use it.
    """
    parameters = dict(module.named_parameters(remove_duplicate=False))
    sources = _tensor_sources(Path(directory))
    wanted = _wanted(parameters, sources.files, Path(directory))
    for name, file, tensor in sources.read(wanted):
        _assign(parameters[name], tensor, dtype, name, file)


def iterate_weights(directory: str | Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of a checkpoint directory or a llama2.c `.bin` file, as stored, one at a time.

    Raises CheckpointError when a file is missing, cut short or pickled.
    """
    sources = _tensor_sources(Path(directory))
    for name, _, tensor in sources.read(sources.files):
        yield name, tensor


def save_checkpoint(
    model: nn.Module,
    config: ModelConfig,
    directory: str | Path,
    *,
    generation: GenerationDefaults | None = None,
) -> None:
    """Writes config.json, generation_config.json and model.safetensors, which transformers loads as well.

    Each file appears under its name only when it is complete. Tied weights are written once. The dtype in config.json
    is that of the weights. The module must hold whole tensors (one rank).
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()}
    dtype = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    generation = generation or GenerationDefaults(eos_token_ids=config.eos_token_ids)
    settings = {"bos_token_id": config.bos_token_id, **generation.to_dict()}
    _write_whole(directory / _SINGLE, lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    _write_json(directory / "generation_config.json", {k: v for k, v in settings.items() if v is not None})
    _write_json(directory / "config.json", replace(config, dtype=dtype).to_dict())


class _SafetensorsFiles:
    """Tensors of a directory by name. `files` maps each name to its file."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = files

    def read(self, names: Mapping[str, Path]) -> Iterator[tuple[str, Path, torch.Tensor]]:
        """Name, file and tensor, file by file."""
        for file in sorted(set(names.values())):
            with _open(file) as reader:
                for name in (name for name, holder in names.items() if holder == file):
                    yield name, file, _get_tensor(reader, name, file)


class _Llama2cFile:
    """The same for a llama2.c file."""

    def __init__(self, path: Path) -> None:
        self._tensors = load_llama2c(path)[1]
        self.files = dict.fromkeys(self._tensors, path)

    def read(self, names: Mapping[str, Path]) -> Iterator[tuple[str, Path, torch.Tensor]]:
        for name, file in names.items():
            yield name, file, self._tensors[name]


def _tensor_sources(path: Path) -> _SafetensorsFiles | _Llama2cFile:
    if path.is_file():
        return _Llama2cFile(path)
    if (path / _INDEX).is_file():
        return _SafetensorsFiles(_read_index(path / _INDEX))
    if (path / _SINGLE).is_file():
        with _open(path / _SINGLE) as reader:
            return _SafetensorsFiles(dict.fromkeys(reader.keys(), path / _SINGLE))
    pickled = sorted(file.name for pattern in _PICKLED for file in path.glob(pattern))
    if pickled:
        raise CheckpointError(
            f"{path} holds pickled weights only ({', '.join(pickled[:3])}), and opening those can run code: get the "
            f"safetensors files of the same model, or convert where you trust the source, with transformers: "
            f"AutoModelForCausalLM.from_pretrained(directory).save_pretrained(new_directory)"
        )
    raise CheckpointError(f"{path} holds no weights: expected {_SINGLE}, or {_INDEX} and its shards")


def _read_index(path: Path) -> dict[str, Path]:
    """Tensor names to shards. A shard's name may not leave the directory."""
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = {str(name): path.parent / str(shard) for name, shard in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a safetensors index ({error!r}): download it again") from error
    for shard in sorted(set(files.values())):
        if shard.parent != path.parent or shard.suffix != ".safetensors":
            raise CheckpointError(f"{path} names {shard}, expected a .safetensors file of the same directory")
        if not shard.is_file():
            raise CheckpointError(f"{path.name} names {shard.name}, which {path.parent} lacks: download that file")
    return files


def _open(file: Path) -> safe_open:
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(_describe_damage(file, error)) from error


def _describe_damage(file: Path, error: Exception) -> str:
    """Says what is wrong with a file that safetensors refuses."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(8)
        header = opened.read(min(int.from_bytes(start, "little"), size))
    if start == _LFS_POINTER[:8]:
        return f"{file} is a git-lfs pointer, not the weights: run git lfs pull"
    try:
        ends = [entry["data_offsets"][1] for key, entry in json.loads(header).items() if key != "__metadata__"]
        promised = 8 + len(header) + max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{file} ({size} bytes) is not a readable safetensors file ({error}): download it again"
    return f"{file} has {size} bytes, its header promises {promised}: it was cut short; delete it and download it again"


def _get_tensor(reader: Any, name: str, file: Path) -> torch.Tensor:
    try:
        return reader.get_tensor(name)
    except SafetensorError as error:
        raise CheckpointError(f"{file} has no readable tensor {name!r} ({error}): download it again") from error


def _wanted(parameters: Mapping[str, nn.Parameter], stored: Mapping[str, Path], source: Path) -> dict[str, Path]:
    """The stored tensors to read: one for each parameter. Of tied names the first that is stored counts."""
    wanted: dict[str, Path] = {}
    filled: set[int] = set()
    for name, parameter in parameters.items():
        if name in stored and id(parameter) not in filled:
            wanted[name] = stored[name]
            filled.add(id(parameter))
    missing = [name for name, parameter in parameters.items() if id(parameter) not in filled]
    unexpected = [name for name in stored if name not in parameters and not name.endswith("rotary_emb.inv_freq")]
    if missing or unexpected:
        raise CheckpointError(_describe_mismatch(missing, unexpected, parameters, stored, source))
    return wanted


def _describe_mismatch(
    missing: list[str],
    unexpected: list[str],
    parameters: Mapping[str, nn.Parameter],
    stored: Mapping[str, Path],
    source: Path,
) -> str:
    parts = []
    if missing:
        listed = _listing(f"{name} {list(parameters[name].shape)}" for name in missing)
        parts.append(f"{len(missing)} tensors of the model are missing: {listed}")
    if unexpected:
        listed = _listing(f"{name} (in {stored[name].name})" for name in unexpected)
        parts.append(f"{len(unexpected)} tensors have no place in the model: {listed}")
    advice = "check that config.json and the weights are of the same model"
    if missing == ["lm_head.weight"]:
        advice = "if the output head shares the embedding's weights, set tie_word_embeddings to true in config.json"
    return f"{source} does not fit the model. {'; '.join(parts)}. What to do: {advice}"


def _listing(names: Iterator[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _assign(parameter: nn.Parameter, tensor: torch.Tensor, dtype: torch.dtype | None, name: str, file: Path) -> None:
    weight_loader: Callable[[torch.Tensor], None] | None = getattr(parameter, "weight_loader", None)
    if not _shapes_agree(tensor.shape, parameter.shape, sharded=weight_loader is not None):
        raise CheckpointError(_describe_shapes(parameter, tensor, name, file))
    wanted_dtype = dtype or parameter.dtype
    if tensor.is_floating_point() and wanted_dtype.is_floating_point:
        tensor = tensor.to(wanted_dtype)
    try:
        if weight_loader is None:
            parameter.data.copy_(tensor)
        else:
            weight_loader(tensor)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{_describe_shapes(parameter, tensor, name, file)} ({error})") from error


def _shapes_agree(stored: torch.Size, wanted: torch.Size, *, sharded: bool) -> bool:
    """Equal, or for a shard: a multiple in one dimension. Checked here because `copy_` would broadcast."""
    if stored == wanted or len(stored) != len(wanted):
        return stored == wanted
    differing = [(s, w) for s, w in zip(stored, wanted, strict=True) if s != w]
    return sharded and len(differing) == 1 and differing[0][0] % differing[0][1] == 0


def _describe_shapes(parameter: nn.Parameter, tensor: torch.Tensor, name: str, file: Path) -> str:
    return (
        f"{file}: tensor {name} has the shape {list(tensor.shape)}, the model expects {list(parameter.shape)}: "
        f"check that config.json is of the same model as the weights"
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    _write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes under a temporary name beside `path` and renames: a reader sees the old file or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
