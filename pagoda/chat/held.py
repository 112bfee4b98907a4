"""A model that somebody holds: the model, the loop that its calls run in, and who closes it, in one record.

Beside the seam: retrieval and dialogue carry these three along together, from the one who opened the model to whoever
asks it. Plain threads ask by `chat`; what awaits goes through `loop` itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pagoda.chat.loop import LoopThread
from pagoda.chat.model import ChatAnswer, ChatModel, ChatParams, Message


@dataclass(frozen=True)
class HeldModel:
    """A model and the loop of its calls. Those who share a loop share its end: the first `close` ends its thread.

    owned: `close` closes the model, too; otherwise whoever gave it does
    """

    model: ChatModel
    loop: LoopThread
    owned: bool = False

    def chat(
        self, messages: Sequence[Message], params: ChatParams | None = None, *, timeout_s: float | None = None
    ) -> ChatAnswer:
        """One whole answer, waited for in this thread.

        Raises what `ChatModel.chat` does, ChatModelError after `timeout_s` seconds, too, and ConfigError where this
        thread runs the loop itself.
        """
        return self.loop.run(self.model.chat(messages, params), timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Close the model if it is ours, then end the loop's thread if it has one.

        Raises ChatModelError where the model takes more than `timeout_s` seconds.
        """
        try:
            if self.owned:
                self.loop.run(self.model.aclose(), timeout_s)
        finally:
            # A model that does not close must not keep a thread alive.
            self.loop.close()
