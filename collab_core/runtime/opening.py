"""A log's first event, and whether a log that is there belongs to the run that shall go on in it."""

from __future__ import annotations

from collections.abc import Sequence

from collab_core import __version__
from collab_core import events as ev
from collab_core.errors import InvalidInput
from collab_core.runtime.engine import RunSpec

_OTHER_RUN = "The log belongs to a run with other {what}: {known}."


def queued(spec: RunSpec) -> ev.RunQueued:
    """Return the event that opens the log of a run without a queue."""
    return ev.RunQueued(
        task=spec.task,
        strategy=spec.strategy,
        parameters=dict(spec.parameters),
        ladder=spec.ladder.snapshot(),
        ladder_name=spec.ladder.name,
        seed=spec.seed,
        limits=spec.limits,
        code_version=__version__,
        simulated=spec.ladder.simulated,
        tools=spec.tools,
    )


def check_same_run(spec: RunSpec, history: Sequence[ev.Recorded], *, hint: str = "") -> None:
    """Make sure that the log, if it has begun, is one of this very run.

    Raises:
        InvalidInput: another task, strategy, seed, limit, tool or model; the message says which.
    """
    known = next((r.event for r in history if isinstance(r.event, ev.RunQueued)), None)
    if known is None:
        return
    asked = queued(spec)
    for name in ("task", "strategy", "parameters", "seed", "limits", "tools"):
        if getattr(asked, name) != getattr(known, name):
            said = _OTHER_RUN.format(what=name, known=getattr(known, name))
            raise InvalidInput(said, hint=hint)
    models = [(tier.name, tier.model) for tier in known.ladder]
    if [(tier.name, tier.model) for tier in asked.ladder] != models:
        raise InvalidInput(_OTHER_RUN.format(what="tiers", known=models), hint=hint)
