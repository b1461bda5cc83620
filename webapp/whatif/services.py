"""Asking and answering what-ifs. The answer is CPU work: it is computed by the command line's
``what-if`` in a process of its own, so that the runs of a worker keep their pace."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Case, IntegerField, Q, QuerySet, When
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from collab_core.errors import InvalidInput
from collab_core.review.files import to_jsonl
from collab_core.strategies.registry import find
from webapp.experiments.models import Experiment, Trial, TrialState
from webapp.review.labels import core_labels
from webapp.review.models import LabelSet, StepLabel
from webapp.runs.models import Run, Status
from webapp.runs.reads import log_lines
from webapp.runs.services import checked_parameters
from webapp.runs.specs import resources
from webapp.teams.access import require_may_run, role_in
from webapp.teams.models import User, Workspace
from webapp.whatif.models import State, WhatIf

logger = logging.getLogger(__name__)
MOST_RUNS = 300
MOST_POOLED = 400
"""Runs that an estimate is made from."""
LIMIT_S = 300
HOLD = timedelta(seconds=LIMIT_S + 60)
NICE = 10
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "HF_HOME")


# --- asking -------------------------------------------------------------------------------------
def arm_runs(experiment: Experiment, label: str) -> list[Run]:
    """Return the finished runs of an arm, the first ``MOST_RUNS`` in the order of the experiment.

    Raises:
        InvalidInput: there is no such arm, or none of its runs has finished.
    """
    if label not in [arm.label for arm in experiment.defined.arms]:
        raise InvalidInput(f"There is no arm {label[:80]!r} in this experiment.", field="arm")
    done = Trial.objects.filter(experiment=experiment, arm__label=label, state=TrialState.DONE)
    runs = Run.objects.filter(trial__in=done, status=Status.FINISHED)
    found = list(runs.order_by("trial__position")[:MOST_RUNS])
    if not found:
        raise InvalidInput(
            "No run of this arm has finished yet.", field="arm", hint="Wait for the first ones."
        )
    return found


def ask(
    workspace: Workspace,
    user: User,
    runs: Sequence[Run],
    *,
    source: str,
    strategy: str,
    parameters: Mapping[str, Any],
    experiment: Experiment | None = None,
) -> WhatIf:
    """Keep the question and send for somebody who answers it.

    Raises:
        InvalidInput: no finished runs of this workspace, their ladder is gone, or wrong parameters.
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, workspace.pk))
    if find(strategy).policy is None:
        raise InvalidInput(
            f"{find(strategy).title} does not decide step by step.",
            field="strategy",
            hint="Choose a strategy that does: a log can answer only for those.",
        )
    chosen = [run for run in runs if run.workspace_id == workspace.pk and _finished(run)]
    if not chosen:
        raise InvalidInput("None of these runs has finished.", field="runs")
    ladder = chosen[0].ladder
    if ladder is None:
        raise InvalidInput(
            f"The ladder {chosen[0].ladder_name} of these runs does not exist any more.",
            field="runs",
            hint="Choose runs whose ladder is still there.",
        )
    # what the strategy loads is of this workspace: the command that computes would take any path
    checked_parameters(workspace, strategy, parameters, ladder)
    made = WhatIf.objects.create(
        workspace=workspace,
        created_by=user,
        experiment=experiment,
        source=source[:200],
        runs=[str(run.uuid) for run in chosen[:MOST_RUNS]],
        strategy=strategy,
        parameters=dict(parameters),
    )
    transaction.on_commit(lambda: enqueue(made.pk))
    return made


def _finished(run: Run) -> bool:
    return run.status == Status.FINISHED


def enqueue(what_if_id: int) -> None:
    """Send the hint; without a broker the next tick finds the question."""
    try:
        current_app.send_task("whatif.answer", (what_if_id,), expires=600)
    except (OperationalError, OSError) as error:
        logger.warning("what-if %s waits for the next tick, no broker: %s", what_if_id, error)


def left_behind() -> list[int]:
    """Return the questions that nobody is answering: ids, oldest first."""
    free = Q(state=State.QUEUED) | Q(state=State.RUNNING, claimed_until__lt=Now())
    return list(WhatIf.objects.filter(free).order_by("id").values_list("pk", flat=True)[:20])


