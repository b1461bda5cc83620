"""What goes wrong in a fetch, as the agent is told it."""

from __future__ import annotations

from typing import Literal

from collab_core.errors import ToolFailed

FetchKind = Literal[
    "refused_url",
    "refused_address",
    "unreachable",
    "timeout",
    "too_large",
    "status",
    "redirects",
    "unreadable",
]


class FetchFailed(ToolFailed):
    """A page could not be had; ``kind`` says why. It never names an address that was resolved."""

    def __init__(self, kind: FetchKind, message: str) -> None:
        super().__init__(message)
        self.kind: FetchKind = kind
