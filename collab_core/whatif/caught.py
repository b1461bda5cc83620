"""Labelled verdicts under another policy: which false "progress" it would have caught, at what cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from collab_core.whatif.recorded import RecordedStep
from collab_core.whatif.replay import Replayed
from collab_core.whatif.results import Caught, Figure, Row, StepDecision

Labels = Mapping[tuple[str, str, int], bool]
"""(run id, scope, step in the run) -> whether the step made progress, as a person says."""


class _Case(NamedTuple):
    """A labelled step below the top tier, with a usable verdict, and what came behind it."""

    made_progress: bool
    said_progress: bool
    recorded_up: bool
    wanted: StepDecision
    wanted_up: bool


def caught(done: Sequence[Replayed], labels: Labels, row: Row | None) -> Caught:
    """Return what the other policy makes of the labelled steps.

    Steps on the top tier cannot be escalated and are left out.
    """
    cases = [case for one in done for case in _cases(one, labels)]
    false = [case for case in cases if case.said_progress and not case.made_progress]
    true = [case for case in cases if case.said_progress and case.made_progress]
    decided = [case for case in false if case.wanted.exact]
    extra: Figure | None = None
    if row is not None:
        large = row.figures.large_steps
        before = sum(one.report.recorded.large_steps for one in done) / len(done)
        extra = msgspec.structs.replace(
            large, mean=large.mean - before, low=large.low - before, high=large.high - before
        )
    return Caught(
        labelled=len(cases),
        false_progress=len(false),
        recorded_caught=sum(case.recorded_up for case in false),
        decided=len(decided),
        decided_caught=sum(case.wanted_up for case in decided),
        taken_over_caught=sum(case.wanted_up for case in false),
        true_progress=len(true),
        taken_over_needless=sum(case.wanted_up for case in true),
        extra_large_steps=extra,
    )


def _cases(one: Replayed, labels: Labels) -> Iterator[_Case]:
    wanted = {decision.step: decision for decision in one.report.decisions}
    top = len(one.run.tiers) - 1
    for instance in one.run.instances:
        for step, following in zip(instance.steps, instance.steps[1:], strict=False):
            label = labels.get((one.run.run_id, instance.scope, step.number))
            decision = wanted.get(following.number)
            said = step.record.check.indicator
            if label is None or decision is None or said is None or step.tier == top:
                continue
            yield _case(label, said == 1, step, following, decision)


def _case(
    label: bool,  # noqa: FBT001
    said: bool,  # noqa: FBT001
    step: RecordedStep,
    following: RecordedStep,
    decision: StepDecision,
) -> _Case:
    return _Case(
        made_progress=label,
        said_progress=said,
        recorded_up=following.begun.tier > step.tier,
        wanted=decision,
        wanted_up=decision.tier > step.tier,
    )
