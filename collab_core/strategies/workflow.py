"""Run a workflow that was searched elsewhere: a graph of roles, at a tier or over the ladder.

Source: the kind of result that GPTSwarm, AFlow and MaAS give; searching itself is not here. Roles run
as soon as all that they read is there, side by side where the graph allows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
from pydantic import Field

from collab_core.agents.base import Agent, Answer
from collab_core.agents.loop import LoopOptions, ReActLoop
from collab_core.agents.prompts import prompt
from collab_core.agents.speaker import Speaker
from collab_core.agents.steps import StepBook
from collab_core.domain import Ladder
from collab_core.errors import InvalidInput
from collab_core.policies.assigned import Assigned
from collab_core.policies.base import Policy
from collab_core.policies.fixed import tier_position
from collab_core.runtime.session import Session
from collab_core.strategies.base import AgentParameters, Parameters, Resources, Strategy
from collab_core.strategies.solvers import sealed
from collab_core.strategies.workflow_file import (
    EXAMPLES,
    Role,
    Workflow,
    example_names,
    read_workflow,
)

_OUTPUT_CHARS = 8_000
"""Of a role's output that another role is shown."""


class WorkflowParameters(Parameters):
    """Which graph, and who runs its roles."""

    workflow: str = Field(
        default="aflow",
        min_length=1,
        max_length=200,
        title="Workflow",
        description="A shipped example (aflow, gptswarm, maas), or a .toml or .json file in the "
        "workspace's folder.",
    )
    over: Literal["file", "tier", "policy"] = Field(
        default="file",
        title="Who runs the roles",
        description="file: each role on the tier or policy that the file gives it, the others on "
        "the tier below. tier: all on that tier. policy: the policy decides at every step.",
    )
    tier: str = Field(
        default="1",
        max_length=60,
        title="Tier",
        description="Its name, or its place in the ladder counted from 1, the cheapest.",
    )
    policy: str = Field(
        default="agentcollab",
        max_length=60,
        title="Policy",
        description="Name of a strategy that decides step by step; each role has its own state.",
    )
    policy_parameters: str = Field(
        default="",
        max_length=4_000,
        title="Parameters of the policy",
        description='A JSON object, as in {"warm_up_steps": 0}; empty = its defaults.',
    )


class Seat(NamedTuple):
    """Who runs a role: a maker of policies, and how the role's loop runs under them."""

    new_policy: Callable[[], Policy]
    options: LoopOptions


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A workflow, settled for one ladder."""

    workflow: Workflow
    seats: Mapping[str, Seat]
    """By role id."""


class WorkflowAgent:
    """The agent: every role an instance on its branch, the final one on the main branch."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    async def solve(self, session: Session) -> Answer:
        """Return the final role's output; see :class:`Agent` for the errors."""
        roles = self.plan.workflow.by_id
        final = self.plan.workflow.final
        loop = asyncio.get_running_loop()
        done: dict[str, asyncio.Future[_Output]] = {name: loop.create_future() for name in roles}
        others = [name for name in roles if name != final]
        await StepBook(session).side_by_side(
            *(self._play(session.branch(name), roles[name], done) for name in others)
        )
        answer = await self._play(session, roles[final], done)
        return answer._replace(ended_by="answer") if answer.text else answer

    async def _play(
        self, session: Session, role: Role, done: Mapping[str, asyncio.Future[_Output]]
    ) -> Answer:
        inputs = {name: await done[name] for name in role.reads}
        started_s = max((given.finished_s for given in inputs.values()), default=0.0)
        player = self._player(session, role, inputs, started_s)
        answer = await player.run()
        done[role.id].set_result(_Output(answer.text, player.book.cumulative_s))
        return answer

    def _player(
        self, session: Session, role: Role, inputs: Mapping[str, _Output], started_s: float
    ) -> ReActLoop:
        seat = self.plan.seats[role.id]
        head = [
            {"role": "system", "content": self._told(role, seat.options)},
            {"role": "user", "content": _material(session.task.question, inputs)},
        ]
        kind = ReActLoop if role.tools else Speaker
        return kind(
            session,
            seat.new_policy(),
            seat.options,
            head=head,
            role=role.id,
            # a last step is forced to answer; who writes once must not be
            max_steps=min(role.steps, session.limits.max_steps) if role.tools else 2,
            started_s=started_s,
        )

    def _told(self, role: Role, options: LoopOptions) -> str:
        judged = options.check_mode == "inline"
        check = prompt("inline_check") if judged else ""
        frame = prompt("workflow_tools").replace("{check}\n", f"{check}\n" if check else "")
        parts = [role.prompt.strip(), frame if role.tools else prompt("workflow_text")]
        if not role.tools and judged:
            parts.append(check)
        if role.id == self.plan.workflow.final:
            parts.append(prompt("workflow_final"))
        return "\n\n".join(parts)


