"""Which files of a folder or repository are one model in GGUF, by their names alone.

Off the token's path: asked by `sources` of a repository's list and by `checkpoint.hub` of a directory. A model is one
file, or a split set whose names end in -00001-of-0000N; the quantisation stands at the end of its name or in its
folder's. What a repository also holds of GGUF files, projectors of pictures and matrices of importance, is no model.

Names: "GGUF Naming Convention" of ggml's docs/gguf.md; tags after the repository as vLLM and llama.cpp spell them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pagoda.errors import CheckpointError
from pagoda.models.gguf.container import part_name

DEFAULT_QUANTISATION = "Q4_K_M"
"""Taken where nobody says which: the one that most repositories have and most people run."""
_QUANTISATION = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q[1-8]|TQ[12]|MXFP4|NVFP4|BF16|F16|FP16|F32|FP32|F64)(?:_[A-Z0-9]+)*)(?=$|[-._/])", re.I
)
_NO_MODEL = ("mmproj", "imatrix", "mtp-")


@dataclass(frozen=True)
class GgufModel:
    """One model among files. files: its parts in order; num_parts: how many its names say there are."""

    stem: str
    files: tuple[str, ...]
    num_parts: int

    @property
    def quantisation(self) -> str:
        """As its name says, in capitals; empty where it says none."""
        found = _QUANTISATION.findall(PurePosixPath(self.stem).name) or _QUANTISATION.findall(self.stem)
        return found[-1].upper() if found else ""


def gguf_models(names: Iterable[str]) -> list[GgufModel]:
    """The models among files, by name.

    >>> [model.quantisation for model in gguf_models(["a-Q8_0.gguf", "a.q4_k_m.gguf", "mmproj-a.gguf", "README.md"])]
    ['Q8_0', 'Q4_K_M']
    """
    parts: dict[tuple[str, int], list[str]] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.suffix.lower() != ".gguf" or any(word in path.name.lower() for word in _NO_MODEL):
            continue
        part = part_name(name)
        key = (name[: -len(path.suffix)], 1) if part is None else (part.stem, part.num_parts)
        parts.setdefault(key, []).append(name)
    return [GgufModel(stem, tuple(files), count) for (stem, count), files in parts.items()]


def choose_model(repository: str, names: Iterable[str], tag: str | None = None) -> GgufModel:
    """The one model of a repository that is meant. Raises CheckpointError, with what there is, where not just one is.

    tag: a quantisation, or a file's name, in any case of letters; without one it is the only model, or the only one in
    DEFAULT_QUANTISATION
    """
    models = gguf_models(names)
    fitting = _fitting(models, tag)
    if len(fitting) != 1:
        asked = f"{len(fitting) or 'none'} of them fit {tag or DEFAULT_QUANTISATION}"
        shown = (models[0].quantisation or PurePosixPath(models[0].files[0]).name) if models else DEFAULT_QUANTISATION
        how = f"name one, as {repository}:{shown} does" if models else "take a repository that does"
        raise CheckpointError(f"{repository} holds {_listed(models)}, and {asked}: {how}")
    return _whole(repository, fitting[0])


def only_model(directory: str, names: Iterable[str]) -> GgufModel | None:
    """The one model of a directory; None where it holds none. Raises CheckpointError where it holds several."""
    models = gguf_models(names)
    if len(models) > 1:
        raise CheckpointError(
            f"{directory} holds {_listed(models)}: give the path of one, such as {directory}/{models[0].files[0]}"
        )
    return _whole(directory, models[0]) if models else None


def first_part(directory: str, name: str, siblings: Iterable[str]) -> str:
    """The file that a model begins with, of any of its files. Raises CheckpointError where parts are missing."""
    (model,) = (each for each in gguf_models({*siblings, name}) if name in each.files)
    return _whole(directory, model).files[0]


def _whole(place: str, model: GgufModel) -> GgufModel:
    if len(model.files) != model.num_parts:
        raise CheckpointError(
            f"{place} holds {len(model.files)} of the {model.num_parts} parts of {model.stem}: all are needed"
        )
    return model


def _fitting(models: list[GgufModel], tag: str | None) -> list[GgufModel]:
    if tag is None:
        return models if len(models) == 1 else [each for each in models if each.quantisation == DEFAULT_QUANTISATION]
    wanted = tag.upper()
    by_file = [each for each in models if wanted in (PurePosixPath(file).name.upper() for file in each.files)]
    exact = by_file or [each for each in models if each.quantisation == wanted]
    # Unsloth's "dynamic" files are asked for with and without their prefix.
    return exact or [each for each in models if each.quantisation.removeprefix("UD-") == wanted]


def _listed(models: list[GgufModel]) -> str:
    names = [each.quantisation or PurePosixPath(each.files[0]).name for each in models]
    if len(set(names)) < len(names):
        names = [each.files[0] for each in models]
    return f"{len(names)} models in GGUF ({', '.join(names)})"
