"""Structured output: make a reply obey a regex, a choice or a JSON schema."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any

import rstr

from collab_core.errors import InvalidInput
from collab_core.simulator.mind import Thought

MAX_PATTERN_CHARS = 4_000
_TRIES = 50
_MAX_DEPTH = 12


def constraint(body: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the kind (regex, choice, json) and its value; None if the reply is free.

    The dead names ``guided_*`` are ignored, as vLLM ignores them since 0.12.

    Raises:
        InvalidInput: the request asks for something that no server could obey.
    """
    wanted = body.get("structured_outputs")
    if isinstance(wanted, Mapping):
        for kind in ("regex", "choice", "json"):
            if wanted.get(kind) is not None:
                return _checked(kind, wanted[kind])
        if wanted.get("json_object"):
            return "json", {"type": "object"}
        if wanted:
            raise InvalidInput(f"structured_outputs: {next(iter(wanted))!r} is not simulated.")
    form = body.get("response_format")
    if isinstance(form, Mapping):
        if form.get("type") == "json_object":
            return "json", {"type": "object"}
        if form.get("type") == "json_schema":
            return _checked("json", (form.get("json_schema") or {}).get("schema"))
    return None


def _checked(kind: str, value: Any) -> tuple[str, Any]:
    if kind == "regex":
        _compiled(value)
    elif kind == "choice":
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise InvalidInput("structured_outputs.choice must be a list of strings.")
    else:
        value = _schema(value)
    return kind, value


def _compiled(value: Any) -> re.Pattern[str]:
    if not isinstance(value, str) or len(value) > MAX_PATTERN_CHARS:
        raise InvalidInput("structured_outputs.regex must be a short text.")
    try:
        return re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidInput(f"Failed to compile the regex: {error}.") from error


def _schema(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InvalidInput(f"The JSON schema is not JSON: {error}.") from error
    if not isinstance(value, Mapping):
        raise InvalidInput("The JSON schema must be an object.")
    return value


def obey(kind: str, value: Any, thought: Thought) -> str:
    """Return a text of the wanted form that says what the thought says, as far as it can.

    Raises:
        InvalidInput: no text of this form was found.
    """
    rng = random.Random(f"{thought.randomness}|structured")
    if kind == "choice":
        return str(rng.choice(value))
    if kind == "json":
        return json.dumps(_instance(value, thought, rng, "", 0), ensure_ascii=False)
    return _matching(_compiled(value), thought, rng)


def _matching(pattern: re.Pattern[str], thought: Thought, rng: random.Random) -> str:
    start, end = thought.text.find("<progress>"), thought.text.find("</progress>")
    block = thought.text[start : end + len("</progress>")] if 0 <= start < end else ""
    indicator = "1" if thought.reported else "0"
    made = f"<progress><rationale>{thought.rationale}</rationale><indicator>{indicator}</indicator></progress>"
    for candidate in (thought.text, block, made, thought.rationale, indicator):
        if pattern.fullmatch(candidate):
            return candidate
    generator = rstr.Rstr(rng)
    for _ in range(_TRIES):
        candidate = generator.xeger(pattern.pattern)
        if pattern.fullmatch(candidate):
            return candidate
    raise InvalidInput("No text that matches the regex was found.")


def _instance(
    schema: Mapping[str, Any], thought: Thought, rng: random.Random, name: str, depth: int
) -> Any:
    """Return a small instance of a JSON schema (type, enum, const, properties, items, bounds)."""
    if depth > _MAX_DEPTH:
        raise InvalidInput(f"The JSON schema is nested deeper than {_MAX_DEPTH} levels.")
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        choices = list(schema["enum"])
        verdict = int(thought.reported)
        return verdict if name == "indicator" and verdict in choices else rng.choice(choices)
    branch = next((schema[key][0] for key in ("anyOf", "oneOf", "allOf") if schema.get(key)), None)
    if branch is not None:
        return _instance(branch, thought, rng, name, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema or not name else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        return {k: _instance(v, thought, rng, k, depth + 1) for k, v in properties.items()}
    if kind == "array":
        items = schema.get("items") or {"type": "string"}
        size = max(int(schema.get("minItems", 1)), 0)
        return [_instance(items, thought, rng, name, depth + 1) for _ in range(min(size, 100))]
    return _scalar(kind, schema, thought, name)


def _scalar(kind: str, schema: Mapping[str, Any], thought: Thought, name: str) -> Any:
    if kind == "boolean":
        return thought.reported
    if kind in ("integer", "number"):
        low = schema.get("minimum", 0)
        high = schema.get("maximum", max(low, 1))
        return high if thought.reported else low
    if kind == "null":
        return None
    if schema.get("pattern"):
        rng = random.Random(f"{thought.randomness}|{name}")
        return _matching(_compiled(schema["pattern"]), thought, rng)
    text = thought.rationale if name == "rationale" else thought.text
    text = text.ljust(int(schema.get("minLength", 0)), ".")
    return text[: int(schema.get("maxLength", 2_000))]
