"""What a what-if says, as plain records: for pages, JSON and tests. Shares are 0..1."""

from __future__ import annotations

from typing import Literal

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A number with the interval that a real run's would fall into; an exact one has none of it."""

    mean: float
    low: float
    high: float

    @property
    def exact(self) -> bool:
        return self.low == self.mean == self.high


class StepDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What the other policy decides for one recorded step."""

    scope: str
    step: int
    """In the run."""
    index: int
    """In the agent instance."""
    recorded_tier: int
    tier: int
    reason: str
    level: int = 0
    budget: int | None = None
    budget_left: int | None = None
    exact: bool = True
    """The log holds every step before as the other policy wants it. Where not, this is what the
    policy would decide if it took the run over here."""


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first step where the other policy does something that the log does not hold."""

    scope: str
    role: str
    step: int
    index: int
    kind: Literal["tier", "draft", "warm_prefill"]
    """draft: the tier of the first draft is the same, but another draft stands."""
    recorded_tier: int
    wanted_tier: int
    recorded_name: str
    wanted_name: str
    recorded_reason: str
    wanted_reason: str
    why: str = ""
    """The other policy's sentence."""


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What steps add up to; of the exact ones, recorded and therefore without an interval."""

    steps: int = 0
    large_steps: int = 0
    """On the ladder's top tier."""
    switches: int = 0
    moves: int = 0
    """Denominator of the switching ratio: steps less one for each agent instance."""
    latency_s: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One run under another policy, as far as its log decides it."""

    run_id: str
    task_id: str
    strategy: str
    recorded_strategy: str
    seed: int
    simulated: bool
    outcome: Literal["correct", "incorrect", "unscored"]
    """Of the recorded run; also the other policy's where ``divergence`` is None."""
    decisions: tuple[StepDecision, ...]
    divergence: Divergence | None
    prefix: Sums
    """Of the exact steps."""
    recorded: Sums
    """Of the whole recorded run."""

    @property
    def exact(self) -> bool:
        """True = the other policy makes this very run: every figure of it is exact."""
        return self.divergence is None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one run, or means over many. None = unknown, because the log does not tell it."""

    accuracy: Figure | None
    latency_s: Figure
    steps: Figure
    large_steps: Figure
    switches: Figure
    cost_usd: Figure | None


class RunEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """What one run would have come to; ``accuracy`` is the chance of a correct answer."""

    run_id: str
    figures: Figures


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The predicted row of a table."""

    figures: Figures
    speedup: Figure
    """Latency of the recorded runs over that of the other policy."""
    switching_ratio: Figure | None
    """In percent, 0..100 (AgentCollab Eq. 5)."""
    large_step_share: Figure


class Support(msgspec.Struct, frozen=True, kw_only=True):
    """How many estimated steps the pool holds nothing near to."""

    pool_runs: int
    pool_steps: int
    left_out: int
    """Runs of the pool that could not be used."""
    thin_share: float
    """Share of the estimated steps in a situation (tier, stalls in a row, early or late) of which
    the pool has fewer than ``least`` steps."""
    least: int
    thin: tuple[str, ...]
    """These situations, in words."""


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """What the other policy makes of verdicts that people have labelled.

    Caught: the next step of the same agent instance runs on a higher tier than the labelled one.
    """

    labelled: int
    """Labelled steps below the top tier, with a usable verdict, that another step follows."""
    false_progress: int
    """Labelled as no progress, while the verdict said progress."""
    recorded_caught: int
    """Of these, by the recorded run itself."""
    decided: int
    """Of these, in the exact part: before the other policy diverges, or at that step."""
    decided_caught: int
    """Of ``decided``, by the other policy."""
    taken_over_caught: int
    """Of ``false_progress``, if the other policy took each recorded run over right behind the
    labelled step, having been told all steps before."""
    true_progress: int
    """Labelled as progress, with the same verdict."""
    taken_over_needless: int
    """Of these, by the other policy's taking over: escalations that nobody needed."""
    extra_large_steps: Figure | None
    """A run, against the recorded ones; None = not estimated."""


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """Many runs under another policy."""

    strategy: str
    parameters: dict[str, object]
    level: float
    """Of every interval, 0..1."""
    simulated: bool
    runs: int
    exact_runs: int
    steps: int
    """Recorded."""
    exact_steps: int
    divergences: tuple[Divergence | None, ...]
    """In the order of the runs."""
    recorded: Figures
    row: Row | None
    """None = not estimated, for the reason in ``refused``."""
    refused: str
    estimates: tuple[RunEstimate, ...]
    support: Support | None
    caught: Caught | None
