"""The exact part: recorded steps are fed to another policy until it wants what the log does not hold."""

from __future__ import annotations

import copy
import itertools
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import msgspec

from collab_core.domain import Decision, StepRecord
from collab_core.learned.logs import LoggedDraft
from collab_core.policies.base import Draft, Policy, StepContext, Verdict
from collab_core.runtime.costs import add_cost
from collab_core.strategies.base import NO_RESOURCES, Resources
from collab_core.whatif.recorded import Instance, RecordedRun, RecordedStep
from collab_core.whatif.results import Divergence, Replay, StepDecision, Sums
from collab_core.whatif.wanted import Wanted, scores, undecidable, wanted


@dataclass(frozen=True, kw_only=True)
class Resume:
    """The other policy where it diverges: what an estimate goes on from."""

    instance: Instance
    step: RecordedStep
    """The first one that the log does not hold as wanted."""
    divergence: Divergence
    policy: Policy
    """It has seen all steps before and none behind; each continuation needs a copy."""
    decision: Decision
    """Its answer for that step."""
    random_state: tuple[Any, ...]
    """Of its generator, behind that answer."""
    seen: tuple[StepRecord, ...]
    """The steps before, as the policy was shown them."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One run's replay with what an estimate needs; ``resume`` is None where all is exact."""

    run: RecordedRun
    asked: Wanted
    report: Replay
    resume: Resume | None


def replay(
    run: RecordedRun,
    strategy: str,
    parameters: Mapping[str, Any],
    resources: Resources = NO_RESOURCES,
) -> Replay:
    """Return what the strategy would have decided in a recorded run.

    Raises:
        InvalidInput: it cannot be decided from the log, and why.
    """
    return replayed(run, wanted(run, strategy, parameters, resources)).report


def replayed(run: RecordedRun, asked: Wanted) -> Replayed:
    """Do the same as :func:`replay`, and keep the policy where it diverges.

    Raises:
        InvalidInput: it cannot be decided from the log, and why.
    """
    walks = {instance.scope: _Walk(run, asked, instance) for instance in run.instances}
    for walk in walks.values():
        walk.go()
    reached, finished = _exact_steps(walks)
    resume = min(
        (w.resume for w in walks.values() if w.resume and w.resume.step.number in reached),
        key=lambda one: one.step.number,
        default=None,
    )
    decisions = [
        msgspec.structs.replace(decision, exact=decision.step in reached)
        for walk in walks.values()
        for decision in walk.decisions
    ]
    scored = any(walk.policy.scorer is not None for walk in walks.values())
    report = Replay(
        run_id=run.run_id,
        task_id=run.queued.task.task_id,
        strategy=asked.strategy,
        recorded_strategy=run.queued.strategy,
        seed=run.queued.seed,
        simulated=run.queued.simulated,
        outcome=run.end.outcome,
        decisions=tuple(sorted(decisions, key=lambda decision: decision.step)),
        divergence=resume.divergence if resume is not None else None,
        prefix=_sums(run, finished, scored=scored),
        recorded=_sums(run, {step.number for _, step in run.steps}, scored=True),
    )
    return Replayed(run=run, asked=asked, report=report, resume=resume)


