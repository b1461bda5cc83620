"""The file that names MCP servers: JSON as other clients write it (``mcpServers``), or TOML.

No secret stands in it: values of ``env`` and ``headers`` name variables of Tandem's own environment.
This module does not import the ``mcp`` package, so that the web process can read the file cheaply.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
import pydantic

from collab_core.errors import InvalidInput

MAX_SERVERS = 20
MAX_CONFIG_BYTES = 200_000
_FIELD = "TANDEM_MCP_CONFIG"
_NAMES_A_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
ServerName = Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,23}$")]


class ServerConfig(pydantic.BaseModel):
    """One server: a command to start (stdio), or an address (streamable HTTP)."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    type: Literal["stdio", "http", "streamable-http"] | None = None
    command: str = ""
    args: tuple[str, ...] = ()
    cwd: str = ""
    env: dict[str, str] = pydantic.Field(default_factory=dict)
    """Variables of the server; each value is like ``${NAME}``, from Tandem's environment."""
    url: str = ""
    headers: dict[str, str] = pydantic.Field(default_factory=dict)
    tools: tuple[str, ...] | None = None
    """The server's tools that may be used; None = all."""
    connect_s: float = pydantic.Field(20.0, gt=0, le=300)
    call_s: float = pydantic.Field(60.0, gt=0, le=3_600)

    @pydantic.model_validator(mode="after")
    def _one_way_to_reach_it(self) -> ServerConfig:
        if bool(self.command) == bool(self.url):
            raise ValueError('give either "command" or "url"')
        if (self.url and self.type == "stdio") or (
            self.command and self.type not in (None, "stdio")
        ):
            raise ValueError(f'"type" {self.type} does not fit')
        parts = urlsplit(self.url)
        if self.url and (
            parts.scheme not in ("http", "https") or not parts.hostname or parts.username
        ):
            raise ValueError('"url" must be an http(s) address without a user name')
        for name, value in {**self.env, **self.headers}.items():
            if not _NAMES_A_VARIABLE.search(value):
                raise ValueError(
                    f'"{name}" must take its value from the environment, like ${{VARIABLE}}'
                )
        return self

    def filled(self, values: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
        """Return ``env`` or ``headers`` with the variables put in.

        Raises:
            InvalidInput: a variable is not set.
        """
        try:
            return {name: Template(text).substitute(environ) for name, text in values.items()}
        except KeyError as error:
            raise InvalidInput(f"The variable {error.args[0]} is not set.", field=_FIELD) from None
        except ValueError:
            raise InvalidInput(
                "A $ begins no ${VARIABLE}; write $$ for one.", field=_FIELD
            ) from None

    def missing_variable(self, environ: Mapping[str, str]) -> str:
        """Return what stands in the way of using the server, as a sentence; "" = nothing."""
        try:
            self.filled({**self.env, **self.headers}, environ)
        except InvalidInput as error:
            return error.message
        return ""


class _File(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    servers: dict[ServerName, ServerConfig] = pydantic.Field(
        default_factory=dict, validation_alias=pydantic.AliasChoices("servers", "mcpServers")
    )


def read_servers(path: Path) -> dict[str, ServerConfig]:
    """Return the servers by name, in the order of the alphabet.

    Raises:
        InvalidInput: the file is missing, too large, no JSON or TOML, or says something unknown.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _bad(f"{path.name} cannot be read ({error.strerror}).") from None
    if len(content) > MAX_CONFIG_BYTES:
        raise _bad(f"{path.name} is larger than {MAX_CONFIG_BYTES:,} bytes.")
    try:
        found = _File.model_validate(_parsed(path, content)).servers
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _bad(f"{path.name}: {place}: {first['msg']}.") from None
    if len(found) > MAX_SERVERS:
        raise _bad(f"{path.name} names {len(found)} servers; at most {MAX_SERVERS} are allowed.")
    return dict(sorted(found.items()))


def _parsed(path: Path, content: bytes) -> Any:
    try:
        if path.suffix.lower() == ".toml":
            return tomllib.loads(content.decode())
        return msgspec.json.decode(content)
    except (
        UnicodeDecodeError,
        tomllib.TOMLDecodeError,
        msgspec.DecodeError,
        RecursionError,
    ) as error:
        raise _bad(f"{path.name} cannot be read: {str(error)[:200]}.") from None


def _bad(message: str) -> InvalidInput:
    return InvalidInput(message, field=_FIELD, hint="docs/tools.md shows a working file.")
