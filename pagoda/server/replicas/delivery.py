"""What one client has got of its answer: until the first token nothing, so that another replica may still be asked.

On the token's path behind several replicas, between the front and Ray Serve's proxy. A chat's stream says that it
begins as soon as an engine has queued it; that is held back here until there is something of a model's, since whatever
was sent cannot be taken back. Comments, which bridge a silence, go out meanwhile. Imports neither Ray nor torch.
"""

from __future__ import annotations

from starlette.types import Send

from pagoda.server.replicas.answers import (
    Message,
    another_may,
    as_events,
    ended,
    is_comment,
    is_opening,
    is_stream,
)


class Delivery:
    """One request's way back. send: ASGI's."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_head = False
        self.has_begun = False
        """Whether it has got something that only one replica can go on with."""
        self.has_all = False

    async def hold(self, held: list[Message], message: Message) -> bool:
        """Put an answer's next message to those that are held, and send them where a stream's first token has come.

        Returns whether what is held says that another replica may do better.
        """
        if held and is_stream(held[0]) and is_comment(message["body"]):
            await self._keep_alive(held[0], message)
            return False
        held.append(message)
        if len(held) < 2 or not is_stream(held[0]):
            return False
        if another_may(held):
            return True
        if not is_opening(message["body"]):
            self.has_begun = True
            await self.send(held)
        return False

    async def send(self, messages: list[Message]) -> None:
        """Pass on the next messages of an answer, from its first on. One at a time, so that a slow client is waited
        for.
        """
        if self._has_head and messages[0]["type"] == "http.response.start":
            messages = list(as_events(messages))
        for message in messages:
            await self._send(message)
            self._has_head = True
            self.has_all = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def end(self, messages: list[Message]) -> None:
        """Pass on an answer of which no more is fetched."""
        await self.send(list(ended(messages)))

    async def _keep_alive(self, start: Message, comment: Message) -> None:
        """The head of another replica's answer would be the same, but for its id."""
        await self.send([comment] if self._has_head else [start, comment])
