from __future__ import annotations

from typing import Any

import pytest

from collab_core.errors import InvalidInput
from collab_core.experiments.definition import MAX_SEED, build, parse


def values(**changes: Any) -> dict[str, Any]:
    arm: dict[str, Any] = {"label": "a", "strategy": "large", "ladder": "l"}
    arm |= changes.pop("arm", {})
    return {"name": "n", "tasks": {"name": "t"}, "arms": [arm]} | changes


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "two\nlines"}, "name"),
        ({"name": "   "}, "name"),
        ({"arm": {"label": "turned \u202e round"}}, "arms.0.label"),
        ({"seeds": [MAX_SEED + 1]}, "seeds.0"),
        ({"seeds": [-1]}, "seeds.0"),
        ({"description": "\x00"}, "definition"),
        ({"arm": {"parameters": {"deep": [{"x": "\\\x00"}]}}}, "definition"),
        ({"arm": {"parameters": {"x": "\ud800"}}}, "definition"),
        ({"arm": {"parameters": {"x": float("nan")}}}, "definition"),
    ],
)
def test_what_no_database_keeps_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(values(**changes))
    assert caught.value.field == field


def test_a_text_that_only_looks_like_an_escape_is_kept() -> None:
    made = build(values(description=r"write \u0000 as it stands", seeds=[MAX_SEED]))
    assert parse(made.model_dump_json()) == made
