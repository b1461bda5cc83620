"""COPE at every step: samples of the next action, of which one is done.

The prompt that the agent carries on holds the chosen action alone; plans and the other samples are
asked on top of it and leave no trace in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from collab_core import events as ev
from collab_core.agents.grammar import Turn, read_turn
from collab_core.agents.loop import LoopOptions, ReActLoop
from collab_core.agents.prompts import prompt
from collab_core.agents.steps import OpenStep
from collab_core.domain import Decision
from collab_core.policies.base import Policy, StepContext, Verdict
from collab_core.runtime.session import Call, Session
from collab_core.strategies.agreement import Vote, canonical_answer, canonical_call, vote
from collab_core.strategies.cope_rules import CopeRules, PlanKind, kept_plan, shown
from collab_core.transcript import Transcript


class _Sample(NamedTuple):
    plan: str
    reply: ev.ModelReplied
    turn: Turn


class _Stage(NamedTuple):
    samples: list[_Sample]
    vote: Vote


class _StageOne(Policy):
    """Every step begins with the small model; the cascade itself says how it goes on."""

    reviews_drafts = True

    def __init__(self, rules: CopeRules) -> None:
        self.rules = rules

    def before_step(self, context: StepContext) -> Decision:
        return Decision(
            tier=self.rules.small,
            reason="stage_1",
            threshold=self.rules.tau1,
            why=f"Stage 1: {self.rules.samples} samples of the next action, accepted if "
            f"{self.rules.tau1:.0%} agree.",
        )


class StepCascade(ReActLoop):
    """The loop, with the cascade in the place of one thought."""

    def __init__(self, rules: CopeRules, session: Session) -> None:
        super().__init__(
            session,
            _StageOne(rules),
            LoopOptions(
                check_mode="off",
                temperature=rules.sampling.temperature,
                top_p=rules.sampling.top_p,
            ),
            head=[
                {"role": "system", "content": prompt("react_system_separate")},
                {"role": "user", "content": session.task.question},
            ],
            role="executor",
            max_steps=session.limits.max_steps,
        )
        self.rules = rules

    async def _think(self, step: OpenStep) -> ev.ModelReplied:
        rules = self.rules
        first = await self._stage(step, 1)
        if first.vote.reaches(rules.tau1):
            return _take(step, first)
        kept = kept_plan(self.session, first.vote, [sample.plan for sample in first.samples])
        self._reject(step, first, threshold=rules.tau1, to=rules.small, stage_number=2)
        plan = await self._complete(
            self.session, self._plan_call(step, rules.large, f"cope_step_{rules.large_plan}")
        )
        step.replies.append(plan)
        self.book.saw_prompt(step, rules.large, plan.usage.input_tokens)
        second = await self._stage(step, 2, large_plan=plan.text, kept=kept)
        if second.vote.reaches(rules.tau2):
            return _take(step, second)
        self._reject(step, second, threshold=rules.tau2, to=rules.large, stage_number=3)
        call = self._act_call(step, rules.large, [(rules.large_plan, plan.text)])
        reply = await self._complete(self.session, call)
        step.replies.append(reply)
        step.turn = read_turn(reply.text, reply.tool_calls, step=step.index)
        return reply

    async def _stage(
        self, step: OpenStep, number: int, *, large_plan: str = "", kept: str = ""
    ) -> _Stage:
        samples = await self.book.side_by_side(
            *(
                self._sample(step, number, k, large_plan=large_plan, kept=kept)
                for k in range(1, self.rules.samples + 1)
            )
        )
        return _Stage(samples, vote([self._key(sample.turn) for sample in samples]))

    async def _sample(
        self, step: OpenStep, stage: int, k: int, *, large_plan: str, kept: str
    ) -> _Sample:
        rules, plan = self.rules, ""
        path: list[ev.ModelReplied] = []
        # from the beginning: what was spent is charged even if the sample is never completed
        step.branches.append(path)
        aside = self.session.aside(f"sample-{step.index}.{stage}.{k}")
        if stage == 1:
            call = self._plan_call(step, rules.small, f"cope_step_{rules.small_plan}")
            path.append(await self._complete(aside, call))
            plan = path[0].text
        plans: list[tuple[PlanKind, str]] = [
            (rules.small_plan, kept or plan),
            (rules.large_plan, large_plan),
        ]
        reply = await self._complete(aside, self._act_call(step, rules.small, plans))
        path.append(reply)
        return _Sample(plan, reply, read_turn(reply.text, reply.tool_calls, step=step.index))

    async def _complete(self, session: Session, call: Call) -> ev.ModelReplied:
        if session is self.session or not session.replaying:
            self.check_that_it_fitted()
        return await session.complete(call)

    def _key(self, turn: Turn) -> str:
        if turn.call is not None:
            return canonical_call(turn.call)
        answer = canonical_answer(turn.answer or "", self.rules.task_type)
        return f"answer {answer}" if answer else ""

    def _reject(
        self, step: OpenStep, stage: _Stage, *, threshold: float, to: int, stage_number: int
    ) -> None:
        leader = stage.vote.leader
        call = stage.samples[leader].turn.call if leader is not None else None
        verdict = Verdict(
            rerun_on=to,
            reason=f"stage_{stage_number}",
            why=f"{len(stage.vote.members)} of {stage.vote.samples} samples agree, "
            f"{threshold:.0%} are needed.",
            score=stage.vote.share,
            threshold=threshold,
        )
        self.book.discard(step, call, verdict)
        settle(step)

    def _plan_call(self, step: OpenStep, tier: int, name: str) -> Call:
        limit = self.rules.plan_tokens
        return self._asked(
            step, tier, "plan", prompt(name), tool_choice="none", max_output_tokens=limit
        )

    def _act_call(self, step: OpenStep, tier: int, plans: Sequence[tuple[PlanKind, str]]) -> Call:
        return self._asked(step, tier, "think", shown("cope_step_execute", plans))

    def _asked(self, step: OpenStep, tier: int, purpose: str, text: str, **more: Any) -> Call:
        """Ask on top of the agent's prompt, which stays as it is; the tools stay too, for the cache."""
        transcript = self.conversation.current
        suffix: tuple[dict[str, Any], ...] = ()
        if text:
            last = transcript.messages[-1]
            if last["role"] == "user":
                # two user messages in a row would break templates that want roles to alternate
                merged = {**last, "content": f"{last['content']}\n\n{text}"}
                transcript = Transcript([*list(transcript.messages)[:-1], merged])
            else:
                suffix = ({"role": "user", "content": text},)
        return Call(
            tier=tier,
            step=step.number,
            purpose=purpose,
            transcript=transcript,
            suffix=suffix,
            temperature=self.options.temperature,
            top_p=self.options.top_p,
            **more,
        )


def _take(step: OpenStep, stage: _Stage) -> ev.ModelReplied:
    """The first sample of the majority becomes the step."""
    leader = stage.vote.leader
    if leader is None:
        raise ValueError("a stage without any action is never accepted")
    chosen = stage.samples[leader]
    step.turn = chosen.turn
    return chosen.reply


def settle(step: OpenStep) -> None:
    """Close a group of side-by-side calls: its longest path is in the step's time from now on."""
    longest = max(step.branches, key=lambda path: sum(reply.timing.total_s for reply in path))
    for path in step.branches:
        if path is longest:
            step.replies.extend(path)
        else:
            # beside something that took longer: charged, but nobody waited for it
            step.companions.extend((reply, reply) for reply in path)
    step.branches = []
