"""What every socket of the site has in common: who gets in, and that their rights can end.

A socket is read-only: whatever the browser sends is ignored, changes are POSTs with a CSRF token.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from typing import Any

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from webapp.runs import watchdog
from webapp.runs.threads import query
from webapp.teams.models import User

logger = logging.getLogger(__name__)
NOT_SIGNED_IN = 4401
NOT_FOUND = 4404
MEMBERSHIP_ENDED = 4409
OVERLOAD = 1013


class GuardedConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Lets in whoever may see the thing that the address names, for as long as they may."""

    channel_layer_alias = "none"
    """A socket of its own in the layer would tie it to Redis: the process listens for all."""
    guarded: watchdog.Guarded | None = None
    pump: asyncio.Task[None] | None = None

    @staticmethod
    @abstractmethod
    def visible(user: User, uuid: Any) -> Any:
        """Return what the address names if this user may see it, else None; a query."""

    @abstractmethod
    def opened(self, found: Any) -> watchdog.Guarded:
        """Begin to listen; return what is told that the rights have ended."""

    @abstractmethod
    def closed(self, guarded: Any) -> None:
        """Stop to listen."""

    @abstractmethod
    async def follow(self, guarded: Any) -> None:
        """Send until the rights have ended."""

    async def connect(self) -> None:
        await self.accept()
        user = self.scope.get("user")
        if not isinstance(user, User):
            await self.close(NOT_SIGNED_IN)
            return
        try:
            found = await in_thread(self.visible, user, self.scope["url_route"]["kwargs"]["uuid"])
        except DatabaseError as error:
            logger.warning("socket refused, the database does not answer: %s", str(error).strip())
            await self.close(OVERLOAD)
            return
        if found is None:
            await self.close(NOT_FOUND)
            return
        session = self.scope.get("session")
        self.guarded = self.opened(found)
        watchdog.guard(
            self.guarded,
            user_id=user.pk,
            workspace_id=found.workspace_id,
            session_key=getattr(session, "session_key", "") or "",
        )
        self.pump = asyncio.create_task(self._pump(self.guarded))

    async def disconnect(self, code: int) -> None:
        if self.guarded is not None:
            self.closed(self.guarded)
            watchdog.release(self.guarded)
        if self.pump is not None:
            self.pump.cancel()

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """Ignore it."""

    async def _pump(self, guarded: watchdog.Guarded) -> None:
        try:
            await self.follow(guarded)
            await self.close(MEMBERSHIP_ENDED)
        except asyncio.CancelledError:
            raise
        except OSError:
            # the browser went away while something was being sent: disconnect() follows
            logger.debug("socket %s: the browser is gone", self.scope["path"])
        except Exception:
            logger.exception("socket %s", self.scope["path"])
            await self.close(OVERLOAD)


def in_thread(function: Any, *args: Any) -> Any:
    """Run a query in the server's reader threads."""
    return sync_to_async(query, thread_sensitive=False, executor=watchdog.READERS)(function, *args)
