"""The other policy: what is asked of it, and whether a run's log can answer for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collab_core.domain import Ladder, Tier, TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.policies.base import Policy
from collab_core.policies.guard import Guard
from collab_core.strategies.base import NO_RESOURCES, AgentParameters, Resources
from collab_core.strategies.registry import find, parse_parameters
from collab_core.whatif.recorded import RecordedRun, RecordedStep

TEAM = frozenset({"max_seekers", "seeker_steps", "writer_steps"})
"""Agent parameters without a meaning for an agent that works alone."""
RETOLD = frozenset({"missing_verdict"})
"""Agent parameters that change what a policy is told, not what a model is asked."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A strategy with parameters that fit one recorded run."""

    strategy: str
    parameters: AgentParameters
    same: bool
    """It is what the run was made with."""
    ladder: Ladder
    resources: Resources

    def policy(self) -> Policy:
        """Return a new one, for one agent instance.

        Raises:
            InvalidInput: something it loads is missing or wrong.
        """
        build = find(self.strategy).policy
        if build is None:
            raise AssertionError("methods were refused")
        return Guard(build(self.parameters, self.ladder, self.resources))


def wanted(
    run: RecordedRun,
    strategy: str,
    parameters: Mapping[str, Any],
    resources: Resources = NO_RESOURCES,
) -> Wanted:
    """Return the strategy as it would run here: what shapes the prompts is the recorded run's.

    Raises:
        InvalidInput: unknown strategy, wrong parameters, a whole method on either side, or a
            parameter that would have made other prompts than the log holds.
    """
    for name in (run.queued.strategy, strategy):
        if find(name).method is not None:
            raise undecidable(
                run,
                f"{find(name).title} is a method of its own, without a policy that decides by step",
                "Replay runs of strategies that decide step by step.",
                field="strategy",
            )
    made_with = parse_parameters(run.queued.strategy, run.queued.parameters)
    if not isinstance(made_with, AgentParameters):
        raise AssertionError("a policy's parameters extend AgentParameters")
    shared = {
        name: getattr(made_with, name)
        for name in AgentParameters.model_fields
        if name not in RETOLD or name not in parameters
    }
    asked = parse_parameters(strategy, {**shared, **parameters})
    for name, value in shared.items():
        ignored = name in TEAM and made_with.agent == "react"
        if getattr(asked, name) != value and not ignored:
            raise undecidable(
                run,
                f"it was made with {name} = {value}, and another one makes other prompts",
                f"Leave {name} out; it is taken from the run.",
                field=name,
            )
    if not isinstance(asked, AgentParameters):
        raise AssertionError("a policy's parameters extend AgentParameters")
    return Wanted(
        strategy=strategy,
        parameters=asked,
        same=strategy == run.queued.strategy and asked == made_with,
        ladder=ladder_of(run.tiers, run.queued.ladder_name),
        resources=resources,
    )


def ladder_of(tiers: tuple[TierSnapshot, ...], name: str) -> Ladder:
    """Return a ladder to build policies on; nothing can be called with it."""
    return Ladder(
        name=name,
        tiers=tuple(
            Tier(
                name=tier.name,
                model=tier.model,
                base_url="",
                endpoint=tier.endpoint,
                price_input_usd=tier.price_input_usd,
                price_cached_usd=tier.price_cached_usd,
                price_output_usd=tier.price_output_usd,
                context_tokens=tier.context_tokens,
                simulated=tier.simulated,
            )
            for tier in tiers
        ),
    )


def scores(
    run: RecordedRun, policy: Policy, step: RecordedStep, texts: tuple[str, ...] | None
) -> tuple[float, ...]:
    """Return what the policy's scorer said of the texts when the run was made; () if not asked.

    Raises:
        InvalidInput: the log does not hold it.
    """
    if texts is None or policy.scorer is None:
        return ()
    digest = hashlib.sha256("\0".join(texts).encode(errors="replace")).hexdigest()[:32]
    for known in step.scored:
        if (known.request_digest, known.digest) == (digest, policy.scorer.digest):
            return known.values
    raise undecidable(
        run,
        f"step {step.number} was never read by the scorer {policy.scorer.name!r}",
        "Replay runs that this scorer, with these weights, has taken part in.",
        field="strategy",
    )


def undecidable(run: RecordedRun, why: str, hint: str, *, field: str) -> InvalidInput:
    """Return the error for what a log does not tell."""
    return InvalidInput(
        f"This cannot be decided from the log of run {run.run_id}: {why}.", field=field, hint=hint
    )