class _Walk:
    """One agent instance's steps, shown to its policy one after the other."""

    def __init__(self, run: RecordedRun, asked: Wanted, instance: Instance) -> None:
        self.run = run
        self.asked = asked
        self.instance = instance
        self.policy = asked.policy()
        self.decisions: list[StepDecision] = []
        self.resume: Resume | None = None
        self._random = random.Random(f"{run.queued.seed}/{instance.scope}")
        self._shown: list[StepRecord] = []

    def go(self) -> None:
        for step in self.instance.steps:
            if self.resume is None:
                record = self._exact(step)
            elif self.policy.reviews_drafts or self.policy.scorer is not None:
                # what it would look at next was never written
                return
            else:
                record = self._taken_over(step)
            self._shown.append(record)
            context = self._context(step, cache_after=True)
            self.policy.after_observation(context, record)

    def _exact(self, step: RecordedStep) -> StepRecord:
        """Ask for a step that comes about under the other policy too; return how it is shown to it."""
        record = self._told(step)
        if step.inherited:
            return record
        context = self._context(step)
        texts = self.policy.before_texts(context)
        context = replace(context, scores=scores(self.run, self.policy, step, texts))
        decision = self.policy.before_step(context)
        self._note(step, decision)
        answer = self._compare(step, decision)
        if answer.kind is None:
            return replace(record, decision=answer.decision)
        self.resume = Resume(
            instance=self.instance,
            step=step,
            divergence=self._divergence(step, answer),
            # it goes on to be asked what it would do if it took over
            policy=copy.deepcopy(self.policy) if self.policy.scorer is None else self.policy,
            decision=answer.decision,
            random_state=self._random.getstate(),
            seen=tuple(self._shown),
        )
        return record

    def _taken_over(self, step: RecordedStep) -> StepRecord:
        if not step.inherited:
            self._note(step, self.policy.before_step(self._context(step)))
        return self._told(step)

    def _told(self, step: RecordedStep) -> StepRecord:
        """Return the step with its verdict read by the other strategy's rule."""
        check = step.record.check
        if check.status not in ("missing", "malformed"):
            return step.record
        progress = self.asked.parameters.missing_verdict == "progress"
        return replace(step.record, check=replace(check, made_progress=progress))

    def _context(self, step: RecordedStep, *, cache_after: bool = False) -> StepContext:
        return StepContext(
            task=self.run.queued.task,
            step_index=step.record.index,
            limits=self.run.queued.limits,
            trajectory=self._shown,
            tiers=self.run.tiers,
            cache=step.cache_after if cache_after else step.before.cache,
            spent_usd=step.before.spent_usd,
            spent_s=step.before.spent_s,
            random=self._random,
            role=self.instance.role,
        )

    def _note(self, step: RecordedStep, decision: Decision) -> None:
        self.decisions.append(
            StepDecision(
                scope=self.instance.scope,
                step=step.number,
                index=step.record.index,
                recorded_tier=step.begun.tier,
                tier=decision.tier,
                reason=decision.reason,
                level=decision.level,
                budget=decision.budget,
                budget_left=decision.budget_left,
            )
        )

    def _compare(self, step: RecordedStep, decision: Decision) -> _Answer:
        if decision.tier != step.begun.tier:
            return _Answer("tier", decision)
        # of the same strategy, a warm-up that is not in the log had failed
        warmed = step.warmed if not (step.forced or self.asked.same) else decision.warm_tier
        if decision.warm_tier != warmed and not step.forced:
            return _Answer("warm_prefill", decision)
        if step.forced or not self.policy.reviews_drafts:
            return _Answer("draft" if step.discarded else None, decision)
        for place, draft in enumerate(step.drafts):
            verdict = self._review(step, place, draft, decision)
            known = step.discarded[place].to_tier if place < len(step.discarded) else None
            if verdict.rerun_on is not None:
                decision = replace(
                    decision,
                    tier=verdict.rerun_on,
                    reason=verdict.reason,
                    why=verdict.why,
                    score=verdict.score,
                    threshold=verdict.threshold,
                )
            if verdict.rerun_on != known:
                return _Answer("draft", decision)
        return _Answer(None, decision)

    def _review(
        self, step: RecordedStep, place: int, logged: LoggedDraft, decision: Decision
    ) -> Verdict:
        other = self.asked.strategy != self.run.queued.strategy
        if decision.logprobs and logged.mean_logprob is None and other:
            raise undecidable(
                self.run,
                f"step {step.number} has no log-probabilities, which {self.asked.strategy} asks for",
                "Replay runs of a strategy that asks for log-probabilities, such as margin.",
                field="strategy",
            )
        draft = Draft(
            tier=logged.tier,
            text=logged.text,
            call=logged.call,
            answer=logged.answer,
            mean_logprob=logged.mean_logprob,
            first_token_margin=logged.first_token_margin,
            decisive_margin=logged.decisive_margin,
            discarded=place,
        )
        context = self._context(step)
        texts = self.policy.draft_texts(context, draft)
        given = scores(self.run, self.policy, step, texts)
        return self.policy.after_generation(context, replace(draft, scores=given))

    def _divergence(self, step: RecordedStep, answer: _Answer) -> Divergence:
        if answer.kind is None:
            raise AssertionError("nothing diverges")
        decision, tiers = answer.decision, self.run.tiers
        return Divergence(
            scope=self.instance.scope,
            role=self.instance.role,
            step=step.number,
            index=step.record.index,
            kind=answer.kind,
            recorded_tier=step.begun.tier if answer.kind == "tier" else step.tier,
            wanted_tier=decision.tier,
            recorded_name=step.begun.tier_name if answer.kind == "tier" else tiers[step.tier].name,
            wanted_name=tiers[decision.tier].name,
            recorded_reason=step.begun.reason if answer.kind == "tier" else step.finished.reason,
            wanted_reason=decision.reason,
            why=decision.why,
        )


