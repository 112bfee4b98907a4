"""All families that this version reads.

Asked once, while a checkpoint's configuration is read; a new family is one record beside this file and one name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pagoda.errors import UnknownArchitectureError
from pagoda.models.families.family import Family
from pagoda.models.families.llama import LLAMA, MISTRAL, QWEN2, QWEN3

FAMILIES: tuple[Family, ...] = (LLAMA, MISTRAL, QWEN2, QWEN3)
BY_TYPE = {family.model_type: family for family in FAMILIES}
BY_ARCHITECTURE = {name: family for family in FAMILIES for name in (family.architecture, *family.also_named)}


def family_of(raw: Mapping[str, Any]) -> Family:
    """The family that a `config.json` is of. Raises UnknownArchitectureError.

    transformers goes by the model_type, whatever class the checkpoint was trained as, and so is it done here.
    """
    named = raw.get("architectures") or []
    architecture = named if isinstance(named, str) else next(iter(named), None)
    model_type = raw.get("model_type")
    if architecture is not None and architecture not in BY_ARCHITECTURE:
        raise _unknown(architecture)
    if model_type is None and architecture is not None:
        return BY_ARCHITECTURE[architecture]
    if model_type not in BY_TYPE:
        raise _unknown(model_type or "(none)")
    return BY_TYPE[model_type]


def _unknown(name: object) -> UnknownArchitectureError:
    known = sorted(BY_ARCHITECTURE)
    # Another spelling is told only where it is nothing but that: names that look alike are different networks.
    meant = next((each for each in known if each.casefold() == str(name).casefold()), None)
    hint = f'did you mean "{meant}"? ' if meant else ""
    return UnknownArchitectureError(
        f"config.json names the architecture {name!r}, which pagoda does not implement. {hint}"
        f"It reads {', '.join(known)}"
    )
