from __future__ import annotations

from pathlib import Path

import pytest

from collab_core.backends.base import ModelReply
from collab_core.backends.scripted import ScriptedBackend
from collab_core.benchmarks.graders.base import Means
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.domain import Tier
from collab_core.experiments.late_grades import LateGrader, grade_file, read_grade
from collab_core.tools.sandbox.language import language

TIER = Tier(name="judge", model="m", base_url="http://127.0.0.1:9/v1")
CHEAP = {"boxed": "\\boxed{4}", "tests": "```python\nx = 4\n```", "judge": "4"}


def task(scorer: str) -> BenchmarkTask:
    reference = {"tests": ["assert x == 4"]}
    return BenchmarkTask(id="t", question="q", answers=("4",), scorer=scorer, reference=reference)


async def test_mathematics_needs_no_judge(tmp_path: Path) -> None:
    log = tmp_path / "t.0.jsonl"
    await LateGrader(Means())(task("boxed"), CHEAP["boxed"], log)
    found = read_grade(log)
    assert found is not None
    assert found.outcome == "correct"


@pytest.mark.parametrize(
    ("scorer", "means"),
    [
        ("judge", Means()),
        ("judge", Means(backend=ScriptedBackend([]))),
        ("tests", Means(backend=ScriptedBackend([]), tier=TIER)),
        ("tests", Means(sandbox=language())),
        ("exact", Means()),
    ],
)
async def test_what_nobody_can_grade_now_stays_for_later(
    tmp_path: Path, scorer: str, means: Means
) -> None:
    log = tmp_path / "t.0.jsonl"
    await LateGrader(means)(task(scorer), CHEAP.get(scorer, "4"), log)
    assert read_grade(log) is None
    assert not grade_file(log).exists()


async def test_a_judge_that_wrote_nonsense_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "t.0.jsonl"
    backend = ScriptedBackend([ModelReply(text="What?")])
    grader = LateGrader(Means(backend=backend, tier=TIER))
    await grader(task("judge"), "4", log)
    # not asked again: the script has no second reply
    await grader(task("judge"), "4", log)
    found = read_grade(log)
    assert found is not None
    assert (found.outcome, found.parsed) == ("unscored", False)
