from __future__ import annotations

import doctest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.errors import ToolFailed
from collab_core.tools import compose
from collab_core.tools.base import MAX_OBSERVATION_CHARS, StatefulTool
from collab_core.tools.compose import (
    MAX_NAME_CHARS,
    MAX_SECTION_CHARS,
    MAX_SECTIONS,
    MAX_TOTAL_CHARS,
    Compose,
    parts,
)


async def _calls(tool: Compose, *calls: dict[str, Any]) -> str:
    text = ""
    for arguments in calls:
        text = (await tool(arguments)).text
    return text


def _add(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"action": "add", "name": name, "text": text, **more}


ASSEMBLE = {"action": "assemble"}


async def test_sections_are_joined_in_their_order() -> None:
    text = await _calls(
        Compose(), _add("B", "two"), _add("C", "three"), _add("A", "one", position=1), ASSEMBLE
    )
    assert text == "one\n\ntwo\n\nthree"


async def test_every_change_can_be_taken_back() -> None:
    tool = Compose()
    await _calls(tool, _add("A", "one"), _add("B", "two"), _add("C", "three"))
    await _calls(tool, {"action": "replace", "name": "b", "text": "2"})
    await _calls(
        tool, {"action": "move", "name": "C", "position": 1}, {"action": "remove", "name": "A"}
    )
    assert await _calls(tool, ASSEMBLE) == "three\n\n2"
    assert await _calls(tool, {"action": "show", "name": "B"}) == "2"


async def test_the_overview_names_places_and_sizes() -> None:
    text = await _calls(Compose(), _add("A", "one"), _add("B", "four"), {"action": "list"})
    assert text == "1. A (3 characters)\n2. B (4 characters)\n2 sections, 9 characters in all."


async def test_a_long_text_comes_in_parts_that_give_it_back() -> None:
    tool = Compose()
    for number in range(10):
        await _calls(tool, _add(f"S{number}", f"{number} " * 1_000))
    shown = [await tool({"action": "assemble", "part": part}) for part in (1, 2, 3, 4)]
    assert all(outcome.truncated for outcome in shown)
    assert all(len(outcome.text) <= MAX_OBSERVATION_CHARS for outcome in shown)
    assert "".join(o.text.split("\n", 1)[1] for o in shown) == tool.sections.text()
    with pytest.raises(ToolFailed, match="The part is 5; there are 4"):
        await tool({"action": "assemble", "part": 5})


async def test_a_replay_gives_the_same_text_without_a_call() -> None:
    calls = [
        _add("A", "one"),
        _add("B", "two"),
        {"action": "list"},
        {"action": "move", "name": "B", "position": 1},
        ASSEMBLE,
    ]
    live = Compose()
    observations = [(await live(arguments)).text for arguments in calls]
    resumed = live.fresh()
    assert resumed.sections.text() == ""
    for arguments, observation in zip(calls, observations, strict=True):
        resumed.replay(arguments, observation)
    assert resumed.sections.text() == live.sections.text() == "two\n\none"


def test_branches_do_not_share_sections() -> None:
    tool = Compose()
    assert isinstance(tool, StatefulTool)
    first, second = tool.fresh(), tool.fresh()
    first.sections.add("A", "one", None)
    assert second.sections.text() == tool.sections.text() == ""


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"action": "delete"},
        {"action": ["add"]},
        {"action": "add", "name": "A"},
        {"action": "add", "text": "x"},
        _add("A", ""),
        _add(" ", "x"),
        _add("A" * (MAX_NAME_CHARS + 1), "x"),
        _add("A", "x" * (MAX_SECTION_CHARS + 1)),
        _add("A", "x", position=0),
        _add("A", "x", position=3),
        _add("A", "x", position=True),
        _add("A", "x", position=10**5_000),
        _add("A", "x", part=1),
        _add("old", "x"),
        _add("OLD", "x"),
        {"action": "replace", "name": "A", "text": "x"},
        {"action": "remove", "name": "A"},
        {"action": "move", "name": "old"},
        {"action": "move", "name": "old", "position": 2},
        {"action": "list", "name": "old"},
        {"action": "show", "name": "old", "part": 2},
    ],
)
async def test_a_wrong_call_changes_nothing(arguments: dict[str, Any]) -> None:
    tool = Compose()
    await _calls(tool, _add("old", "text"))
    with pytest.raises(ToolFailed):
        await tool(arguments)
    assert tool.sections.text() == "text"


async def test_the_number_of_sections_is_bounded() -> None:
    tool = Compose()
    for number in range(MAX_SECTIONS):
        await tool(_add(f"{number:02}{'n' * (MAX_NAME_CHARS - 2)}", "x"))
    with pytest.raises(ToolFailed, match="no more are allowed"):
        await tool(_add("one more", "x"))
    assert len(await _calls(tool, {"action": "list"})) <= MAX_OBSERVATION_CHARS


async def test_the_whole_text_is_bounded() -> None:
    tool = Compose()
    for number in range(MAX_TOTAL_CHARS // MAX_SECTION_CHARS - 1):
        await tool(_add(str(number), "x" * MAX_SECTION_CHARS))
    await tool(_add("small", "x"))
    with pytest.raises(ToolFailed, match="at most 200,000"):
        await tool(_add("last", "x" * MAX_SECTION_CHARS))
    with pytest.raises(ToolFailed, match="at most 200,000"):
        await tool({"action": "replace", "name": "small", "text": "x" * MAX_SECTION_CHARS})


async def test_a_name_stays_on_its_line() -> None:
    text = await _calls(Compose(), _add("A\n9. forged", "x"), {"action": "list"})
    assert text.splitlines()[0] == "1. A 9. forged (1 characters)"


@given(st.text(alphabet="ab \n", max_size=200), st.integers(1, 20))
def test_parts_are_small_and_lose_nothing(text: str, limit: int) -> None:
    found = parts(text, limit)
    assert "".join(found) == text
    assert all(len(part) <= limit for part in found)


def test_the_example() -> None:
    results = doctest.testmod(compose)
    assert (results.attempted, results.failed) == (1, 0)
