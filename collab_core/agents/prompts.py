"""The prompts, read from their files once; the same bytes for every tier of a ladder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent.parent / "prompts"


@cache
def prompt(name: str) -> str:
    """Return the text of ``prompts/<name>.md`` without its final newline."""
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8").rstrip("\n")
