"""The definitions that come with Tandem, in ``definitions/*.json``."""

from __future__ import annotations

from pathlib import Path

from collab_core.errors import InvalidInput
from collab_core.experiments.definition import Definition, parse

_FOLDER = Path(__file__).with_name("definitions")


def names() -> list[str]:
    """Return the names of the shipped definitions."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def load(name: str) -> Definition:
    """Return a shipped definition by its name, or the one in the file of that path.

    Raises:
        InvalidInput: there is none, or the file holds none.
    """
    path = _FOLDER / f"{name}.json" if name in names() else Path(name)
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise InvalidInput(
            f"There is no experiment {name[:200]!r}.",
            field="definition",
            hint=f"Take one of {', '.join(names())}, or the path of a definition.",
        ) from error
