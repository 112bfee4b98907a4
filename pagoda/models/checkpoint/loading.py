"""Weights from a checkpoint to a module, strictly.

Runs once before the first token. Every tensor of the module must come from the checkpoint and every tensor of the
checkpoint must go into the module: a weight that is silently left at random is the hardest kind of bug to see. Tensors
are copied one by one (`reading`), so that loading needs the memory of the model and one tensor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pagoda.errors import CheckpointError
from pagoda.kernels.grouped_codes import GroupedCodes
from pagoda.layers.linear import PackedLayer, ShardLoader, whole_shape
from pagoda.models.checkpoint.layouts import describe_directory, quantisation_of
from pagoda.models.checkpoint.llama2c import load_llama2c_config
from pagoda.models.checkpoint.reading import open_checkpoint
from pagoda.models.checkpoint.source import CheckpointSource, Stored, as_floats, check_finite
from pagoda.models.checkpoint.translating import translated
from pagoda.models.config import ModelConfig
from pagoda.models.generation_config import GenerationDefaults
from pagoda.models.gguf.container import Checkpoint, GGUFFile, opened
from pagoda.models.gguf.generation import sampling_of
from pagoda.models.gguf.model_config import load_gguf_config
from pagoda.models.model_card import ModelCard
from pagoda.models.quantization_config import READS_ONLY
from pagoda.models.tokenizer import gguf_vocabulary
from pagoda.models.tokenizer.files import VOCABULARY_FILES
from pagoda.models.tokenizer.gguf_vocabulary import end_ids
from pagoda.models.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


def load_config(checkpoint: Checkpoint, overrides: Mapping[str, Any] | None = None) -> ModelConfig:
    """Configuration of a checkpoint directory, of a GGUF or of a llama2.c `.bin` file. Raises CheckpointError.

    overrides: keys and values in place of those of `config.json`.
    """
    path = opened(checkpoint)
    if isinstance(path, GGUFFile):
        return load_gguf_config(path, overrides)
    if path.is_file():
        if overrides:
            raise CheckpointError(f"hf_overrides change config.json, but {path} has no such file: leave them out")
        return load_llama2c_config(path)
    if not (path / "config.json").is_file() and (told := describe_directory(path)) is not None:
        raise CheckpointError(told)
    config = ModelConfig.from_directory(path, overrides)
    return _untied(config, path) if config.has_head and config.tie_word_embeddings else config


def _untied(config: ModelConfig, path: Path) -> ModelConfig:
    """The configuration with a head of its own where one is stored that differs from the embedding, as transformers
    reads it: tuning may have untied what config.json still calls tied. As given where there are no weights yet."""
    names = [config.family.weights.stored(name) for name in ("lm_head.weight", "model.embed_tokens.weight")]
    if not any(path.glob("*.safetensors")):
        return config
    source = open_checkpoint(path)
    if any(name not in source.files for name in names):
        return config
    head, embedding = (tensor for _, tensor in sorted(source.read(names), key=lambda read: names.index(read[0])))
    if torch.equal(as_floats(head), as_floats(embedding)):
        return config
    logger.warning(
        "%s: config.json has tie_word_embeddings=true, but %s and %s are both stored and differ, so the output head is "
        "read as a matrix of its own: set tie_word_embeddings to false to say so",
        path,
        *names,
    )
    source_keys = {**(config.source or {}), "tie_word_embeddings": False}
    return replace(config, tie_word_embeddings=False, source=source_keys)


def load_generation(checkpoint: Checkpoint) -> GenerationDefaults:
    """How the checkpoint wants to be sampled, and which tokens end a text. Raises CheckpointError."""
    found = opened(checkpoint)
    if isinstance(found, GGUFFile):
        said = {**sampling_of(found.metadata), "eos_token_id": list(end_ids(found.metadata, found.path))}
        return GenerationDefaults.from_dict(said, found.path)
    return GenerationDefaults.from_directory(found) if found.is_dir() else GenerationDefaults()


def load_card(checkpoint: Checkpoint, name: str) -> ModelCard:
    """What a checkpoint's authors tell people of it. name: that it goes by."""
    found = opened(checkpoint)
    if isinstance(found, GGUFFile):
        told = {key: found.metadata.get(f"general.{key}") for key in ("languages", "tags")}
        return ModelCard.of(told, f"{found.metadata.get('general.name', '')} {name}")
    return ModelCard.from_directory(found, name) if found.is_dir() else ModelCard.of({}, name)


