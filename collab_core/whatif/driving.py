"""The real policy at the wheel of many continuations at once.

A policy that says it goes by verdicts alone gets a graph: states that behave the same are one node,
asked once however many continuations pass through. Any other policy is asked for each continuation
and is shown whole steps.
"""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from collab_core.domain import Decision, ProgressCheck, StepRecord, Usage
from collab_core.policies.base import CacheState, Policy, StepContext
from collab_core.whatif.replay import Replayed, Resume
from collab_core.whatif.situation import Floats, Ints

Flags = NDArray[np.bool_]
_CHECKS = tuple(
    ProgressCheck(status="parsed", indicator=indicator, made_progress=bool(indicator))
    for indicator in (0, 1)
)


class Start(NamedTuple):
    """One run where its continuations begin."""

    replayed: Replayed
    resume: Resume


class Happened(NamedTuple):
    """The step that every continuation has just made; one entry each."""

    donors: Sequence[StepRecord]
    """The pool's steps."""
    row: Ints
    """The one of them that it was drawn from."""
    progress: Flags
    latency_s: Floats
    cost_usd: Floats
    input_tokens: Floats
    cached_tokens: Floats
    output_tokens: Floats
    prompt_tokens: Floats
    total_s: Floats
    total_usd: Floats


class Driver(Protocol):
    """Decides for all continuations that still go on."""

    def tiers(self) -> Ints:
        """Return the tier of each one's next step."""
        ...

    def advance(self, going: Flags, happened: Happened) -> None:
        """Tell what became of the step, and decide the next one; those not ``going`` are dropped."""
        ...


def driver(starts: Sequence[Start], each: int) -> Driver:
    """Return the driver of ``each`` continuations of every start, in that order."""
    if all(start.resume.policy.by_verdicts for start in starts):
        return ByVerdicts(starts, each)
    return ByStep(starts, each)


class _Chance(random.Random):
    """A generator that is set up when it is first asked, and tells whether it was."""

    def __init__(self, state: tuple[Any, ...]) -> None:
        super().__init__(0)
        self.state = state
        self.drawn = False

    def random(self) -> float:
        self._draw()
        return super().random()

    def getrandbits(self, k: int, /) -> int:
        self._draw()
        return super().getrandbits(k)

    def _draw(self) -> None:
        if not self.drawn:
            self.drawn = True
            self.setstate(self.state)

    @property
    def now(self) -> tuple[Any, ...]:
        return self.getstate() if self.drawn else self.state


class _State(NamedTuple):
    """A policy before a step that it has decided."""

    start: Start
    policy: bytes
    decision: Decision
    shown: tuple[StepRecord, ...]
    chance: tuple[Any, ...]

    def after(self, check: ProgressCheck) -> tuple[_State, bool]:
        """Return the next state, and whether chance was asked on the way."""
        policy: Policy = pickle.loads(self.policy)  # noqa: S301 - our own bytes
        chance = _Chance(self.chance)
        index = len(self.shown) + 1
        record = StepRecord(index=index, decision=self.decision, text="", check=check)
        shown = (*self.shown, record)
        policy.after_observation(self._context(index, shown, chance), record)
        decision = policy.before_step(self._context(index + 1, shown, chance))
        made = _State(self.start, pickle.dumps(policy), decision, shown, chance.now)
        return made, chance.drawn

    def _context(
        self, index: int, shown: tuple[StepRecord, ...], chance: random.Random
    ) -> StepContext:
        run = self.start.replayed.run
        return StepContext(
            task=run.queued.task,
            step_index=index,
            limits=run.queued.limits,
            trajectory=shown,
            tiers=run.tiers,
            cache=(CacheState(),) * len(run.tiers),
            spent_usd=None,
            spent_s=0.0,
            random=chance,
            role=self.start.resume.instance.role,
        )


