"""The event names as an ES module, so that the page spells none of them by hand."""

from __future__ import annotations

import json
from pathlib import Path

from collab_core.events import EVENT_TYPES, SCHEMA_VERSION, TERMINAL_TYPES, ModelDelta

PATH = Path(__file__).resolve().parents[2] / "static" / "ui" / "js" / "vocabulary.js"

_TEMPLATE = """\
// Generated from collab_core/events.py by `python manage.py write_vocabulary`. Do not edit.

export const SCHEMA_VERSION = {version};

export const EVENTS = Object.freeze({events});

/** Streaming text: shown live, never stored, never numbered. */
export const DELTA = {delta};

/** After one of these nothing follows. */
export const TERMINAL = new Set({terminal});
"""


def render() -> str:
    """Return the module's text: every event name once, by its camel-case key."""
    names = {_camel(name): name for name in EVENT_TYPES}
    return _TEMPLATE.format(
        version=SCHEMA_VERSION,
        events=json.dumps(names, indent=2),
        delta=json.dumps(str(ModelDelta.__struct_config__.tag)),
        terminal=json.dumps(sorted(TERMINAL_TYPES)),
    )


def _camel(name: str) -> str:
    first, *rest = name.split(".")
    return first + "".join(part.title() for part in rest)
