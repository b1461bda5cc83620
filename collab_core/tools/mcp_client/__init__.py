"""Tools of MCP servers (Model Context Protocol), through the official client package."""

from __future__ import annotations
