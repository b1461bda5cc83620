"""What a server says of its tools, made fit for a prompt: bounded, and valid for model servers.

Schemas go into every request of the run. A pattern in one can stop a model server that compiles it
(vLLM CVE-2025-48944), so only the keywords that describe a value are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from collab_core.tools.hostile import neutralised

MAX_NAME_CHARS = 64
MAX_DESCRIPTION_CHARS = 1_000
MAX_SCHEMA_BYTES = 8_000
MAX_DEPTH = 8
MAX_ITEMS = 64
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_PLAIN = frozenset({"type", "enum", "const", "default", "required", "format"})
_NUMBERS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
     "minLength", "maxLength", "multipleOf"}
)  # fmt: skip
_INNER = frozenset({"items", "additionalProperties", "not"})
_CHOICES = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED = frozenset({"properties", "$defs", "definitions"})
_FORMATS = frozenset({"date", "date-time", "time", "uri", "email", "uuid"})
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


def function_names(server: str, tools: Iterable[str]) -> dict[str, str]:
    """Return a name for each tool that model servers accept: letters, digits, _ and -, at most 64.

    >>> function_names("web", ["page.read", "page_read"])
    {'page.read': 'web__page_read', 'page_read': 'web__page_read_2'}
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for tool in tools:
        base = f"{server}__{_NOT_IN_NAMES.sub('_', tool)}"[:MAX_NAME_CHARS]
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base[: MAX_NAME_CHARS - 4]}_{number}"
        taken.add(name)
        names[tool] = name
    return names


def shown_description(text: str | None, *, server: str, tool: str) -> str:
    """Return the description with its origin, free of control tokens."""
    plain = " ".join((text or "").split())
    if len(plain) > MAX_DESCRIPTION_CHARS:
        plain = plain[: MAX_DESCRIPTION_CHARS - 1] + "…"
    return neutralised(f"{plain} (tool {tool[:80]} of the server {server})".strip())


def shown_schema(schema: object) -> Mapping[str, Any]:
    """Return the schema with the keywords that are known; any object if it is too large."""
    cleaned = _cleaned(schema, 0)
    if not isinstance(cleaned, dict):
        return ANY_OBJECT
    cleaned["type"] = "object"
    if len(msgspec.json.encode(cleaned)) > MAX_SCHEMA_BYTES:
        return ANY_OBJECT
    return cleaned


def _cleaned(schema: object, depth: int) -> Any:
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return {}
    cleaned: dict[str, Any] = {}
    for key, value in list(schema.items())[:MAX_ITEMS]:
        kept = _keyword(str(key), value, depth)
        if kept is not None:
            cleaned[str(key)] = kept
    return cleaned


def _keyword(key: str, value: object, depth: int) -> Any:
    """Return what is kept of one keyword; None = it is left out."""
    if key in ("description", "title"):
        return neutralised(" ".join(value.split())[:300]) if isinstance(value, str) else None
    if key == "format":
        return value if value in _FORMATS else None
    if key in _PLAIN:
        return value if _small(value) else None
    if key in _NUMBERS:
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if key in _INNER:
        return _cleaned(value, depth + 1)
    if key in _CHOICES and isinstance(value, list):
        return [_cleaned(item, depth + 1) for item in value[:MAX_ITEMS]]
    if key in _NAMED and isinstance(value, dict):
        names = list(value.items())[:MAX_ITEMS]
        return {str(name)[:100]: _cleaned(item, depth + 1) for name, item in names}
    if key == "$ref":
        return value if isinstance(value, str) and value.startswith("#/") else None
    return None


def _small(value: object) -> bool:
    try:
        return len(msgspec.json.encode(value)) <= 2_000
    except (TypeError, RecursionError, msgspec.EncodeError):
        return False
