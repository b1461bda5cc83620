"""A fork: the first steps of one run, and from there on another strategy or ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collab_core import events as ev
from collab_core.errors import InvalidInput

_COPIED = (ev.StepStarted, ev.ModelReplied, ev.ToolReturned, ev.ProgressJudged, ev.TierSwitched)
INHERITED_PARAMETERS = ("check_mode",)
"""They shape the prompt's head, which a fork shares with its parent."""


def prefix(history: Sequence[ev.Recorded], after_step: int) -> list[ev.AnyEvent]:
    """Return the events of steps 1..``after_step``, to copy behind the fork's own ``run.queued``.

    Raises:
        InvalidInput: the run has not finished that step, or step 0 or the answer step is asked for.
    """
    finished = [r.event for r in history if isinstance(r.event, ev.StepFinished)]
    if not 1 <= after_step <= len(finished):
        raise InvalidInput(
            f"The run has {len(finished)} finished steps; it cannot be forked after step "
            f"{after_step}.",
            field="after_step",
        )
    if not finished[after_step - 1].action and _answered(history, after_step):
        raise InvalidInput(
            f"Step {after_step} gave the final answer; fork after an earlier step.",
            field="after_step",
        )
    copied: list[ev.AnyEvent] = []
    for record in history:
        event = record.event
        if isinstance(event, (*_COPIED, ev.StepFinished)) and event.step <= after_step:
            copied.append(event)
    return copied


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
