"""A planner that hands tasks to parallel seekers and a writer.

Source: DeepDiver-V2 as read in ``docs/agents.md``: a planner, 1-5 information seekers at the same
time, a writer, each of them a ReAct loop. Ours keeps a policy's state apart for every instance, which
the paper leaves open, and counts each instance's steps for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from collab_core.agents.base import Answer
from collab_core.agents.conversation import Message
from collab_core.agents.delegation import (
    MATERIAL_CHARS,
    MAX_SEEKERS,
    REPORTS_CHARS,
    AssignSeekers,
    AssignWriter,
    Report,
    SeekerTask,
    cut,
    render_reports,
    seeker_tasks,
    writing_task,
)
from collab_core.agents.grammar import one_line
from collab_core.agents.loop import Delegated, LoopOptions, ReActLoop
from collab_core.agents.prompts import prompt
from collab_core.agents.steps import OpenStep, StepBook
from collab_core.domain import StepRecord, ToolCall
from collab_core.errors import ToolFailed
from collab_core.policies.base import Policy
from collab_core.runtime.session import Session
from collab_core.tools.base import Tool, Toolbox
from collab_core.tools.compose import Compose

PLANNER_TOOLS = frozenset({"calculator"})
"""What a planner does itself."""
WRITER_TOOLS = frozenset({"compose", "calculator"})
_LOOKED_AT = 6
_LOOKED_AT_CHARS = 80
_SHOWN_CHARS = 2_000
"""Of a writer's text in the planner's observation."""


@dataclass(frozen=True, kw_only=True)
class TeamOptions:
    """Who works with the planner. The planner itself is bounded by the run's ``max_steps``."""

    max_seekers: int = MAX_SEEKERS
    """At the same time: 1 to 5."""
    seeker_steps: int = 30
    writer_steps: int = 30


class PlannerExecutor:
    """Solves one task; every instance has a policy of its own."""

    def __init__(
        self,
        options: LoopOptions,
        team: TeamOptions,
        new_policy: Callable[[], Policy],
        *,
        loads: bool = False,
    ) -> None:
        """``loads``: making a policy reads files, so it is done off the event loop."""
        self.options = options
        self.team = team
        self._new_policy = new_policy
        self._loads = loads

    async def solve(self, session: Session) -> Answer:
        """Return the planner's answer; see :class:`Agent` for the errors."""
        team = _Team(self, session)
        session.toolbox = team.planner_tools()
        planner = ReActLoop(
            session,
            await self.policy(),
            self.options,
            head=self.head("planner_system", session.task.question),
            role="planner",
            max_steps=session.limits.max_steps,
            delegates={AssignSeekers.name: team.seek, AssignWriter.name: team.write},
        )
        answer = await planner.run()
        return answer._replace(text=team.texts.get(answer.text.strip(), answer.text))

    async def policy(self) -> Policy:
        """Return a new one, for one instance."""
        return await asyncio.to_thread(self._new_policy) if self._loads else self._new_policy()

    def head(self, system: str, task: str) -> list[Message]:
        """Return the system prompt, with or without the block to write, and the task."""
        inline = self.options.check_mode == "inline"
        check = prompt("inline_check") + "\n" if inline else ""
        return [
            {"role": "system", "content": prompt(system).replace("{check}\n", check)},
            {"role": "user", "content": task},
        ]


class _Done(NamedTuple):
    """An instance's work: its answer and the run's time when it had it."""

    answer: Answer
    book: StepBook


