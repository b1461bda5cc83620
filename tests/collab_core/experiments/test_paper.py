from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from collab_core import cli
from collab_core.benchmarks.world import generate
from collab_core.errors import InvalidInput
from collab_core.experiments.local import SHIPPED_SEED
from collab_core.experiments.paper import (
    DDV2,
    TRAINING_WORLDS,
    VARIANTS,
    Goal,
    Reproduction,
    Size,
    compare,
    evaluation,
)
from collab_core.experiments.paper_report import markdown
from collab_core.experiments.table import Measured, Row, Table


def row(arm: str, accuracy: float | None, speedup: float | None) -> Row:
    figures = {"accuracy": Measured(value=accuracy), "speedup": Measured(value=speedup)}
    return Row(arm=arm, figures=figures)


def test_a_row_is_near_within_three_points_and_015x() -> None:
    rows = (
        row("Small", 0.213, 1.69),
        row("Large", 0.383, 1.0),
        row("Random", 0.20, 9.0),
        row("AgentCollab", 0.339, 1.55),
        row("RouteLLM", None, None),
        row("Other", 0.5, 1.0),
    )
    found = {miss.arm: miss for miss in compare(Table(rows=rows), DDV2)}
    assert found["Small"].accuracy_points == pytest.approx(3.0)
    assert found["Small"].within
    assert found["Large"].accuracy_points == pytest.approx(3.7)
    assert not found["Large"].within
    # its speedup is not published, so only the accuracy counts
    assert found["Random"].speedup is None
    assert found["Random"].within
    assert found["AgentCollab"].speedup == pytest.approx(0.19)
    assert not found["AgentCollab"].within
    assert found["RouteLLM"].accuracy_points is None
    assert found["Other"].accuracy_points is None
    assert found["Other"].within is None


def test_routers_never_see_a_task_of_the_evaluation() -> None:
    evaluated = {task.question for task in generate(seed=SHIPPED_SEED).tasks}
    for world in TRAINING_WORLDS:
        seed = int(world.removeprefix("world-"))
        assert not evaluated & {task.question for task in generate(seed=seed).tasks}


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_variant_is_the_shipped_definition_on_its_agent_and_models(name: str) -> None:
    variant = VARIANTS[name]
    definition = evaluation(variant, Size(tasks=5, seeds=2))
    assert definition.seeds == (0, 1)
    assert definition.tasks.count == 5
    assert {arm.ladder for arm in definition.arms} == {variant.ladder}
    assert {arm.parameters["agent"] for arm in definition.arms} == {variant.agent}
    assert set(variant.published) <= {arm.label for arm in definition.arms}


def test_no_task_is_an_error() -> None:
    with pytest.raises(InvalidInput):
        evaluation(VARIANTS["ddv2"], Size(tasks=0))


def test_two_tasks_from_boundary_runs_to_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["experiment", "paper-table-1", "--out", str(tmp_path / "out")]
    command += ["--tasks", "2", "--seeds", "1", "--training-tasks", "12"]
    assert cli.main([*command, "--json", str(tmp_path / "first.json")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("(simulated)") == 1
    assert cli.main([*command, "--json", str(tmp_path / "again.json")]) == 0
    (first,) = msgspec.json.decode((tmp_path / "first.json").read_bytes(), type=list[Reproduction])
    (again,) = msgspec.json.decode((tmp_path / "again.json").read_bytes(), type=list[Reproduction])
    assert first.table == again.table
    assert first.routers == again.routers
    assert {found.arm for found in first.table.rows} == set(DDV2)
    assert first.simulated
    assert all(found.finished == 2 for found in first.table.rows)
    assert first.boundary_runs == 48
    assert {router.stand_in for router in first.routers} == {True}
    assert first.boundary_usd is not None
    assert first.boundary_usd > 0


def test_the_report_names_every_miss_and_says_simulated() -> None:
    made = Table(rows=(row("Small", 0.183, 1.54), row("Large", 0.30, 1.0)), tasks=9, seeds=1)
    text = markdown(
        Reproduction(
            variant="v",
            agent="react",
            ladder="l",
            made="2026-01-01",
            version="0",
            tasks=9,
            seeds=1,
            simulated=True,
            table=made,
            published={"Small": Goal(accuracy=18.3, speedup=1.54), "Large": Goal(accuracy=34.6)},
            compared=tuple(compare(made, DDV2)),
            routers=(),
            boundary_runs=0,
            boundary_s=0.0,
            boundary_usd=None,
            wall_s=1.0,
        )
    )
    assert "All models are simulated" in text
    assert "| Small | 18.3 | 18.3 | +0.0 | 1.54x | 1.54x | +0.00 |  |  | met |" in text
    assert "published row: Large. These are misses" in text
