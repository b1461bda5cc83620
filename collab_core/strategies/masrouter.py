"""MasRouter: one decision a query (mode, agents, roles, tiers), then its schedule is carried out.

Source: MasRouter (arXiv 2502.11133) by its public code as described in the method reference. A
re-implementation with our own roles and prompts; what is left out is named in
``docs/strategies/masrouter.md``. It has no per-step signal: nothing is decided again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from collab_core import events as ev
from collab_core.agents.base import Agent, Answer
from collab_core.agents.steps import StepBook
from collab_core.domain import Decision, Ladder, TierSnapshot
from collab_core.learned.encoders import open_encoder
from collab_core.learned.masrouter import (
    EXPERT_INDEX,
    EXPERTS,
    KIND,
    MODES,
    MasRouterScorer,
    Seat,
    Team,
    draw_mode,
    draw_seat,
    draw_size,
    from_weights,
    read_mode_scores,
    read_seat_scores,
    untrained,
)
from collab_core.learned.store import encoder_for, load
from collab_core.runtime.session import Session
from collab_core.strategies.agreement import TaskType, canonical_answer, vote
from collab_core.strategies.base import Parameters, Resources, Strategy
from collab_core.strategies.roles import Activation, Output, activate, summary
from collab_core.strategies.solvers import Sampling, close_for_others

UNTRAINED = "untrained"
LINE_CHARS = 600
"""Of one output in a stage's record."""
PROGRAMMER = EXPERT_INDEX["programmer"]
IN_LINE = frozenset({"chain", "full_connected"})
"""Modes in which the last agent has read the others: its answer is the run's. Elsewhere they vote."""

Reads = Literal["nothing", "previous", "all", "others", "own"]


class Stage(NamedTuple):
    """Agents that act side by side, and whose outputs each of them is shown."""

    agents: tuple[int, ...]
    reads: Reads
    again: bool = False
    """They have answered before and only revise."""


def schedule(mode: str, agents: int) -> tuple[Stage, ...]:
    """Return the stages of a mode.

    >>> [stage.agents for stage in schedule("chain", 3)]
    [(0,), (1,), (2,)]
    >>> [(stage.agents, stage.reads) for stage in schedule("debate", 2)]
    [((0, 1), 'nothing'), ((0, 1), 'others')]
    """
    everyone = tuple(range(agents))
    if mode == "chain":
        return tuple(Stage((agent,), "previous" if agent else "nothing") for agent in everyone)
    if mode == "full_connected":
        return tuple(Stage((agent,), "all") for agent in everyone)
    first = (Stage(everyone, "nothing"),)
    if mode == "debate" and agents > 1:
        return (*first, Stage(everyone, "others", again=True))
    if mode == "reflection":
        return (*first, Stage(everyone, "own", again=True))
    return first


class MasRouterParameters(Parameters):
    """Which router, and how its teams work."""

    weights: str = Field(
        default=UNTRAINED,
        max_length=200,
        title="Weights",
        description="A router that `train masrouter` has made; untrained = random weights, nearly "
        "uniform, about three agents.",
        json_schema_extra={"weights": [KIND]},
    )
    sample: bool = Field(
        default=True,
        title="Sample",
        description="Draw mode, roles and tiers by their probabilities, as the public code does at "
        "test time too. Off: the most probable ones.",
    )
    explore: bool = Field(
        default=False,
        title="Explore",
        description="Draw the number of agents as well: runs to train on need it. Needs sample.",
    )
    task_type: TaskType = Field(
        default="question",
        title="Answers agree if",
        description="Where agents vote. question, agent: they are the same words. multiple_choice: "
        "the same letter. maths: the same number.",
    )
    tool_steps: int = Field(
        default=20,
        ge=0,
        le=100,
        title="Tool calls of an agent",
        description="After so many it must give its result.",
    )
    untrained_seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed of untrained weights",
        description="Ignored with trained ones.",
    )

    @model_validator(mode="after")
    def _exploring_draws(self) -> MasRouterParameters:
        if self.explore and not self.sample:
            raise ValueError("explore needs sample")
        return self


