"""A linear probe on the trajectory: the cheapest honest learned rival of self-judged escalation.

Source: after the ridge variant of MTRouter (arXiv 2604.23530) and the logistic router of
TwinRouterBench (arXiv 2605.18859); see ``docs/strategies/probe.md`` for what is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from collab_core.domain import Decision, Ladder
from collab_core.learned.base import Scorer
from collab_core.learned.rendering import trajectory
from collab_core.learned.scorers import PROBE, open_scorer
from collab_core.policies.base import Policy, StepContext
from collab_core.policies.routing import RouterParameters, routed
from collab_core.strategies.base import Resources, Strategy


class ProbeParameters(RouterParameters):
    """A probe before each step."""

    weights: str = Field(
        default="",
        max_length=500,
        title="Weights",
        description="Name of weights that `train probe` has made.",
        json_schema_extra={"weights": [PROBE]},
    )


@dataclass(frozen=True, kw_only=True)
class Probe(Policy):
    """Run a step on the top tier if the probe's need of help reaches the threshold."""

    scorer: Scorer
    threshold: float

    def before_texts(self, context: StepContext) -> tuple[str, ...]:
        return (trajectory(context.task, context.trajectory),)

    def before_step(self, context: StepContext) -> Decision:
        return routed(context, self.threshold, "The probe's need of help")


def _build(parameters: ProbeParameters, ladder: Ladder, resources: Resources) -> Probe:
    scorer = open_scorer(
        resources.locate(parameters.weights, field="weights"),
        kind=PROBE,
        ladder=ladder.snapshot(),
        encoder=resources.encoder,
    )
    point = parameters.threshold_of(scorer.manifest.threshold_for_share)
    return Probe(scorer=scorer, threshold=point.threshold)


STRATEGY = Strategy(
    name="probe",
    title="Probe",
    summary="Before each step a linear probe on the trajectory says whether the lowest tier needs "
    "help.",
    family="Learned routers",
    label="proxy",
    source="after arXiv 2604.23530 and arXiv 2605.18859",
    parameters=ProbeParameters,
    policy=_build,
    doc="probe.md",
    loads=True,
)
