"""AgentCollab that escalates when P(progress) is low, not when the agent says so.

The signal is replaced, nothing else: warm-up, levels, budgets and hand-back are those of
``policies/agentcollab.py``. Tandem's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from collab_core.domain import Decision, Ladder, StepRecord
from collab_core.errors import InvalidInput
from collab_core.learned.evidence import Tracker
from collab_core.learned.progress_model import (
    AS_OFTEN_KEY,
    CALIBRATED,
    ProgressModel,
    open_progress_model,
)
from collab_core.learned.store import Manifest
from collab_core.policies.agentcollab import (
    AgentCollab,
    AgentCollabParameters,
    AgentCollabRules,
    rules_of,
)
from collab_core.policies.base import StepContext
from collab_core.strategies.base import Resources, Strategy


class CalibratedParameters(AgentCollabParameters):
    """AgentCollab, escalating by P(progress)."""

    weights: str = Field(
        default="",
        max_length=500,
        title="Weights",
        description=f"Name of weights that `train {CALIBRATED}` has made from labels.",
        json_schema_extra={"weights": [CALIBRATED]},
    )
    choose_by: Literal["as_often", "target_share", "threshold"] = Field(
        default="as_often",
        title="Choose by",
        description="as_often: the threshold under which as many labelled steps lie as were called "
        "stalls by the agent. target_share: the one with this share of steps under it. threshold: "
        "the number itself.",
    )
    target_share: float = Field(
        default=0.3,
        ge=0.0,
        le=1.0,
        title="Target share",
        description="Share of labelled steps that shall count as stalls, 0 to 1.",
    )
    threshold: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        title="Threshold",
        description="A step whose P(progress) is under it counts as a stall.",
    )

    def threshold_of(self, manifest: Manifest) -> float:
        """Return the chosen threshold, 0..1.

        Raises:
            InvalidInput: the weights do not hold what it is looked up in.
        """
        if self.choose_by == "threshold":
            return self.threshold
        if self.choose_by == "target_share":
            return manifest.threshold_for_share(self.target_share).threshold
        found = manifest.options.get(AS_OFTEN_KEY)
        if not isinstance(found, int | float) or isinstance(found, bool):
            raise InvalidInput(
                f"The weights {manifest.name!r} hold no threshold for choose_by = as_often.",
                field="choose_by",
                hint="Give a threshold, or train them again.",
            )
        return float(found)


class Calibrated(AgentCollab):
    """The policy; its state follows from the finished steps alone."""

    def __init__(self, rules: AgentCollabRules, model: ProgressModel, threshold: float) -> None:
        super().__init__(rules)
        self.model = model
        self.threshold = threshold
        self._tracker = Tracker()
        self._probability: float | None = None
        """Of the latest step; None = there is none yet."""

    def before_step(self, context: StepContext) -> Decision:
        decision = super().before_step(context)
        found, logprobs = self._probability, self.model.reads_logprob
        if found is None or decision.reason == "warm_up":
            return replace(decision, logprobs=logprobs)
        relation = "under" if found < self.threshold else "not under"
        return replace(
            decision,
            logprobs=logprobs,
            score=found,
            threshold=self.threshold,
            why=f"{decision.why} P(progress) of the last step was {found:.2f}, {relation} "
            f"{self.threshold:.2f}.",
        )

    def after_observation(self, context: StepContext, step: StepRecord) -> None:
        # also of warm-up steps: what they showed is no news later
        self._probability = self.model.probability(step, self._tracker.add(step))
        super().after_observation(context, step)

    def progressed(self, step: StepRecord) -> bool:
        """Whether P(progress) of the step, the latest one, reaches the threshold."""
        return self._probability is not None and self._probability >= self.threshold


def _build(parameters: CalibratedParameters, ladder: Ladder, resources: Resources) -> Calibrated:
    model, manifest = open_progress_model(
        resources.locate(parameters.weights, field="weights"), ladder=ladder.snapshot()
    )
    return Calibrated(rules_of(parameters), model, parameters.threshold_of(manifest))


STRATEGY = Strategy(
    name="agentcollab-calibrated",
    title="AgentCollab, calibrated",
    summary="AgentCollab that escalates when P(progress) is under a threshold; a logistic model "
    "learned from people's labels says how likely the step made progress.",
    family="AgentCollab",
    label="native",
    source="Tandem's own, on arXiv 2603.26034",
    parameters=CalibratedParameters,
    policy=_build,
    doc="agentcollab-calibrated.md",
    loads=True,
)
