"""Where replies come from: one protocol, one OpenAI-compatible client, one scripted double."""

from __future__ import annotations

from collab_core.backends.base import Backend, ModelReply, ModelRequest

__all__ = ["Backend", "ModelReply", "ModelRequest"]
