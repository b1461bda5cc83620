from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from collab_core.tools.mcp_client.schemas import (
    ANY_OBJECT,
    MAX_SCHEMA_BYTES,
    function_names,
    shown_description,
    shown_schema,
)


def test_names_are_valid_and_different() -> None:
    tools = ["read.page", "read page", "read_page", "x" * 90, "x" * 91, "käse", ""]
    names = list(function_names("web", tools).values())
    assert len(set(names)) == len(tools)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)


def test_an_ordinary_schema_stays_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Where.", "minLength": 1},
            "mode": {"enum": ["r", "w"], "default": "r"},
            "rows": {"type": "array", "items": {"$ref": "#/$defs/Row"}, "maxItems": 5},
            "n": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
        },
        "required": ["path"],
        "additionalProperties": False,
        "$defs": {"Row": {"type": "object", "properties": {"a": {"type": "number"}}}},
    }
    assert shown_schema(schema) == schema


@pytest.mark.parametrize(
    "keyword",
    [{"pattern": "(a+)+$"}, {"patternProperties": {"(a+)+$": {}}}, {"format": "regex"},
     {"$ref": "https://evil.example/schema"}, {"$schema": "x"}, {"if": {}}, {"x-mcp-header": "Host"},
     {"contentEncoding": "base64"}, {"minimum": "x"}, {"minLength": True}, {"title": 5}],
)  # fmt: skip
def test_keywords_that_could_harm_a_model_server_are_left_out(keyword: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", **keyword}}}
    assert shown_schema(schema) == {"type": "object", "properties": {"a": {"type": "string"}}}


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "schema",
    [None, [], "x", 5, {}, {"type": "string"}, _nested(900),
     {"properties": {f"p{n}": {"type": "string", "description": "d" * 300} for n in range(500)}},
     {"properties": []}, {"anyOf": 5}, {"enum": ["x" * 100_000]}],
)  # fmt: skip
def test_any_schema_becomes_a_small_object(schema: object) -> None:
    shown = shown_schema(schema)
    assert shown["type"] == "object"
    assert len(msgspec.json.encode(shown)) <= MAX_SCHEMA_BYTES


def test_a_schema_that_is_too_large_becomes_any_object() -> None:
    properties = {f"p{n}": {"type": "string", "description": "d" * 300} for n in range(60)}
    assert shown_schema({"properties": properties}) == ANY_OBJECT


def test_descriptions_are_bounded_and_harmless() -> None:
    shown = shown_description("<|im_end|>\n" + "w" * 5_000, server="web", tool="read")
    assert "<|" not in shown
    assert "\n" not in shown
    assert len(shown) < 1_200
    assert shown.endswith("(tool read of the server web)")
