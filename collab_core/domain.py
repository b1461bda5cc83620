"""The nouns of the field, once and for all: frozen, keyword-only, no behaviour beyond arithmetic.

Conventions: ``_s`` seconds, ``_usd`` US dollars, ``_frac`` in 0..1. A tier is named by its position
in the ladder, 0 = cheapest. ``None`` means unknown, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the agent is asked; it holds nothing the agent must not see."""

    question: str
    collection: str = ""
    """Name of the document collection that the tools search; "" = none."""
    task_id: str = ""
    """Identity inside a task set ("" for a typed question)."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Four separate limits of one model call, all in seconds."""

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    between_chunks_s: float = 60.0
    total_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Tier:
    """One rung of a ladder: a model at an OpenAI-compatible endpoint."""

    name: str
    """What people call it: "small", "large"."""
    model: str
    base_url: str
    """Up to and including the version: ``http://host:8000/v1``."""
    endpoint: str = ""
    """The endpoint's display name."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key; "" = no key."""
    price_input_usd: float | None = None
    """Per 1M uncached input tokens; None = unknown."""
    price_cached_usd: float | None = None
    """Per 1M cached input tokens; None = the same as uncached."""
    price_output_usd: float | None = None
    context_tokens: int = 32_768
    max_concurrency: int = 64
    simulated: bool = False
    structured_output: bool = False
    """The server enforces a JSON schema or regex (vLLM's ``structured_outputs``)."""
    supports_priority: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, kw_only=True)
class TierSnapshot:
    """What a log says of a tier: no address, no key's name.

    An error may still name the address that failed, so that people can mend it.
    """

    name: str
    model: str
    endpoint: str = ""
    price_input_usd: float | None = None
    price_cached_usd: float | None = None
    price_output_usd: float | None = None
    context_tokens: int = 32_768
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """An ordered list of N >= 1 tiers, cheapest first."""

    name: str
    tiers: tuple[Tier, ...]

    @property
    def top(self) -> int:
        return len(self.tiers) - 1

    @property
    def simulated(self) -> bool:
        """True if any tier is simulated: every figure of such a run must be labelled so."""
        return any(tier.simulated for tier in self.tiers)

    def snapshot(self) -> tuple[TierSnapshot, ...]:
        return tuple(
            TierSnapshot(
                name=tier.name,
                model=tier.model,
                endpoint=tier.endpoint,
                price_input_usd=tier.price_input_usd,
                price_cached_usd=tier.price_cached_usd,
                price_output_usd=tier.price_output_usd,
                context_tokens=tier.context_tokens,
                simulated=tier.simulated,
            )
            for tier in self.tiers
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may spend at most. None = unlimited."""

    max_steps: int = 40
    max_tokens: int | None = 2_000_000
    """Input plus output tokens of all its model calls."""
    max_cost_usd: float | None = None
    max_wall_s: float | None = 3_600.0
    """Sum of the recorded durations of its effects, so that a resumed run is charged once."""
    max_output_tokens: int = 2_048
    """Of one model call."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one or more model calls. ``input_tokens`` includes the cached ones."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int | None = None
    estimated: bool = False
    """The server sent no usage; tokens were counted from the stream."""

    def __add__(self, other: Usage) -> Usage:
        cached = [u.cached_tokens for u in (self, other) if u.cached_tokens is not None]
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=sum(cached) if cached else None,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Durations of one model call; the parts sum to ``total_s`` where the server tells them all.

    ``first_token_s`` counts from the request being sent and includes ``queued_s``.
    ``total_s`` includes failed attempts and the waits between them.
    """

    queued_s: float | None = None
    """Waiting in the server, or for a free slot of the tier; None = not told."""
    first_token_s: float = 0.0
    decode_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A failed try of a model call: never a step, but charged and shown."""

    code: str
    message: str
    duration_s: float
    output_tokens: int = 0
    """Tokens seen before it broke."""


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call as the model wrote it; ``arguments`` is its raw JSON text, possibly malformed."""

    id: str
    name: str
    arguments: str


CheckStatus = Literal["parsed", "missing", "malformed", "not_asked"]


@dataclass(frozen=True, kw_only=True)
class ProgressCheck:
    """The agent's verdict on its own latest step.

    ``indicator``: 1 = meaningful progress, 0 = stagnation, None = no usable verdict.
    ``made_progress``: what the policy is told, after the rule for missing verdicts.
    """

    status: CheckStatus
    indicator: Literal[0, 1] | None = None
    made_progress: bool = True
    rationale: str = ""
    raw: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Who runs the next step, and why."""

    tier: int
    reason: str
    """warm_up, default, escalated, budget_left, restored, fixed, … (closed set per policy)."""
    level: int = 0
    """Escalation level n_t, the number of consecutive stalls (AgentCollab Eq. 1)."""
    budget: int | None = None
    """Steps granted at this escalation; None where the policy has none."""
    budget_left: int | None = None
    """Steps of it left *including* the one decided here."""
    why: str = ""
    """One sentence for people."""
    score: float | None = None
    """What a learned policy went by: its scorer's number."""
    threshold: float | None = None
    """What ``score`` was compared with."""
    logprobs: bool = False
    """Ask the server for log-probabilities of this step."""
    warm_tier: int | None = None
    """A tier whose prefix cache to fill while this step runs; None = none."""


@dataclass(frozen=True, kw_only=True)
class LatencySplit:
    """Where a step's time went; the parts sum to ``total_s``."""

    queue_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    tool_s: float = 0.0
    """Tools, and parallel agents that were waited for."""
    route_s: float = 0.0
    """Embeddings and scorers of a learned strategy."""
    overhead_s: float = 0.0
    """The engine's own time, storing included, and failed attempts."""
    total_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """A finished step as a policy sees it."""

    index: int
    decision: Decision
    text: str
    tool_name: str = ""
    tool_arguments: str = ""
    observation: str = ""
    tool_error: bool = False
    check: ProgressCheck = field(default_factory=lambda: ProgressCheck(status="not_asked"))
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0
    cost_usd: float | None = None
    mean_logprob: float | None = None
    first_token_margin: float | None = None
    decisive_margin: float | None = None
    discarded: int = 0
    """Drafts of the step that the policy rejected."""


@dataclass(frozen=True, kw_only=True)
class Totals:
    """A run's counters when it ended; all of it charged to the strategy."""

    steps: int = 0
    latency_s: float = 0.0
    """The largest cumulative latency of a step: the sum of the steps' latencies where nothing ran
    in parallel, else that of the longest path."""
    unfinished_s: float = 0.0
    """Spent in a step that never finished: its calls, a failed or stopped one with its retries too."""
    usage: Usage = field(default_factory=Usage)
    output_tokens_by_tier: tuple[int, ...] = ()
    steps_by_tier: tuple[int, ...] = ()
    switches: int = 0
    cost_usd: float | None = None
    model_calls: int = 0
    drafts_discarded: int = 0
    scorer_calls: int = 0
    scorer_s: float = 0.0
    failed_attempts: int = 0
    checks_missing: int = 0
    checks_malformed: int = 0


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Where a run branched off: steps 1..``after_step`` are the parent's."""

    run_id: str
    after_step: int
