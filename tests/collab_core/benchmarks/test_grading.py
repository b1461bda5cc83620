from __future__ import annotations

import msgspec
import pytest

from collab_core.benchmarks import grading, registry
from collab_core.benchmarks.grades import shown
from collab_core.benchmarks.grading import INLINE, grade, grade_inline, verdict_key
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.errors import InvalidInput

TASK = BenchmarkTask(id="t", question="q", answers=("7",), scorer="number")


def test_every_benchmark_has_a_grader() -> None:
    for name, benchmark in registry.BENCHMARKS.items():
        assert benchmark.name == name
        assert grading.find(benchmark.scorer)


def test_inline_graders_are_those_that_do_not_come_later() -> None:
    assert {"exact", "number", "letter"} == INLINE
    assert {name for name, scorer in grading.SCORERS.items() if scorer.later is None} == INLINE


async def test_a_task_names_its_grader() -> None:
    found = await grade(TASK, "It is 7.0")
    assert (found.outcome, found.grader, found.extracted) == ("correct", "number/1", "7.0")
    assert (await grade(msgspec.structs.replace(TASK, scorer="exact"), "7.0")).grader == "exact/1"
    with pytest.raises(InvalidInput, match="no grader 'magic'"):
        await grade(msgspec.structs.replace(TASK, scorer="magic"), "7")


@pytest.mark.parametrize("scorer", sorted(INLINE))
def test_without_a_gold_answer_nothing_is_right_or_wrong(scorer: str) -> None:
    assert grade_inline(scorer, "7", ()).outcome == "unscored"


def test_graders_that_come_later_are_refused_inline() -> None:
    with pytest.raises(InvalidInput, match="comes after the run"):
        grade_inline("judge", "7", ("7",))


def test_a_key_names_all_that_a_verdict_follows_from(monkeypatch: pytest.MonkeyPatch) -> None:
    task = msgspec.structs.replace(TASK, scorer="judge")
    key = verdict_key(task, "7", model="m")
    assert key == verdict_key(task, "7", model="m")
    assert len(key) == 64
    others = {
        verdict_key(task, "8", model="m"),
        verdict_key(task, "7\ud800", model="m"),
        verdict_key(task, "7", model="n"),
        *(
            verdict_key(msgspec.structs.replace(task, **change), "7", model="m")
            for change in (
                {"question": "p"},
                {"answers": ("7", "8")},
                {"reference": {"question": "p"}},
                {"scorer": "critic"},
            )
        ),
    }
    monkeypatch.setattr(grading, "prompt", lambda name: f"another {name}")
    others.add(verdict_key(task, "7", model="m"))
    assert len(others | {key}) == 9


def test_a_key_does_not_hang_on_the_order_of_a_reference_or_on_an_idle_model() -> None:
    one = msgspec.structs.replace(TASK, scorer="tests", reference={"a": 1, "b": 2})
    other = msgspec.structs.replace(TASK, scorer="tests", reference={"b": 2, "a": 1})
    assert verdict_key(one, "x") == verdict_key(other, "x", model="m")


def test_a_grade_shows_only_what_every_database_takes() -> None:
    assert shown(" a\x00b\ud800c\x1b[31m\n" + "x" * 3_000)[:12] == "a b?c [31m\nx"
    assert len(shown("x" * 3_000)) == 2_000