class _Team:
    """The planner's colleagues in one run; what they made follows from the log alone."""

    def __init__(self, agent: PlannerExecutor, session: Session) -> None:
        self.agent = agent
        self.session = session
        self.tools = session.toolbox.tools
        self.reports: list[Report] = []
        self.texts: dict[str, str] = {}

    def planner_tools(self) -> Toolbox:
        own = [tool for tool in self.tools if tool.name in PLANNER_TOOLS]
        return Toolbox([AssignSeekers(self.agent.team.max_seekers), AssignWriter(), *own])

    async def seek(self, call: ToolCall, step: OpenStep, book: StepBook) -> Delegated:
        """Let every task of the call be worked on at the same time; see :data:`Delegate`."""
        try:
            tasks = seeker_tasks(
                call,
                max_seekers=self.agent.team.max_seekers,
                goal=self.session.task.question,
            )
        except ToolFailed as error:
            return Delegated(f"Error: {error.message}", book.elapsed_s(step), error=True)
        names = [f"seeker-{step.number}.{number}" for number in range(1, len(tasks) + 1)]
        started_s = book.elapsed_s(step)
        work = (
            self._seeker(name, task, started_s) for name, task in zip(names, tasks, strict=True)
        )
        done = await book.side_by_side(*work)
        reports = [_report(*of) for of in zip(names, tasks, done, strict=True)]
        self.reports += reports
        observation = render_reports(reports, REPORTS_CHARS)
        return Delegated(observation, max(one.book.cumulative_s for one in done))

    async def write(self, call: ToolCall, step: OpenStep, book: StepBook) -> Delegated:
        """Let a writer make a text of the reports; see :data:`Delegate`."""
        try:
            task = writing_task(call, texts=self.texts)
        except ToolFailed as error:
            return Delegated(f"Error: {error.message}", book.elapsed_s(step), error=True)
        material = render_reports(self.reports, MATERIAL_CHARS) or "none"
        if task.revise:
            earlier = cut(self.texts[task.revise], MATERIAL_CHARS)
            material += f"\n\nThe text to improve, {task.revise}:\n{earlier}"
        tools = self._tools(lambda tool: tool.name in WRITER_TOOLS)
        done = await self._work(
            f"writer-{step.number}",
            tools,
            self.agent.head(
                "writer_system", prompt("writer_task").format(task=task.task, material=material)
            ),
            role="writer",
            max_steps=self.agent.team.writer_steps,
            started_s=book.elapsed_s(step),
        )
        return self._keep(f"text-{step.number}", _composed(tools) or done.answer.text, done)

    def _keep(self, name: str, text: str, done: _Done) -> Delegated:
        finished_s = done.book.cumulative_s
        if not text:
            message = f"Error: the writer ended by {done.answer.ended_by} without a text."
            return Delegated(message, finished_s, error=True)
        self.texts[name] = text
        return Delegated(f"{name} ({len(text)} characters):\n{cut(text, _SHOWN_CHARS)}", finished_s)

    async def _seeker(self, name: str, task: SeekerTask, started_s: float) -> _Done:
        return await self._work(
            name,
            self._tools(lambda tool: tool.name != Compose.name),
            self.agent.head(
                "seeker_system", prompt("seeker_task").format(task=task.task, goal=task.goal)
            ),
            role="seeker",
            max_steps=self.agent.team.seeker_steps,
            started_s=started_s,
        )

    async def _work(
        self,
        name: str,
        tools: Toolbox,
        head: list[Message],
        *,
        role: str,
        max_steps: int,
        started_s: float,
    ) -> _Done:
        loop = ReActLoop(
            self.session.branch(name, toolbox=tools),
            await self.agent.policy(),
            self.agent.options,
            head=head,
            role=role,
            max_steps=max_steps,
            started_s=started_s,
        )
        return _Done(await loop.run(), loop.book)

    def _tools(self, wanted: Callable[[Tool], bool]) -> Toolbox:
        return Toolbox(filter(wanted, self.tools)).fresh()


def _report(name: str, task: SeekerTask, done: _Done) -> Report:
    trajectory = done.book.trajectory
    return Report(
        seeker=name,
        task=task.task,
        text=done.answer.text,
        ended_by=done.answer.ended_by,
        steps=len(trajectory),
        looked_at=_looked_at(trajectory),
    )


def _looked_at(trajectory: list[StepRecord]) -> tuple[str, ...]:
    """Return the latest different calls that were answered, oldest first."""
    calls = dict.fromkeys(
        one_line(
            ToolCall(id="", name=step.tool_name, arguments=step.tool_arguments),
            limit=_LOOKED_AT_CHARS,
        )
        for step in trajectory
        if step.tool_name and not step.tool_error
    )
    return tuple(list(calls)[-_LOOKED_AT:])


def _composed(tools: Toolbox) -> str:
    compose = tools.by_name.get(Compose.name)
    return compose.sections.text() if isinstance(compose, Compose) else ""
