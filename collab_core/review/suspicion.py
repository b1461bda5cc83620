"""How suspicious a verdict is, from the step's record alone: which steps are worth a person's time.

A score is a sum of points for named reasons. It decides only how likely a step is to be drawn for
labelling (``review/sampling.py``), never what the label says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from collab_core.domain import StepRecord
from collab_core.learned.evidence import Evidence, Shown, Tracker

Reason = Literal[
    "tool_failed",
    "repeated_call",
    "same_observation",
    "nothing_new",
    "no_action",
    "long_since_new",
    "short_rationale",
    "repeated_rationale",
    "progress_after_stalls",
    "unsure_model",
    "new_documents",
    "no_usable_verdict",
]

POINTS: dict[Reason, float] = {
    "tool_failed": 4.0,
    "repeated_call": 4.0,
    "same_observation": 3.0,
    "nothing_new": 2.0,
    "no_action": 2.0,
    "long_since_new": 1.0,
    "short_rationale": 1.0,
    "repeated_rationale": 2.0,
    "progress_after_stalls": 1.0,
    "unsure_model": 1.0,
    "new_documents": 3.0,
    "no_usable_verdict": 1.0,
}
"""Set by judgement, not fitted: large where the verdict contradicts what the log shows."""

WORDS: dict[Reason, str] = {
    "tool_failed": "It says progress, but the tool failed.",
    "repeated_call": "It says progress after a call that was made before.",
    "same_observation": "It says progress after an observation that was made before.",
    "nothing_new": "It says progress, but no document was new.",
    "no_action": "It says progress, but nothing had been done.",
    "long_since_new": "No new document for three steps or more.",
    "short_rationale": "The rationale is very short.",
    "repeated_rationale": "The rationale repeats an earlier one word for word.",
    "progress_after_stalls": "Progress after two stalls in a row or more.",
    "unsure_model": "The model was unsure of its words.",
    "new_documents": "It says no progress, but new documents were found.",
    "no_usable_verdict": "It gave no usable verdict.",
}

SHORT_RATIONALE_CHARS = 40
UNSURE_LOGPROB = -0.5
"""A mean of -0.5 is a probability of 0.61 a token."""


class Suspicion(NamedTuple):
    """Points and what they are for, most points first."""

    score: float
    reasons: tuple[Reason, ...]


def suspicion(step: StepRecord, evidence: Evidence) -> Suspicion:
    """Return how suspicious the verdict of ``step`` is; 0 = not at all."""
    verdict = step.check.indicator
    found: list[Reason] = []
    if verdict == 1:
        found += _false_progress(step, evidence)
    elif verdict == 0:
        if evidence.judged is not None and evidence.judged.new_documents:
            found.append("new_documents")
    elif step.check.status != "not_asked":
        found.append("no_usable_verdict")
    if verdict is not None and step.mean_logprob is not None and step.mean_logprob < UNSURE_LOGPROB:
        found.append("unsure_model")
    found.sort(key=lambda reason: -POINTS[reason])
    return Suspicion(sum(POINTS[reason] for reason in found), tuple(found))


def suspicions(steps: Iterable[StepRecord]) -> list[Suspicion]:
    """Return the suspicion of every step of one agent instance, in order."""
    tracker = Tracker()
    return [suspicion(step, tracker.add(step)) for step in steps]


def _false_progress(step: StepRecord, evidence: Evidence) -> list[Reason]:
    found = [] if evidence.judged is None else _contradictions(evidence.judged)
    if evidence.since_new >= 3:
        found.append("long_since_new")
    if evidence.rationale_chars < SHORT_RATIONALE_CHARS:
        found.append("short_rationale")
    if evidence.rationale_repeated:
        found.append("repeated_rationale")
    if evidence.stalls >= 2:
        found.append("progress_after_stalls")
    return found


def _contradictions(judged: Shown) -> list[Reason]:
    """Return what in the judged action speaks against progress: the strongest of its kind."""
    if not judged.acted:
        return ["no_action"]
    found: list[Reason] = []
    if judged.failed:
        found.append("tool_failed")
    if judged.repeated:
        found.append("repeated_call")
    elif judged.seen_before:
        found.append("same_observation")
    elif not judged.new_documents and not judged.failed:
        found.append("nothing_new")
    return found
