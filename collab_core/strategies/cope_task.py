"""COPE over whole executions: every sample solves the task on a branch of its own, with the tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from collab_core.agents.base import Answer
from collab_core.agents.grammar import Turn
from collab_core.agents.loop import ReActLoop
from collab_core.agents.prompts import prompt
from collab_core.agents.steps import OpenStep, StepBook
from collab_core.domain import Decision
from collab_core.policies.assigned import Assigned
from collab_core.runtime.session import Call, Session
from collab_core.strategies.agreement import Vote, canonical_answer, vote
from collab_core.strategies.cope_rules import CopeRules, PlanKind, kept_plan, shown
from collab_core.strategies.solvers import close_for_others, solver, tally
from collab_core.transcript import Transcript


class Sample(NamedTuple):
    """One execution, and the plan written for it ("" if it had none of its own)."""

    plan: str
    plan_s: float
    answer: Answer
    execution_s: float


class Stage(NamedTuple):
    samples: list[Sample]
    vote: Vote


class TaskCascade:
    """The cascade over whole executions, each an agent instance of its own. Serves one run."""

    def __init__(self, rules: CopeRules, session: Session) -> None:
        self.rules = rules
        self.session = session
        self.book = StepBook(session)

    async def solve(self) -> Answer:
        rules = self.rules
        first = await self._stage(1, rules.tau1)
        if first.vote.reaches(rules.tau1):
            return _accepted(first)
        kept = kept_plan(self.session, first.vote, [sample.plan for sample in first.samples])
        large_plan = await self._plan_on_large()
        second = await self._stage(2, rules.tau2, large_plan=large_plan, kept=kept)
        if second.vote.reaches(rules.tau2):
            return _accepted(second)
        return await self._execute_on_large(large_plan)

    async def _stage(
        self, number: int, tau: float, *, large_plan: str = "", kept: str = ""
    ) -> Stage:
        rules = self.rules
        self.session.check_limits()
        step = self.book.open(
            Decision(
                tier=rules.small,
                reason=f"stage_{number}",
                threshold=tau,
                why=f"Stage {number}: {rules.samples} executions, accepted if {tau:.0%} agree.",
            )
        )
        samples = await self.book.side_by_side(
            *(
                self._sample(step, number, k, large_plan=large_plan, kept=kept)
                for k in range(1, rules.samples + 1)
            )
        )
        keys = [canonical_answer(sample.answer.text, rules.task_type) for sample in samples]
        stage = Stage(samples, vote(keys))
        self._write_down(step, number, tau, stage)
        return stage

    async def _sample(
        self, step: OpenStep, stage: int, k: int, *, large_plan: str, kept: str
    ) -> Sample:
        """Plan, in the first stage, and execute."""
        rules, name, plan, plan_s = self.rules, f"{stage}.{k}", "", 0.0
        if stage == 1:
            aside = self.session.aside(f"plan-{name}")
            reply = await aside.complete(self._plan_call(step, rules.small, rules.small_plan))
            step.branches.append([reply])
            plan, plan_s = reply.text, reply.timing.total_s
        plans: list[tuple[PlanKind, str]] = [
            (rules.small_plan, kept or plan),
            (rules.large_plan, large_plan),
        ]
        started_s = self.book.cumulative_s + plan_s
        branch = self.session.branch(f"execution-{name}")
        loop = self._executor(branch, rules.small, plans, started_s, stage=stage)
        answer = await loop.run()
        return Sample(plan, plan_s, answer, loop.book.cumulative_s - started_s)

    def _write_down(self, step: OpenStep, number: int, tau: float, stage: Stage) -> None:
        paths = [sample.plan_s + sample.execution_s for sample in stage.samples]
        verdict = "accepted" if stage.vote.reaches(tau) else "not enough"
        close_for_others(
            self.book,
            step,
            name="executions",
            arguments={"stage": number, "executions": len(stage.samples), "threshold": tau},
            observation=tally(
                stage.vote, [sample.answer.text for sample in stage.samples], verdict
            ),
            # the plans' time is in the step already
            duration_s=max(paths) - max(sample.plan_s for sample in stage.samples),
        )

    async def _plan_on_large(self) -> str:
        self.session.check_limits()
        rules = self.rules
        step = self.book.open(
            Decision(
                tier=rules.large,
                reason="stage_2_plan",
                why="Too few executions agreed, so the large model writes one plan.",
            )
        )
        reply = await self.session.complete(self._plan_call(step, rules.large, rules.large_plan))
        step.replies.append(reply)
        self.book.accept(step, reply)
        step.turn = Turn(thought=reply.text)
        self.book.close(step)
        return reply.text

    async def _execute_on_large(self, large_plan: str) -> Answer:
        plans = [(self.rules.large_plan, large_plan)]
        loop = self._executor(
            self.session, self.rules.large, plans, self.book.cumulative_s, stage=3
        )
        # the main agent's own steps go on, so that the switch to large is told
        loop.book.trajectory.extend(self.book.trajectory)
        return await loop.run()

    def _executor(
        self,
        session: Session,
        tier: int,
        plans: Sequence[tuple[PlanKind, str]],
        started_s: float,
        *,
        stage: int,
    ) -> ReActLoop:
        rules = self.rules
        name = session.ladder.tiers[tier].name
        return solver(
            session,
            Assigned(tier=tier, reason=f"stage_{stage}", why=f"Stage {stage} executes on {name}."),
            f"{session.task.question}\n\n{shown('cope_execute', plans)}".rstrip(),
            role="executor",
            max_steps=rules.execution_steps,
            started_s=started_s,
            sampling=rules.sampling,
        )

    def _plan_call(self, step: OpenStep, tier: int, kind: PlanKind) -> Call:
        messages = [
            {"role": "system", "content": prompt(f"cope_{kind}")},
            {"role": "user", "content": self.session.task.question},
        ]
        return Call(
            tier=tier,
            step=step.number,
            purpose="plan",
            transcript=Transcript(messages),
            with_tools=False,
            temperature=self.rules.sampling.temperature,
            top_p=self.rules.sampling.top_p,
            max_output_tokens=self.rules.plan_tokens,
        )


def _accepted(stage: Stage) -> Answer:
    leader = stage.vote.leader
    if leader is None:
        raise ValueError("a stage without any answer is never accepted")
    chosen = stage.samples[leader].answer
    return Answer(chosen.text, chosen.source, "answer")
