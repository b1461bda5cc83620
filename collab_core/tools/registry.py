"""Which tools there are and which of them a run has, always in the same order.

The schemas are the beginning of every prompt: the order decides whether prefix caches stay warm.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from collab_core.errors import InvalidInput, ToolFailed
from collab_core.tools.base import Tool
from collab_core.tools.calculator import Calculator
from collab_core.tools.collections import Collection
from collab_core.tools.compose import Compose
from collab_core.tools.fetch import Fetcher
from collab_core.tools.fetch.extract import Extractor
from collab_core.tools.python import Python
from collab_core.tools.read import Read
from collab_core.tools.read_page import ReadPage
from collab_core.tools.sandbox import SandboxReport, self_check
from collab_core.tools.search import Search
from collab_core.tools.settings import ToolSettings
from collab_core.tools.web_search import WebSearch, provider_fetcher

if TYPE_CHECKING:
    from collab_core.tools.mcp_client.client import McpServer

logger = logging.getLogger(__name__)
COLLECTION_TOOLS = ("search", "read")
MCP_PREFIX = "mcp:"
MAX_TOOLS = 128
"""Functions of one run: more than some model servers take."""
COLLECTIONS_KEPT = 64


class ToolOffer(NamedTuple):
    """One thing that can be chosen for a run; ``reason`` says why it is not available."""

    name: str
    title: str
    summary: str
    available: bool = True
    reason: str = ""


class RunTools(NamedTuple):
    """The tools of one run, and the rung of the sandbox that ``python`` runs in ("" without it)."""

    tools: tuple[Tool, ...]
    sandbox: str = ""


_SUMMARIES = {
    "search": ("Search", "Find documents of the collection."),
    "read": ("Read", "Read a document of the collection."),
    "calculator": ("Calculator", "Arithmetic."),
    "python": ("Python", "Run programs in a sandbox without network."),
    "compose": ("Compose", "Write a long text in sections."),
    "read_page": ("Read page", "Read public pages of the web."),
    "web_search": ("Web search", "Search the web with the configured service."),
}
NAMES = tuple(_SUMMARIES)
"""The tools of Tandem itself, in the order of the prompt; those of MCP servers follow."""


def default_names(*, collection: bool) -> tuple[str, ...]:
    """Return what a run has when nobody chose.

    >>> default_names(collection=False)
    ('calculator',)
    """
    return (*COLLECTION_TOOLS, "calculator") if collection else ("calculator",)


def available(settings: ToolSettings, sandbox: SandboxReport | None = None) -> list[ToolOffer]:
    """Return everything that can be chosen, with the reason where it cannot.

    ``sandbox`` is the outcome of the self-check; None = it is not known here, which hides nothing.
    """
    offers = [_offer(name, _reason(name, settings, sandbox)) for name in NAMES]
    for name, config in settings.servers.items():
        summary = f"Tools of the MCP server {name}."
        reason = config.missing_variable(settings.environ)
        offers.append(ToolOffer(MCP_PREFIX + name, f"MCP: {name}", summary, not reason, reason))
    return offers


def _offer(name: str, reason: str) -> ToolOffer:
    title, summary = _SUMMARIES[name]
    return ToolOffer(name, title, summary, not reason, reason)


def _reason(name: str, settings: ToolSettings, sandbox: SandboxReport | None) -> str:
    match name:
        case "python" if settings.sandbox == "off":
            return "Switched off by the operator (TANDEM_SANDBOX=off)."
        case "python" if sandbox is not None and sandbox.tier == "off":
            return f"No sandbox: {sandbox.reason}"
        case "read_page" if not settings.read_page:
            return "Switched off by the operator (TANDEM_READ_PAGE)."
        case "web_search" if settings.search is None:
            return settings.search_reason
    return ""


def chosen_names(
    names: Iterable[str] | None, offers: Sequence[ToolOffer], *, collection: bool
) -> tuple[str, ...]:
    """Return the names in the fixed order, each once; None = the default.

    Raises:
        InvalidInput: there is no such tool, it is not available, or it needs a collection.
    """
    if names is None:
        return default_names(collection=collection)
    wanted = set(names)
    known = {offer.name: offer for offer in offers}
    for name in sorted(wanted):
        offer = known.get(name)
        if offer is None:
            raise InvalidInput(
                f"There is no tool {name[:80]!r}.",
                field="tools",
                hint=f"Tools: {', '.join(known)}.",
            )
        if not offer.available:
            raise InvalidInput(
                f"The tool {name} is not available. {offer.reason}",
                field="tools",
                hint="Choose other tools, or ask the operator.",
            )
        if name in COLLECTION_TOOLS and not collection:
            raise InvalidInput(
                f"The tool {name} needs a document collection.",
                field="tools",
                hint="Choose a collection, or leave search and read away.",
            )
    return tuple(name for name in known if name in wanted)


def build_tools(collection_path: Path | None) -> tuple[Tool, ...]:
    """Return the default tools: search, read and calculator; the calculator alone without a
    collection.

    Raises:
        InvalidInput: the file is missing or no collection.
    """
    collection = Collection(collection_path) if collection_path is not None else None
    return (*_over(collection), Calculator())


def _over(collection: Collection | None) -> tuple[Tool, ...]:
    return (Search(collection), Read(collection)) if collection is not None else ()


class Catalogue:
    """Builds the tools of runs; one per event loop, because connections and pools are shared."""

    def __init__(self, settings: ToolSettings | None = None) -> None:
        self.settings = settings or ToolSettings()
        self._collections: OrderedDict[tuple[Path, int], Collection] = OrderedDict()
        self._pages: tuple[Fetcher, Extractor] | None = None
        self._search: Fetcher | None = None
        self._servers: dict[str, McpServer] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tools")

    async def build(self, names: Sequence[str] | None, collection_path: Path | None) -> RunTools:
        """Return the tools of one run; None = the default ones.

        Raises:
            InvalidInput: a tool does not exist or cannot be offered here; the hint says what to do.
        """
        report = await self._sandbox() if names is not None and "python" in names else None
        offers = available(self.settings, report)
        chosen = chosen_names(names, offers, collection=collection_path is not None)
        opened = None
        if collection_path is not None and set(chosen) & set(COLLECTION_TOOLS):
            opened = await self._open(collection_path)
        tools: list[Tool] = []
        for name in chosen:
            if name.startswith(MCP_PREFIX):
                tools += await self._tools_of(name.removeprefix(MCP_PREFIX))
            else:
                tools.append(self._tool(name, opened, report))
        if len(tools) > MAX_TOOLS:
            raise InvalidInput(
                f"The chosen tools are {len(tools)} functions; at most {MAX_TOOLS} are allowed.",
                field="tools",
                hint='Choose fewer MCP servers, or name their "tools" in the configuration.',
            )
        return RunTools(tuple(tools), report.tier if report is not None else "")

    async def aclose(self) -> None:
        """End the servers that were started, and the threads."""
        servers, self._servers = list(self._servers.values()), {}
        await asyncio.gather(*(server.aclose() for server in servers))
        if self._pages is not None:
            fetcher, extractor = self._pages
            fetcher.close()
            extractor.close()
        if self._search is not None:
            self._search.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _tool(self, name: str, collection: Collection | None, report: SandboxReport | None) -> Tool:
        match name:
            case "search" if collection is not None:
                return Search(collection)
            case "read" if collection is not None:
                return Read(collection)
            case "calculator":
                return Calculator()
            case "python" if report is not None and report.sandbox is not None:
                return Python(report.sandbox)
            case "compose":
                return Compose()
            case "read_page":
                return ReadPage(*self._page_reader())
            case "web_search":
                return self._web_search()
        raise InvalidInput(f"The tool {name} cannot be made here.", field="tools")

    def _page_reader(self) -> tuple[Fetcher, Extractor]:
        if self._pages is None:
            self._pages = (Fetcher(self.settings.policy), Extractor())
        return self._pages

    def _web_search(self) -> WebSearch:
        provider = self.settings.search
        if provider is None:
            raise InvalidInput(self.settings.search_reason, field="tools")
        if self._search is None:
            self._search = provider_fetcher(provider, self.settings.policy)
        return WebSearch(provider, self._search)

    async def _sandbox(self) -> SandboxReport:
        # it blocks for two seconds the first time; afterwards the answer is known
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self_check, self.settings.sandbox
        )

    async def _open(self, path: Path) -> Collection:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._opened, path)

    def _opened(self, path: Path) -> Collection:
        """Return the opened collection; one that was indexed again is opened again."""
        key = (path, path.stat().st_mtime_ns if path.is_file() else 0)
        if key not in self._collections:
            self._collections[key] = Collection(path)
            while len(self._collections) > COLLECTIONS_KEPT:
                self._collections.popitem(last=False)
        self._collections.move_to_end(key)
        return self._collections[key]

    async def _tools_of(self, name: str) -> Sequence[Tool]:
        # imported when a run needs it: it takes a second and 40 MB
        from collab_core.tools.mcp_client.client import McpServer  # noqa: PLC0415

        if name not in self._servers:
            config = self.settings.servers[name]
            self._servers[name] = McpServer(name, config, environ=self.settings.environ)
        try:
            return await self._servers[name].tools()
        except ToolFailed as error:
            logger.warning("MCP server %s cannot be used: %s", name, error.message)
            raise InvalidInput(
                f"The tools of the MCP server {name} cannot be had: the server could not be reached.",
                field="tools",
                hint="Look at the worker's log, or run without it.",
            ) from error