@dataclass(frozen=True, kw_only=True)
class MasRouterSettings:
    """The parameters, settled for one ladder."""

    router: MasRouterScorer
    sample: bool
    explore: bool
    task_type: TaskType
    tool_steps: int
    sampling: Sampling


@dataclass(kw_only=True)
class _Work:
    """The state of one solve."""

    team: Team
    scored: list[ev.ScorerReturned]
    outputs: dict[int, Output] = field(default_factory=dict)
    """The latest of each agent."""

    @property
    def mode(self) -> str:
        return MODES[self.team.mode].name

    def shown(self, agent: int, reads: Reads) -> list[Output]:
        """Return what an agent reads of what is written by now."""
        wanted = {
            "nothing": (),
            "previous": (agent - 1,),
            "all": range(agent),
            "others": (n for n in range(len(self.team.seats)) if n != agent),
            "own": (agent,),
        }[reads]
        return [self.outputs[n] for n in wanted if n in self.outputs]

    def answer(self, task_type: TaskType) -> Answer:
        given = [self.outputs[n].answer for n in sorted(self.outputs)]
        answered = [answer for answer in given if answer.text]
        if not answered:
            return Answer("", "none", "no_answer")
        if self.mode in IN_LINE:
            return answered[-1]._replace(ended_by="answer")
        leader = vote([canonical_answer(answer.text, task_type) for answer in answered]).leader
        return answered[leader or 0]._replace(ended_by="answer")


class MasRouter:
    """The agent: one step of the main instance a stage, every agent on its own branch."""

    def __init__(self, settings: MasRouterSettings) -> None:
        self.settings = settings

    async def solve(self, session: Session) -> Answer:
        """Return the team's answer; see :class:`Agent` for the errors."""
        session.check_limits()
        book = StepBook(session, role="router")
        number = session.next_step()
        work = await self._decide(session, number)
        stages = schedule(work.mode, len(work.team.seats))
        for place, stage in enumerate(stages[: session.limits.max_steps]):
            session.check_limits()
            await self._play(book, work, stage, place, number if not place else None)
        answer = work.answer(self.settings.task_type)
        cut = len(stages) > session.limits.max_steps
        return answer._replace(ended_by="max_steps") if cut else answer

    async def _decide(self, session: Session, number: int) -> _Work:
        chance = session.random if self.settings.sample else None
        question, router = session.task.question, self.settings.router
        scored = [await session.score(router, (question,), step=number)]
        modes = read_mode_scores(scored[0].values)
        mode = draw_mode(modes, chance)
        size = draw_size(float(modes.sizes[mode]), chance, explore=self.settings.explore)
        blocked = "" if "python" in session.toolbox.by_name else EXPERTS[PROGRAMMER].name
        seats: list[Seat] = []
        for _ in range(size):
            before = " ".join(EXPERTS[seat.expert].name for seat in seats)
            texts = (question, MODES[mode].name, before, blocked)
            scored.append(await session.score(router, texts, step=number))
            seats.append(draw_seat(read_seat_scores(scored[-1].values), chance))
        return _Work(team=Team(mode, tuple(seats)), scored=scored)

    async def _play(
        self, book: StepBook, work: _Work, stage: Stage, place: int, number: int | None
    ) -> None:
        tiers = book.session.ladder.snapshot()
        first = number is not None
        step = book.open(
            self._decision(work, stage, tiers),
            number=number,
            scored=work.scored[0] if first else None,
        )
        if first:
            step.scored += work.scored[1:]
        started_s = book.elapsed_s(step)
        outputs = await book.side_by_side(
            *(
                activate(
                    book.session,
                    self._activation(work, agent, stage, tiers),
                    work.shown(agent, stage.reads),
                    started_s=started_s,
                    tool_steps=self.settings.tool_steps,
                    sampling=self.settings.sampling,
                )
                for agent in stage.agents
            )
        )
        ended = max(output.finished_s for output in outputs)
        close_for_others(
            book,
            step,
            name="stage",
            arguments=self._record(work, stage, place, tiers),
            observation=summary(outputs, [tier.name for tier in tiers], limit=LINE_CHARS),
            duration_s=ended - started_s,
        )
        for agent, output in zip(stage.agents, outputs, strict=True):
            # who gives nothing in a later round keeps what it had
            if output.answer.text or agent not in work.outputs:
                work.outputs[agent] = output

    def _decision(self, work: _Work, stage: Stage, tiers: Sequence[TierSnapshot]) -> Decision:
        seats = [work.team.seats[agent] for agent in stage.agents]
        names = ", ".join(f"{EXPERTS[s.expert].title} on {tiers[s.tier].name}" for s in seats)
        return Decision(
            tier=max(seat.tier for seat in seats),
            reason=work.mode,
            why=f"{MODES[work.team.mode].title} of {len(work.team.seats)}: {names}.",
        )

    def _activation(
        self, work: _Work, agent: int, stage: Stage, tiers: Sequence[TierSnapshot]
    ) -> Activation:
        expert, tier = EXPERTS[work.team.seats[agent].expert], work.team.seats[agent].tier
        return Activation(
            branch=f"{expert.name}-{agent + 1}" + ("-again" if stage.again else ""),
            role=expert.name,
            title=f"{expert.title} {agent + 1}",
            instruction=f"{expert.text}\n\n{MODES[work.team.mode].text}",
            solves=True,
            tools=not stage.again,
            tier=tier,
            reason=work.mode,
            why=f"The router seated the {expert.title} on {tiers[tier].name}.",
        )

    def _record(
        self, work: _Work, stage: Stage, place: int, tiers: Sequence[TierSnapshot]
    ) -> dict[str, Any]:
        return {
            "stage": place + 1,
            "mode": work.mode,
            "roles": [EXPERTS[seat.expert].name for seat in work.team.seats],
            "tiers": [tiers[seat.tier].name for seat in work.team.seats],
            "acting": [agent + 1 for agent in stage.agents],
        }


