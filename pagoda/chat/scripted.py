"""A ChatModel whose answers are written down beforehand: for tests, and for examples that need no model.

It keeps the conversations that it was asked, so that a test can look at the prompts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

from pagoda.chat.model import ChatAnswer, ChatParams, Message
from pagoda.errors import ChatModelError

Script = Iterable[str | Exception] | Callable[[Sequence[Message]], str]
PIECE_LENGTH = 4
"""Characters of a streamed piece."""


class ScriptedChatModel:
    """Answers from a list, one after the other, or from a function of the conversation.

    An exception in the list is raised in its turn; asking beyond the list's end raises ChatModelError.

    >>> import asyncio
    >>> asyncio.run(ScriptedChatModel(["你好"]).chat([Message("user", "hi")])).text
    '你好'
    """

    name = "scripted"

    def __init__(
        self, script: Script, *, max_context_tokens: int | None = None, num_parameters: int | None = None
    ) -> None:
        self.conversations: list[tuple[Message, ...]] = []
        self.batches: list[int] = []
        """How many conversations each call of `chat_batch` brought."""
        self.params: list[ChatParams | None] = []
        self._respond = script if callable(script) else None
        self._answers: Iterator[str | Exception] = iter(()) if callable(script) else iter(script)
        self._max_context_tokens, self._num_parameters = max_context_tokens, num_parameters

    async def max_context_tokens(self) -> int | None:
        return self._max_context_tokens

    async def num_parameters(self) -> int | None:
        return self._num_parameters

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """One token a character."""
        return sum(len(message.content) for message in messages)

    async def chat(self, messages: Sequence[Message], params: ChatParams | None = None) -> ChatAnswer:
        self.conversations.append(tuple(messages))
        self.params.append(params)
        text = self._next(messages)
        if isinstance(text, Exception):
            raise text
        return ChatAnswer(
            text=text, num_prompt_tokens=await self.count_tokens(messages), num_completion_tokens=len(text)
        )

    async def chat_batch(
        self, conversations: Sequence[Sequence[Message]], params: ChatParams | None = None
    ) -> list[ChatAnswer]:
        self.batches.append(len(conversations))
        return [await self.chat(messages, params) for messages in conversations]

    async def stream(self, messages: Sequence[Message], params: ChatParams | None = None) -> AsyncIterator[str]:
        text = (await self.chat(messages, params)).text
        for start in range(0, len(text), PIECE_LENGTH):
            yield text[start : start + PIECE_LENGTH]

    async def aclose(self) -> None:
        """Nothing is held."""

    def _next(self, messages: Sequence[Message]) -> str | Exception:
        if self._respond is not None:
            return self._respond(messages)
        ended = ChatModelError(f"the script ends after {len(self.conversations) - 1} answers")
        return next(self._answers, ended)
