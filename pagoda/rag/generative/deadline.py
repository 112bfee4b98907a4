"""How long a model may take over one call: whoever asks for an answer is told of it, and waits no longer.

Beside a question's path, under the answerers that ask a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from pagoda.chat.model import ChatModel
from pagoda.errors import ChatModelError

T = TypeVar("T")


async def in_time(work: Awaitable[T], model: ChatModel, deadline_s: float) -> T:
    """What `work` of the model gives, within so many seconds. Raises ChatModelError after them."""
    try:
        async with asyncio.timeout(deadline_s):
            return await work
    except TimeoutError as error:
        raise ChatModelError(
            f"the model {model.name} gave no answer within {deadline_s:g} s: try again, or allow it more time with "
            "--deadline SECONDS, or GenerativeSettings(deadline_s=...)"
        ) from error