def open_router(
    parameters: MasRouterParameters, tiers: Sequence[TierSnapshot], resources: Resources
) -> MasRouterScorer:
    """Return the router that the parameters name.

    Raises:
        InvalidInput: there are no such weights, or they are for another ladder or encoder.
    """
    if parameters.weights == UNTRAINED:
        return _untrained(resources.encoder, tuple(tiers), parameters.untrained_seed)
    folder = resources.locate(parameters.weights, field="weights")
    weights = load(folder, kind=KIND, ladder=tiers)
    return from_weights(weights, encoder_for(weights.manifest, encoder=resources.encoder))


@lru_cache(maxsize=8)
def _untrained(encoder: str, tiers: tuple[TierSnapshot, ...], seed: int) -> MasRouterScorer:
    return untrained(open_encoder(encoder), tiers, seed=seed)


def _build(parameters: MasRouterParameters, ladder: Ladder, resources: Resources) -> Agent:
    return MasRouter(
        MasRouterSettings(
            router=open_router(parameters, ladder.snapshot(), resources),
            sample=parameters.sample,
            explore=parameters.explore,
            task_type=parameters.task_type,
            tool_steps=parameters.tool_steps,
            sampling=Sampling(temperature=parameters.temperature, top_p=parameters.top_p),
        )
    )


MASROUTER = Strategy(
    name="masrouter",
    title="MasRouter",
    summary="Before the run a trained router chooses a mode, a team and a tier for each agent.",
    family="Whole methods",
    label="adapted",
    source="arXiv 2502.11133 and its public code: a re-implementation with our own prompts",
    parameters=MasRouterParameters,
    method=_build,
    doc="masrouter.md",
    loads=True,
)
