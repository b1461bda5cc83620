"""From exported logs to the table, by two ways that share no code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from collab_core import events as ev
from collab_core.benchmarks.world import World, WorldTask
from collab_core.domain import Limits, Task
from collab_core.experiments.facts import facts_of
from collab_core.experiments.records import Trial
from collab_core.experiments.table import table
from collab_core.tools.base import Tool
from tests.collab_core.experiments.independent import figures, read_folder
from tests.collab_core.strategies.play import play, simulated_ladder

ARMS = ("large", "small", "agentcollab", "random")


async def played(arm: str, task: WorldTask, tools: Sequence[Tool], seed: int) -> list[ev.Recorded]:
    """Return a whole log, as the product keeps it: the submission comes first."""
    _, journal, _ = await play(arm, {}, task, tools, seed=seed)
    queued = ev.RunQueued(
        task=Task(question=task.question, task_id=task.id),
        strategy=arm,
        parameters={},
        ladder=simulated_ladder().snapshot(),
        seed=seed,
        limits=Limits(),
    )
    events = [queued, *(record.event for record in journal.records)]
    return [ev.Recorded(seq=n, at=0.0, event=event) for n, event in enumerate(events)]


async def test_a_table_of_exported_logs_agrees_with_plain_python(
    world: World, tools: tuple[Tool, ...], tmp_path: Path
) -> None:
    trials = []
    cells = [(arm, task, seed) for arm in ARMS for task in world.tasks[::50] for seed in (3, 4)]
    for (arm, task, seed), log in zip(
        cells, await asyncio.gather(*(played(a, t, tools, s) for a, t, s in cells)), strict=True
    ):
        file = tmp_path / arm / f"{task.id}.{seed}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"\n".join(map(ev.encode, log)))
        end, (facts, _) = log[-1].event, facts_of(log)
        assert isinstance(end, ev.RunFinished)
        trials.append(
            Trial(
                arm=arm,
                task_id=task.id,
                seed=seed,
                status="finished",
                outcome=end.outcome,
                facts=facts,
            )
        )
    made = table(trials, arms=ARMS, baseline="large")
    expected = figures(read_folder(tmp_path), baseline="large")
    assert set(expected) == set(ARMS)
    for row in made.rows:
        found = {name: row.figure(name).value for name in expected[row.arm]}
        assert found == pytest.approx(expected[row.arm]), row.arm
    assert made.simulated
