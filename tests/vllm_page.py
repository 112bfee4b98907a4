"""docs/vllm.md from `vllm_names` and vLLM's own lists: `PYTHONPATH=. python tests/vllm_page.py` writes it.

The test of the tables holds the page against them, so that it says what is.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pagoda.engine.args import EngineArgs
from pagoda.parameter_rules import NameTable
from pagoda.sampling_params import BeamSearchParams, PoolingParams, SamplingParams, StructuredOutputsParams
from pagoda.vllm_names import (
    BEAM_PARAMETERS,
    CALLS,
    ENGINE_SETTINGS,
    METHODS,
    POOLING_PARAMETERS,
    PROMPT_KEYS,
    SAMPLING_PARAMETERS,
    SERVE_FLAGS,
    STRUCTURED_PARAMETERS,
)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "vllm.md"
MARK = "<!-- From here on the page is written by tests/vllm_page.py. -->\n"
API: dict[str, Any] = json.loads((Path(__file__).parent / "unit" / "vllm_api.json").read_text(encoding="utf-8"))
RECORDS: dict[str, tuple[type[Any], NameTable]] = {
    "EngineArgs": (EngineArgs, ENGINE_SETTINGS),
    "SamplingParams": (SamplingParams, SAMPLING_PARAMETERS),
    "StructuredOutputsParams": (StructuredOutputsParams, STRUCTURED_PARAMETERS),
    "PoolingParams": (PoolingParams, POOLING_PARAMETERS),
    "BeamSearchParams": (BeamSearchParams, BEAM_PARAMETERS),
}
TITLES = {
    "EngineArgs": "Settings: `LLM(...)`, `EngineArgs`, `AsyncEngineArgs`, and the flags of `pagoda serve`",
    "StructuredOutputsParams": "`StructuredOutputsParams`, once `GuidedDecodingParams`",
}


def rendered() -> str:
    """The tables, as the page has them behind its mark."""
    parts = []
    for name, (record, table) in RECORDS.items():
        parts.append(f"## {TITLES.get(name, f'`{name}`')}\n")
        parts.append(_works(name, record, table) + _groups(table))
    parts.append("## Keywords of the calls that bring prompts\n\n" + _groups(CALLS))
    parts.append("## Keys of a prompt\n\nWork: `prompt`, `prompt_token_ids`, `cache_salt`.\n\n" + _groups(PROMPT_KEYS))
    parts.append("## Flags of `vllm serve` beside the settings\n\n" + _renamed(SERVE_FLAGS) + _groups(SERVE_FLAGS))
    parts.append("## Methods that are not here\n\n" + _rows("instead", _by_value(METHODS)))
    return "\n".join(parts)


def _works(name: str, record: type[Any], table: NameTable) -> str:
    fields = {field.name for field in dataclasses.fields(record)}
    names = [*(each for each in API[name] if each in fields), *table.renamed]
    return f"\nWork: {_listing(names)}.\n\n"


def _renamed(table: NameTable) -> str:
    rows = (f"| `--{name.replace('_', '-')}` | `--{ours}` |\n" for name, ours in table.renamed.items())
    return "| vLLM's | is here |\n|---|---|\n" + "".join(rows) + "\n"


def _groups(table: NameTable) -> str:
    refused: dict[str, list[str]] = defaultdict(list)
    for name, (instead, harmless) in table.refused.items():
        values = ", ".join(json.dumps(value) for value in harmless)
        refused[instead].append(f"`{name}`" + (f" (but {values})" if values else ""))
    ignored = _rows("accepted with one warning, for", _by_value(table.without_effect)) if table.without_effect else ""
    return "\n".join(filter(None, (ignored, _rows("refused: what to do instead", refused) if refused else "")))


def _by_value(names: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, why in names.items():
        groups[why].append(f"`{name}`")
    return groups


def _rows(title: str, groups: Mapping[str, Iterable[str]]) -> str:
    rows = (f"| {', '.join(names)} | {why} |\n" for why, names in groups.items())
    return f"| | {title} |\n|---|---|\n" + "".join(rows)


def _listing(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(head + MARK + "\n" + rendered(), encoding="utf-8")
