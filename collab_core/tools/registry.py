"""Which tools a run has, always in the same order: the schema is part of the cached prompt."""

from __future__ import annotations

from pathlib import Path

from collab_core.tools.base import Tool
from collab_core.tools.calculator import Calculator
from collab_core.tools.collections import Collection
from collab_core.tools.read import Read
from collab_core.tools.search import Search


def build_tools(collection_path: Path | None) -> tuple[Tool, ...]:
    """Return search, read and calculator; the calculator alone without a collection.

    Raises:
        InvalidInput: the file is missing or no collection.
    """
    if collection_path is None:
        return (Calculator(),)
    collection = Collection(collection_path)
    return (Search(collection), Read(collection), Calculator())
