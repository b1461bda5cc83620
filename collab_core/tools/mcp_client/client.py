"""Connections to MCP servers, one per server and worker process, opened when first needed.

A server may start slowly, hang, flood or die. Each of these ends in an observation for the agent;
the next call starts the server anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import httpx2
import msgspec
from mcp import Client, MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    REQUEST_TIMEOUT,
    CallToolResult,
    EmbeddedResource,
    Implementation,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from mcp_types import Tool as ListedTool

from collab_core.errors import InvalidInput, ToolFailed
from collab_core.tools.base import MAX_OBSERVATION_CHARS, ToolOutcome
from collab_core.tools.mcp_client.config import ServerConfig
from collab_core.tools.mcp_client.schemas import function_names, shown_description, shown_schema
from collab_core.tools.mcp_client.transports import Stdio, open_http

logger = logging.getLogger(__name__)
T = TypeVar("T")
MAX_TOOLS = 64
MAX_PAGES = 10
RETRY_AFTER_S = 3.0
"""A server that could not be started is not tried again sooner."""
GRACE_S = 2.0
LEAVE_S = 30.0
"""A cancelled owner still has to end its child process: first asked, then killed."""
_BROKEN = (
    OSError,
    RuntimeError,
    ValueError,
    TimeoutError,
    anyio.ClosedResourceError,
    anyio.BrokenResourceError,
    anyio.EndOfStream,
    httpx2.HTTPError,
    BaseExceptionGroup,
)


class McpTool:
    """One tool of a server, under a name that model servers accept."""

    def __init__(self, server: McpServer, listed: ListedTool, name: str) -> None:
        self.name = name
        self.description = shown_description(
            listed.description, server=server.name, tool=listed.name
        )
        self.parameters: Mapping[str, Any] = shown_schema(listed.input_schema)
        self._server = server
        self._tool = listed.name

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Return the text of the server's result.

        Raises:
            ToolFailed: the tool says it failed, or the server hangs, floods or is gone.
        """
        return await self._server.call(self._tool, arguments)


@dataclass(kw_only=True)
class _Link:
    """A connection under way: ``owner`` holds it open and is the only task that enters and leaves
    it, as the package's cancel scopes demand."""

    owner: asyncio.Task[None] = field(init=False)
    ready: asyncio.Future[Client]
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    answered_at: float = 0.0

    @property
    def usable(self) -> bool:
        return not self.owner.done() and not self.closing.is_set()

    async def close(self) -> None:
        """Let the owner leave; one that takes too long is made to, and awaited all the same."""
        self.closing.set()
        _, late = await asyncio.wait({self.owner}, timeout=2 * GRACE_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=LEAVE_S)


