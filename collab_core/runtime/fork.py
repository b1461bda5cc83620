"""A fork: the first steps of one run, and from there on another strategy or ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collab_core import events as ev
from collab_core.errors import InvalidInput

_COPIED = (
    ev.StepStarted,
    ev.ModelReplied,
    ev.ScorerReturned,
    ev.DraftDiscarded,
    ev.ToolReturned,
    ev.ProgressJudged,
    ev.TierSwitched,
    ev.StepFinished,
)
INHERITED_PARAMETERS = (
    "agent",
    "check_mode",
    "hand_over",
    "max_seekers",
    "seeker_steps",
    "writer_steps",
)
"""They shape the prompts, which a fork shares with its parent."""


def prefix(history: Sequence[ev.Recorded], after_step: int) -> list[ev.AnyEvent]:
    """Return the events of steps 1..``after_step``, to copy behind the fork's own ``run.queued``.

    Raises:
        InvalidInput: the run has not finished that step, or step 0 or the answer step is asked for.
    """
    finished = {r.event.step: r for r in history if isinstance(r.event, ev.StepFinished)}
    last = finished.get(after_step)
    if last is None or not isinstance(last.event, ev.StepFinished):
        raise InvalidInput(
            f"The run has {len(finished)} finished steps; it cannot be forked after step "
            f"{after_step}.",
            field="after_step",
        )
    if last.event.scope:
        raise InvalidInput(
            f"Step {after_step} is a step of {last.event.scope}; fork after a step of the main "
            "agent.",
            field="after_step",
        )
    if not last.event.action and _answered(history, after_step):
        raise InvalidInput(
            f"Step {after_step} gave the final answer; fork after an earlier step.",
            field="after_step",
        )
    # an aside (a warm-up of a cache) changes nothing that later steps see
    return [
        record.event
        for record in history[: last.seq + 1]
        if isinstance(record.event, _COPIED) and "~" not in record.event.scope
    ]


def inherit_parameters(
    parent: Mapping[str, Any], parameters: Mapping[str, Any], *, accepted: Sequence[str]
) -> dict[str, Any]:
    """Return the fork's parameters with those that it must share with its parent."""
    shared = {
        name: parent[name] for name in INHERITED_PARAMETERS if name in parent and name in accepted
    }
    return {**parameters, **shared}


def _answered(history: Sequence[ev.Recorded], step: int) -> bool:
    last = max(r.event.step for r in history if isinstance(r.event, ev.StepFinished))
    ended = any(isinstance(r.event, ev.RunFinished) for r in history)
    return ended and step == last
