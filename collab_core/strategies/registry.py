"""Every strategy a user can pick, in the order they are shown; each lives in a file of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from collab_core.agents.base import Agent
from collab_core.agents.loop import LoopOptions
from collab_core.agents.planner_executor import PlannerExecutor, TeamOptions
from collab_core.agents.react import ReActAgent
from collab_core.domain import Ladder
from collab_core.errors import InvalidInput
from collab_core.policies import (
    agentcollab,
    blind,
    by_role,
    calibrated,
    fixed,
    frugalgpt,
    margin,
    probe,
    routellm,
)
from collab_core.policies.base import Policy
from collab_core.strategies import cope, debate, masrouter, oi_mas, workflow
from collab_core.strategies.base import (
    NO_RESOURCES,
    AgentParameters,
    Parameters,
    Resources,
    Strategy,
)

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        agentcollab.DYNAMIC,
        agentcollab.STATIC,
        calibrated.STRATEGY,
        fixed.SMALL,
        fixed.LARGE,
        fixed.TIER,
        by_role.LARGE_PLANNER,
        by_role.LARGE_EXECUTOR,
        blind.RANDOM,
        blind.MATCHED,
        blind.FIRST_LARGE,
        blind.ONE_WAY,
        blind.PERIOD,
        routellm.STRATEGY,
        frugalgpt.STRATEGY,
        margin.STRATEGY,
        probe.STRATEGY,
        cope.COPE,
        oi_mas.OI_MAS,
        masrouter.MASROUTER,
        debate.DEBATE,
        workflow.WORKFLOW,
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


def parse_parameters(name: str, raw: Mapping[str, Any]) -> Parameters:
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
        if first["type"] == "extra_forbidden":
            what = f"{name} has no such parameter. It has: {', '.join(model.model_fields)}."
        raise InvalidInput(f"{field}: {what}" if field else what, field=field) from error


def from_words(strategy: str, raw: Mapping[str, str]) -> dict[str, object]:
    """Turn the words of a command line into what the parameter model takes."""
    properties = find(strategy).parameters.model_json_schema()["properties"]
    typed: dict[str, object] = dict(raw)
    for name, text in raw.items():
        choices = properties.get(name, {}).get("enum", [])
        if any(isinstance(choice, int) for choice in choices):
            with contextlib.suppress(ValueError):
                typed[name] = int(text)
    return typed


def check_fork(parent: str, child: str) -> None:
    """Make sure that a run of one strategy can go on under the other.

    Raises:
        InvalidInput: one of them is a whole method: its steps mean nothing to another strategy.
    """
    for name in (parent, child):
        if find(name).method is not None:
            raise InvalidInput(
                f"{find(name).title} is a method of its own and shares no steps with other runs; "
                "submit it as a new run.",
                field="strategy",
            )


def build_agent(
    name: str, raw: Mapping[str, Any], ladder: Ladder, resources: Resources = NO_RESOURCES
) -> Agent:
    """Return a fresh agent for one run.

    Raises:
        InvalidInput: unknown strategy, wrong parameters, or something it loads is missing or wrong.
    """
    strategy, parameters = find(name), parse_parameters(name, raw)
    if strategy.method is not None:
        return strategy.method(parameters, ladder, resources)
    if not isinstance(parameters, AgentParameters) or strategy.policy is None:
        raise TypeError(f"{name} has neither a policy nor a method")
    build = strategy.policy
    # built here once, so that what is wrong is found before the first step
    first: list[Policy] = [build(parameters, ladder, resources)]

    def new_policy() -> Policy:
        return first.pop() if first else build(parameters, ladder, resources)

    if parameters.agent == "planner-executor":
        team = TeamOptions(
            max_seekers=parameters.max_seekers,
            seeker_steps=parameters.seeker_steps,
            writer_steps=parameters.writer_steps,
        )
        return PlannerExecutor(loop_options(parameters), team, new_policy, loads=strategy.loads)
    return ReActAgent(loop_options(parameters), new_policy)


def loop_options(parameters: AgentParameters) -> LoopOptions:
    """Return what the parameters say of the agent's loop."""
    return LoopOptions(
        check_mode=parameters.check_mode,
        missing_verdict=parameters.missing_verdict,
        enforce_check=parameters.enforce_check,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        hand_over=parameters.hand_over,
    )