class _Output(NamedTuple):
    text: str
    finished_s: float


def _material(question: str, inputs: Mapping[str, _Output]) -> str:
    """Return the task and the outputs; models' text, which cannot close its tags."""
    blocks = [
        f'<output role="{name}">\n{sealed(given.text, "output", limit=_OUTPUT_CHARS)}\n</output>'
        for name, given in inputs.items()
    ]
    return "\n\n".join([question, *blocks])


def _build(parameters: WorkflowParameters, ladder: Ladder, resources: Resources) -> Agent:
    reference = parameters.workflow
    if reference in example_names():
        path = EXAMPLES / f"{reference}.toml"
    else:
        path = resources.locate(reference, field="workflow")
    workflow = read_workflow(path, field="workflow")
    seats = {role.id: _seat(role, parameters, ladder, resources) for role in workflow.roles}
    return WorkflowAgent(Plan(workflow=workflow, seats=seats))


def _seat(role: Role, parameters: WorkflowParameters, ladder: Ladder, resources: Resources) -> Seat:
    sampling = {"temperature": parameters.temperature, "top_p": parameters.top_p}
    if parameters.over == "policy":
        given = {**sampling, **_decoded(parameters.policy_parameters)}
        return _policy_seat(parameters.policy, given, ladder, resources)
    if parameters.over == "file" and role.policy:
        return _policy_seat(role.policy, {**sampling, **role.parameters}, ladder, resources)
    own = parameters.over == "file" and role.tier
    tier = tier_position(
        role.tier if own else parameters.tier, ladder, field="workflow" if own else "tier"
    )
    why = f"The role runs on {ladder.tiers[tier].name}."
    return Seat(
        lambda: Assigned(tier=tier, reason="role", why=why),
        LoopOptions(check_mode="off", temperature=parameters.temperature, top_p=parameters.top_p),
    )


def _policy_seat(name: str, raw: Mapping[str, Any], ladder: Ladder, resources: Resources) -> Seat:
    # imported here: the registry lists this very file
    from collab_core.strategies.registry import (  # noqa: PLC0415
        find,
        loop_options,
        parse_parameters,
    )

    build, parsed = find(name).policy, parse_parameters(name, raw)
    if build is None or not isinstance(parsed, AgentParameters):
        raise InvalidInput(
            f"policy: {name} is a whole method; a role needs a policy.", field="policy"
        )
    if parsed.agent != "react":
        raise InvalidInput(f"policy: a role is one agent, not a {parsed.agent}.", field="policy")
    # built here once, so that what is wrong is found before the first step
    first: list[Policy] = [build(parsed, ladder, resources)]

    def new_policy() -> Policy:
        return first.pop() if first else build(parsed, ladder, resources)

    return Seat(new_policy, loop_options(parsed))


def _decoded(text: str) -> dict[str, Any]:
    """Read a JSON object; "" is an empty one.

    Raises:
        InvalidInput: it is something else.
    """
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(
            f"policy_parameters is not a JSON object: {error}.", field="policy_parameters"
        ) from error


WORKFLOW = Strategy(
    name="workflow",
    title="Workflow from a file",
    summary="A graph of roles that GPTSwarm, AFlow, MaAS or you have found, on one tier or over the "
    "ladder.",
    family="Whole methods",
    label="proxy",
    source="arXiv 2402.16823 (GPTSwarm), 2410.10762 (AFlow), 2502.04180 (MaAS): the execution of a "
    "result, without the search",
    parameters=WorkflowParameters,
    method=_build,
    doc="workflow.md",
    loads=True,
)
