"""The tool that reads a document, in parts if it is long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collab_core.errors import ToolFailed
from collab_core.tools.arguments import only_arguments, part_argument, text_argument
from collab_core.tools.base import MAX_OBSERVATION_CHARS, ToolOutcome
from collab_core.tools.collections import Collection
from collab_core.tools.parts import part_label, split_parts

_USAGE = 'read({"id": "d1a2b3", "part": 1})'


class Read:
    """Reading of one collection's documents."""

    name = "read"
    description = (
        "Read a document by the id that search returned. Long documents come in parts of about "
        "6,000 characters: ask for the next part by its number."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "The document's id, as search shows it."},
            "part": {"type": "integer", "minimum": 1, "description": "Which part; 1 if left out."},
        },
        "required": ["id"],
        "additionalProperties": False,
    }

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Return the title and one part of the text.

        Raises:
            ToolFailed: the arguments are wrong, or there is no such document or part.
        """
        only_arguments(arguments, ("id", "part"), usage=_USAGE)
        document_id = text_argument(arguments, "id", usage=_USAGE, max_chars=100).strip("[]")
        part = part_argument(arguments.get("part", 1), usage=_USAGE)
        document = await self._collection.read(document_id)
        if document is None:
            raise ToolFailed(
                f'No document has the id "{document_id}". Copy an id from a search result, '
                f"for example {_USAGE}."
            )
        parts = split_parts(document.text)
        if part > len(parts):
            raise ToolFailed(
                f'Document "{document_id}" has {len(parts)} part(s); part {part} does not exist.'
            )
        place = part_label(part, len(parts))
        text = f"[{document.id}] {document.title}{place}\n\n{parts[part - 1]}"
        return ToolOutcome(text=text[:MAX_OBSERVATION_CHARS], truncated=part < len(parts))
