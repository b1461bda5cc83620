"""Reading experiments: how far they are, their trials, their logs."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from django.db.models import Count
from django.utils import timezone

from collab_core.events import Outcome
from collab_core.experiments.records import Facts, Trace, TrialStatus
from collab_core.experiments.records import Trial as TrialRecord
from webapp.experiments import labels
from webapp.experiments.models import Experiment, ExperimentStatus, Trial, TrialState
from webapp.runs.models import Run
from webapp.runs.reads import log_lines

RECENT = 200
"""Ended trials that the estimate of the time left goes by."""
_STATUS: dict[str, TrialStatus] = {
    TrialState.PENDING: "pending",
    TrialState.RUNNING: "running",
    TrialState.GRADING: "running",
    TrialState.DONE: "finished",
    TrialState.FAILED: "failed",
    TrialState.CANCELLED: "cancelled",
}
_OUTCOME: dict[str, Outcome] = {
    "": "unscored",
    "unscored": "unscored",
    "correct": "correct",
    "incorrect": "incorrect",
}
_facts = msgspec.json.Decoder(Facts).decode
_trace = msgspec.json.Decoder(Trace).decode


class Progress(NamedTuple):
    """How far an experiment is. ``time_left_s`` None = not to be told yet.

    ``done`` are those that ended by themselves, the ``failed`` ones among them; ``stopped`` are not.
    """

    revision: int
    status: str
    notice: str
    total: int
    done: int
    failed: int
    stopped: int
    running: int
    grading: int
    pending: int
    time_left_s: float | None


def progress(experiment_ids: Iterable[int]) -> dict[int, Progress]:
    """Return how far these experiments are; three queries for any number of them."""
    ids = list(experiment_ids)
    counts: dict[int, dict[str, int]] = {pk: {} for pk in ids}
    rows = (
        Trial.objects.filter(experiment__in=ids)
        .values_list("experiment_id", "state")
        .annotate(count=Count("pk"))
    )
    for pk, state, count in rows:
        counts[pk][state] = count
    found = Experiment.objects.filter(pk__in=ids)
    return {one.pk: _progress(one, counts[one.pk]) for one in found}


def _progress(experiment: Experiment, counts: dict[str, int]) -> Progress:
    pending = counts.get(TrialState.PENDING, 0)
    running = counts.get(TrialState.RUNNING, 0)
    grading = counts.get(TrialState.GRADING, 0)
    stopped = counts.get(TrialState.CANCELLED, 0)
    total = sum(counts.values())
    left = pending + running + grading
    return Progress(
        revision=experiment.revision,
        status=experiment.status,
        notice=experiment.notice,
        total=total,
        done=total - left - stopped,
        failed=counts.get(TrialState.FAILED, 0),
        stopped=stopped,
        running=running,
        grading=grading,
        pending=pending,
        time_left_s=_time_left_s(experiment, left),
    )


def _time_left_s(experiment: Experiment, left: int) -> float | None:
    """Return the waiting trials over the rate of the latest ended ones."""
    if left == 0:
        return 0.0
    if experiment.status != ExperimentStatus.RUNNING:
        return None
    ended = Trial.objects.filter(
        experiment=experiment, finished_at__isnull=False, run__isnull=False
    )
    latest = list(ended.order_by("-finished_at").values_list("finished_at", flat=True)[:RECENT])
    if len(latest) < 3 or latest[-1] is None:
        return None
    span_s = (timezone.now() - latest[-1]).total_seconds()
    return left * span_s / len(latest)


# --- trials -------------------------------------------------------------------------------------
def trials(experiment: Experiment) -> list[TrialRecord]:
    """Return every trial in order, as the tables take them, with what people labelled of it."""
    known = labels.labelled(experiment)
    arms = dict(experiment.arms.values_list("pk", "label"))
    rows = (
        Trial.objects.filter(experiment=experiment)
        .order_by("position")
        .values_list(
            "arm_id",
            "task__task_id",
            "seed",
            "state",
            "outcome",
            "score",
            "task__difficulty",
            "task__category",
            "facts",
            "run__uuid",
        )
    )
    return [
        TrialRecord(
            arm=arms[arm],
            task_id=task,
            seed=seed,
            status=_STATUS[state],
            outcome=_OUTCOME[outcome],
            score=score,
            difficulty=difficulty,
            category=category,
            facts=_facts(facts) if facts else None,
            run_id=str(run) if run else "",
            labels=known.get(run, labels.NOTHING).labels,
            false_progress=known.get(run, labels.NOTHING).false_progress,
        )
        for arm, task, seed, state, outcome, score, difficulty, category, facts, run in rows
    ]


def with_traces(
    experiment: Experiment, records: Sequence[TrialRecord]
) -> list[tuple[TrialRecord, Trace]]:
    """Return the finished ones of ``trials`` with their steps, in the same order."""
    done = Trial.objects.filter(experiment=experiment, state=TrialState.DONE).exclude(trace="")
    known = {
        (arm, task, seed): trace
        for arm, task, seed, trace in done.values_list(
            "arm__label", "task__task_id", "seed", "trace"
        )
    }
    return [
        (record, _trace(trace))
        for record in records
        if (trace := known.get((record.arm, record.task_id, record.seed))) is not None
    ]


# --- the whole of it, for somebody who computes for themselves -------------------------------------
def archive(experiment: Experiment) -> Iterator[bytes]:
    """Yield a .tar of the definition, the trials, and every run's log as JSON lines.

    ``trials.jsonl`` has a line a trial; its ``log`` names the file of the run's log.
    """
    yield _member("definition.json", experiment.defined.model_dump_json(indent=1).encode())
    records = trials(experiment)
    lines = [
        msgspec.json.encode({"log": f"logs/{one.run_id}.jsonl" if one.run_id else ""})[:-1]
        + b","
        + msgspec.json.encode(one)[1:]
        for one in records
    ]
    yield _member("trials.jsonl", b"".join(line + b"\n" for line in lines))
    runs = Run.objects.filter(trial__experiment=experiment).order_by("trial__position")
    for run in runs.iterator(chunk_size=200):
        yield _member(f"logs/{run.uuid}.jsonl", b"".join(log_lines(run)))
    yield b"\0" * 1_024  # the end mark of a tar


def _member(name: str, content: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(content), int(time.time())
    padding = -len(content) % tarfile.BLOCKSIZE
    return info.tobuf(tarfile.PAX_FORMAT) + content + b"\0" * padding


def experiment_dict(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as JSON values: the same on the page and over REST."""
    return experiment_dicts([experiment])[0]


def experiment_dicts(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Return several; how far they are is looked at once."""
    states = progress(experiment.pk for experiment in experiments)
    return [_as_dict(experiment, states[experiment.pk]) for experiment in experiments]


def _as_dict(experiment: Experiment, state: Progress) -> dict[str, Any]:
    return {
        "uuid": str(experiment.uuid),
        "ref": experiment.ref,
        "name": experiment.name,
        "status": experiment.status,
        "simulated": experiment.simulated,
        "digest": experiment.digest,
        "task_set": experiment.task_set.name,
        "created_by": experiment.created_by.username if experiment.created_by else "",
        "created_at": experiment.created_at,
        "started_at": experiment.started_at,
        "finished_at": experiment.finished_at,
        "progress": state._asdict(),
        "definition": experiment.definition,
    }
