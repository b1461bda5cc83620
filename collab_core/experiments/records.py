"""One trial of an experiment, as the tables need it: what its log adds up to."""

from __future__ import annotations

from typing import Literal

import msgspec

from collab_core.events import Outcome

TrialStatus = Literal["pending", "running", "finished", "failed", "cancelled"]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A trial step by step, in the order of the log; all lists have one entry a finished step."""

    top: int | None = None
    """The number of the ladder's top tier; None = not known."""
    tiers: tuple[int, ...] = ()
    scopes: tuple[str, ...] = ()
    latency_s: tuple[float, ...] = ()
    cumulative_s: tuple[float, ...] = ()
    """Since the run began, along the step's own path: agents side by side do not add up."""
    output_tokens: tuple[int, ...] = ()
    decode_s: tuple[float, ...] = ()
    verdicts: tuple[int | None, ...] = ()
    """1 progress, 0 none, None no usable verdict."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What one run's log adds up to. Every number is charged to the strategy, drafts included."""

    steps: int = 0
    large_steps: int = 0
    """Steps on the ladder's top tier."""
    switches: int = 0
    """Finished steps on another tier than the step before of the same agent (Eq. 5)."""
    moves: int = 0
    """Denominator of the switching ratio: steps less one for each agent instance (Eq. 5)."""
    latency_s: float = 0.0
    """What an unfinished last step took is in it."""
    input_tokens: int = 0
    cached_tokens: int | None = None
    """None = no server told."""
    output_tokens: int = 0
    large_output_tokens: int = 0
    cost_usd: float | None = None
    model_calls: int = 0
    checks: int = 0
    """Usable verdicts."""
    stalls: int = 0
    """Verdicts that said no progress."""
    checks_unusable: int = 0
    """Verdicts that were asked for and are missing or malformed."""
    escalations: int = 0
    """Those of the switches that went up the ladder."""
    drafts_discarded: int = 0
    simulated: bool = False
    stand_in: bool = False


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: an arm on a task under a seed.

    ``outcome`` is what the grader said, not always what the run's own log says: a judge comes later.
    """

    arm: str
    task_id: str
    seed: int
    status: TrialStatus = "pending"
    outcome: Outcome = "unscored"
    score: float | None = None
    """Where tasks have more than right and wrong (WritingBench: 1..10)."""
    difficulty: str = ""
    category: str = ""
    facts: Facts | None = None
    """None until the run has ended; a failed run has them too."""
    labels: int = 0
    """Steps of the run with a human label on their verdict."""
    false_progress: int = 0
    """Labelled steps whose verdict was a false "progress"."""
    run_id: str = ""
