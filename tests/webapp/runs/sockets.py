"""A WebSocket client on the real ASGI application (``channels.testing`` would need daphne)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from asgiref.testing import ApplicationCommunicator


class Socket(ApplicationCommunicator):  # type: ignore[misc]
    def __init__(self, application: Any, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        plain, _, query = path.partition("?")
        scope = {
            "type": "websocket",
            "path": unquote(plain),
            "query_string": query.encode(),
            "headers": headers,
            "subprotocols": [],
            "scheme": "ws",
        }
        super().__init__(application, scope)

    async def connect(self, timeout: float = 5) -> tuple[bool, int]:
        """Return whether it was accepted, and the close code if not."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout)
        return answer["type"] == "websocket.accept", answer.get("code", 0)

    async def receive_from(self, timeout: float = 5) -> str:
        message = await self.receive_output(timeout)
        assert message["type"] == "websocket.send", message
        return str(message["text"])

    async def send_to(self, **data: Any) -> None:
        await self.send_input({"type": "websocket.receive", **data})

    async def disconnect(self, timeout: float = 5) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout)