class _Answer(NamedTuple):
    """What the policy wants of a step; ``kind`` is None where the log holds it."""

    kind: Literal["tier", "draft", "warm_prefill"] | None
    decision: Decision


def _exact_steps(walks: Mapping[str, _Walk]) -> tuple[set[int], set[int]]:
    """Return the numbers of the steps that come about, and of those that also end as recorded.

    A step that set others to work ends as recorded only if all of their steps do.
    """
    helpers: dict[int, list[_Walk]] = defaultdict(list)
    for walk in walks.values():
        if walk.instance.parent_step is not None:
            helpers[walk.instance.parent_step].append(walk)
    reached: set[int] = set()
    finished: set[int] = set()

    def follow(walk: _Walk) -> bool:
        for step in walk.instance.steps:
            reached.add(step.number)
            if walk.resume is not None and walk.resume.step is step:
                return False
            whole = [follow(helper) for helper in helpers[step.number]]
            if not all(whole):
                return False
            finished.add(step.number)
        return True

    for walk in walks.values():
        if walk.instance.parent_step is None:
            follow(walk)
    return reached, finished


def _sums(run: RecordedRun, numbers: set[int], *, scored: bool) -> Sums:
    """Add up the steps; without ``scored``, less the time of scorers that nobody would ask."""
    chosen = [
        [step for step in instance.steps if step.number in numbers] for instance in run.instances
    ]
    paths = [[step.tier for step in steps] for steps in chosen]
    steps = [step for one in chosen for step in one]
    cost: float | None = 0.0
    for step in steps:
        cost = add_cost(cost, step.finished.cost_usd)
    top = len(run.tiers) - 1
    return Sums(
        steps=len(steps),
        large_steps=sum(path.count(top) for path in paths),
        switches=sum(a != b for path in paths for a, b in itertools.pairwise(path)),
        moves=sum(max(0, len(path) - 1) for path in paths),
        latency_s=_latency_s(run, steps, scored=scored),
        input_tokens=sum(step.finished.usage.input_tokens for step in steps),
        output_tokens=sum(step.finished.usage.output_tokens for step in steps),
        cost_usd=cost,
    )


def _latency_s(run: RecordedRun, steps: Sequence[RecordedStep], *, scored: bool) -> float:
    route_s = 0.0 if scored else sum(step.finished.latency.route_s for step in steps)
    if route_s and len(run.instances) > 1:
        raise undecidable(
            run,
            "its agents worked side by side and waited for scorers that would not be asked",
            "Replay runs of one agent, or of strategies without a scorer.",
            field="strategy",
        )
    return max((step.finished.cumulative_s for step in steps), default=0.0) - route_s
