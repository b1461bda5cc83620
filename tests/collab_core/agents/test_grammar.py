from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.agents.grammar import assistant_message, one_line, read_turn
from collab_core.domain import ToolCall

CALL = ToolCall(id="1", name="search", arguments='{"query": "Halden Bridge"}')


def test_a_tool_call_wins_over_an_answer() -> None:
    turn = read_turn("<answer>x</answer>", (CALL,), step=1)
    assert (turn.call, turn.answer) == (CALL, None)


def test_only_the_first_call_counts() -> None:
    assert read_turn("", (CALL, CALL, CALL), step=1).ignored_calls == 2


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer> Paris </answer>", "Paris"),
        ("<answer>Paris", "Paris"),
        ("not <answer>Lyon</answer>, rather <answer>Paris</answer>", "Paris"),
        ("<answer></answer>", ""),
        ("Paris", None),
    ],
)
def test_answers(text: str, answer: str | None) -> None:
    assert read_turn(text, (), step=1).answer == answer


def test_a_call_left_in_the_text_is_read() -> None:
    text = 'I look. <tool_call>\n{"name": "search", "arguments": {"query": "x"}}\n</tool_call>'
    turn = read_turn(text, (), step=4)
    assert turn.call == ToolCall(id="text-4", name="search", arguments='{"query":"x"}')
    assert turn.thought == "I look."


@pytest.mark.parametrize("inner", ["{oops", "[]", '{"arguments": {}}', '{"name": 3}'])
def test_a_broken_call_in_the_text_stays_a_call(inner: str) -> None:
    turn = read_turn(f"<tool_call>{inner}</tool_call>", (), step=1)
    assert turn.call is not None
    assert turn.call.name == "malformed_tool_call"


def test_broken_arguments_do_not_poison_the_prompt() -> None:
    message = assistant_message("", ToolCall(id="1", name="read", arguments="{oops"))
    assert message["tool_calls"][0]["function"]["arguments"] == '{"malformed":"{oops"}'


def test_one_line_is_bounded() -> None:
    assert one_line(CALL) == "search: Halden Bridge"
    assert len(one_line(ToolCall(id="1", name="x", arguments="y" * 999))) == 160


def test_a_list_of_tasks_reads_as_the_tasks() -> None:
    tasks = '{"tasks": [{"task": "Who?", "goal": "x"}, {"task": "Where?"}, 3]}'
    assert one_line(ToolCall(id="1", name="ask", arguments=tasks)) == "ask: Who?, x | Where? | 3"
    deep = '{"a": ' + "[" * 60 + "]" * 60 + "}"
    assert one_line(ToolCall(id="1", name="x", arguments=deep)).startswith("x: [[")


@given(st.text(max_size=200))
def test_reading_never_raises(text: str) -> None:
    read_turn(text, (), step=1)