def has_vocabulary(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint brings a tokenizer, be it one that cannot be read."""
    found = opened(checkpoint)
    if isinstance(found, GGUFFile):
        return gguf_vocabulary.has_vocabulary(found.metadata)
    return found.is_dir() and any((found / name).exists() for name in ("tokenizer.json", "tokenizer.model"))


def load_tokenizer(checkpoint: Checkpoint, tokenizer: str | Path | None = None) -> Tokenizer:
    """The tokenizer of a checkpoint; `tokenizer` names another directory or file.

    Beside a llama2.c `.bin` file lie tokenizers of several sizes: the one of the model's size is taken. Raises
    CheckpointError where there is none.
    """
    chosen = opened(checkpoint if tokenizer is None else tokenizer)
    if isinstance(chosen, GGUFFile):
        return Tokenizer.from_gguf(chosen)
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


Recode = Callable[[PackedLayer, torch.Tensor], Stored]
"""What a layer is to hold in place of the floats `[out, in]` that a checkpoint has for its matrix."""


def load_weights(
    module: nn.Module,
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype | None = None,
    recode: Recode | None = None,
    through: Callable[[CheckpointSource, ModelConfig], CheckpointSource] | None = None,
) -> None:
    """Fills every parameter of `module` from a checkpoint directory, a GGUF or a llama2.c `.bin` file.

    module: a network, whose `config` says what its family's checkpoints call tensors; any other module takes them by
        its own names.
    dtype: what floating-point tensors are converted to before they are handed on; by default the parameter's own.
    recode: asked for every matrix that comes as floats; None leaves them.
    through: of a network, what its tensors, under their names in it, go through first (`balanced_keys`).
    A parameter's attribute `weight_loader(parameter, full_tensor)`, where it has one, keeps its shard of the tensor.

    Raises CheckpointError, naming file, tensor and shapes, when a tensor is missing, left over, of the wrong shape,
    or a file is cut short. The module may then be filled in part: do not use it.
    """
    parameters = dict(module.named_parameters(remove_duplicate=False))
    checkpoint = opened(checkpoint)
    source = open_checkpoint(checkpoint)
    path = checkpoint.path if isinstance(checkpoint, GGUFFile) else checkpoint
    config = getattr(module, "config", None)
    unused, names = ["rotary_emb.inv_freq"], [*parameters]
    if isinstance(config, ModelConfig):
        names = getattr(module, "parameter_names", lambda: names)()
        source = translated(source, config, names)
        if through is not None:
            source = through(source, config)
        if not config.has_head:
            unused.append(config.family.weights.stored("lm_head.weight"))
    finishing = _Finishing(module)
    known = frozenset(names)
    unexpected = [name for name in source.files if name not in known and not name.endswith(tuple(unused))]
    for name, tensor in source.read(_wanted(parameters, source, path, unexpected)):
        parameter = parameters.pop(name)  # a layer that is finished may give it up, so nobody else may hold it
        place = source.stored_name(name), source.files[name]
        check_finite(tensor, *place)
        layer = finishing.owner(parameter)
        if recode is not None and layer is not None and isinstance(tensor, torch.Tensor):
            tensor = recode(layer, tensor)
        if isinstance(tensor, GroupedCodes) and layer is not None:
            _adopt(layer, tensor, *place)
            continue
        assign(parameter, as_floats(tensor), dtype, *place)
        finishing.filled(parameter)
    if (finish := getattr(module, "finish_loading", None)) is not None:
        finish()


class _Finishing:
    """Layers are finished one by one, each as soon as its own parameters are filled.

    A layer may lay its matrix out anew: so no more than one of them is held twice at any time.
    """

    def __init__(self, module: nn.Module) -> None:
        layers = [layer for layer in module.modules() if isinstance(layer, PackedLayer)]
        self._missing = {layer: {id(parameter) for parameter in layer.parameters()} for layer in layers}
        self._owners: dict[int, list[PackedLayer]] = {}
        for layer, ids in self._missing.items():
            for parameter_id in ids:
                self._owners.setdefault(parameter_id, []).append(layer)

    def owner(self, parameter: nn.Parameter) -> PackedLayer | None:
        """The layer whose matrix `parameter` is: of a tied one the head, whose packed matrix the embedding shares."""
        owners = [layer for layer in self._owners.get(id(parameter), ()) if layer.weight is parameter]
        return owners[-1] if owners else None

    def filled(self, parameter: nn.Parameter) -> None:
        """`parameter` has its values; a tied one has several owners."""
        for layer in self._owners.get(id(parameter), ()):
            self._missing[layer].discard(id(parameter))
            if not self._missing[layer]:
                layer.finish_loading()


def _wanted(
    parameters: Mapping[str, nn.Parameter], source: CheckpointSource, path: Path, unexpected: list[str]
) -> list[str]:
    """The stored tensors to read: one for each parameter. Of tied names the first that is stored counts.

    unexpected: those that have no place in the network, of which these may be the parameters of a part
    """
    wanted: list[str] = []
    filled: set[int] = set()
    for name, parameter in parameters.items():
        if name in source.files and id(parameter) not in filled:
            wanted.append(name)
            filled.add(id(parameter))
    missing = [name for name, parameter in parameters.items() if id(parameter) not in filled]
    _check_dense(unexpected, source, path)
    if missing or unexpected:
        raise CheckpointError(_describe_mismatch(missing, unexpected, parameters, source, path))
    return wanted


def _describe_mismatch(
    missing: list[str],
    unexpected: list[str],
    parameters: Mapping[str, nn.Parameter],
    source: CheckpointSource,
    path: Path,
) -> str:
    parts = []
    if missing:
        listed = _listing(f"{source.stored_name(name)} {whole_shape(parameters[name])}" for name in missing)
        parts.append(f"{len(missing)} tensors of the model are missing: {listed}")
    if unexpected:
        listed = _listing(f"{name} (in {source.files[name].name})" for name in unexpected)
        parts.append(f"{len(unexpected)} tensors have no place in the model: {listed}")
    advice = "check that config.json and the weights are of the same model"
    if missing == ["lm_head.weight"]:
        advice = "if the output head shares the embedding's weights, set tie_word_embeddings to true in config.json"
    if path.is_dir() and len(list(path.glob("*.safetensors"))) > 1:
        advice += ", and that no file of another checkpoint lies beside them: model.safetensors goes before shards"
    return f"{path} does not fit the model. {'; '.join(parts)}. What to do: {advice}"


def _check_dense(unexpected: list[str], source: CheckpointSource, path: Path) -> None:
    """Refuse codes where config.json tells of none, before their tensors are called missing and left over."""
    found = quantisation_of(unexpected)
    if found is not None:
        name, quantisation = found
        raise CheckpointError(
            f"{path} holds quantised weights ({quantisation}: {name} in {source.files[name].name}), though config.json "
            f"does not say so, and {READS_ONLY}"
        )


def _listing(names: Iterator[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def assign(parameter: nn.Parameter, tensor: torch.Tensor, dtype: torch.dtype | None, name: str, file: Path) -> None:
    """Fill `parameter` with the stored tensor `name` of `file`; dtype: as in `load_weights`. Raises CheckpointError."""
    weight_loader: Callable[[nn.Parameter, torch.Tensor], None] | None = getattr(parameter, "weight_loader", None)
    knows_shape = weight_loader is None or isinstance(weight_loader, ShardLoader)
    if knows_shape and list(tensor.shape) != whole_shape(parameter):  # checked here because `copy_` would broadcast
        raise CheckpointError(_describe_shapes(parameter, tensor, name, file))
    if tensor.is_floating_point() != parameter.is_floating_point():
        # `copy_` would cut fractions off, or take codes for numbers.
        raise CheckpointError(
            f"{file}: tensor {name} holds {_dtype_name(tensor)}, the model expects {_dtype_name(parameter)}: "
            f"check that config.json tells how these weights are stored"
        )
    # To the parameter's own it is converted while it is copied: of a shard no more than that is.
    if dtype is not None and dtype != parameter.dtype and tensor.is_floating_point() and dtype.is_floating_point:
        tensor = tensor.to(dtype)
    try:
        if weight_loader is None:
            parameter.data.copy_(tensor)
        else:
            weight_loader(parameter, tensor)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{_describe_shapes(parameter, tensor, name, file)} ({error})") from error


def _adopt(layer: PackedLayer, codes: GroupedCodes, name: str, file: Path) -> None:
    try:
        layer.adopt(codes)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: tensor {name}: {error}: check that config.json is of the same model") from error


def _dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _describe_shapes(parameter: nn.Parameter, tensor: torch.Tensor, name: str, file: Path) -> str:
    return (
        f"{file}: tensor {name} has the shape {list(tensor.shape)}, the model expects {whole_shape(parameter)}: "
        f"check that config.json is of the same model as the weights"
    )
