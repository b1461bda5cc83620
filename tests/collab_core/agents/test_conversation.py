"""What a tier that takes over is sent, written out by hand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from collab_core.agents.conversation import Conversation, HandOver

HEAD = [{"role": "system", "content": "Be careful."}, {"role": "user", "content": "Who?"}]


def turn(number: int) -> list[dict[str, Any]]:
    function = {"name": "search", "arguments": f'{{"query": "q{number}"}}'}
    call = {"id": f"c{number}", "type": "function", "function": function}
    return [
        {"role": "assistant", "content": f"Thought\n{number}.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": f"Found {number}."},
    ]


def after(turns: int, mode: HandOver) -> Conversation:
    conversation = Conversation(HEAD, mode)
    for number in range(1, turns + 1):
        for message in turn(number):
            conversation.append(message)
    return conversation


def sent(conversation: Conversation) -> list[Any]:
    return list(conversation.current.messages)


def test_full_hands_over_every_message() -> None:
    conversation = after(3, "full")
    assert not conversation.hand_over(up=True)
    assert sent(conversation) == [*HEAD, *turn(1), *turn(2), *turn(3)]


def test_restart_hands_over_the_task_alone_and_grows_from_there() -> None:
    conversation = after(3, "restart")
    assert conversation.hand_over(up=True)
    assert sent(conversation) == HEAD
    conversation.append(turn(4)[0])
    assert sent(conversation) == [*HEAD, turn(4)[0]]


def test_compacted_shortens_all_but_the_last_two_steps() -> None:
    conversation = after(4, "compacted")
    conversation.hand_over(up=True)
    system, task, *rest = sent(conversation)
    assert system == HEAD[0]
    assert rest == [*turn(3), *turn(4)]
    assert task == {
        "role": "user",
        "content": "Who?\n\n"
        "Another agent has worked on this task. Its earlier steps, shortened:\n\n"
        'Agent: Thought 1. -> search {"query": "q1"}\n'
        "Result: Found 1.\n"
        'Agent: Thought 2. -> search {"query": "q2"}\n'
        "Result: Found 2.\n\n"
        "Its latest steps follow in full. Go on from there.",
    }


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_there_is_nothing_to_compact_in_two_steps(turns: int) -> None:
    conversation = after(turns, "compacted")
    conversation.hand_over(up=True)
    assert sent(conversation) == list(after(turns, "full").current.messages)


def test_a_long_message_is_cut_to_its_beginning() -> None:
    conversation = Conversation(HEAD, "compacted")
    for message in [{"role": "assistant", "content": "x" * 900}, *turn(2), *turn(3)]:
        conversation.append(message)
    conversation.hand_over(up=True)
    assert f"Agent: {'x' * 300}\n" in sent(conversation)[1]["content"]


@pytest.mark.parametrize("mode", ["compacted", "restart"])
def test_the_lower_tier_gets_everything_back(mode: HandOver) -> None:
    conversation = after(3, mode)
    conversation.hand_over(up=True)
    conversation.append(turn(4)[0])
    assert conversation.hand_over(up=False)
    assert sent(conversation) == [*HEAD, *turn(1), *turn(2), *turn(3), turn(4)[0]]


@pytest.mark.parametrize("mode", ["compacted", "restart"])
def test_roles_never_repeat_but_for_tools(mode: HandOver) -> None:
    conversation = after(5, mode)
    conversation.hand_over(up=True)
    roles = [message["role"] for message in sent(conversation)]
    assert all(a != b for a, b in itertools.pairwise(roles))