class McpServer:
    """One configured server; use it on one event loop only."""

    def __init__(self, name: str, config: ServerConfig, *, environ: Mapping[str, str]) -> None:
        self.name = name
        self._config = config
        self._environ = environ
        self._lock = asyncio.Lock()
        self._link: _Link | None = None
        self._stdio: Stdio | None = None
        self._tools: tuple[McpTool, ...] | None = None
        self._failed_at = float("-inf")
        self._leaving: set[asyncio.Task[None]] = set()
        """Owners of connections that were given up, still ending their child processes."""

    async def tools(self) -> tuple[McpTool, ...]:
        """Return the tools as they were when first listed: they are the head of cached prompts.

        Raises:
            ToolFailed: the server cannot be reached or lists nothing usable.
            InvalidInput: a variable is not set, or a tool of the configuration does not exist.
        """
        if self._tools is None:
            listed = await self._within(self._list(await self._connected()), self._config.connect_s)
            names = function_names(self.name, (tool.name for tool in listed))
            self._tools = tuple(McpTool(self, tool, names[tool.name]) for tool in listed)
        return self._tools

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Call a tool and return what it says, at most ``MAX_OBSERVATION_CHARS``.

        Raises:
            ToolFailed: see :class:`McpTool`.
        """
        client = await self._connected()
        asked = client.call_tool(tool, dict(arguments), read_timeout_seconds=self._config.call_s)
        result = await self._within(asked, self._config.call_s + GRACE_S)
        text, cut = _text_of(result)
        if result.is_error:
            raise ToolFailed(text[:2_000] or "The tool failed without saying why.")
        return ToolOutcome(text=text or "(no text)", truncated=cut)

    async def aclose(self) -> None:
        """Close the connection; a child process and its children are gone when this returns."""
        if self._link is not None:
            link, self._link = self._link, None
            await link.close()
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=LEAVE_S)

    async def _connected(self) -> Client:
        async with self._lock:
            if self._link is None or not self._link.usable:
                await self._connect()
            assert self._link is not None
            return await self._link.ready

    async def _connect(self) -> None:
        if time.monotonic() - self._failed_at < RETRY_AFTER_S:
            raise ToolFailed(f"The tool server {self.name} is not available. Go on without it.")
        await self.aclose()
        transport = self._transport()
        link = _Link(ready=asyncio.get_running_loop().create_future())
        link.owner = asyncio.create_task(self._own(link, transport), name=f"mcp-{self.name}")
        waiting: set[asyncio.Future[Any]] = {link.ready, link.owner}
        try:
            await asyncio.wait(
                waiting, timeout=self._config.connect_s, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            self._give_up(link.owner)
            raise
        if link.ready.done():
            self._link = link
            return
        self._failed_at = time.monotonic()
        self._give_up(link.owner)
        await asyncio.wait({link.owner}, timeout=2 * GRACE_S)
        raise ToolFailed(
            f"The tool server {self.name} could not be started or did not answer within "
            f"{self._config.connect_s:g} s. Go on without it."
        )

    def _give_up(self, owner: asyncio.Task[None]) -> None:
        owner.cancel()
        self._leaving.add(owner)
        owner.add_done_callback(self._leaving.discard)

    def _transport(self) -> AbstractAsyncContextManager[Any]:
        config = self._config
        if config.url:
            return open_http(config, config.filled(config.headers, self._environ))
        self._stdio = Stdio(config, config.filled(config.env, self._environ))
        return self._stdio.open()

    async def _own(self, link: _Link, transport: AbstractAsyncContextManager[Any]) -> None:
        """Hold the connection open until it is closed or breaks."""
        try:
            async with Client(
                transport,
                read_timeout_seconds=self._config.call_s,
                cache=None,
                client_info=Implementation(name="tandem", version="1"),
            ) as client:
                # it would run the server's own patterns over the server's own text
                client.session.validate_tool_result = _not_validated  # type: ignore[method-assign, assignment]
                link.ready.set_result(client)
                await link.closing.wait()
        except (MCPError, *_BROKEN) as error:
            said = self._stdio.last_words.strip() if self._stdio else ""
            logger.warning(
                "MCP server %s broke: %s%s",
                self.name,
                _cause(error),
                f"; it said: {said}" if said else "",
            )

    async def _list(self, client: Client) -> list[ListedTool]:
        found: dict[str, ListedTool] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            found.update((tool.name, tool) for tool in page.tools)
            cursor = page.next_cursor
            if cursor is None or len(found) > MAX_TOOLS:
                break
        wanted = self._config.tools
        missing = [name for name in wanted or () if name not in found]
        if missing:
            raise InvalidInput(
                f"The MCP server {self.name} has no tool {missing[0]!r}.",
                field="TANDEM_MCP_CONFIG",
                hint=f"It has: {', '.join(sorted(found)[:20])}.",
            )
        kept = sorted(name for name in found if wanted is None or name in wanted)
        if len(kept) > MAX_TOOLS:
            raise InvalidInput(
                f"The MCP server {self.name} has more than {MAX_TOOLS} tools.",
                field="TANDEM_MCP_CONFIG",
                hint='Name the ones to use in its "tools".',
            )
        return [found[name] for name in kept]

    async def _within(self, asked: Awaitable[T], limit_s: float) -> T:
        """Await a reply, or the end of the connection, or the end of patience.

        Raises:
            ToolFailed: there is no proper reply.
        """
        link, began = self._link, time.monotonic()
        if link is None:
            raise self._gone()
        task = asyncio.ensure_future(asked)
        try:
            await asyncio.wait(
                {task, link.owner}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not task.done() and not link.owner.done():
                raise self._hung(link, began)
            if not task.done():
                raise self._gone()
            reply = task.result()
        except MCPError as error:
            raise self._refused(link, error, began) from error
        except _BROKEN as error:
            link.closing.set()
            raise self._gone() from error
        finally:
            task.cancel()
        link.answered_at = time.monotonic()
        return reply

    def _refused(self, link: _Link, error: MCPError, began: float) -> ToolFailed:
        if error.code == REQUEST_TIMEOUT:
            return self._hung(link, began)
        if error.code == CONNECTION_CLOSED:
            link.closing.set()
            return self._gone()
        return ToolFailed(f"The tool server {self.name} refused the call: {error}"[:2_000])

    def _hung(self, link: _Link, began: float) -> ToolFailed:
        """Give up a call; a server that answered nobody meanwhile is ended, to be started anew."""
        if link.answered_at < began:
            link.closing.set()
        return ToolFailed(f"The tool server {self.name} did not answer in time. Go on without it.")

    def _gone(self) -> ToolFailed:
        return ToolFailed(
            f"The tool server {self.name} broke off (it ended, or sent too much). "
            "Try once more, or go on without it."
        )


async def _not_validated(_name: str, _result: CallToolResult) -> None:
    return None


def _text_of(result: CallToolResult) -> tuple[str, bool]:
    """Return the text of a result and whether it was cut; what is no text is only mentioned."""
    pieces: list[str] = []
    for block in result.content:
        match block:
            case TextContent(text=text):
                pieces.append(text)
            case EmbeddedResource(resource=TextResourceContents(text=text)):
                pieces.append(text)
            case ResourceLink(uri=uri):
                pieces.append(f"[link: {str(uri)[:500]}]")
            case other:
                pieces.append(f"[{other.type} left out: only text can be shown]")
    if not pieces and result.structured_content is not None:
        pieces.append(msgspec.json.encode(result.structured_content).decode())
    text = "\n".join(pieces).replace("\x00", "")
    return text[:MAX_OBSERVATION_CHARS], len(text) > MAX_OBSERVATION_CHARS


def _cause(error: BaseException) -> str:
    """Return the first real error of a group in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {str(error)[:300]}"
