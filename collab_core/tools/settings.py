"""What an installation lets its runs use: read from the environment once, refused loudly."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from collab_core.errors import InvalidInput
from collab_core.tools.fetch import AddressPolicy
from collab_core.tools.mcp_client.config import ServerConfig, read_servers
from collab_core.tools.sandbox.selfcheck import Weakest
from collab_core.tools.web_search import SearchProvider, read_provider


@dataclass(frozen=True, kw_only=True)
class ToolSettings:
    """The tools of one installation; the defaults are what works without any setting."""

    read_page: bool = True
    policy: AddressPolicy = field(default_factory=AddressPolicy)
    search: SearchProvider | None = None
    search_reason: str = "No search service is set up (TANDEM_SEARCH_URL)."
    """Why there is no ``search``."""
    servers: Mapping[str, ServerConfig] = field(default_factory=dict)
    sandbox: Weakest = "auto"
    """The weakest rung that ``python`` may run in."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    """Where the variables that headers and servers name are looked up."""


def read_settings(
    values: Mapping[str, str], *, environ: Mapping[str, str] | None = None
) -> ToolSettings:
    """Return the settings of these variables; a missing or empty one has its default.

    ``values`` holds ``TANDEM_FETCH_ALLOW``, ``TANDEM_READ_PAGE``, ``TANDEM_SEARCH_URL``,
    ``TANDEM_SEARCH_HEADER``, ``TANDEM_SEARCH_FIELDS``, ``TANDEM_MCP_CONFIG`` and ``TANDEM_SANDBOX``.

    Raises:
        InvalidInput: one of them cannot be used; ``field`` names it.
    """
    environ = os.environ if environ is None else environ
    allow = values.get("TANDEM_FETCH_ALLOW", "")
    search, reason = _search(values, environ)
    config = values.get("TANDEM_MCP_CONFIG", "").strip()
    return ToolSettings(
        read_page=_yes(values.get("TANDEM_READ_PAGE", "")),
        policy=AddressPolicy.of(part for part in map(str.strip, allow.split(",")) if part),
        search=search,
        search_reason=reason,
        servers=read_servers(Path(config)) if config else {},
        sandbox=_rung(values.get("TANDEM_SANDBOX", "")),
        environ=environ,
    )


def _yes(text: str) -> bool:
    value = text.strip().lower()
    if value in ("", "1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    raise InvalidInput(
        f"TANDEM_READ_PAGE={text!r} is not a yes or no: set it to 1 or 0.",
        field="TANDEM_READ_PAGE",
    )


def _rung(text: str) -> Weakest:
    value = text.strip() or "auto"
    if value not in get_args(Weakest):
        raise InvalidInput(
            f"TANDEM_SANDBOX is {value!r}; it must be one of {', '.join(get_args(Weakest))}.",
            field="TANDEM_SANDBOX",
        )
    return cast("Weakest", value)


def _search(
    values: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[SearchProvider | None, str]:
    url = values.get("TANDEM_SEARCH_URL", "").strip()
    if not url:
        return None, ToolSettings.search_reason
    header = values.get("TANDEM_SEARCH_HEADER", "").strip()
    fields = values.get("TANDEM_SEARCH_FIELDS", "")
    try:
        return read_provider(url, header=header, fields=fields, environ=environ), ""
    except InvalidInput as error:
        if not error.field == "TANDEM_SEARCH_HEADER" or "not set" not in error.message:
            raise
        # another process of the installation may have the variable
        return None, error.message
