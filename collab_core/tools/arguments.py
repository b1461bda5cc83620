"""Arguments as a model wrote them, checked with messages that tell it how to call right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from collab_core.errors import ToolFailed

MAX_DEPTH = 64
"""Of arguments: the same everywhere, where a parser's own limit hangs on who calls it."""


def json_object(text: str) -> dict[str, Any]:
    """Return a call's arguments; "" is an empty object.

    Raises:
        msgspec.DecodeError: they are no JSON object, or nested deeper than ``MAX_DEPTH``.

    >>> json_object('{"query": "bells"}'), json_object("")
    ({'query': 'bells'}, {})
    """
    try:
        value = msgspec.json.decode(text or "{}", type=dict[str, Any])
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner = (part for one in level for part in (one.values() if type(one) is dict else one))
        level = [part for part in inner if isinstance(part, dict | list)]
        if not level:
            return value
    raise msgspec.DecodeError("nested too deeply")


def text_argument(
    arguments: Mapping[str, Any], name: str, *, usage: str, max_chars: int = 1_000
) -> str:
    """Return a non-empty text argument, stripped.

    Raises:
        ToolFailed: it is missing, no text, empty or over ``max_chars``; ``usage`` shows a right call.
    """
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ToolFailed(f'The argument "{name}" must be a non-empty text. Call it like {usage}.')
    if len(value) > max_chars:
        raise ToolFailed(
            f'The argument "{name}" has {len(value)} characters; at most {max_chars} are allowed. '
            f"Call it like {usage}."
        )
    return value.strip()


def only_arguments(arguments: Mapping[str, Any], allowed: tuple[str, ...], *, usage: str) -> None:
    """Check that there is no other argument.

    Raises:
        ToolFailed: the arguments are no object, or hold an unknown name.
    """
    if not isinstance(arguments, Mapping):
        raise ToolFailed(f"The arguments must be a JSON object. Call it like {usage}.")
    unknown = [str(name)[:40] for name in arguments if name not in allowed]
    if unknown:
        raise ToolFailed(f"Unknown argument {unknown[0]!r}. Call it like {usage}.")


def part_argument(value: object, *, usage: str) -> int:
    """Return the number of a part, also when a model wrote it as text.

    Raises:
        ToolFailed: it is no whole number from 1.
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 9:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ToolFailed(
            f'The argument "part" must be a whole number from 1. Call it like {usage}.'
        )
    return value
