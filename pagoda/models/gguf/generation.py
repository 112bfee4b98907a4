"""How a file's authors want it sampled, in the words of `generation_config.json`.

Beside `architectures`: converters write `general.sampling.*` where the original model has a `generation_config.json`
(llama.cpp, `gguf-py/gguf/constants.py`). Which tokens end a text the vocabulary says. Imports no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pagoda.models.gguf.metadata import shortest

logger = logging.getLogger(__name__)

_PREFIX = "general.sampling."
_READ = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}
"""Their names -> ours. The order of samplers ("sequence") and the reach of a penalty ("penalty_last_n") are llama.cpp's
own: here the order is vLLM's, and a penalty reaches over the whole text."""
_SILENT = ("sequence", "penalty_last_n")


def sampling_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of sampling; samplers that pagoda does not have are told and left out."""
    said = {key.removeprefix(_PREFIX): value for key, value in metadata.items() if key.startswith(_PREFIX)}
    foreign = sorted(key for key, value in said.items() if key not in {*_READ, *_SILENT} and value)
    if foreign:
        logger.warning("the file asks for samplers that pagoda does not have, and goes without: %s", ", ".join(foreign))
    return {ours: shortest(said[theirs]) for theirs, ours in _READ.items() if theirs in said}


def metadata_of_sampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The other way round; settings: under the names of SamplingParams. A limit of tokens has no key there."""
    said = {f"{_PREFIX}{theirs}": settings[ours] for theirs, ours in _READ.items() if ours in settings}
    return {key: value if key == f"{_PREFIX}top_k" else float(value) for key, value in said.items()}
