from __future__ import annotations

import json
import re
from typing import Any

import pytest

from collab_core.errors import InvalidInput
from collab_core.progress import BLOCK_REGEX, parse_block
from collab_core.simulator.mind import Thought
from collab_core.simulator.structured import constraint, obey

BLOCK = "<progress><rationale>as before</rationale><indicator>0</indicator></progress>"
THOUGHT = Thought(text=f"I think.\n{BLOCK}", reported=False, rationale="as before", randomness="r")


def reply(**wanted: Any) -> str:
    found = constraint({"structured_outputs": wanted})
    assert found is not None
    return obey(*found, THOUGHT)


def test_the_block_is_its_own_verdict() -> None:
    assert reply(regex=BLOCK_REGEX) == BLOCK
    assert parse_block(reply(regex=BLOCK_REGEX)).indicator == 0


@pytest.mark.parametrize("pattern", [r"\d{3}-[a-f]{2}", "(yes|no)!", "x*", r"[01]"])
def test_any_regex_is_obeyed(pattern: str) -> None:
    assert re.fullmatch(pattern, reply(regex=pattern))


def test_a_choice_is_one_of_them() -> None:
    assert reply(choice=["left", "right"]) in ("left", "right")


def test_a_schema_is_obeyed() -> None:
    schema = {
        "type": "object",
        "properties": {
            "rationale": {"type": "string", "maxLength": 5},
            "indicator": {"enum": [0, 1]},
            "sure": {"type": "boolean"},
            "marks": {"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2},
            "code": {"type": "string", "pattern": "[a-z]{4}"},
            "none": {"type": "null"},
            "any": {"anyOf": [{"type": "number", "maximum": 7}]},
        },
    }
    made = json.loads(reply(json=schema))
    assert (made["rationale"], made["indicator"], made["sure"]) == ("as be", 0, False)
    assert made["marks"] == [3, 3]
    assert re.fullmatch("[a-z]{4}", made["code"])
    assert set(made) == set(schema["properties"])  # type: ignore[arg-type]


def test_response_format_is_understood() -> None:
    schema = {"type": "object", "properties": {"indicator": {"enum": [0, 1]}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    found = constraint({"response_format": form})
    assert found is not None
    assert json.loads(obey(*found, THOUGHT)) == {"indicator": 0}
    assert constraint({"response_format": {"type": "text"}}) is None


def test_dead_names_are_ignored() -> None:
    assert constraint({"guided_regex": "x", "guided_json": {}}) is None


@pytest.mark.parametrize(
    "wanted",
    [
        {"regex": "("},
        {"regex": 5},
        {"regex": "x" * 5_000},
        {"choice": []},
        {"choice": "x"},
        {"json": "{"},
        {"json": 3},
        {"grammar": "root ::= x"},
        {"regex": "(?!x)x"},
    ],
)
def test_what_cannot_be_obeyed_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        reply(**wanted)