class ByVerdicts:
    """For policies with ``by_verdicts``: a graph of states.

    A policy that never draws shares one graph among all runs of the same limits; one that draws has
    a graph for each run, whose generator it follows.
    """

    def __init__(self, starts: Sequence[Start], each: int) -> None:
        self._states = [
            _State(
                start,
                pickle.dumps(start.resume.policy),
                start.resume.decision,
                start.resume.seen,
                start.resume.random_state,
            )
            for start in starts
        ]
        self._known: dict[object, int] = {}
        self._run = list(range(len(starts)))
        self._draws = any(state.after(_CHECKS[1])[1] for state in self._states[:1])
        self._at = np.repeat(np.arange(len(starts)), each)
        self._tier = np.asarray([state.decision.tier for state in self._states], dtype=np.int64)
        self._next = np.full((len(starts), 2), -1, dtype=np.int64)

    def tiers(self) -> Ints:
        return np.asarray(self._tier[self._at])

    def advance(self, going: Flags, happened: Happened) -> None:
        at, verdict = self._at[going], happened.progress[going].astype(np.int64)
        unknown = self._next[at, verdict] < 0
        if unknown.any():
            pairs = np.unique(np.column_stack([at[unknown], verdict[unknown]]), axis=0)
            for place, told in pairs.tolist():
                self._next[place, told] = self._find(place, told)
            self._grow()
        self._at = self._next[at, verdict]

    def _find(self, place: int, told: int) -> int:
        state, drawn = self._states[place].after(_CHECKS[told])
        if drawn and not self._draws:
            raise AssertionError("a policy that goes by verdicts draws at every step, or never")
        run = state.start.replayed.run
        whose = (self._run[place], state.chance) if self._draws else run.queued.limits
        key = (whose, len(state.shown), state.policy, state.decision)
        found = self._known.setdefault(key, len(self._states))
        if found == len(self._states):
            self._states.append(state)
            self._run.append(self._run[place])
        return found

    def _grow(self) -> None:
        new = self._states[len(self._tier) :]
        tiers = np.asarray([state.decision.tier for state in new], dtype=np.int64)
        self._tier = np.concatenate([self._tier, tiers])
        self._next = np.concatenate([self._next, np.full((len(new), 2), -1, dtype=np.int64)])


@dataclass(kw_only=True, eq=False)
class _One:
    """One continuation and its own policy."""

    start: Start
    policy: Policy
    random: random.Random
    shown: list[StepRecord]
    decision: Decision
    cache: tuple[CacheState, ...]

    @classmethod
    def of(cls, start: Start) -> _One:
        chance = random.Random()
        chance.setstate(start.resume.random_state)
        return cls(
            start=start,
            policy=copy.deepcopy(start.resume.policy),
            random=chance,
            shown=list(start.resume.seen),
            decision=start.resume.decision,
            cache=start.resume.step.before.cache,
        )

    def context(self, index: int, spent_usd: float | None, spent_s: float) -> StepContext:
        run = self.start.replayed.run
        return StepContext(
            task=run.queued.task,
            step_index=index,
            limits=run.queued.limits,
            trajectory=self.shown,
            tiers=run.tiers,
            cache=self.cache,
            spent_usd=spent_usd,
            spent_s=spent_s,
            random=self.random,
            role=self.start.resume.instance.role,
        )


class ByStep:
    """For every other policy: one object a continuation, shown whole steps."""

    def __init__(self, starts: Sequence[Start], each: int) -> None:
        self._ones = [_One.of(start) for start in starts for _ in range(each)]

    def tiers(self) -> Ints:
        return np.asarray([one.decision.tier for one in self._ones], dtype=np.int64)

    def advance(self, going: Flags, happened: Happened) -> None:
        self._ones = [self._ones[n] for n in np.flatnonzero(going)]
        donors = [happened.donors[row] for row in happened.row[going]]
        numbers = zip(*(part[going].tolist() for part in happened[2:]), strict=True)
        for one, donor, of in zip(self._ones, donors, numbers, strict=True):
            self._advance(one, donor, *of)

    @staticmethod
    def _advance(one: _One, donor: StepRecord, progress: bool, *spent: float) -> None:  # noqa: FBT001
        latency_s, cost, total, cached, output, prompt, total_s, total_usd = spent
        unknown = total_usd != total_usd
        index, own = len(one.shown) + 1, one.decision.tier
        check = donor.check
        if check.made_progress != progress:
            known = check.indicator is not None
            indicator: Literal[0, 1] | None = (1 if progress else 0) if known else None
            check = replace(check, indicator=indicator, made_progress=progress)
        record = replace(
            donor,
            index=index,
            decision=one.decision,
            check=check,
            usage=Usage(
                input_tokens=round(total), output_tokens=round(output), cached_tokens=round(cached)
            ),
            latency_s=latency_s,
            cost_usd=None if unknown else cost,
        )
        one.shown.append(record)
        state = CacheState(last_step=index, prefix_tokens=round(prompt + output))
        before = None if unknown else total_usd - cost
        one.cache = (*one.cache[:own], state, *one.cache[own + 1 :])
        one.policy.after_observation(one.context(index, before, total_s - latency_s), record)
        after = None if unknown else total_usd
        one.decision = one.policy.before_step(one.context(index + 1, after, total_s))
