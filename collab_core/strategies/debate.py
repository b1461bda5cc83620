"""LLM-Debate: several agents on one tier answer, read one another, revise, and vote.

Source: LLM-Debate (Du et al., arXiv 2305.14325), by its public code as described in the method
reference: 3 agents, 2 rounds, a majority at the end. A fixed-compute baseline at a tier, no router.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import Field

from collab_core import events as ev
from collab_core.agents.base import Agent, Answer
from collab_core.agents.grammar import read_turn
from collab_core.agents.loop import ReActLoop
from collab_core.agents.prompts import prompt
from collab_core.agents.steps import StepBook
from collab_core.domain import Decision, Ladder
from collab_core.errors import ContextTooLong
from collab_core.policies.assigned import Assigned
from collab_core.policies.fixed import tier_position
from collab_core.runtime.session import Call, Session
from collab_core.strategies.agreement import TaskType, Vote, canonical_answer, vote
from collab_core.strategies.base import Parameters, Resources, Strategy
from collab_core.strategies.solvers import Sampling, close_for_others, sealed, solver, tally

_WORDS_CHARS = 1_500
"""Of an agent's latest words that the others are shown."""
_REVISION_TOKENS = 1_024


class DebateParameters(Parameters):
    """The size of the debate, and the tier it is held on."""

    agents: int = Field(
        default=3, ge=1, le=16, title="Agents", description="They work side by side."
    )
    rounds: int = Field(
        default=2,
        ge=1,
        le=8,
        title="Rounds",
        description="The first one solves the task; each later one shows everybody the others' "
        "answers and asks for an update. 1 = a vote without debate.",
    )
    tier: str = Field(
        default="1",
        max_length=60,
        title="Tier",
        description="Of all agents: its name, or its place in the ladder counted from 1.",
    )
    task_type: TaskType = Field(
        default="question",
        title="Answers agree if",
        description="question, agent: they are the same words. multiple_choice: the same letter. "
        "maths: the same number.",
    )
    agent_steps: int = Field(
        default=40,
        ge=1,
        le=200,
        title="Steps of an agent",
        description="In the first round; after so many it must answer.",
    )


@dataclass(frozen=True, kw_only=True)
class DebateRules:
    """The parameters, settled for one ladder."""

    tier: int
    agents: int = 3
    rounds: int = 2
    task_type: TaskType = "question"
    agent_steps: int = 40
    sampling: Sampling = field(default_factory=Sampling)


class Debater:
    """One agent: its ReAct loop of the first round, and the same conversation from then on."""

    def __init__(self, rules: DebateRules, session: Session) -> None:
        self.rules = rules
        self.session = session
        self.answer = Answer("", "none", "")
        self.words = ""
        """What the others are shown of it."""
        self._loop: ReActLoop | None = None

    async def solve(self, started_s: float) -> float:
        """Work the first round; return how long it took."""
        name = self.session.ladder.tiers[self.rules.tier].name
        loop = solver(
            self.session,
            Assigned(tier=self.rules.tier, reason="round_1", why=f"Debate is held on {name}."),
            self.session.task.question,
            role="debater",
            max_steps=self.rules.agent_steps,
            started_s=started_s,
            sampling=self.rules.sampling,
        )
        self._loop = loop
        self.answer = await loop.run()
        last = loop.book.trajectory[-1].text if loop.book.trajectory else ""
        self.words = read_turn(last, (), step=0).thought
        if loop.conversation.current.messages[-1]["role"] != "assistant":
            # a forced answer was asked for on top of the prompt; now it becomes part of it
            text = last or f"<answer>{self.answer.text}</answer>"
            loop.conversation.append({"role": "assistant", "content": text})
        return loop.book.cumulative_s - started_s

    async def revise(self, number: int, others: str, started_s: float) -> float:
        """Read the others and answer anew; return how long it took.

        An agent that gives no answer now, or whose context is full, keeps the one it had.
        """
        loop = self._loop
        if loop is None:
            raise ValueError("there is nothing to revise before the first round")
        self.session.check_limits()
        loop.book.cumulative_s = started_s
        step = loop.book.open(
            Decision(
                tier=self.rules.tier,
                reason=f"round_{number}",
                why="The others' answers are shown, and an update is asked for.",
            )
        )
        question = {"role": "user", "content": prompt("debate_revise").replace("{others}", others)}
        reply = await self._updated(self._call(loop, step.number, question))
        if reply is None:
            loop.book.close(step)
            return loop.book.cumulative_s - started_s
        step.replies.append(reply)
        loop.book.accept(step, reply)
        step.turn = read_turn(reply.text, (), step=step.index)
        loop.conversation.append(question)
        loop.conversation.append({"role": "assistant", "content": reply.text})
        if step.turn.answer:
            self.answer = Answer(step.turn.answer, "tagged", "answer")
        self.words = step.turn.thought
        loop.book.close(step)
        return loop.book.cumulative_s - started_s

    async def _updated(self, call: Call) -> ev.ModelReplied | None:
        """Return the reply; None if the others' words did not fit, now or as the log knows."""
        if self.session.peek(ev.StepFinished) is not None:
            return None
        try:
            return await self.session.complete(call)
        except ContextTooLong:
            return None

    def _call(self, loop: ReActLoop, number: int, question: dict[str, str]) -> Call:
        limit = min(self.session.limits.max_output_tokens, _REVISION_TOKENS)
        return Call(
            tier=self.rules.tier,
            step=number,
            purpose="revise",
            transcript=loop.conversation.current,
            suffix=(question,),
            tool_choice="none",
            temperature=self.rules.sampling.temperature,
            top_p=self.rules.sampling.top_p,
            max_output_tokens=limit,
        )


