from __future__ import annotations

from collections.abc import Sequence

from collab_core import events as ev
from collab_core.benchmarks.world import World
from collab_core.domain import Limits, Task
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.simulator.presets import ladder, load_preset
from collab_core.simulator.truth import KnowingBackend
from collab_core.tools.base import Tool


async def _play(
    world: World, tools: Sequence[Tool], count: int
) -> list[tuple[int | None, bool | None]]:
    found: list[tuple[int | None, bool | None]] = []
    for task in world.tasks[:count]:
        backend, journal = KnowingBackend(load_preset("websailor-7b-32b").models), MemoryJournal()
        spec = RunSpec(
            task=Task(question=task.question),
            strategy="agentcollab",
            parameters={},
            ladder=ladder("websailor-7b-32b", "http://127.0.0.1:9/v1"),
            seed=3,
            limits=Limits(max_steps=20),
        )
        await execute(spec, journal, backend=backend, tools=tools)
        steps = [r.event for r in journal.records if isinstance(r.event, ev.StepFinished)]
        found += zip((step.indicator for step in steps), backend.truths, strict=True)
    return found


async def test_verdicts_differ_from_the_truth_as_often_as_was_planted(
    world: World, tools: tuple[Tool, ...]
) -> None:
    found = [(said, was) for said, was in await _play(world, tools, 60) if was is not None]
    stagnant = [said for said, was in found if not was]
    advancing = [said for said, was in found if was]
    # the preset plants 7 % and 6 %; three standard errors of some 200 each are 5 points
    assert 0.02 <= sum(said == 1 for said in stagnant) / len(stagnant) <= 0.13
    assert 0.01 <= sum(said == 0 for said in advancing) / len(advancing) <= 0.12


async def test_the_first_step_judges_nothing(world: World, tools: tuple[Tool, ...]) -> None:
    assert (await _play(world, tools, 1))[0] == (1, None)
