"""The promises I1-I5 of the logs, checked by SQL; every fault test ends with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from collab_core.events import TERMINAL_TYPES
from webapp.runs import fold, leases
from webapp.runs.models import Run, RunEvent


def check(runs: Iterable[Run], *, ended: bool = True) -> None:
    """Fail with the broken promise, naming the run."""
    for known in runs:
        run = Run.objects.get(pk=known.pk)  # I1: what was accepted is there
        rows = list(
            RunEvent.objects.filter(run=run).order_by("seq").values_list("seq", "type", "step")
        )
        _numbers(run, rows)
        _steps(run, rows)
        _fences(run)
        if ended:
            assert run.ended, f"{run} is {run.status}: I2, every run ends"
            assert rows[-1][1] in TERMINAL_TYPES, f"{run} ends with {rows[-1][1]}"
        _cache(run)


def _numbers(run: Run, rows: list[Any]) -> None:
    """I3: seq counts 0, 1, 2 …; the row's next_seq is the next one; one terminal event, last."""
    assert [seq for seq, _, _ in rows] == list(range(len(rows))), f"{run}: a gap or a double"
    assert run.next_seq == len(rows), f"{run}: next_seq {run.next_seq}, {len(rows)} events"
    terminal = [seq for seq, kind, _ in rows if kind in TERMINAL_TYPES]
    assert terminal in ([], [len(rows) - 1]), f"{run}: terminal events at {terminal}"


def _steps(run: Run, rows: list[Any]) -> None:
    """I3: steps are 1..n, each started and finished once; no effect is stored twice."""
    for kind in ("step.started", "step.finished"):
        steps = [step for _, name, step in rows if name == kind]
        assert steps == list(range(1, len(steps) + 1)), f"{run}: {kind} {steps}"
    effects = [
        record.event.key for record in leases.read_history(run.pk) if hasattr(record.event, "key")
    ]
    assert len(effects) == len(set(effects)), f"{run}: an effect was stored twice"


def _fences(run: Run) -> None:
    """I4: owners follow each other with growing fences."""
    fences = [
        record.event.fence
        for record in leases.read_history(run.pk)
        if hasattr(record.event, "fence")
    ]
    assert fences == sorted(set(fences)), f"{run}: fences {fences}"


def _cache(run: Run) -> None:
    """The cached columns are the fold of the log."""
    expected = fold.fold(leases.read_history(run.pk)).columns()
    actual = {name: getattr(run, name) for name in fold.COLUMNS}
    if not run.ended:  # who owns it is the lease's matter, not the log's
        expected.pop("status"), actual.pop("status")
    assert actual == expected, f"{run}: the cached columns differ from the log"
