"""The seam between those who need a model's words and those who have one: `ChatModel` over `Message`s.

Retrieval and dialogue know a language model by this page alone. Three implementations stand behind it: the engine of
this machine (`engine.chat_model`), any OpenAI-compatible address (`chat.openai_client`), and a script for tests
(`chat.scripted`). Imports no torch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pagoda.errors import InvalidParameterError

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def as_dict(self) -> dict[str, str]:
        """As templates and OpenAI's API take it.

        >>> Message("user", "你好").as_dict()
        {'role': 'user', 'content': '你好'}
        """
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, kw_only=True)
class ChatParams:
    """How an answer is sampled. Raises InvalidParameterError.

    max_tokens: of the answer; temperature: 0 is greedy; json_schema: the answer is JSON that obeys it.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InvalidParameterError(f"max_tokens is {self.max_tokens}, expected at least 1", param="max_tokens")


@dataclass(frozen=True, kw_only=True)
class ChatAnswer:
    """A whole answer.

    finish_reason: "length" where max_tokens or the context ended it
    num_cached_tokens: of the prompt, those that the engine had computed for another one; 0 where nobody says
    """

    text: str
    finish_reason: FinishReason = "stop"
    num_prompt_tokens: int = 0
    num_completion_tokens: int = 0
    num_cached_tokens: int = 0


class ChatModel(Protocol):
    """A model that answers conversations.

    Every method raises ChatModelError where the model cannot be reached or gives no usable answer, and
    InvalidRequestError where the conversation itself is at fault (too long, a schema that cannot be compiled).
    Cancelling a call ends the work behind it.
    """

    @property
    def name(self) -> str:
        """What to call it in reports."""
        ...

    async def max_context_tokens(self) -> int | None:
        """Tokens of prompt and answer together; None where nobody says."""
        ...

    async def num_parameters(self) -> int | None:
        """How large it is; None where nobody says. Small models are asked in other words."""
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of a conversation as a prompt; where the tokenizer is out of reach, an estimate that is not below."""
        ...

    async def chat(self, messages: Sequence[Message], params: ChatParams | None = None) -> ChatAnswer:
        """One answer, whole."""
        ...

    async def chat_batch(
        self, conversations: Sequence[Sequence[Message]], params: ChatParams | None = None
    ) -> list[ChatAnswer]:
        """An answer for each conversation, in order; all of them are under way at once."""
        ...

    def stream(self, messages: Sequence[Message], params: ChatParams | None = None) -> AsyncIterator[str]:
        """The answer's text as it grows; its pieces, joined, are what `chat` gives."""
        ...

    async def aclose(self) -> None:
        """Give back what it holds: a connection, a process."""
        ...
