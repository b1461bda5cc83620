"""RouteLLM: before each step a router says whether the top tier would win it.

Source: RouteLLM (arXiv 2406.18665), problem formulation: strong if P(strong wins | prompt) >= alpha.
Published for one prompt and one reply; asked once a step here: ``docs/strategies/routellm.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from collab_core.domain import Decision, Ladder
from collab_core.errors import InvalidInput
from collab_core.learned.base import Scorer
from collab_core.learned.published import is_classifier, load_hf_classifier
from collab_core.learned.rendering import Reading, render
from collab_core.learned.scorers import PUBLISHED, ROUTELLM, ROUTELLM_TABLE, open_scorer
from collab_core.learned.store import CalibrationPoint, check_ladder, load
from collab_core.policies.base import Policy, StepContext
from collab_core.policies.routing import RouterParameters, routed
from collab_core.strategies.base import Resources, Strategy


class RouteLLMParameters(RouterParameters):
    """A router before each step."""

    weights: str = Field(
        default="",
        max_length=500,
        title="Weights",
        description="Name of weights that `train routellm-mf` has made, or a folder with the published "
        "BERT router.",
        json_schema_extra={"weights": [ROUTELLM, PUBLISHED]},
    )
    table: str = Field(
        default="",
        max_length=500,
        title="Table",
        description="For the published router and a target share: what `train routellm-table` has "
        "made of it.",
        json_schema_extra={"weights": [ROUTELLM_TABLE]},
    )
    reading: Literal["as_trained", "last_message", "trajectory"] = Field(
        default="as_trained",
        title="Reading",
        description="What the router reads. as_trained: as its weights or its table say; a published "
        "router without a table reads the last message.",
    )


@dataclass(frozen=True, kw_only=True)
class RouteLLM(Policy):
    """Run a step on the top tier if the router's win rate reaches the threshold."""

    scorer: Scorer
    threshold: float
    reading: Reading

    def before_texts(self, context: StepContext) -> tuple[str, ...]:
        return (render(context.task, context.trajectory, self.reading),)

    def before_step(self, context: StepContext) -> Decision:
        return routed(context, self.threshold, "The router's win rate for the top tier")


def _build(parameters: RouteLLMParameters, ladder: Ladder, resources: Resources) -> RouteLLM:
    folder = resources.locate(parameters.weights, field="weights")
    if is_classifier(folder):
        return _published(parameters, ladder, resources, folder)
    scorer = open_scorer(folder, kind=ROUTELLM, ladder=ladder.snapshot(), encoder=resources.encoder)
    manifest = scorer.manifest
    return RouteLLM(
        scorer=scorer,
        threshold=parameters.threshold_of(manifest.threshold_for_share).threshold,
        reading=_reading(parameters, manifest.options.get("reading")),
    )


def _published(
    parameters: RouteLLMParameters, ladder: Ladder, resources: Resources, folder: Path
) -> RouteLLM:
    classifier = load_hf_classifier(folder, "routellm")
    if not parameters.table:
        point = parameters.threshold_of(_no_table)
        reading: Reading = "trajectory" if parameters.reading == "trajectory" else "last_message"
        return RouteLLM(scorer=classifier, threshold=point.threshold, reading=reading)
    located = resources.locate(parameters.table, field="table")
    manifest = load(located, kind=ROUTELLM_TABLE).manifest
    check_ladder(manifest, ladder.snapshot())
    if manifest.options.get("classifier_digest") != classifier.digest:
        raise InvalidInput(
            f"The table {manifest.name!r} was made for another classifier.",
            field="table",
            hint="Make one for this classifier: train routellm-table --classifier FOLDER.",
        )
    return RouteLLM(
        scorer=classifier,
        threshold=parameters.threshold_of(manifest.threshold_for_share).threshold,
        reading=_reading(parameters, manifest.options.get("reading")),
    )


def _no_table(share: float) -> CalibrationPoint:
    raise InvalidInput(
        "A published router says nothing of the share of large steps a threshold gives here.",
        field="table",
        hint="Make its table (train routellm-table) and name it, or choose by threshold.",
    )


def _reading(parameters: RouteLLMParameters, trained: object) -> Reading:
    chosen = trained if parameters.reading == "as_trained" else parameters.reading
    if chosen != trained:
        raise InvalidInput(
            f"The router was calibrated on the reading {trained!r}, not on {chosen!r}.",
            field="reading",
            hint="Choose as_trained, or train with the other reading.",
        )
    return "trajectory" if chosen == "trajectory" else "last_message"


STRATEGY = Strategy(
    name="routellm",
    title="RouteLLM",
    summary="Before each step a trained router says whether the top tier is needed.",
    family="Learned routers",
    label="adapted",
    source="arXiv 2406.18665, problem formulation and routing approaches",
    parameters=RouteLLMParameters,
    policy=_build,
    doc="routellm.md",
    loads=True,
)
