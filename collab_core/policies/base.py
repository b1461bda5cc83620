"""The contract of a policy: who runs the next step, and whether a draft may stand.

A policy has no clock and does no I/O; chance comes only from ``StepContext.random``. Its state is a
function of the finished steps it was shown, so that the same object drives a live run, a resumed
run, a fork (whose first steps another policy decided) and a replay of stored verdicts.

A learned policy names a :class:`~collab_core.learned.base.Scorer` and the texts it shall read; the
engine runs it off the event loop, writes its numbers into the log and charges its time, and the
policy decides on the numbers.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collab_core.domain import Decision, Limits, StepRecord, Task, TierSnapshot, ToolCall

if TYPE_CHECKING:
    from collab_core.learned.base import Scorer


@dataclass(frozen=True, kw_only=True)
class CacheState:
    """What a tier's prefix cache can hold of this run."""

    last_step: int | None = None
    """The last step of this agent that ran on the tier, by ``step_index``; None = never."""
    prefix_tokens: int = 0
    """Tokens of the prompt it saw then."""


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """All a policy may look at. Nothing here knows the gold answer or the future."""

    task: Task
    step_index: int
    """Of the step to decide, counted from 1 in this agent instance."""
    limits: Limits
    trajectory: Sequence[StepRecord]
    """This agent instance's own finished steps."""
    tiers: tuple[TierSnapshot, ...]
    cache: tuple[CacheState, ...]
    spent_usd: float | None
    """By this agent instance: what its branches run side by side may not depend on each other."""
    spent_s: float
    random: random.Random
    role: str = "agent"
    """agent, planner, seeker, writer …: which kind of agent instance asks."""
    scores: tuple[float, ...] = ()
    """What the policy's scorer said of :meth:`Policy.before_texts`; () if it was not asked."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A generated step before any of it is done: its tool has not run, it is in no prompt."""

    tier: int
    text: str
    call: ToolCall | None = None
    """The tool it would call."""
    answer: str | None = None
    """The final answer it would give."""
    mean_logprob: float | None = None
    first_token_margin: float | None = None
    """p(top-1) - p(top-2) of the first token; often a fixed tag and then meaningless."""
    decisive_margin: float | None = None
    """The same of the first token after the fixed tags: of the tool's name or of the answer."""
    discarded: int = 0
    """Drafts of this step that were rejected before."""
    scores: tuple[float, ...] = ()
    """What the policy's scorer said of :meth:`Policy.draft_texts`; () if it was not asked."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of a draft: it stands, or ``rerun_on`` writes the step anew."""

    rerun_on: int | None = None
    """The tier to write the step anew; None = the draft stands."""
    reason: str = "accepted"
    why: str = ""
    """One sentence for people."""
    score: float | None = None
    threshold: float | None = None


ACCEPT = Verdict()


class Policy(ABC):
    """Decides the tier of each step. One object serves one agent instance of one run.

    ``collab_core/policies/guard.py`` stands between it and the engine: a tier that cannot be, or an
    exception, ends the run with this policy's name.
    """

    reviews_drafts: bool = False
    """True if :meth:`after_generation` can reject a draft: set where a subclass overrides it."""
    scorer: Scorer | None = None
    """What reads :meth:`before_texts` and :meth:`draft_texts`: set it in ``__init__``. One of your
    own without an encoder has ``stand_in`` False."""

    by_verdicts: bool = False
    """True if decisions follow from the steps' numbers, tiers, decisions and ``made_progress``, the
    limits, the ladder, the role and ``random`` (every step or never) alone: not from texts, tools,
    time, money, caches or the task.
    A what-if then asks it once for states that pickle alike, which is much faster."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "after_generation" in cls.__dict__ and "reviews_drafts" not in cls.__dict__:
            cls.reviews_drafts = True
        if "by_verdicts" not in cls.__dict__:
            cls.by_verdicts = False

    @abstractmethod
    def before_step(self, context: StepContext) -> Decision:
        """Decide who runs step ``context.step_index``: a tier from 0, the cheapest, to
        ``len(context.tiers) - 1``.

        Asked exactly once a step; must not change the state (a fork's first steps are decided
        elsewhere and never asked).
        """

    def after_generation(self, context: StepContext, draft: Draft) -> Verdict:
        """Accept the draft or have it rerun on another tier, before its tool acts.

        Asked once a draft; must not change the state. ``rerun_on`` must be a higher tier than the
        draft's. A rejected draft is charged all the same. A final answer that is forced, because the
        steps or the context are used up, is not asked about.
        """
        return ACCEPT

    def after_observation(self, context: StepContext, step: StepRecord) -> None:  # noqa: B027
        """Learn what became of ``step``, the last one of ``context.trajectory``; ``step.decision`` is
        what was really done."""

    def before_texts(self, context: StepContext) -> tuple[str, ...] | None:
        """Return what the scorer shall read before the step; None = do not ask it."""
        return None

    def draft_texts(self, context: StepContext, draft: Draft) -> tuple[str, ...] | None:
        """Return what the scorer shall read of a draft; None = do not ask it."""
        return None
