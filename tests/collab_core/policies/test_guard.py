"""A policy that answers what cannot be ends its run with its own name, and never without end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Decision, Limits
from collab_core.policies.base import Draft, Policy, StepContext, Verdict
from collab_core.runtime.engine import execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.strategies.base import AgentParameters, Strategy
from collab_core.strategies.registry import STRATEGIES
from tests.collab_core.replies import acts, answers, ladder, spec


class Odd(Policy):
    """Answers whatever a case wants."""

    decision: Any = Decision(tier=0, reason="odd")
    verdict: Any = Verdict()

    def before_step(self, context: StepContext) -> Decision:
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision  # type: ignore[no-any-return]

    def after_generation(self, context: StepContext, draft: Draft) -> Verdict:
        return self.verdict(draft) if callable(self.verdict) else self.verdict  # type: ignore[no-any-return]


@pytest.fixture
def odd() -> Iterator[Odd]:
    odd = Odd()
    STRATEGIES["odd"] = Strategy(
        name="odd", title="Odd", summary="", family="Fixed", label="native", source="", doc="fixed.md",
        parameters=AgentParameters, policy=lambda parameters, ladder, resources: odd,
    )  # fmt: skip
    yield odd
    del STRATEGIES["odd"]


async def run(script: list[Any], **more: Any) -> tuple[Any, MemoryJournal]:
    journal = MemoryJournal()
    given = spec("odd", **more)
    return await execute(given, journal, backend=ScriptedBackend(script), tools=()), journal


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Decision(tier=-1, reason="top"), "tiers are 0 to 1"),
        (Decision(tier=9, reason="top"), "tier 9"),
        (Decision(tier=0, reason="odd", warm_tier=2), "warm_tier 2"),
        (None, "answered NoneType"),
        (ValueError("x"), "raised ValueError"),
    ],
)
async def test_a_decision_that_cannot_be_is_the_policys_fault(
    odd: Odd, decision: Any, said: str
) -> None:
    odd.decision = decision
    terminal, _ = await run([answers()])
    assert terminal.code == "policy_failed"
    assert "Odd" in terminal.message
    assert said in terminal.message


@pytest.mark.parametrize("to", [-1, 0, 2])
async def test_a_draft_can_only_be_sent_up(odd: Odd, to: int) -> None:
    odd.verdict = Verdict(rerun_on=to)
    terminal, journal = await run([answers()] * 5)
    assert terminal.code == "policy_failed"
    replies = [r for r in journal.records if isinstance(r.event, ev.ModelReplied)]
    assert len(replies) == 1


async def test_limits_hold_between_the_drafts_of_a_step(odd: Odd) -> None:
    odd.verdict = lambda draft: Verdict(rerun_on=draft.tier + 1)
    terminal, _ = await run(
        [acts()] * 9, ladder=ladder("a", "b", "c", "d"), limits=Limits(max_tokens=200)
    )
    assert (terminal.ended_by, terminal.totals.model_calls) == ("max_tokens", 2)


def test_overriding_the_hook_is_enough() -> None:
    assert Odd().reviews_drafts
