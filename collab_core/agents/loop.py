"""The loop of thought, one tool call and observation: one agent instance under one policy.

Source: WebSailor's loop as described in ``docs/agents.md``: one completion a step, only the first
tool call is run, a malformed call is told so as its observation, and one last call that must answer
when the context or the steps run out. Ours differs in that observations are messages of role
``tool`` (a ``user`` message makes some chat templates drop earlier turns and with them the prefix
cache) and in the progress block.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from collab_core import events as ev
from collab_core.agents.base import Answer
from collab_core.agents.conversation import Conversation, HandOver, Message
from collab_core.agents.grammar import assistant_message, read_turn
from collab_core.agents.prompts import prompt
from collab_core.agents.steps import OpenStep, StepBook
from collab_core.domain import Decision, ToolCall
from collab_core.errors import BackendError, ContextTooLong, NonDeterministicReplay
from collab_core.policies.base import ACCEPT, Draft, Policy, StepContext, Verdict
from collab_core.policies.guard import Guard
from collab_core.progress import BLOCK_REGEX, MissingVerdict, read_check
from collab_core.runtime.session import Call, Session
from collab_core.transcript import Transcript

logger = logging.getLogger(__name__)

BYTES_PER_TOKEN = 3.0
"""A cautious guess for text the server has not counted yet."""
FINAL_ANSWER_TOKENS = 1_024
"""Of a forced answer: short enough to fit where a whole step no longer does."""


class Delegated(NamedTuple):
    """What other agents made of a call: the observation, and the run's time when they were done."""

    observation: str
    cumulative_s: float
    error: bool = False


Delegate = Callable[[ToolCall, OpenStep, StepBook], Awaitable[Delegated]]
"""Does a call's work by other agents. Told the step that asks; its own effects are on branches."""


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    check_mode: Literal["inline", "separate", "off"] = "inline"
    missing_verdict: MissingVerdict = "progress"
    enforce_check: bool = False
    temperature: float = 0.6
    top_p: float = 0.95
    hand_over: HandOver = "full"


