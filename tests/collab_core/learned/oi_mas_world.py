"""A world in which the right tier can be told from the question: what a router must learn."""

from __future__ import annotations

import random
from collections.abc import Sequence

from collab_core.domain import TierSnapshot
from collab_core.learned.oi_mas import EARLY_STOP, ROLE_INDEX, ROLES, TurnPlan
from collab_core.learned.oi_mas_episodes import Conducting, Episode, PlayedTurn

COST_WEIGHT = 100.0
TURNS = 4
MARKS = (
    ("sum", "change", "apples", "minutes"),
    ("triangle", "interest", "train", "mixture"),
    ("integral", "topology", "lemma", "eigenvalue"),
)
FILLER = ("find", "the", "for", "a", "given", "that", "we", "know", "of", "and", "value", "case")


class PredictableWorld:
    """The words of a question say which tier is right for it; the latest solution counts.

    ``specialists``: only the right tier solves it, so that every fixed tier is wrong as often as the
    others. Else any tier from the right one on does, and only cost speaks against the top. A tier
    that cannot solve the question is unsure of itself.
    """

    def __init__(
        self,
        *,
        costs_usd: Sequence[float],
        specialists: bool,
        questions: int = 240,
        seed: int = 0,
    ) -> None:
        chance = random.Random(seed)
        self.costs_usd = costs_usd
        self.specialists = specialists
        self.tiers = tuple(
            TierSnapshot(name=f"t{n}", model=f"model-{n}") for n in range(len(costs_usd))
        )
        self.levels = [chance.randrange(len(costs_usd)) for _ in range(questions)]
        self.questions: Sequence[str] = [_words(chance, level) for level in self.levels]

    def play(
        self, indices: Sequence[int], conducting: Conducting, *, seed: int
    ) -> Sequence[Episode]:
        chance = random.Random(seed)
        return [self._one(index, conducting, chance) for index in indices]

    def oracle(self, index: int) -> float:
        """Return the best return of a question: one activation of its right tier."""
        return 1.0 - COST_WEIGHT * self.costs_usd[self.levels[index]]

    def solves(self, index: int, tier: int) -> bool:
        right = self.levels[index]
        return tier == right if self.specialists else tier >= right

    def _one(self, index: int, conducting: Conducting, chance: random.Random) -> Episode:
        turns: list[PlayedTurn] = []
        context, solved = "", None
        for turn in range(1, TURNS + 1):
            blocked = (EARLY_STOP,) if solved is None else ()
            plan = conducting.plan(self.questions[index], context, turn=turn, blocked=blocked)
            turns.append(self._turn(index, context, blocked, plan, chance))
            if plan.stops:
                break
            for role, tier in zip(plan.roles, plan.tiers, strict=True):
                if ROLES[role].solves:
                    solved = self.solves(index, tier)
                context += f" {ROLES[role].title} {'answers' if ROLES[role].solves else 'comments'}"
        return Episode(
            question=self.questions[index], turns=tuple(turns), reward=float(bool(solved))
        )

    def _turn(
        self,
        index: int,
        context: str,
        blocked: tuple[int, ...],
        plan: TurnPlan,
        chance: random.Random,
    ) -> PlayedTurn:
        able = [self.solves(index, tier) for tier in plan.tiers]
        return PlayedTurn(
            context=context,
            blocked=blocked,
            plan=plan,
            costs_usd=tuple(self.costs_usd[tier] for tier in plan.tiers),
            mean_logprobs=tuple(chance.gauss(-0.1 if a else -0.8, 0.05) for a in able),
        )


class Oracle:
    """Knows the level: one Generator on the right tier, then the end."""

    def __init__(self, world: PredictableWorld) -> None:
        self._levels = dict(zip(world.questions, world.levels, strict=True))

    def plan(
        self, question: str, context: str, *, turn: int, blocked: Sequence[int] = ()
    ) -> TurnPlan:
        if turn > 1:
            return TurnPlan((EARLY_STOP,), ())
        return TurnPlan((ROLE_INDEX["generator"],), (self._levels[question],))


def earned(episodes: Sequence[Episode]) -> float:
    """Return the mean of reward less weighted cost."""
    return sum(e.reward - COST_WEIGHT * e.cost_usd for e in episodes) / len(episodes)


def _words(chance: random.Random, level: int) -> str:
    words = [*chance.sample(MARKS[level], 2), *chance.sample(FILLER, 6)]
    chance.shuffle(words)
    return " ".join([*words, str(chance.randrange(1000))])
