"""The border between the engine and a policy: what it answers is checked, what it breaks is named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from collab_core.domain import Decision, StepRecord
from collab_core.errors import PolicyFailed, TandemError
from collab_core.policies.base import Draft, Policy, StepContext, Verdict

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Guard(Policy):
    """A policy, asked with care.

    Raises from every method:
        PolicyFailed: the policy raised, or named a tier that cannot be.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._name = type(policy).__name__
        self.scorer = policy.scorer
        self.reviews_drafts = policy.reviews_drafts
        self.by_verdicts = policy.by_verdicts

    def before_step(self, context: StepContext) -> Decision:
        decision = self._ask(Decision, lambda: self._policy.before_step(context))
        last = len(context.tiers) - 1
        for field, tier in (("tier", decision.tier), ("warm_tier", decision.warm_tier)):
            if tier is not None and not 0 <= tier <= last:
                raise self._failed(
                    f"decided {field} {tier}, but the ladder's tiers are 0 to {last}",
                    "Positions count from 0, the cheapest; the top one is len(context.tiers) - 1.",
                )
        return decision

    def after_generation(self, context: StepContext, draft: Draft) -> Verdict:
        verdict = self._ask(Verdict, lambda: self._policy.after_generation(context, draft))
        last = len(context.tiers) - 1
        if verdict.rerun_on is not None and not draft.tier < verdict.rerun_on <= last:
            raise self._failed(
                f"sent a draft of tier {draft.tier} to tier {verdict.rerun_on}, but it must be a "
                f"higher one, at most {last}",
                "The top tier's draft can only be accepted.",
            )
        return verdict

    def after_observation(self, context: StepContext, step: StepRecord) -> None:
        self._ask(type(None), lambda: self._policy.after_observation(context, step))

    def before_texts(self, context: StepContext) -> tuple[str, ...] | None:
        return self._texts(lambda: self._policy.before_texts(context))

    def draft_texts(self, context: StepContext, draft: Draft) -> tuple[str, ...] | None:
        return self._texts(lambda: self._policy.draft_texts(context, draft))

    def _texts(self, ask: Callable[[], tuple[str, ...] | None]) -> tuple[str, ...] | None:
        texts = self._ask((tuple, type(None)), ask)
        return texts if texts is None else tuple(str(text) for text in texts)

    def _ask(self, kind: type | tuple[type, ...], ask: Callable[[], T]) -> T:
        try:
            answer = ask()
        except TandemError:
            raise
        except Exception as error:
            logger.exception("policy %s raised", self._name)
            raise self._failed(
                f"raised {type(error).__name__}", "The worker's log has the traceback."
            ) from error
        if not isinstance(answer, kind):
            raise self._failed(
                f"answered {type(answer).__name__}", "See collab_core/policies/base.py."
            )
        return answer

    def _failed(self, what: str, hint: str) -> PolicyFailed:
        return PolicyFailed(f"The policy {self._name} {what}.", hint=hint)