class ReActLoop:
    """One instance at work; made anew for every solve, and rebuilt exactly by a replay."""

    def __init__(
        self,
        session: Session,
        policy: Policy,
        options: LoopOptions,
        *,
        head: Sequence[Message],
        role: str = "agent",
        max_steps: int,
        started_s: float = 0.0,
        delegates: Mapping[str, Delegate] | None = None,
    ) -> None:
        """``head``: system prompt and task. ``delegates``: by tool name, calls that other agents
        answer; their schemas must be in the session's toolbox."""
        self.session = session
        self.policy: Policy = Guard(policy)
        self.options = options
        self.book = StepBook(session, role=role, started_s=started_s)
        self.conversation = Conversation(head, options.hand_over)
        self._max_steps = max_steps
        self._delegates = delegates or {}
        self._prompt_tokens = 0
        """Of the latest prompt and reply, as the server counted them."""
        self._counted_bytes = 0
        """Size of the prompt they stand for."""
        self._untagged_in_a_row = 0

    async def run(self) -> Answer:
        """Work until there is an answer; see :meth:`Agent.solve` for the errors."""
        for index in range(1, self._max_steps + 1):
            self.session.check_limits()
            step = await self._start(index)
            answer = await self._think_and_act(step)
            context = self.book.context(index)
            record = self.book.close(step)
            self.policy.after_observation(context, record)
            if answer is not None:
                return answer
        return Answer("", "none", "max_steps")

    async def _start(self, index: int) -> OpenStep:
        context = self.book.context(index)
        number = self.session.next_step()
        inherited = number in self.session.world.inherited
        if inherited:
            self.session.skip(ev.ScorerReturned)
            decision, scored = _recorded_decision(self.session.peek(ev.StepStarted)), None
        else:
            scored = await self._score(number, self.policy.before_texts(context))
            if scored is not None:
                context = replace(context, scores=scored.values)
            decision = self._decide(context)
        last = self.book.trajectory[-1].decision.tier if self.book.trajectory else decision.tier
        if decision.tier != last:
            self._hand_over(up=decision.tier > last)
        # an inherited step tells its switch where its parent's policy told it
        drafting = inherited or self.policy.reviews_drafts
        step = self.book.open(decision, number=number, drafting=drafting, scored=scored)
        if inherited and self.session.peek(ev.TierSwitched) is not None:
            self.book.announce_switch(step)
        step.forced = self._must_answer(context, decision)
        return step

    def _hand_over(self, *, up: bool) -> None:
        if self.conversation.hand_over(up=up):
            # what the server counted was another prompt
            self._prompt_tokens = self._counted_bytes = 0

    def _decide(self, context: StepContext) -> Decision:
        decision = self.policy.before_step(context)
        known = self.session.peek(ev.StepStarted)
        if known is not None and (known.tier, known.reason) != (decision.tier, decision.reason):
            raise NonDeterministicReplay(
                f"Step {known.step}: the log's decision was {known.tier_name} ({known.reason}), "
                f"the policy now says tier {decision.tier} ({decision.reason}).",
                hint="The policy's code changed since the run began; start the run anew.",
            )
        return decision

    async def _score(self, number: int, texts: tuple[str, ...] | None) -> ev.ScorerReturned | None:
        if texts is None or self.policy.scorer is None:
            return None
        return await self.session.score(self.policy.scorer, texts, step=number)

    def _must_answer(self, context: StepContext, decision: Decision) -> str:
        if context.step_index == self._max_steps:
            return "max_steps"
        uncounted = self.conversation.current.size_bytes - self._counted_bytes
        prompt_tokens = self._prompt_tokens + uncounted / BYTES_PER_TOKEN
        # the next prompt must still leave room for this reply, an observation and a last answer;
        # a context too small for that is used up to its half
        size = context.tiers[decision.tier].context_tokens
        room = max(size / 2, size - 3 * self.session.limits.max_output_tokens)
        return "context" if context.trajectory and prompt_tokens > room else ""

    async def _think_and_act(self, step: OpenStep) -> Answer | None:
        if step.forced:
            return await self._force(step)
        try:
            reply = await self._think(step)
        except ContextTooLong:
            step.forced = "context"
            return await self._force(step)
        self.book.accept(step, reply)
        self.conversation.append(assistant_message(reply.text, step.turn.call))
        self._count(step, reply)
        if self.options.check_mode == "inline":
            self._judge(step, reply.text)
        if step.turn.call is not None:
            self._untagged_in_a_row = 0
            await self._act(step, step.turn.call)
        elif (answer := self._answer(step, reply)) is not None:
            return answer
        else:
            self.conversation.append({"role": "user", "content": prompt("nudge")})
        if self.options.check_mode == "separate":
            await self._check_apart(step)
        return None

    async def _think(self, step: OpenStep) -> ev.ModelReplied:
        """Generate until a draft stands; none of their tools has run."""
        while True:
            reply = await self._generate(step)
            step.replies.append(reply)
            step.turn = read_turn(reply.text, reply.tool_calls, step=step.index)
            verdict = await self._review(step, reply)
            if verdict.rerun_on is None:
                return reply
            self.book.saw_prompt(step, step.decision.tier, reply.usage.input_tokens)
            self.book.discard(step, step.turn.call, verdict)
            self._hand_over(up=True)
            self.session.check_limits()

    async def _generate(self, step: OpenStep) -> ev.ModelReplied:
        self.check_that_it_fitted()
        call = self._call(step, "think", self.conversation.current, logprobs=step.decision.logprobs)
        warm = step.decision.warm_tier
        if warm is None or step.discarded:
            return await self.session.complete(call)
        # one token on the same prompt fills the cache of the tier that may take over next
        ahead = replace(call, tier=warm, purpose="warm_prefill", max_output_tokens=1)
        aside = self.session.aside(f"warm-{step.index}")
        reply, companion = await self.book.side_by_side(
            self.session.complete(call), _warm_up(self.session, aside, ahead)
        )
        if reply is None:
            raise AssertionError("a call either replies or raises")
        if companion is not None:
            step.companions.append((companion, reply))
            self.book.saw_prompt(step, warm, companion.usage.input_tokens)
        return reply

    def check_that_it_fitted(self) -> None:
        """Look, before a thought is asked for, how the log goes on.

        Raises:
            ContextTooLong: the prompt was too long when the run was first made; a call that did not
                fit leaves nothing in the log but what was done about it.
        """
        known = self.session.peek(ev.ModelReplied)
        if known is not None and known.purpose == "final_answer":
            raise ContextTooLong("The prompt did not fit when the run was first made.")

    async def _review(self, step: OpenStep, reply: ev.ModelReplied) -> Verdict:
        if step.number in self.session.world.inherited:
            self.session.skip(ev.ScorerReturned)
            known = self.session.peek(ev.DraftDiscarded)
            return _recorded_verdict(known) if known is not None else ACCEPT
        if not self.policy.reviews_drafts:
            return ACCEPT
        context = self.book.context(step.index)
        draft = Draft(
            tier=step.decision.tier,
            text=reply.text,
            call=step.turn.call,
            answer=step.turn.answer,
            mean_logprob=reply.mean_logprob,
            first_token_margin=reply.first_token_margin,
            decisive_margin=reply.decisive_margin,
            discarded=step.discarded,
        )
        scored = await self._score(step.number, self.policy.draft_texts(context, draft))
        if scored is not None:
            step.scored.append(scored)
            draft = replace(draft, scores=scored.values)
        return self.policy.after_generation(context, draft)

    def _answer(self, step: OpenStep, reply: ev.ModelReplied) -> Answer | None:
        if step.turn.answer is not None:
            return Answer(step.turn.answer, "tagged", "answer")
        # A model that was told the form once and still answers in plain text means its text.
        if self._untagged_in_a_row and step.turn.thought and reply.finish_reason == "stop":
            return Answer(step.turn.thought, "untagged", "answer")
        self._untagged_in_a_row += 1
        return None

    async def _act(self, step: OpenStep, call: ToolCall) -> None:
        delegate = self._delegates.get(call.name)
        if delegate is None:
            tool = await self.session.use(call, step=step.number)
        else:
            tool = await self._delegate(delegate, step, call)
        step.tools.append(tool)
        observation = tool.observation
        if step.turn.ignored_calls:
            observation += f"\n[Only the first of {step.turn.ignored_calls + 1} calls was run.]"
        self.conversation.append({"role": "tool", "tool_call_id": call.id, "content": observation})

    async def _delegate(
        self, delegate: Delegate, step: OpenStep, call: ToolCall
    ) -> ev.ToolReturned:
        (done,) = await self.book.side_by_side(delegate(call, step, self.book))
        return self.session.delegated(
            call,
            done.observation,
            step=step.number,
            duration_s=max(0.0, done.cumulative_s - self.book.elapsed_s(step)),
            error=done.error,
        )

    async def _check_apart(self, step: OpenStep) -> None:
        if self.session.peek(ev.ProgressJudged) is not None:
            # judged without a reply: the question had not fitted
            self._judge(step, "")
            return
        structured = {"regex": BLOCK_REGEX} if self.options.enforce_check else None
        suffix = ({"role": "user", "content": prompt("progress_check")},)
        # the same tools with tool_choice none: dropping them would lose the cached prefix
        call = self._call(
            step,
            "progress_check",
            self.conversation.current,
            suffix=suffix,
            tool_choice="none",
            structured=structured,
            max_output_tokens=400,
        )
        try:
            reply = await self.session.complete(call)
        except ContextTooLong:
            # a missing verdict; the next step finds the context full and answers
            self._judge(step, "")
            return
        step.replies.append(reply)
        self._judge(step, reply.text)

    async def _force(self, step: OpenStep) -> Answer:
        limit = min(self.session.limits.max_output_tokens, FINAL_ANSWER_TOKENS)
        current = self.conversation.current
        whole = self._last_call(step, current, limit)
        short = self._last_call(step, _shortened(current), limit)
        known = self.session.peek(ev.ModelReplied)
        if known is not None and known.request_digest == short.transcript.digest(short.suffix):
            whole = short
        try:
            reply = await self.session.complete(whole)
        except ContextTooLong:
            reply = await self.session.complete(short)
        step.replies.append(reply)
        self.book.accept(step, reply)
        step.turn = read_turn(reply.text, (), step=step.index)
        if self.options.check_mode == "inline":
            self._judge(step, reply.text)
        text = step.turn.answer if step.turn.answer is not None else step.turn.thought
        return Answer(text, "forced" if text else "none", step.forced)

    def _judge(self, step: OpenStep, text: str) -> None:
        check = read_check(text, missing_verdict=self.options.missing_verdict)
        step.check = check
        self.session.emit(
            ev.ProgressJudged(
                step=step.number,
                scope=self.session.scope,
                indicator=check.indicator,
                made_progress=check.made_progress,
                status=check.status,
                rationale=check.rationale,
                raw=check.raw,
            )
        )

    def _call(self, step: OpenStep, purpose: str, transcript: Transcript, **more: Any) -> Call:
        return Call(
            tier=step.decision.tier,
            step=step.number,
            purpose=purpose,
            transcript=transcript,
            temperature=self.options.temperature,
            top_p=self.options.top_p,
            **more,
        )

    def _last_call(self, step: OpenStep, transcript: Transcript, max_output_tokens: int) -> Call:
        return self._call(
            step,
            "final_answer",
            transcript,
            suffix=({"role": "user", "content": prompt("force_answer")},),
            tool_choice="none",
            max_output_tokens=max_output_tokens,
        )

    def _count(self, step: OpenStep, reply: ev.ModelReplied) -> None:
        self._prompt_tokens = reply.usage.input_tokens + reply.usage.output_tokens
        self._counted_bytes = self.conversation.current.size_bytes
        self.book.saw_prompt(step, step.decision.tier, self._prompt_tokens)


async def _warm_up(main: Session, aside: Session, call: Call) -> ev.ModelReplied | None:
    """Warm a cache beside a call of ``main``; a tier that cannot be reached now may never be needed."""
    if main.replaying and not aside.replaying:
        # the step went on without it: it had failed
        return None
    try:
        return await aside.complete(call)
    except BackendError as error:
        logger.warning("run %s: no warm-up: %s", aside.world.run_id, error.message)
        return None


def _recorded_decision(known: ev.StepStarted | None) -> Decision:
    if known is None:
        raise NonDeterministicReplay(
            "The fork's first steps do not begin as its parent's did.",
            hint="The agent's code changed since the parent ran; start the run anew.",
        )
    return Decision(
        tier=known.tier,
        reason=known.reason,
        level=known.level,
        budget=known.budget,
        budget_left=known.budget_left,
        why=known.why,
        score=known.score,
        threshold=known.threshold,
    )


def _recorded_verdict(known: ev.DraftDiscarded) -> Verdict:
    return Verdict(
        rerun_on=known.to_tier,
        reason=known.reason,
        why=known.why,
        score=known.score,
        threshold=known.threshold,
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
