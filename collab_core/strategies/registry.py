"""Every strategy a user can pick. A new one is a policy file, a line here and its page in docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from collab_core.agents.react import ReActAgent, ReActOptions
from collab_core.budgets import BudgetSchedule
from collab_core.domain import Ladder
from collab_core.errors import InvalidInput
from collab_core.policies.agentcollab import AgentCollab, AgentCollabRules
from collab_core.policies.base import Policy
from collab_core.policies.fixed import FixedTier
from collab_core.strategies.parameters import (
    AgentCollabParameters,
    AgentCollabStaticParameters,
    AgentParameters,
    FixedParameters,
)

PolicyBuilder = Callable[[Any, Ladder], Policy]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """An agent with a policy, as a user picks it."""

    name: str
    title: str
    summary: str
    label: Literal["native", "adapted", "proxy"]
    """How near it is to its source: as published, fitted to per-step routing, or a stand-in."""
    source: str
    parameters: type[AgentParameters]
    policy: PolicyBuilder
    doc: str
    """File below ``docs/strategies/``."""


def _dynamic(parameters: AgentCollabParameters, ladder: Ladder) -> Policy:
    return AgentCollab(
        AgentCollabRules(
            warm_up_steps=parameters.warm_up_steps,
            schedule=BudgetSchedule(
                base=parameters.budget_base,
                growth=parameters.growth,
                maximum=parameters.budget_max,
                schedule=parameters.schedule,
                midpoint=parameters.sigmoid_midpoint,
                offset=parameters.level_offset,
            ),
            early_hand_back=parameters.early_hand_back,
            higher_verdicts_count=parameters.higher_verdicts_count,
            recompute_budget=parameters.recompute_budget,
            climb=parameters.climb,
        )
    )


def _static(parameters: AgentCollabStaticParameters, ladder: Ladder) -> Policy:
    return AgentCollab(
        AgentCollabRules(
            warm_up_steps=parameters.warm_up_steps,
            schedule=BudgetSchedule(
                base=parameters.budget_base, growth=0.0, maximum=parameters.budget_base
            ),
            early_hand_back=parameters.early_hand_back,
            higher_verdicts_count=parameters.higher_verdicts_count,
            climb=parameters.climb,
        )
    )


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(
            name="agentcollab",
            title="AgentCollab, dynamic",
            summary="The small tier works and judges itself; when it stalls, a higher tier takes "
            "over, for longer the more stalls there were in a row.",
            label="native",
            source="arXiv 2603.26034, section 2.2",
            parameters=AgentCollabParameters,
            policy=_dynamic,
            doc="agentcollab.md",
        ),
        Strategy(
            name="agentcollab-static",
            title="AgentCollab, static",
            summary="The same escalation with a constant budget (growth k = 0).",
            label="native",
            source="arXiv 2603.26034, section 2.1, Algorithm 1",
            parameters=AgentCollabStaticParameters,
            policy=_static,
            doc="agentcollab.md",
        ),
        Strategy(
            name="small",
            title="Small only",
            summary="Every step on the lowest tier: the cheapest baseline.",
            label="native",
            source="arXiv 2603.26034, Table 1",
            parameters=FixedParameters,
            policy=lambda parameters, ladder: FixedTier(tier=0),
            doc="fixed.md",
        ),
        Strategy(
            name="large",
            title="Large only",
            summary="Every step on the top tier: the reference that speedup is measured against.",
            label="native",
            source="arXiv 2603.26034, Table 1",
            parameters=FixedParameters,
            policy=lambda parameters, ladder: FixedTier(tier=-1),
            doc="fixed.md",
        ),
    )
}


def find(name: str) -> Strategy:
    """Return a strategy.

    Raises:
        InvalidInput: there is none of that name.
    """
    if name not in STRATEGIES:
        raise InvalidInput(
            f"There is no strategy {name[:60]!r}. Choose one of: {', '.join(STRATEGIES)}.",
            field="strategy",
        )
    return STRATEGIES[name]


def parse_parameters(name: str, raw: Mapping[str, Any]) -> AgentParameters:
    """Return the strategy's parameters, checked and filled with defaults.

    Raises:
        InvalidInput: with the first parameter at fault in ``field``.
    """
    model = find(name).parameters
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{field}: {what}" if field else what, field=field) from error


def build_agent(name: str, raw: Mapping[str, Any], ladder: Ladder) -> ReActAgent:
    """Return a fresh agent for one run.

    Raises:
        InvalidInput: unknown strategy or wrong parameters.
    """
    parameters = parse_parameters(name, raw)
    options = ReActOptions(
        check_mode=parameters.check_mode,
        missing_verdict=parameters.missing_verdict,
        enforce_check=parameters.enforce_check,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
    )
    return ReActAgent(options, find(name).policy(parameters, ladder))
