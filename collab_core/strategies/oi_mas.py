"""OI-MAS: in every turn a trained conductor chooses roles, and for each of them a tier.

Source: OI-MAS, section 3 and 4.1. A re-implementation: the authors' code and prompts are not public.
What the text leaves open is named in ``docs/strategies/oi-mas.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import Field

from collab_core import events as ev
from collab_core.agents.base import Agent, Answer
from collab_core.agents.steps import StepBook
from collab_core.domain import Decision, Ladder, TierSnapshot
from collab_core.learned.encoders import open_encoder
from collab_core.learned.oi_mas import (
    EARLY_STOP,
    KIND,
    ROLE_INDEX,
    ROLES,
    Conductor,
    Distributions,
    Rules,
    TurnPlan,
    choose,
    from_weights,
    read_scores,
    untrained,
)
from collab_core.learned.oi_mas_log import CONTEXT_CHARS
from collab_core.learned.store import encoder_for, load
from collab_core.runtime.session import Session
from collab_core.strategies.base import Parameters, Resources, Strategy
from collab_core.strategies.roles import Activation, Output, activate, summary
from collab_core.strategies.solvers import Sampling, close_for_others

UNTRAINED = "untrained"
LINE_CHARS = 600
"""Of one output in it."""
PROGRAMMER = ROLE_INDEX["programmer"]
GENERATOR = ROLE_INDEX["generator"]
SPEAKERS = frozenset({"decomposer", "critique", "ensembler"})
"""Roles that work on what is written; the others may call tools."""
TRUST = ("ensembler", "refiner", "programmer", "generator_cot", "generator")
"""Whose answer counts if several roles answer in one turn: who has read most of the others first."""


class OIMasParameters(Parameters):
    """Which conductor, and the values of section 4.1."""

    temperature: float = Field(
        default=0.0,
        ge=0.0,
        le=2.0,
        title="Temperature",
        description="Sampling temperature of every call. The paper's value.",
        json_schema_extra={"group": "agent"},
    )
    weights: str = Field(
        default=UNTRAINED,
        max_length=200,
        title="Weights",
        description="A conductor that `train oi-mas` has made; untrained = random weights, nearly "
        "uniform over roles and tiers.",
        json_schema_extra={"weights": [KIND]},
    )
    turns: int = Field(
        default=4, ge=1, le=16, title="Turns", description="L, at most so many. The paper's value."
    )
    theta: float = Field(
        default=0.3,
        gt=0.0,
        le=1.0,
        title="Role threshold",
        description="Roles are taken until their probability reaches it. The paper's value.",
    )
    explore: bool = Field(
        default=False,
        title="Explore",
        description="Draw roles and tiers instead of taking the most probable ones: runs to train "
        "on need it.",
    )
    model_router: bool = Field(
        default=True,
        title="Model router",
        description="Off: every role runs on the top tier (Table 3, w/o G).",
    )
    role_router: bool = Field(
        default=True,
        title="Role router",
        description="Off (ours): GeneratorCoT, Verifier, Refiner, one a turn.",
    )
    early_stop: bool = Field(
        default=True, title="EarlyStop", description="Off (ours): always all turns."
    )
    tool_steps: int = Field(
        default=20,
        ge=0,
        le=100,
        title="Tool calls of a role",
        description="After so many it must give its result.",
    )
    untrained_seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed of untrained weights",
        description="Ignored with trained ones.",
    )

    @property
    def rules(self) -> Rules:
        return Rules(
            turns=self.turns,
            theta=self.theta,
            model_router=self.model_router,
            role_router=self.role_router,
            early_stop=self.early_stop,
        )


@dataclass(frozen=True, kw_only=True)
class OIMasSettings:
    """The parameters, settled for one ladder."""

    conductor: Conductor
    rules: Rules
    explore: bool
    tool_steps: int
    sampling: Sampling


@dataclass(kw_only=True)
class _Work:
    """The state of one solve: q is the task, c_t the outputs."""

    outputs: list[Output] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """What the conductor reads of them."""
    latest: dict[str, Output] = field(default_factory=dict)
    """The answers of the latest turn that had any, by role."""
    found: Distributions | None = None

    @property
    def context(self) -> str:
        return "\n".join(self.lines)[-CONTEXT_CHARS:]

    def take(self, outputs: Sequence[Output], lines: str) -> None:
        self.outputs += outputs
        self.lines.append(lines)
        answers = {o.by.role: o for o in outputs if o.by.solves and o.answer.text}
        self.latest = answers or self.latest

    def answer(self) -> Answer:
        for role in TRUST:
            if role in self.latest:
                return self.latest[role].answer._replace(ended_by="answer")
        return Answer("", "none", "no_answer")


class OIMas:
    """The agent: one step of the main instance a turn, every role on its own branch."""

    def __init__(self, settings: OIMasSettings) -> None:
        self.settings = settings

    async def solve(self, session: Session) -> Answer:
        """Return the latest answer; see :class:`Agent` for the errors."""
        book, work = StepBook(session, role="conductor"), _Work()
        turns = min(self.settings.rules.turns, session.limits.max_steps)
        for turn in range(1, turns + 1):
            if not await self._turn(book, work, turn):
                break
        if not work.latest:
            await self._last_answer(book, work)
        return work.answer()

    async def _turn(self, book: StepBook, work: _Work, turn: int) -> bool:
        """Play a turn; return False if the conductor ended the run instead."""
        session = book.session
        session.check_limits()
        number = session.next_step()
        scored = await session.score(
            self.settings.conductor, self._texts(session, work), step=number
        )
        work.found = read_scores(scored.values)
        chance = session.random if self.settings.explore else None
        plan = choose(work.found, self.settings.rules, turn=turn, chance=chance)
        acting = self._activations(work.found, plan, turn, session.ladder.snapshot())
        record = {
            "turn": turn,
            "roles": [ROLES[role].name for role in plan.roles],
            "tiers": [session.ladder.tiers[tier].name for tier in plan.tiers],
        }
        decision = self._decision(book, work, plan, acting)
        await self._play(book, work, acting, decision, record, scored)
        return not plan.stops

    def _texts(self, session: Session, work: _Work) -> tuple[str, str, str]:
        # before there is an answer nobody can check it, mend it or end with it
        blocked = set() if work.latest else {n for n, role in enumerate(ROLES) if role.reads}
        if not self.settings.rules.early_stop:
            blocked.add(EARLY_STOP)
        if "python" not in session.toolbox.by_name:
            blocked.add(PROGRAMMER)
        names = " ".join(ROLES[role].name for role in sorted(blocked))
        return session.task.question, work.context, names

    def _activations(
        self, found: Distributions, plan: TurnPlan, turn: int, tiers: Sequence[TierSnapshot]
    ) -> list[Activation]:
        if plan.stops:
            return []
        reason = "sampled" if self.settings.explore else "routed"
        return [
            _activation(role, tier, found, turn=turn, reason=reason, tiers=tiers)
            for role, tier in zip(plan.roles, plan.tiers, strict=True)
        ]

    def _decision(
        self, book: StepBook, work: _Work, plan: TurnPlan, acting: Sequence[Activation]
    ) -> Decision:
        share = float(work.found.roles[plan.roles[0]]) if work.found else None
        explore = "sampled" if self.settings.explore else "routed"
        before = book.trajectory[-1].decision.tier if book.trajectory else 0
        return Decision(
            tier=max((one.tier for one in acting), default=before),
            reason=f"{explore}_stop" if plan.stops else explore,
            score=share,
            threshold=self.settings.rules.theta,
            why="The conductor chose EarlyStop."
            if plan.stops
            else "The conductor chose " + ", ".join(one.why for one in acting) + ".",
        )

    async def _play(
        self,
        book: StepBook,
        work: _Work,
        acting: Sequence[Activation],
        decision: Decision,
        record: Mapping[str, Any],
        scored: ev.ScorerReturned | None,
    ) -> None:
        step = book.open(decision, number=scored.step if scored else None, scored=scored)
        shown, started_s = list(work.outputs), book.elapsed_s(step)
        outputs = await book.side_by_side(
            *(
                activate(
                    book.session,
                    one,
                    shown,
                    started_s=started_s,
                    tool_steps=self.settings.tool_steps,
                    sampling=self.settings.sampling,
                )
                for one in acting
            )
        )
        names = [tier.name for tier in book.session.ladder.tiers]
        lines = summary(outputs, names, limit=LINE_CHARS)
        ended = [output.finished_s for output in outputs]
        close_for_others(
            book,
            step,
            name="turn",
            arguments=record,
            observation=lines or "The run ends here.",
            duration_s=max(ended, default=started_s) - started_s,
        )
        if outputs:
            work.take(outputs, lines)

    async def _last_answer(self, book: StepBook, work: _Work) -> None:
        """No role that solves was ever chosen: one Generator must."""
        book.session.check_limits()
        if work.found is None:
            raise ValueError("a run has at least one turn")
        tiers = book.session.ladder.snapshot()
        rules = self.settings.rules
        tier = int(work.found.tiers[GENERATOR].argmax()) if rules.model_router else len(tiers) - 1
        acting = [
            _activation(GENERATOR, tier, work.found, turn=0, reason="last_answer", tiers=tiers)
        ]
        why = "No role has answered in any turn, so the Generator must."
        decision = Decision(tier=tier, reason="last_answer", why=why)
        record = {"turn": 0, "roles": ["generator"], "tiers": [tiers[tier].name]}
        await self._play(book, work, acting, decision, record, None)


def _activation(
    role: int,
    tier: int,
    found: Distributions,
    *,
    turn: int,
    reason: str,
    tiers: Sequence[TierSnapshot],
) -> Activation:
    known, share = ROLES[role], float(found.tiers[role, tier])
    return Activation(
        branch=f"{known.name}-{turn}" if turn else f"{known.name}-last",
        role=known.name,
        title=known.title,
        instruction=known.text,
        solves=known.solves,
        tools=known.name not in SPEAKERS,
        tier=tier,
        reason=reason,
        why=f"{known.title} ({found.roles[role]:.2f}) on {tiers[tier].name} ({share:.2f})",
        score=share,
    )


def open_conductor(
    parameters: OIMasParameters, tiers: Sequence[TierSnapshot], resources: Resources
) -> Conductor:
    """Return the conductor that the parameters name.

    Raises:
        InvalidInput: there are no such weights, or they are for another ladder or encoder.
    """
    if parameters.weights == UNTRAINED:
        return _untrained(resources.encoder, tuple(tiers), parameters.untrained_seed)
    folder = resources.locate(parameters.weights, field="weights")
    weights = load(folder, kind=KIND, ladder=tiers)
    return from_weights(weights, encoder_for(weights.manifest, encoder=resources.encoder))


@lru_cache(maxsize=8)
def _untrained(encoder: str, tiers: tuple[TierSnapshot, ...], seed: int) -> Conductor:
    return untrained(open_encoder(encoder), tiers, seed=seed)


def _build(parameters: OIMasParameters, ladder: Ladder, resources: Resources) -> Agent:
    return OIMas(
        OIMasSettings(
            conductor=open_conductor(parameters, ladder.snapshot(), resources),
            rules=parameters.rules,
            explore=parameters.explore,
            tool_steps=parameters.tool_steps,
            sampling=Sampling(temperature=parameters.temperature, top_p=parameters.top_p),
        )
    )


OI_MAS = Strategy(
    name="oi-mas",
    title="OI-MAS",
    summary="In every turn a trained conductor chooses roles, and for each of them a tier.",
    family="Whole methods",
    label="adapted",
    source="OI-MAS (Wang et al.), sections 3 and 4.1: a re-implementation with our own prompts",
    parameters=OIMasParameters,
    method=_build,
    doc="oi-mas.md",
    loads=True,
)
