"""The ReAct agent in WebSailor's shape: think, one tool call, observe, until it answers.

Source: WebSailor's loop as described in ``docs/agents.md``: one completion a step, only the first
tool call is run, a malformed call is told so as its observation, 40 steps, and one last call that
must answer when the context or the steps run out. Ours differs in that observations are messages of
role ``tool`` (a ``user`` message makes some chat templates drop earlier turns and with them the
prefix cache) and in the progress block.

Prompts only grow: the system prompt and the tool schemas are the same bytes for every tier, so each
tier's prefix cache stays warm through any number of switches.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from collab_core import events as ev
from collab_core.agents.grammar import Turn, assistant_message, one_line, read_turn
from collab_core.agents.prompts import prompt
from collab_core.domain import Decision, LatencySplit, ProgressCheck, StepRecord, Usage
from collab_core.errors import ContextTooLong, NonDeterministicReplay
from collab_core.policies.base import CacheState, Policy, StepContext
from collab_core.progress import BLOCK_REGEX, MissingVerdict, read_check
from collab_core.runtime.costs import add_cost
from collab_core.runtime.session import Call, Session
from collab_core.transcript import Transcript

BYTES_PER_TOKEN = 3.0
"""A cautious guess for text the server has not counted yet."""
THOUGHT_CHARS = 240
FINAL_ANSWER_TOKENS = 1_024
"""Of a forced answer: short enough to fit where a whole step no longer does."""


class Answer(NamedTuple):
    text: str
    source: ev.AnswerSource
    ended_by: str


@dataclass(frozen=True, kw_only=True)
class ReActOptions:
    check_mode: Literal["inline", "separate"] = "inline"
    missing_verdict: MissingVerdict = "progress"
    enforce_check: bool = False
    temperature: float = 0.6
    top_p: float = 0.95


@dataclass(kw_only=True)
class _Work:
    """The state of one solve: rebuilt exactly by a replay."""

    transcript: Transcript
    trajectory: list[StepRecord] = field(default_factory=list)
    cache: list[CacheState]
    prompt_tokens: int = 0
    """Of the latest prompt and reply, as the server counted them."""
    counted_bytes: int = 0
    """Size of the transcript they stand for."""
    cumulative_s: float = 0.0
    untagged_in_a_row: int = 0


@dataclass(kw_only=True)
class _Step:
    """One step under way."""

    index: int
    decision: Decision
    started: float
    effect_s_before: float
    replies: list[ev.ModelReplied] = field(default_factory=list)
    tool: ev.ToolReturned | None = None
    turn: Turn = field(default_factory=lambda: Turn(thought=""))
    check: ProgressCheck = field(default_factory=lambda: ProgressCheck(status="not_asked"))
    forced: str = ""
    """Why the final answer is forced in this step: max_steps or context; "" = it is not."""


class ReActAgent:
    """Solves one task; ``policy`` says which tier thinks at each step."""

    def __init__(self, options: ReActOptions, policy: Policy) -> None:
        self.options = options
        self.policy = policy

    async def solve(self, session: Session) -> Answer:
        """Return the answer.

        Raises:
            LimitExceeded: a limit other than the steps or the context was reached first.
            BackendError: a model call failed after its retries.
        """
        work = self._begin(session)
        for index in range(1, session.limits.max_steps + 1):
            session.check_limits()
            context = self._context(session, work, index)
            step = self._start(session, context, work)
            answer = await self._think_and_act(session, work, step)
            record = self._finish(session, work, step)
            self.policy.after_observation(context, record)
            if answer is not None:
                return answer
        return Answer("", "none", "max_steps")

    def _begin(self, session: Session) -> _Work:
        inline = self.options.check_mode == "inline"
        transcript = Transcript(
            [
                {
                    "role": "system",
                    "content": prompt("react_system" if inline else "react_system_separate"),
                },
                {"role": "user", "content": session.task.question},
            ]
        )
        return _Work(transcript=transcript, cache=[CacheState()] * len(session.ladder.tiers))

    def _context(self, session: Session, work: _Work, index: int) -> StepContext:
        return StepContext(
            task=session.task,
            step_index=index,
            limits=session.limits,
            trajectory=work.trajectory,
            tiers=session.ladder.snapshot(),
            cache=tuple(work.cache),
            spent_usd=session.world.ledger.cost_usd,
            spent_s=work.cumulative_s,
            random=session.random,
        )

    def _start(self, session: Session, context: StepContext, work: _Work) -> _Step:
        started, index = time.monotonic(), context.step_index
        decision = self._decide(session, context)
        last = work.trajectory[-1].decision.tier if work.trajectory else decision.tier
        names = [tier.name for tier in context.tiers]
        session.emit(
            ev.StepStarted(
                step=index,
                scope=session.scope,
                tier=decision.tier,
                tier_name=names[decision.tier],
                reason=decision.reason,
                why=decision.why,
                level=decision.level,
                budget=decision.budget,
                budget_left=decision.budget_left,
            )
        )
        if last != decision.tier:
            session.emit(
                ev.TierSwitched(
                    step=index,
                    scope=session.scope,
                    from_tier=last,
                    to_tier=decision.tier,
                    from_name=names[last],
                    to_name=names[decision.tier],
                    reason=decision.reason,
                    why=decision.why,
                    level=decision.level,
                    budget=decision.budget,
                )
            )
        return _Step(
            index=index,
            decision=decision,
            started=started,
            effect_s_before=session.effect_s,
            forced=self._must_answer(session, work, context, decision),
        )

    def _decide(self, session: Session, context: StepContext) -> Decision:
        index = context.step_index
        known = session.peek(ev.StepStarted)
        if known is not None and index <= session.world.fork_step:
            return _recorded_decision(known)
        decision = self.policy.before_step(context)
        if known is not None and (known.tier, known.reason) != (decision.tier, decision.reason):
            raise NonDeterministicReplay(
                f"Step {index}: the log's decision was {known.tier_name} ({known.reason}), the "
                f"policy now says tier {decision.tier} ({decision.reason}).",
                hint="The policy's code changed since the run began; start the run anew.",
            )
        return decision

    def _must_answer(
        self, session: Session, work: _Work, context: StepContext, decision: Decision
    ) -> str:
        if context.step_index == session.limits.max_steps:
            return "max_steps"
        uncounted = work.transcript.size_bytes - work.counted_bytes
        prompt_tokens = work.prompt_tokens + uncounted / BYTES_PER_TOKEN
        # the next prompt must still leave room for this reply, an observation and a last answer;
        # a context too small for that is used up to its half
        size = context.tiers[decision.tier].context_tokens
        room = max(size / 2, size - 3 * session.limits.max_output_tokens)
        return "context" if work.trajectory and prompt_tokens > room else ""

    async def _think_and_act(self, session: Session, work: _Work, step: _Step) -> Answer | None:
        if step.forced:
            return await self._force(session, work, step)
        try:
            reply = await session.complete(self._call(step, "think", work.transcript))
        except ContextTooLong:
            step.forced = "context"
            return await self._force(session, work, step)
        step.replies.append(reply)
        step.turn = read_turn(reply.text, reply.tool_calls, step=step.index)
        work.transcript.append(assistant_message(reply.text, step.turn.call))
        self._count(work, step, reply)
        if self.options.check_mode == "inline":
            self._judge(session, step, reply.text)
        if step.turn.call is not None:
            work.untagged_in_a_row = 0
            await self._act(session, work, step)
        elif (answer := self._answer(work, step, reply)) is not None:
            return answer
        else:
            work.transcript.append({"role": "user", "content": prompt("nudge")})
        if self.options.check_mode == "separate":
            await self._check_apart(session, work, step)
        return None

    def _answer(self, work: _Work, step: _Step, reply: ev.ModelReplied) -> Answer | None:
        if step.turn.answer is not None:
            return Answer(step.turn.answer, "tagged", "answer")
        # A model that was told the form once and still answers in plain text means its text.
        if work.untagged_in_a_row and step.turn.thought and reply.finish_reason == "stop":
            return Answer(step.turn.thought, "untagged", "answer")
        work.untagged_in_a_row += 1
        return None

    async def _act(self, session: Session, work: _Work, step: _Step) -> None:
        call = step.turn.call
        if call is None:
            return
        step.tool = await session.use(call, step=step.index)
        observation = step.tool.observation
        if step.turn.ignored_calls:
            observation += f"\n[Only the first of {step.turn.ignored_calls + 1} calls was run.]"
        work.transcript.append({"role": "tool", "tool_call_id": call.id, "content": observation})

    async def _check_apart(self, session: Session, work: _Work, step: _Step) -> None:
        structured = {"regex": BLOCK_REGEX} if self.options.enforce_check else None
        suffix = ({"role": "user", "content": prompt("progress_check")},)
        # the same tools with tool_choice none: dropping them would lose the cached prefix
        call = self._call(
            step,
            "progress_check",
            work.transcript,
            suffix=suffix,
            tool_choice="none",
            structured=structured,
            max_output_tokens=400,
        )
        reply = await session.complete(call)
        step.replies.append(reply)
        self._judge(session, step, reply.text)

    async def _force(self, session: Session, work: _Work, step: _Step) -> Answer:
        limit = min(session.limits.max_output_tokens, FINAL_ANSWER_TOKENS)
        try:
            reply = await session.complete(self._last_call(step, work.transcript, limit))
        except ContextTooLong:
            reply = await session.complete(
                self._last_call(step, _shortened(work.transcript), limit)
            )
        step.replies.append(reply)
        step.turn = read_turn(reply.text, (), step=step.index)
        if self.options.check_mode == "inline":
            self._judge(session, step, reply.text)
        text = step.turn.answer if step.turn.answer is not None else step.turn.thought
        return Answer(text, "forced" if text else "none", step.forced)

    def _judge(self, session: Session, step: _Step, text: str) -> None:
        check = read_check(text, missing_verdict=self.options.missing_verdict)
        step.check = check
        session.emit(
            ev.ProgressJudged(
                step=step.index,
                scope=session.scope,
                indicator=check.indicator,
                made_progress=check.made_progress,
                status=check.status,
                rationale=check.rationale,
                raw=check.raw,
            )
        )

    def _call(self, step: _Step, purpose: str, transcript: Transcript, **more: Any) -> Call:
        return Call(
            tier=step.decision.tier,
            step=step.index,
            purpose=purpose,
            transcript=transcript,
            temperature=self.options.temperature,
            top_p=self.options.top_p,
            **more,
        )

    def _last_call(self, step: _Step, transcript: Transcript, max_output_tokens: int) -> Call:
        return self._call(
            step,
            "final_answer",
            transcript,
            suffix=({"role": "user", "content": prompt("force_answer")},),
            tool_choice="none",
            max_output_tokens=max_output_tokens,
        )

    def _count(self, work: _Work, step: _Step, reply: ev.ModelReplied) -> None:
        work.prompt_tokens = reply.usage.input_tokens + reply.usage.output_tokens
        work.counted_bytes = work.transcript.size_bytes
        work.cache[step.decision.tier] = CacheState(
            last_step=step.index, prefix_tokens=work.prompt_tokens
        )

    def _finish(self, session: Session, work: _Work, step: _Step) -> StepRecord:
        wall_s = time.monotonic() - step.started
        live_s = session.effect_s - step.effect_s_before
        latency = _latency(step, overhead_s=max(0.0, wall_s - live_s))
        usage, cost = Usage(), 0.0 if step.replies else None
        for reply in step.replies:
            usage, cost = usage + reply.usage, add_cost(cost, reply.cost_usd)
        finished = session.emit(
            _step_finished(session, step, latency, usage, cost, before_s=work.cumulative_s)
        )
        work.cumulative_s = finished.cumulative_s
        first = step.replies[0]
        record = StepRecord(
            index=step.index,
            decision=step.decision,
            text=first.text,
            tool_name=step.turn.call.name if step.turn.call else "",
            tool_arguments=step.turn.call.arguments if step.turn.call else "",
            observation=step.tool.observation if step.tool else "",
            tool_error=bool(step.tool and step.tool.error),
            check=step.check,
            usage=finished.usage,
            latency_s=finished.latency.total_s,
            cost_usd=finished.cost_usd,
            mean_logprob=first.mean_logprob,
            first_token_margin=first.first_token_margin,
        )
        work.trajectory.append(record)
        return record


def _step_finished(
    session: Session,
    step: _Step,
    latency: LatencySplit,
    usage: Usage,
    cost: float | None,
    *,
    before_s: float,
) -> ev.StepFinished:
    decision, call = step.decision, step.turn.call
    return ev.StepFinished(
        step=step.index,
        scope=session.scope,
        tier=decision.tier,
        tier_name=session.ladder.tiers[decision.tier].name,
        reason=decision.reason,
        level=decision.level,
        budget=decision.budget,
        budget_left=decision.budget_left,
        thought=step.turn.thought[:THOUGHT_CHARS],
        action=one_line(call) if call else "",
        tool=call.name[:80] if call else "",
        error=bool(step.tool and step.tool.error),
        indicator=step.check.indicator,
        check=step.check.status,
        latency=latency,
        cumulative_s=before_s + latency.total_s,
        usage=usage,
        cost_usd=cost,
        tokens_per_s=usage.output_tokens / latency.decode_s if latency.decode_s > 0 else None,
    )


def _latency(step: _Step, *, overhead_s: float) -> LatencySplit:
    queue_s = prefill_s = decode_s = 0.0
    for reply in step.replies:
        timing = reply.timing
        queued = timing.queued_s or 0.0
        prefill = max(0.0, timing.first_token_s - queued)
        queue_s, prefill_s, decode_s = (
            queue_s + queued,
            prefill_s + prefill,
            decode_s + timing.decode_s,
        )
        overhead_s += max(0.0, timing.total_s - queued - prefill - timing.decode_s)
    tool_s = step.tool.duration_s if step.tool else 0.0
    return LatencySplit(
        queue_s=queue_s,
        prefill_s=prefill_s,
        decode_s=decode_s,
        tool_s=tool_s,
        overhead_s=overhead_s,
        total_s=queue_s + prefill_s + decode_s + tool_s + overhead_s,
    )


def _recorded_decision(known: ev.StepStarted) -> Decision:
    return Decision(
        tier=known.tier,
        reason=known.reason,
        level=known.level,
        budget=known.budget,
        budget_left=known.budget_left,
        why=known.why,
    )


def _shortened(transcript: Transcript) -> Transcript:
    """Return a copy that keeps the head and the last quarter; tool results before that are cut."""
    messages: list[Mapping[str, Any]] = list(transcript.messages)
    kept_from = 2 + (len(messages) - 2) * 3 // 4
    return Transcript(
        {**message, "content": "[cut to fit the context]"}
        if message["role"] == "tool" and number < kept_from
        else {**message, "content": str(message["content"])[:12_000]}
        for number, message in enumerate(messages)
    )
