"""From explored runs, or live ones, to weights that the strategies then run with."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from collab_core import events as ev
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.benchmarks.world import World, WorldTask
from collab_core.domain import Limits
from collab_core.errors import InvalidInput
from collab_core.learned import masrouter_log, oi_mas_log
from collab_core.learned.encoders import HashedEncoder
from collab_core.learned.explored import Unusable
from collab_core.learned.live import LiveSettings, MasRouterLadder, OIMasLadder
from collab_core.learned.logs import LoggedRun, Logs, collect, read_run
from collab_core.learned.oi_mas import ROLES, Rules
from collab_core.learned.oi_mas_trainer import TRAINER as OI_MAS
from collab_core.learned.store import read_manifest
from collab_core.learned.trainer import Source
from collab_core.learned.training import train
from collab_core.strategies.base import Resources
from collab_core.tools.base import Tool
from tests.collab_core.strategies.conftest import tools, world
from tests.collab_core.strategies.play import InProcess, play, simulated_ladder

__all__ = ["tools", "world"]

STEPS = 6


async def explored_run(
    strategy: str, task: WorldTask, tools: Sequence[Tool], *, seed: int, **more: Any
) -> tuple[str, list[ev.Recorded]]:
    parameters = {"explore": True, "tool_steps": 3, **more}
    _, journal, _ = await play(strategy, parameters, task, tools, seed=seed, max_steps=STEPS)
    queued = ev.RunQueued(
        task=replace_task(task),
        strategy=strategy,
        parameters=parameters,
        ladder=simulated_ladder().snapshot(),
        seed=seed,
        limits=Limits(),
        simulated=True,
    )
    events = [queued, *(record.event for record in journal.records)]
    return f"{task.id}-{seed}", [
        ev.Recorded(seq=n, at=0.0, event=event) for n, event in enumerate(events)
    ]


def replace_task(task: WorldTask) -> Any:
    from collab_core.domain import Task

    return Task(question=task.question, task_id=task.id)


async def logs_of(strategy: str, world: World, tools: Sequence[Tool], **more: Any) -> Logs:
    runs = [
        await explored_run(strategy, task, tools, seed=seed, **more)
        for task in world.tasks[:8]
        for seed in (0, 1)
    ]
    return collect(runs, source="test")


def digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


async def logged(strategy: str, world: World, tools: Sequence[Tool], seed: int) -> LoggedRun:
    run = read_run("r", (await explored_run(strategy, world.tasks[0], tools, seed=seed))[1])
    assert isinstance(run, LoggedRun)
    return run


@pytest.mark.parametrize("seed", [0, 1, 2])
async def test_a_run_of_oi_mas_is_read_back_exactly(
    world: World, tools: Sequence[Tool], seed: int
) -> None:
    run = await logged("oi-mas", world, tools, seed)
    episode = oi_mas_log.read_episode(run, Rules())
    scored = [e for e in run.events if isinstance(e, ev.ScorerReturned)]
    # what the conductor read is rebuilt to the byte: the log keeps its digest
    read = [
        digest(
            episode.question,
            turn.context,
            " ".join(ROLES[role].name for role in sorted(turn.blocked)),
        )
        for turn in episode.turns
    ]
    assert read == [e.request_digest for e in scored]
    assert episode.cost_usd == pytest.approx(run.cost_usd)
    assert episode.reward == float(run.correct or False)
    assert all(turn.drawn_with is not None and turn.drawn_with < 0 for turn in episode.turns)


@pytest.mark.parametrize("seed", [0, 1, 2])
async def test_a_run_of_masrouter_is_read_back_exactly(
    world: World, tools: Sequence[Tool], seed: int
) -> None:
    run = await logged("masrouter", world, tools, seed)
    episode = masrouter_log.read_episode(run)
    scored = [e for e in run.events if isinstance(e, ev.ScorerReturned)]
    assert len(scored) == 1 + len(episode.team.seats)
    assert episode.cost_usd == run.cost_usd
    assert episode.drawn_with is not None
    assert episode.drawn_with < 0


def with_event(run: LoggedRun, kind: type[Any], **fields: Any) -> LoggedRun:
    """The run with the first event of this kind changed."""
    events = list(run.events)
    at = next(n for n, event in enumerate(events) if isinstance(event, kind))
    events[at] = replace(events[at], **fields)
    return LoggedRun(**{**vars(run), "events": tuple(events)})


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        (ev.ScorerReturned, {"values": (0.5,)}, "does not fit"),
        (ev.ScorerReturned, {"values": (0.0,) * 25}, "does not fit"),
        (ev.ToolReturned, {"arguments": "{", "delegated": True, "scope": ""}, "does not fit"),
        (ev.ModelReplied, {"cost_usd": None}, "without prices"),
        (ev.StepStarted, {"reason": "routed"}, "without explore"),
        (ev.RunQueued, {"parameters": {"model_router": False}}, "another model_router"),
    ],
)
async def test_a_run_that_does_not_fit_is_left_out_and_said_why(
    world: World, tools: Sequence[Tool], kind: type[Any], fields: dict[str, Any], why: str
) -> None:
    run = with_event(await logged("oi-mas", world, tools, 0), kind, **fields)
    with pytest.raises(Unusable, match=why):
        oi_mas_log.read_episode(run, Rules())


@pytest.mark.parametrize("kind", ["oi-mas", "masrouter"])
async def test_explored_runs_become_weights_that_the_strategy_runs_with(
    world: World, tools: Sequence[Tool], tmp_path: Path, kind: str
) -> None:
    source = Source.of_logs(await logs_of(kind, world, tools))
    seen: list[float] = []
    manifest = train(
        kind,
        source,
        tmp_path / "w",
        {"steps": 3, "batch": 4},
        encoder="hashed",
        progress=lambda fraction, text: seen.append(fraction),
    )
    assert seen == sorted(seen)
    assert manifest.trained_on.splits["held_out"] > 0
    assert {"logged_accuracy", "estimated_accuracy", "effective_runs", "mean_penalty"} <= set(
        manifest.report
    )
    assert any("stand-in" in note for note in manifest.notes)
    end, journal, _ = await play(
        kind,
        {"weights": "w", "tool_steps": 2},
        world.tasks[0],
        tools,
        resources=Resources(folder=tmp_path),
        max_steps=STEPS,
    )
    assert isinstance(end, ev.RunFinished)
    scorers = {e.event.scorer for e in journal.records if isinstance(e.event, ev.ScorerReturned)}
    assert scorers == {"w"}


async def test_weights_of_another_kind_or_ladder_are_refused(
    world: World, tools: Sequence[Tool], tmp_path: Path
) -> None:
    source = Source.of_logs(await logs_of("masrouter", world, tools))
    train("masrouter", source, tmp_path / "w", {"steps": 1}, encoder="hashed")
    end, _, _ = await play(
        "oi-mas", {"weights": "w"}, world.tasks[0], tools, resources=Resources(folder=tmp_path)
    )
    assert isinstance(end, ev.RunFailed)
    assert "'oi-mas' is needed" in end.message


async def test_provenance_names_only_the_runs_that_were_learned_from(
    world: World, tools: Sequence[Tool], tmp_path: Path
) -> None:
    used = await logs_of("oi-mas", world, tools)
    idle = await explored_run("oi-mas", world.tasks[0], tools, seed=9, explore=False)
    logs = dataclasses.replace(used, runs=(*used.runs, read_run("idle", idle[1])))
    options = {"steps": 2, "batch": 4}
    manifest = train("oi-mas", Source.of_logs(logs), tmp_path / "w", options, encoder="hashed")
    assert manifest.trained_on.runs == 16
    assert set(manifest.trained_on.run_ids) == {run.run_id for run in used.runs}
    assert any(note.startswith("Left out: 1 ") for note in manifest.notes)


async def test_runs_without_explore_teach_nothing(world: World, tools: Sequence[Tool]) -> None:
    logs = await logs_of("oi-mas", world, tools, explore=False)
    with pytest.raises(InvalidInput, match="16 runs without explore"):
        train("oi-mas", Source.of_logs(logs), Path("unused"), {}, encoder="hashed")


def live(world: World, tools: Sequence[Tool]) -> LiveSettings:
    return LiveSettings(
        tasks=[
            BenchmarkTask(id=t.id, question=t.question, answers=t.answers) for t in world.tasks[:6]
        ],
        ladder=simulated_ladder(),
        backend=InProcess,
        tools=tools,
        limits=Limits(max_steps=STEPS),
        encoder=HashedEncoder(),
    )


@pytest.mark.parametrize(
    ("kind", "ladder"), [("oi-mas", OIMasLadder), ("masrouter", MasRouterLadder)]
)
def test_a_method_is_trained_live_on_a_ladder(
    world: World, tools: Sequence[Tool], tmp_path: Path, kind: str, ladder: Any
) -> None:
    with ladder(live(world, tools)) as playing:
        manifest = train(
            kind, playing.source(), tmp_path / "w", {"steps": 2, "batch": 3}, encoder="hashed"
        )
    assert manifest.trained_on.source == f"live runs of {kind} on 6 tasks"
    assert manifest.trained_on.simulated
    assert manifest.report["accuracy"].n == 1
    assert read_manifest(tmp_path / "w").kind == kind


def test_a_cost_term_out_of_proportion_is_pointed_out(
    world: World, tools: Sequence[Tool], tmp_path: Path
) -> None:
    with OIMasLadder(live(world, tools)) as playing:
        options = {"steps": 1, "batch": 2, "cost_weight": 1e6}
        manifest = train("oi-mas", playing.source(), tmp_path / "w", options, encoder="hashed")
    assert any("rescale cost_weight" in note for note in manifest.notes)


def test_the_trainer_needs_no_autograd_until_it_trains() -> None:
    import subprocess
    import sys

    code = (
        "import sys, collab_core.learned.training, collab_core.strategies.registry;"
        "sys.exit('autograd' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert OI_MAS.kind == "oi-mas"
