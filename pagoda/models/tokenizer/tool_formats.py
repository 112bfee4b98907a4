"""The ways in which families of models write tool calls.

On the token's path: beside `chat_template`, for templates that know no tools, and for whoever reads an answer back.

    hermes       <tool_call>\\n{"name": "f", "arguments": {...}}\\n</tool_call>   Hermes 2 and 3, Qwen 2.5 and 3
    llama3_json  {"name": "f", "parameters": {...}}                             Llama 3.1 and later
    mistral      [TOOL_CALLS][{"name": "f", "arguments": {...}}]                Mistral 7B v0.3, Nemo
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pagoda.errors import ConfigError, nearest


@dataclass(frozen=True)
class ToolFormat:
    """How one family of models writes calls: section_begin, calls with separators between them, section_end.

    name: what the operator calls it
    section_begin, section_end: around all calls
    call_begin, call_end: around each
    separator: between calls
    arguments_key: the field beside "name"
    markers: which of these strings may be special tokens
    id_length: of a call's id, where templates insist on one
    """

    name: str
    section_begin: tuple[str, ...] = ()
    call_begin: tuple[str, ...] = ()
    call_end: tuple[str, ...] = ()
    section_end: tuple[str, ...] = ()
    separator: str = "\n"
    arguments_key: str = "arguments"
    markers: tuple[str, ...] = ()
    id_length: int | None = None

    @property
    def opening(self) -> str | None:
        """What opens a call in free text; None where only the call's own head tells it from other text."""
        begin = (*self.section_begin, *self.call_begin)
        return begin[0] if begin else None

    def write(self, calls: Sequence[Mapping[str, Any]]) -> str:
        """Calls, each with "name" and "arguments", as this family writes them."""
        texts = [
            json.dumps({"name": call["name"], self.arguments_key: call["arguments"]}, ensure_ascii=False)
            for call in calls
        ]
        around = ["".join((*self.call_begin, text, *self.call_end)) for text in texts]
        return "".join((*self.section_begin, self.separator.join(around), *self.section_end))

    def special_markers(self, tokenizer: Any) -> dict[str, int]:
        """The markers that this tokenizer holds as special tokens, which no plain text can spell."""
        special = set(tokenizer.all_special_ids)
        found = {marker: tokenizer.token_to_id(marker) for marker in self.markers}
        return {marker: token_id for marker, token_id in found.items() if token_id in special}


HERMES = ToolFormat(
    "hermes",
    call_begin=("<tool_call>", "\n"),
    call_end=("\n", "</tool_call>"),
    markers=("<tool_call>", "</tool_call>"),
)
LLAMA3_JSON = ToolFormat("llama3_json", separator="; ", arguments_key="parameters")
MISTRAL = ToolFormat(
    "mistral",
    section_begin=("[TOOL_CALLS]", "["),
    section_end=("]",),
    separator=", ",
    markers=("[TOOL_CALLS]",),
    id_length=9,
)
FORMATS = {known.name: known for known in (HERMES, LLAMA3_JSON, MISTRAL)}


def tool_format(name: str = "auto", chat_template_source: str | None = None) -> ToolFormat:
    """The format of that name; "auto" goes by the chat template, and by hermes where that tells nothing.

    Raises ConfigError for a name that is not known.

    >>> tool_format("auto", "... '[TOOL_CALLS]' ...").name
    'mistral'
    """
    if name != "auto":
        if name not in FORMATS:
            raise ConfigError(f"tool call parser {name!r} is not known: {nearest(name, ['auto', *FORMATS])}")
        return FORMATS[name]
    source = chat_template_source or ""
    if "[TOOL_CALLS]" in source:
        return MISTRAL
    if "<tool_call>" not in source and ("<|python_tag|>" in source or '"parameters": ' in source):
        return LLAMA3_JSON
    return HERMES
