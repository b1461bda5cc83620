"""What steps there are to label: every finished step of some runs whose verdict can be judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from collab_core.events import RunQueued, StepFinished, decode_body
from webapp.runs.models import Run, RunEvent

MAX_RUNS = 50_000
RUNS_A_QUERY = 200


class Candidate(NamedTuple):
    """A step that could be drawn, with the facts an item keeps of it."""

    run_id: int
    run_uuid: UUID
    run_ref: str
    step: int
    scope: str
    verdict: int | None
    check_status: str
    tier: int
    tier_name: str
    model: str
    strategy: str
    ladder: str
    task_id: str
    collection: str
    step_position: int
    prompt_version: str
    simulated: bool


def candidates(run_ids: Sequence[int]) -> Iterator[Candidate]:
    """Yield every finished step with a usable verdict of these runs, run by run in order.

    Steps that a fork shares with its parent are the parent's: none is there twice.
    """
    for chunk in _chunks(run_ids):
        runs = Run.objects.filter(pk__in=chunk).select_related("collection")
        known = {run.pk: run for run in runs.order_by("pk")}
        versions = _prompt_versions(list(known))
        steps = _steps(list(known))
        for pk, run in known.items():
            yield from _of_run(run, versions.get(pk, ""), steps.get(pk, []))


def facts(run: Run, steps: Iterable[int]) -> dict[int, Candidate]:
    """Return certain steps of one run, whatever their verdict; unknown steps are missing."""
    wanted = set(steps)
    events = _steps([run.pk]).get(run.pk, [])
    found = _of_run(run, _prompt_versions([run.pk]).get(run.pk, ""), events, every=True)
    return {one.step: one for one in found if one.step in wanted}


def _chunks(run_ids: Sequence[int]) -> Iterator[list[int]]:
    ordered = sorted(set(run_ids))
    for start in range(0, len(ordered), RUNS_A_QUERY):
        yield ordered[start : start + RUNS_A_QUERY]


def _prompt_versions(run_ids: list[int]) -> dict[int, str]:
    """The prompts are files of the code, so its version is theirs."""
    found = {}
    queued = RunEvent.objects.filter(run_id__in=run_ids, type="run.queued", seq=0)
    for run_id, body in queued.values_list("run_id", "body"):
        event = decode_body(body)
        assert isinstance(event, RunQueued)
        found[run_id] = event.code_version
    return found


def _steps(run_ids: list[int]) -> dict[int, list[StepFinished]]:
    found: dict[int, list[StepFinished]] = {}
    rows = RunEvent.objects.filter(run_id__in=run_ids, type="step.finished")
    for run_id, body in rows.order_by("run_id", "seq").values_list("run_id", "body"):
        event = decode_body(body)
        assert isinstance(event, StepFinished)
        found.setdefault(run_id, []).append(event)
    return found


def _of_run(
    run: Run, version: str, steps: Sequence[StepFinished], *, every: bool = False
) -> Iterator[Candidate]:
    place: Counter[str] = Counter()
    for event in sorted(steps, key=lambda one: one.step):
        place[event.scope] += 1
        if not every and (event.indicator is None or event.step <= (run.fork_step or 0)):
            continue
        yield Candidate(
            run_id=run.pk,
            run_uuid=run.uuid,
            run_ref=run.ref,
            step=event.step,
            scope=_text(event.scope, 300),
            verdict=event.indicator,
            check_status=event.check,
            tier=event.tier,
            tier_name=_text(event.tier_name, 300),
            model=_text(_model(run, event.tier), 300),
            strategy=run.strategy,
            ladder=run.ladder_name,
            task_id=run.task_id,
            collection=run.collection.name if run.collection else "",
            step_position=place[event.scope],
            prompt_version=_text(version, 60),
            simulated=run.simulated,
        )


def _model(run: Run, tier: int) -> str:
    return str(run.tiers[tier]["model"]) if tier < len(run.tiers) else ""


def _text(text: str, most: int) -> str:
    """PostgreSQL's text holds no NUL."""
    return text.replace("\x00", "\ufffd")[:most]
