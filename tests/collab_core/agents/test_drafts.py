"""Policies that look at a draft, or let a scorer read: what is run, charged, stored and replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Decision
from collab_core.policies.base import ACCEPT, Draft, Policy, StepContext, Verdict
from collab_core.runtime.engine import execute
from collab_core.runtime.fork import prefix
from collab_core.runtime.journal import MemoryJournal
from collab_core.strategies.base import AgentParameters, Strategy
from collab_core.strategies.registry import STRATEGIES
from collab_core.tools.base import ToolOutcome
from tests.collab_core.replies import acts, answers, spec, tiers_asked


class Note:
    name = "note"
    description = "Takes a note."
    parameters: Mapping[str, Any] = {"type": "object"}

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        self.taken.append(arguments["text"])
        return ToolOutcome(text="noted")


class Length:
    """Scores a text by its length: 0..1."""

    name, digest, stand_in = "length", "d1", True

    def __init__(self) -> None:
        self.read: list[tuple[str, ...]] = []

    def score(self, texts: tuple[str, ...]) -> tuple[float, ...]:
        self.read.append(texts)
        return (len(texts[-1]) / 1_000,)


class Careful(Policy):
    """Starts small; a draft that would note "bad" is written anew by the top tier."""

    def __init__(self, scorer: Length) -> None:
        self.scorer = scorer

    def before_texts(self, context: StepContext) -> tuple[str, ...]:
        return (context.task.question,)

    def before_step(self, context: StepContext) -> Decision:
        return Decision(tier=0, reason="cheap_first", score=context.scores[0], threshold=0.5)

    def draft_texts(self, context: StepContext, draft: Draft) -> tuple[str, ...]:
        return (context.task.question, draft.text)

    def after_generation(self, context: StepContext, draft: Draft) -> Verdict:
        bad = draft.call is not None and "bad" in draft.call.arguments
        if not bad or draft.tier == 1:
            return ACCEPT
        return Verdict(rerun_on=1, reason="draft_rejected", why="It is bad.", score=draft.scores[0])


@pytest.fixture
def scorer() -> Iterator[Length]:
    scorer = Length()
    STRATEGIES["careful"] = Strategy(
        name="careful",
        title="Careful",
        summary="",
        family="Fixed",
        label="native",
        source="",
        parameters=AgentParameters,
        policy=lambda parameters, ladder, resources: Careful(scorer),
        doc="fixed.md",
    )
    yield scorer
    del STRATEGIES["careful"]


SCRIPT = [
    acts(arguments='{"text": "good"}'),
    acts(arguments='{"text": "bad"}'),
    acts(arguments='{"text": "better"}'),
    answers(),
]


async def run(
    script: list[Any], history: Any = (), **more: Any
) -> tuple[Any, MemoryJournal, ScriptedBackend, Note]:
    journal, backend, note = MemoryJournal(history), ScriptedBackend(script), Note()
    terminal = await execute(
        spec(more.pop("strategy", "careful"), **more), journal, backend=backend, tools=(note,)
    )
    return terminal, journal, backend, note


def of(journal: MemoryJournal, kind: type[Any]) -> list[Any]:
    return [record.event for record in journal.records if isinstance(record.event, kind)]


async def test_a_rejected_draft_never_acts_and_is_charged(scorer: Length) -> None:
    terminal, journal, backend, note = await run(SCRIPT)
    assert note.taken == ["good", "better"]
    assert tiers_asked(backend.requests) == ["small", "small", "large", "small"]
    (discarded,) = of(journal, ev.DraftDiscarded)
    assert (discarded.step, discarded.tier, discarded.to_tier) == (2, 0, 1)
    assert discarded.action == "note: bad"
    second = of(journal, ev.StepFinished)[1]
    assert (second.tier, second.discarded, second.reason) == (1, 1, "draft_rejected")
    assert second.usage.output_tokens == 40
    assert second.latency.decode_s == pytest.approx(0.8)
    assert terminal.totals.drafts_discarded == 1
    assert terminal.totals.usage.output_tokens == 3 * 20 + 10
    assert terminal.totals.steps_by_tier == (2, 1)


async def test_a_rejected_draft_is_in_no_later_prompt(scorer: Length) -> None:
    _, _, backend, _ = await run(SCRIPT)
    assert "bad" not in backend.requests[-1].transcript.encode().decode()


@pytest.mark.parametrize(
    ("hand_over", "messages"), [("full", [2, 4, 4, 6]), ("restart", [2, 4, 2, 6])]
)
async def test_the_tier_that_writes_anew_is_handed_over_as_chosen(
    scorer: Length, hand_over: str, messages: list[int]
) -> None:
    asked: list[int] = []

    def reply(number: int) -> Callable[[ModelRequest], ModelReply]:
        def given(request: ModelRequest) -> ModelReply:
            asked.append(len(request.transcript.messages))
            return SCRIPT[number]  # type: ignore[no-any-return]

        return given

    await run([reply(n) for n in range(4)], parameters={"hand_over": hand_over})
    assert asked == messages


async def test_switches_are_told_when_the_draft_stands(scorer: Length) -> None:
    _, journal, _, _ = await run(SCRIPT)
    switches = [(e.step, e.from_tier, e.to_tier, e.reason) for e in of(journal, ev.TierSwitched)]
    assert switches == [(2, 0, 1, "draft_rejected"), (3, 1, 0, "cheap_first")]


async def test_a_scorers_numbers_are_stored_and_its_time_is_the_steps(scorer: Length) -> None:
    terminal, journal, _, _ = await run(SCRIPT)
    scored = of(journal, ev.ScorerReturned)
    assert len(scored) == len(scorer.read) == terminal.totals.scorer_calls == 3 + 4
    assert {(e.scorer, e.digest, e.stand_in) for e in scored} == {("length", "d1", True)}
    by_step = {n: sum(e.duration_s for e in scored if e.step == n) for n in (1, 2, 3)}
    for step in of(journal, ev.StepFinished):
        assert step.latency.route_s == pytest.approx(by_step[step.step])


async def test_a_run_cut_after_any_event_asks_no_known_effect_again(scorer: Length) -> None:
    whole_terminal, whole, _, _ = await run(SCRIPT)
    for cut in range(len(whole.records)):
        head = whole.records[:cut]
        scorer.read.clear()
        known = sum(isinstance(r.event, ev.ModelReplied) for r in head)
        terminal, journal, backend, _ = await run(SCRIPT[known:], head)
        assert len(backend.requests) == 4 - known
        assert len(scorer.read) == 7 - sum(isinstance(r.event, ev.ScorerReturned) for r in head)
        assert (terminal.answer, terminal.totals.steps_by_tier) == ("Paris", (2, 1))
        assert [ev.event_type(r.event) for r in journal.records if "run." not in ev.event_type(r.event)] == [
            ev.event_type(r.event) for r in whole.records if "run." not in ev.event_type(r.event)
        ]  # fmt: skip
        assert terminal.totals.usage == whole_terminal.totals.usage


async def test_a_fork_keeps_its_parents_drafts_and_scores(scorer: Length) -> None:
    _, parent, _, _ = await run(SCRIPT)
    for strategy in ("careful", "small"):
        copied = [
            ev.Recorded(seq=i, at=0.0, event=event)
            for i, event in enumerate(prefix(parent.records, 2))
        ]
        terminal, _, backend, note = await run(SCRIPT[3:], copied, strategy=strategy, fork_step=2)
        assert tiers_asked(backend.requests) == ["small"], terminal
        assert note.taken == []
        assert terminal.totals.steps_by_tier == (2, 1)
        assert terminal.totals.model_calls == 4


async def test_a_scorer_that_breaks_ends_the_run_with_its_name(scorer: Length) -> None:
    scorer.score = lambda texts: (float("nan"),)  # type: ignore[method-assign]
    terminal, _, backend, _ = await run(SCRIPT)
    assert (terminal.code, backend.requests) == ("scorer_failed", [])
    assert "length" in terminal.message


async def test_other_weights_are_no_replay(scorer: Length) -> None:
    _, whole, _, _ = await run(SCRIPT)
    scorer.digest = "d2"
    terminal, _, _, _ = await run([], whole.records[:-1])
    assert terminal.code == "non_deterministic_replay"