class Round(NamedTuple):
    vote: Vote
    answers: list[Answer]


class Debate:
    """The agent: debaters on branches, one step of the main agent for each round."""

    def __init__(self, rules: DebateRules) -> None:
        self.rules = rules

    async def solve(self, session: Session) -> Answer:
        """Return the majority's answer; see :class:`Agent` for the errors."""
        book = StepBook(session, role="debate")
        debaters = [
            Debater(self.rules, session.branch(f"debater-{n}"))
            for n in range(1, self.rules.agents + 1)
        ]
        ended = Round(Vote((), 0), [])
        for number in range(1, self.rules.rounds + 1):
            ended = await self._round(book, debaters, number)
        leader = ended.vote.leader
        if leader is None:
            return Answer("", "none", "no_answer")
        return ended.answers[leader]._replace(ended_by="answer")

    async def _round(self, book: StepBook, debaters: list[Debater], number: int) -> Round:
        book.session.check_limits()
        step = book.open(
            Decision(
                tier=self.rules.tier,
                reason=f"round_{number}",
                why=f"Round {number} of {self.rules.rounds}: {len(debaters)} agents side by side.",
            )
        )
        started_s = book.cumulative_s
        if number == 1:
            work = [debater.solve(started_s) for debater in debaters]
        else:
            shown = [_others(debaters, place) for place in range(len(debaters))]
            work = [
                debater.revise(number, others, started_s)
                for debater, others in zip(debaters, shown, strict=True)
            ]
        durations = await book.side_by_side(*work)
        answers = [debater.answer for debater in debaters]
        outcome = vote([canonical_answer(a.text, self.rules.task_type) for a in answers])
        close_for_others(
            book,
            step,
            name="debate",
            arguments={"round": number, "agents": len(debaters)},
            observation=tally(
                outcome,
                [answer.text for answer in answers],
                "final" if number == self.rules.rounds else "the debate goes on",
            ),
            duration_s=max(durations),
        )
        return Round(outcome, answers)


def _others(debaters: list[Debater], place: int) -> str:
    """Return what all but the one at ``place`` said; models' text, which cannot close its tags."""
    blocks = [
        f'<agent number="{number}">\n{sealed(one.words, "agent", limit=_WORDS_CHARS)}\n'
        f"Answer: {sealed(one.answer.text, 'agent', limit=_WORDS_CHARS) or 'none'}\n</agent>"
        for number, one in enumerate(debaters, start=1)
        if number != place + 1
    ]
    return "\n".join(blocks) or "There are none."


def _build(parameters: DebateParameters, ladder: Ladder, resources: Resources) -> Agent:
    return Debate(
        DebateRules(
            tier=tier_position(parameters.tier, ladder, field="tier"),
            agents=parameters.agents,
            rounds=parameters.rounds,
            task_type=parameters.task_type,
            agent_steps=parameters.agent_steps,
            sampling=Sampling(temperature=parameters.temperature, top_p=parameters.top_p),
        )
    )


DEBATE = Strategy(
    name="debate",
    title="LLM-Debate",
    summary="Several agents on one tier answer side by side, read one another, revise, and vote.",
    family="Whole methods",
    label="adapted",
    source="arXiv 2305.14325 and its public code",
    parameters=DebateParameters,
    method=_build,
    doc="debate.md",
)
