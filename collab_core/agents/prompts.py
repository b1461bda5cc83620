"""The prompts, read from their files once; the same bytes for every tier of a ladder."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_PLACE = re.compile(r"\{(\w+)\}")
_FOLDER = Path(__file__).resolve().parent.parent / "prompts"


@cache
def prompt(name: str) -> str:
    """Return the text of ``prompts/<name>.md`` without its final newline."""
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8").rstrip("\n")


def filled(name: str, **values: str) -> str:
    """Return the prompt with each ``{place}`` filled in; places inside of values stay as they are."""
    return _PLACE.sub(lambda place: values[place[1]], prompt(name))
