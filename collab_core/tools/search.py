"""The tool that finds documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collab_core.tools.arguments import only_arguments, text_argument
from collab_core.tools.base import MAX_OBSERVATION_CHARS, ToolOutcome
from collab_core.tools.collections import Collection, Hit
from collab_core.tools.parts import part_label

MAX_HITS = 8
_USAGE = 'search({"query": "a name or a short key phrase"})'


class Search:
    """Full-text search over one collection."""

    name = "search"
    description = (
        "Search the document collection. Returns the best matching documents with id, title and a "
        "snippet. Use names and short key phrases; then read a document by its id."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "A name or a short key phrase."}},
        "required": ["query"],
        "additionalProperties": False,
    }

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Return up to 8 hits, best first; no hit is an answer too, not a failure.

        Raises:
            ToolFailed: the arguments are wrong.
        """
        only_arguments(arguments, ("query",), usage=_USAGE)
        query = text_argument(arguments, "query", usage=_USAGE)
        hits = await self._collection.search(query, limit=MAX_HITS)
        if not hits:
            return ToolOutcome(text="No document matches. Try a name or other words.")
        listing = "\n".join(_line(hit) for hit in hits)
        text = f"{len(hits)} results, best first:\n{listing}"
        return ToolOutcome(
            text=text[:MAX_OBSERVATION_CHARS], truncated=len(text) > MAX_OBSERVATION_CHARS
        )


def _line(hit: Hit) -> str:
    return f"[{hit.id}] {hit.title}{part_label(hit.part, hit.parts)}\n    {hit.snippet}"