# --- answering ----------------------------------------------------------------------------------
def answer(what_if_id: int) -> bool:
    """Compute an answer unless somebody else does; False = nothing was to be done."""
    mine = WhatIf.objects.filter(pk=what_if_id).filter(
        Q(state=State.QUEUED) | Q(state=State.RUNNING, claimed_until__lt=Now())
    )
    if not mine.update(state=State.RUNNING, claimed_until=Now() + HOLD):
        return False
    question = WhatIf.objects.get(pk=what_if_id)
    try:
        question.result, question.error = _computed(question), ""
        question.state = State.DONE
    except InvalidInput as error:
        question.error, question.state = f"{error.message} {error.hint}".strip(), State.FAILED
    except Exception as error:
        # a question that breaks its answerer must not be asked again for ever
        logger.exception("what-if %s broke", question.pk)
        question.error, question.state = f"It broke: {type(error).__name__}.", State.FAILED
    question.save(update_fields=["result", "error", "state"])
    return True


def _computed(question: WhatIf) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tandem-what-if-") as name:
        asked, pool = Path(name) / "asked", Path(name) / "pool"
        # runs of other workspaces are never read, whatever the stored ids say
        runs = Run.objects.filter(workspace_id=question.workspace_id, uuid__in=question.runs)
        _write_logs(runs, asked)
        _write_logs(_pool(question), pool)
        given = [f"--param={key}={_word(value)}" for key, value in question.parameters.items()]
        said = Path(name) / "labels.jsonl"
        if _write_labels(question, said):
            given.append(f"--labels={said}")
        command = [sys.executable, "-m", "collab_core", "what-if", str(asked), "--json"]
        return _run(
            [*command, "--pool", str(pool), "--strategy", question.strategy, *given], question
        )


def _pool(question: WhatIf) -> QuerySet[Run]:
    """Return what the estimate is made from: the newest finished runs on the same ladder, whatever
    their strategy, those of the experiment before others."""
    mine = Run.objects.filter(workspace_id=question.workspace_id, uuid__in=question.runs)
    ladders = mine.exclude(ladder=None).values("ladder")
    alike = Run.objects.filter(
        workspace_id=question.workspace_id, status=Status.FINISHED, ladder__in=ladders
    )
    own = Q(trial__experiment=question.experiment_id) if question.experiment_id else Q(pk=None)
    ranked = alike.annotate(kin=Case(When(own, then=0), default=1, output_field=IntegerField()))
    return ranked.order_by("kin", "-id")[:MOST_POOLED]


def _write_logs(runs: QuerySet[Run], folder: Path) -> None:
    """Write a file a run."""
    folder.mkdir()
    for run in runs.iterator(chunk_size=50):
        (folder / f"{run.uuid}.jsonl").write_bytes(b"".join(log_lines(run)))


def _write_labels(question: WhatIf, path: Path) -> bool:
    """Write what people labelled of the runs; False = nothing, and no file."""
    wanted = {UUID(run) for run in question.runs}
    labelled = StepLabel.objects.current().filter(run_uuid__in=wanted).values("label_set")
    sets = LabelSet.objects.filter(workspace=question.workspace_id, pk__in=labelled).order_by("pk")
    found = [one for each in sets for one in core_labels(each) if one.run_id in wanted]
    if found:
        path.write_bytes(b"".join(to_jsonl(found)))
    return bool(found)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _run(command: list[str], question: WhatIf) -> dict[str, Any]:
    home = resources(question.workspace_id).folder
    assert home is not None
    home.mkdir(parents=True, exist_ok=True)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.pathsep.join(filter(None, [str(settings.BASE_DIR), environment.get("PYTHONPATH")]))
    try:
        done = subprocess.run(  # noqa: S603 - our own module, arguments are no shell's
            ["nice", "-n", str(NICE), *command],  # noqa: S607 - coreutils
            # weights are named by their folder below the workspace's
            cwd=home,
            env={**environment, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidInput(
            f"It took longer than {LIMIT_S} s.", hint="Choose fewer runs, or an arm of fewer tasks."
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        logger.warning("what-if %s failed: %s", question.pk, done.stderr[-2_000:])
        raise InvalidInput(lines[-1][:500] if lines else "It could not be computed.")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
