"""A client that has said all it wants to say, and waits for the answer on a connection that it has half closed.

Below the application, in uvicorn's protocol. The end of what a client sends looks the same whether it closed one half
of the connection or went away, and uvicorn takes both for the latter. Only something sent shows the difference: one
who is gone answers with a reset. So while an answer is being made, such a client gets interim responses, which it is to
pass over (RFC 9110, 15.2.1); where one cannot be sent, the client has left and its request ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    _Base: Any = asyncio.Protocol
else:
    _Base = AutoHTTPProtocol

_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


class HalfOpenProtocol(_Base):
    """uvicorn's protocol, whichever is installed, that answers after the client's last byte."""

    def eof_received(self) -> bool:
        """Keep the connection where a whole request is being answered. TLS knows no half-closed connections."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body or self.transport.get_extra_info("ssl_object"):
            return False
        if not getattr(self, "pipeline", None):
            cycle.keep_alive = False
        if self.scope["http_version"] == "1.1":
            self._probe(cycle, _FIRST_PAUSE_S)
        return True

    def _probe(self, cycle: Any, pause_s: float) -> None:
        """Send something as long as there is nothing else to send; a failure reaches `connection_lost`."""
        if cycle.response_started or cycle.disconnected or self.transport.is_closing():
            return
        self.transport.write(_INTERIM)
        self.loop.call_later(pause_s, self._probe, cycle, min(2 * pause_s, _LONGEST_PAUSE_S))
