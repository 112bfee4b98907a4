"""What a person who talks with a model gets where neither they nor its checkpoint say anything.

Off the token's path: told to the chat page by the server, used by `pagoda chat`. Requests of the API get nothing of it:
there SamplingParams' own defaults stand, as vLLM's do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pagoda.models.model_card import ModelCard

_DRAWING = ("temperature", "top_p", "top_k", "min_p")
_CALM = {"temperature": 0.7, "top_p": 0.95}
_SMALL = 1_000_000_000
_CALMER = {"temperature": 0.2, "top_p": 0.9}
"""Of an instruction-tuned model below so many parameters: what SmolLM2's card shows for all its sizes."""
_TINY = 300_000_000
_BRIEF = "You are a helpful assistant, good at sums and facts. Answer correctly and concisely."
"""docs/server.md tells how much more often SmolLM2-135M-Instruct is right with it."""


@dataclass(frozen=True)
class ChatDefaults:
    """sampling: fields of SamplingParams, beside the checkpoint's own. system: a message; "" for the template's own."""

    sampling: dict[str, float] = field(default_factory=dict)
    system: str = ""

    @classmethod
    def of(
        cls, own: Mapping[str, Any], num_parameters: int, has_chat_template: bool, card: ModelCard | None = None
    ) -> ChatDefaults:
        """own: sampling parameters that the checkpoint names. One that names how tokens are drawn was made for talking
        by people who tried it, and is left as it is.

        Small models spread their odds widely: what answers questions is drawn closer to its likeliest words, and the
        smallest answer better when they are told how. One without a chat template goes on with a text, and would repeat
        itself if drawn so.

        >>> ChatDefaults.of({"repetition_penalty": 1.1}, 8_000_000_000, has_chat_template=True)
        ChatDefaults(sampling={'temperature': 0.7, 'top_p': 0.95}, system='')
        >>> ChatDefaults.of({"top_k": 20}, 8_000_000_000, has_chat_template=True)
        ChatDefaults(sampling={}, system='')
        """
        if any(name in own for name in _DRAWING):
            return cls()
        if not has_chat_template or num_parameters >= _SMALL:
            return cls(dict(_CALM))
        speaks_english = card is not None and "en" in card.languages
        return cls(dict(_CALMER), _BRIEF if num_parameters < _TINY and speaks_english else "")
