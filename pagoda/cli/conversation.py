"""A conversation as the model sees it: a system message and turns, cut from the front to fit the context.

In front of the token's path, for `pagoda chat`. Knows neither terminal nor engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pagoda.errors import InvalidRequestError

Message = dict[str, str]


@dataclass
class Conversation:
    """Messages of one chat. `turns` alternate between user and assistant and begin with the user."""

    system: str = ""
    turns: list[Message] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        """Everything said, the system message first."""
        return ([{"role": "system", "content": self.system}] if self.system else []) + self.turns

    def add_user(self, text: str) -> None:
        """The person's turn."""
        self.turns.append({"role": "user", "content": text})

    def add_assistant(self, text: str) -> None:
        """The model's turn; an empty one takes back the question, since the turns must alternate."""
        if text:
            self.turns.append({"role": "assistant", "content": text})
        else:
            self.take_back()

    def take_back(self) -> None:
        """Forget a question that got no answer."""
        if self.turns and self.turns[-1]["role"] == "user":
            self.turns.pop()

    def clear(self) -> None:
        """Forget all turns; the system message stays."""
        self.turns.clear()

    def drop_to_fit(self, count_tokens: Callable[[Sequence[Message]], int], limit: int) -> int:
        """Drop the oldest question and answer until `messages` have at most `limit` tokens; how many were dropped.

        The newest question always stays.
        """
        dropped = 0
        while len(self.turns) > 2 and count_tokens(self.messages) > limit:
            del self.turns[:2]
            dropped += 2
        return dropped

    def save(self, path: Path) -> None:
        """Write the messages as a JSON list. Raises InvalidRequestError; an existing file is never overwritten."""
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(self.messages, file, ensure_ascii=False, indent=2)
                file.write("\n")
        except FileExistsError as error:
            raise InvalidRequestError(f"{path} exists already: name another file") from error
        except OSError as error:
            raise InvalidRequestError(f"cannot write {path}: {error.strerror}") from error
