"""What an agent can do besides thinking: one file a tool, one protocol for all."""

from __future__ import annotations

from collab_core.tools.base import Tool, ToolOutcome, tools_json

__all__ = ["Tool", "ToolOutcome", "tools_json"]
