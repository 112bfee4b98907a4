"""All families that this version reads.

Asked once, while a checkpoint's configuration is read; a new family is one record beside this file and one name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pagoda.errors import UnknownArchitectureError
from pagoda.models.families.chinese import BAICHUAN, HUNYUAN, INTERNLM2, INTERNLM3, SEED_OSS
from pagoda.models.families.exaone import EXAONE, EXAONE4, SMOLLM3
from pagoda.models.families.experts import GRANITE_MOE, MIXTRAL, OLMOE, QWEN2_MOE, QWEN3_MOE
from pagoda.models.families.family import Family
from pagoda.models.families.gemma import GEMMA, GEMMA2, GEMMA3
from pagoda.models.families.glm import COHERE, COHERE2, GLM, GLM4, HELIUM
from pagoda.models.families.llama import LLAMA, MINISTRAL, MISTRAL, QWEN2, QWEN3
from pagoda.models.families.olmo import OLMO, OLMO2, OLMO3
from pagoda.models.families.own import PAGODA
from pagoda.models.families.phi import PHI3
from pagoda.models.families.plain_mlp import ARCEE, NEMOTRON, STABLELM
from pagoda.models.families.scaled import GRANITE, MINICPM

FAMILIES: tuple[Family, ...] = (
    LLAMA,
    MISTRAL,
    MINISTRAL,
    QWEN2,
    QWEN3,
    PHI3,
    GEMMA,
    GEMMA2,
    GEMMA3,
    SMOLLM3,
    OLMO,
    OLMO2,
    OLMO3,
    GRANITE,
    GLM,
    GLM4,
    STABLELM,
    NEMOTRON,
    ARCEE,
    SEED_OSS,
    HUNYUAN,
    EXAONE,
    EXAONE4,
    INTERNLM2,
    INTERNLM3,
    MINICPM,
    BAICHUAN,
    HELIUM,
    COHERE,
    COHERE2,
    MIXTRAL,
    QWEN2_MOE,
    QWEN3_MOE,
    OLMOE,
    GRANITE_MOE,
    PAGODA,
)
BY_TYPE = {family.model_type: family for family in FAMILIES}
BY_ARCHITECTURE = {name: family for family in FAMILIES for name in (family.architecture, *family.also_named)}
BASE_MODELS = {family.base_architecture: family.architecture for family in FAMILIES}
"""Names of networks without an output head -> the name of the same with one."""


def family_of(raw: Mapping[str, Any]) -> Family:
    """The family that a `config.json` is of. Raises UnknownArchitectureError.

    transformers goes by the model_type, whatever class the checkpoint was trained as, and so is it done here.
    """
    architecture = _named(raw)
    if architecture in BASE_MODELS:
        architecture = BASE_MODELS[architecture]
    model_type = raw.get("model_type")
    if architecture is not None and architecture not in BY_ARCHITECTURE:
        raise _unknown(architecture, raw)
    if model_type is None and architecture is not None:
        return BY_ARCHITECTURE[architecture]
    if model_type not in BY_TYPE:
        raise _unknown(model_type or "(none)", raw)
    return BY_TYPE[model_type]


def is_headless(raw: Mapping[str, Any]) -> bool:
    """Whether a `config.json` names the network without its output head."""
    return _named(raw) in BASE_MODELS


def _named(raw: Mapping[str, Any]) -> str | None:
    named = raw.get("architectures") or None
    first = named[0] if isinstance(named, list | tuple) else named
    return None if first is None else str(first)


def _unknown(name: object, raw: Mapping[str, Any]) -> UnknownArchitectureError:
    known = sorted(BY_ARCHITECTURE)
    # Another spelling is told only where it is nothing but that: names that look alike are different networks.
    # Nor is it where the model_type is another's (hf_olmo): its weights are laid out in another way.
    known_type = raw.get("model_type") is None or raw["model_type"] in BY_TYPE
    meant = next((each for each in known if known_type and each.casefold() == str(name).casefold()), None)
    hint = f'did you mean "{meant}"? ' if meant else ""
    towers = next((key for key in raw if key in ("vision_config", "audio_config")), None)
    if towers is not None:
        hint = f"It has a {towers}, and pagoda computes text alone: take a text-only checkpoint of the family. "
    return UnknownArchitectureError(
        f"config.json names the architecture {name!r}, which pagoda does not implement. {hint}"
        f"pagoda reads {', '.join(known)}"
    )
