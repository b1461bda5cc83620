"""A person's label on the agent's verdict on its own step, and what follows from the two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from collab_core.domain import CheckStatus

SCHEMA_VERSION: Final = 1
MAX_COMMENT_CHARS = 10_000
_NO_NUL = r"^[^\x00]*\Z"

Kind = Literal["correct", "false_progress", "missed_progress", "unsure", "no_verdict"]
KINDS: tuple[Kind, ...] = ("correct", "false_progress", "missed_progress", "unsure", "no_verdict")

Name = Annotated[str, msgspec.Meta(max_length=300, pattern=_NO_NUL)]
Given = Annotated[str, msgspec.Meta(min_length=1, max_length=300, pattern=_NO_NUL)]
Comment = Annotated[str, msgspec.Meta(max_length=MAX_COMMENT_CHARS, pattern=_NO_NUL)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Position = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Epoch = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
Probability = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Label(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False
):
    """One reviewer's answer to "did this step move the task meaningfully forward?".

    Unique by (run, step, label set, reviewer, revision); a changed label is a new revision, the
    latest one counts.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: UUID
    step: Count
    """From 1 through the whole run, as in its log."""
    scope: Name = ""
    """The agent instance; "" = the main one."""
    label_set: Given
    reviewer: Given
    made_progress: bool | None
    """The answer; None = cannot tell."""
    first_error: bool = False
    """The reviewer calls it the first wrong step of the run."""
    comment: Comment = ""
    at: Epoch
    """When it was saved, UTC epoch seconds."""
    blind: bool = True
    """Verdict, tier, model and other labels were hidden until it was saved."""
    revision: Count = 1
    adjudicated: bool = False
    """An adjudicator's decision on a disagreement: it stands for the step."""
    verdict: Literal[0, 1] | None = None
    """What the agent said of its step: 1 = progress, 0 = none, None = nothing usable."""
    check: CheckStatus = "not_asked"
    tier: Position
    tier_name: Name = ""
    model: Name = ""
    strategy: Name = ""
    ladder: Name = ""
    task_id: Name = ""
    collection: Name = ""
    """The document collection or the benchmark that the task is of."""
    step_position: Count
    """From 1 within its agent instance."""
    prompt_version: Name = ""
    simulated: bool = False
    """The model was a simulated one: every figure made of the label must say so."""
    probability: Probability = 1.0
    """Of the step being drawn into the label set."""
    stratum: Name = ""

    @property
    def kind(self) -> Kind:
        """What label and verdict come to together."""
        return kind_of(made_progress=self.made_progress, verdict=self.verdict)

    @property
    def item(self) -> tuple[UUID, int]:
        """What was labelled: (run, step)."""
        return self.run_id, self.step


def kind_of(*, made_progress: bool | None, verdict: int | None) -> Kind:
    """Return what a label says of a verdict.

    >>> kind_of(made_progress=False, verdict=1), kind_of(made_progress=True, verdict=0)
    ('false_progress', 'missed_progress')
    >>> kind_of(made_progress=None, verdict=1), kind_of(made_progress=True, verdict=None)
    ('unsure', 'no_verdict')
    """
    if verdict is None:
        return "no_verdict"
    if made_progress is None:
        return "unsure"
    if made_progress == bool(verdict):
        return "correct"
    return "false_progress" if verdict else "missed_progress"


def latest(labels: Iterable[Label]) -> list[Label]:
    """Return each reviewer's latest revision for each step and label set, in the order first met."""
    found: dict[tuple[UUID, int, str, str], Label] = {}
    for label in labels:
        key = (label.run_id, label.step, label.label_set, label.reviewer)
        if key not in found or found[key].revision < label.revision:
            found[key] = label
    return list(found.values())
