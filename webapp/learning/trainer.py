"""A worker's side of a training: claim it, write its logs, watch the process, store what it made."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseError

from collab_core.errors import InvalidInput
from webapp.learning import leases
from webapp.learning.child import Child, Refused
from webapp.learning.models import Training, TrainingStatus
from webapp.learning.sources import UPLOAD, work_folder, write_logs
from webapp.learning.weights import adopt, locate_classifier
from webapp.runs.threads import query

logger = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()
"""A training takes whole cores; the runs of this machine need them as well."""
_stopping = threading.Event()


class _Stopped(Exception):
    """Somebody pressed stop."""


class _HandedBack(Exception):
    """This worker stops, or the training is not its own any more."""


def stop_trainings() -> None:
    """End what this process trains and hand it back; later tasks do nothing."""
    _stopping.set()


def execute(training_id: int) -> bool:
    """Do a training if it is free and this process does no other; True if it was taken."""
    if _stopping.is_set() or not _one_at_a_time.acquire(blocking=False):
        return False
    try:
        owner = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(3)}"
        training = query(leases.claim, training_id, owner)
        if training is None:
            return False
        _drive(training)
        return True
    finally:
        _one_at_a_time.release()


def _drive(training: Training) -> None:
    folder = work_folder(training) / f"attempt-{training.fence}"
    try:
        if training.attempts > leases.MAX_ATTEMPTS:
            raise Refused(
                f"The training was begun {leases.MAX_ATTEMPTS} times and never ended: it seems to "
                "kill its workers.",
                "Look at the worker's log (memory, crashes), then train on fewer runs.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        _train(training, folder)
    except _HandedBack:
        query(leases.release, training)
    except _Stopped:
        _end(training, TrainingStatus.CANCELLED)
    except Refused as error:
        _fail(training, error.message, error.hint)
    except InvalidInput as error:
        _fail(training, error.message, error.hint)
    except DatabaseError as error:
        # its lease expires, and whoever comes next begins anew
        logger.warning("training %s: the database is out of reach: %s", training.uuid, error)
    except Exception as error:
        logger.exception("training %s: the worker broke", training.uuid)
        _fail(
            training,
            f"The worker broke: {type(error).__name__}.",
            "This is a fault of Tandem; the worker's log has the traceback.",
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _train(training: Training, folder: Path) -> None:
    logs = _logs(training, folder)
    beat = _heart(training)
    beat(0.0, "Starting")
    with Child(_arguments(training, logs, folder / "weights"), folder) as child:
        for step in child.steps():
            beat(step.fraction, step.text)
        child.check()
    beat(1.0, "Storing the weights")
    stored = query(adopt, training.workspace, folder / "weights", user=training.submitted_by)
    _end(training, TrainingStatus.FINISHED, weights=stored, fraction=1.0, message="Done")


def _logs(training: Training, folder: Path) -> Path:
    if training.source.get("upload"):
        return work_folder(training) / UPLOAD
    logs = folder / "logs"
    if query(write_logs, training, logs) == 0:
        raise Refused("None of the runs is left.", "Train on runs that exist.")
    return logs


def _arguments(training: Training, logs: Path, out: Path) -> list[str]:
    options = [f"--option={name}={_word(value)}" for name, value in training.shown_options.items()]
    if reference := training.source.get("classifier"):
        folder = query(locate_classifier, training.workspace, reference)
        options.append(f"--classifier={folder}")
    if labels := training.source.get("labels"):
        options.append(f"--labels={work_folder(training) / labels}")
    return [
        training.kind,
        *("--logs", str(logs), "--out", str(out)),
        *(f"--encoder={training.encoder}", f"--seed={training.seed}", f"--name={training.name}"),
        *options,
    ]


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _heart(training: Training) -> Callable[[float, str | None], None]:
    """Return what stores the progress, keeps the lease and obeys, at most once a second.

    It raises when the training is to stop; the process then ends with its context.
    """
    shown: tuple[float, str] = (0.0, "")
    last, known = 0.0, time.monotonic()
    ends = time.monotonic() + settings.TANDEM["training_limit_s"]

    def beat(fraction: float, text: str | None) -> None:
        nonlocal shown, last, known
        if text is not None:
            shown = (fraction, text)
        now = time.monotonic()
        if _stopping.is_set():
            raise _HandedBack
        if now > ends:
            raise Refused(
                f"The training took longer than {settings.TANDEM['training_limit_s']:.0f} s.",
                "Use fewer runs, or raise TANDEM_TRAINING_LIMIT_S.",
            )
        if now - last < 1.0 and fraction < 1.0:
            return
        last = now
        try:
            if not query(leases.beat, training, fraction=shown[0], message=shown[1]):
                raise _HandedBack
            if query(leases.stop_asked, training):
                raise _Stopped
            known = now
        except DatabaseError:
            if now - known > leases.lease().total_seconds():
                raise

    return beat


def _fail(training: Training, message: str, hint: str) -> None:
    _end(training, TrainingStatus.FAILED, error={"message": message, "hint": hint})


def _end(training: Training, status: TrainingStatus, **columns: object) -> None:
    if not query(leases.end, training, status, **columns):
        logger.warning("training %s: another worker owns it now", training.uuid)
        return
    shutil.rmtree(work_folder(training), ignore_errors=True)
