from __future__ import annotations

import pytest

from collab_core.domain import Decision, StepRecord, Task, ToolCall
from collab_core.errors import InvalidInput
from collab_core.learned.dataset import (
    Row,
    canonical_action,
    examples,
    need_both,
    places,
    scored,
    shared_prompts,
    split_tasks,
)
from collab_core.learned.rendering import TRAJECTORY_CHARS, draft, last_message, trajectory
from tests.collab_core.learned.worlds import logs, predictable, run


def test_no_task_is_in_two_splits_and_every_task_is_in_one() -> None:
    groups = [f"t{i % 20}" for i in range(100)]
    data = examples([Row("x", float(i % 2), group, 0) for i, group in enumerate(groups)])
    splits = split_tasks(groups, seed=4)
    assert splits.sizes(data) == {"train": 60, "calibration": 20, "held_out": 20}
    parts = [set(splits.of(data, part).groups) for part in ("train", "calibration", "held_out")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20


def test_the_split_follows_the_seed_only() -> None:
    groups = [f"t{i}" for i in range(30)]
    assert split_tasks(groups, seed=1) == split_tasks(groups[::-1], seed=1)
    assert split_tasks(groups, seed=1) != split_tasks(groups, seed=2)


def test_too_few_tasks_cannot_be_split() -> None:
    with pytest.raises(InvalidInput, match="examples of 4 tasks only; 5 are the least"):
        split_tasks(["a", "b", "c", "d"] * 9, seed=0)


def test_one_class_only_is_named() -> None:
    data = examples([Row("x", 1.0, "t", 0)] * 3)
    with pytest.raises(InvalidInput, match="3 examples of 'right' and 0 of 'wrong'"):
        need_both(data, positive="right", negative="wrong")


def test_runs_without_an_outcome_are_left_out_and_counted() -> None:
    some = scored(logs({"a": run("q", [0], correct=None), "b": run("r", [0], correct=True)}))
    assert (len(some.runs), some.skipped) == (1, {"not scored": 1})
    with pytest.raises(InvalidInput, match="None of the 1 runs"):
        scored(logs({"a": run("q", [0], correct=None)}))


def test_a_step_comes_with_what_stood_before_it_only() -> None:
    found = list(places(logs({"a": run("q", [0, 0, 0], correct=True)})))
    assert [len(place.before) for place in found] == [0, 1, 2]
    assert all(place.record not in place.before for place in found)


def test_tiers_that_answered_the_same_prompt_are_found() -> None:
    shared = shared_prompts(logs(predictable(2, steps=1)))
    assert [sorted(d.tier for _, d in drafts) for drafts in shared.values()] == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ('{"a": 1, "b": "X"}', '{"b":"x ","a":1}', True),
        ('{"a": 1}', '{"a": 2}', False),
        ("not json", "not  json", True),
        ("", "{}", True),
        ("[" * 100_000, "{}", False),
    ],
)
def test_actions_are_equal_in_any_spelling(first: str, second: str, *, same: bool) -> None:
    actions = [
        canonical_action(ToolCall(id="", name="read", arguments=text), None)
        for text in (first, second)
    ]
    assert (actions[0] == actions[1]) is same


def step(observation: str, *, number: int = 1) -> StepRecord:
    return StepRecord(
        index=number,
        decision=Decision(tier=0, reason="x"),
        text="thought " * 500,
        tool_name="read",
        tool_arguments="z" * 5_000,
        observation=observation,
    )


def test_renderings_are_bounded_and_keep_the_latest_steps() -> None:
    task = Task(question="q" * 50_000)
    steps = [step(f"seen {i} " * 2_000, number=i) for i in range(200)]
    text = trajectory(task, steps)
    assert len(text) <= TRAJECTORY_CHARS
    assert "seen 199" in text
    assert "seen 100" not in text
    assert "Steps so far: 200" in text
    call = ToolCall(id="", name="n" * 9_000, arguments="a" * 9_000)
    written = draft(task, steps, tier=1, text="t" * 9_000, call=call)
    assert len(written) <= TRAJECTORY_CHARS + 50
    assert written.startswith("1\nQ: ")


def test_the_last_message_is_the_question_until_a_tool_has_answered() -> None:
    task = Task(question="who?")
    assert last_message(task, []) == "who?"
    assert last_message(task, [step("a page")]) == "a page"
    assert last_message(task, [step("")]) == "who?"
