from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from collab_core import events as ev
from collab_core.domain import LatencySplit, Limits, Task, TierSnapshot, Totals, Usage
from tests.webapp.personas import make_room
from webapp.runs import fold, leases
from webapp.runs.journal import column_values
from webapp.runs.models import Run
from webapp.runs.services import _insert

TIERS = tuple(TierSnapshot(name=f"t{i}", model="m") for i in range(3))
QUEUED = ev.RunQueued(
    task=Task(question="?"),
    strategy="small",
    parameters={},
    ladder=TIERS,
    seed=1,
    limits=Limits(),
)


def finished(
    step: int = 1, tier: int = 0, cost: float | None = 0.5, **changes: Any
) -> ev.StepFinished:
    fields: dict[str, Any] = {
        "step": step,
        "tier": tier,
        "tier_name": f"t{tier}",
        "reason": "default",
        "latency": LatencySplit(total_s=1.0),
        "cumulative_s": float(step),
        "usage": Usage(input_tokens=10, output_tokens=4),
        "cost_usd": cost,
        "indicator": 1,
    }
    return ev.StepFinished(**(fields | changes))


def folded(*events: ev.AnyEvent) -> fold.Folded:
    return fold.fold(
        ev.Recorded(seq=seq, at=1000.0 + seq, event=event)
        for seq, event in enumerate((QUEUED, *events))
    )


def test_steps_add_up() -> None:
    result = folded(ev.RunStarted(), finished(1, 0), finished(2, 2, indicator=0))
    assert (result.status, result.steps, result.latency_s) == ("running", 2, 2.0)
    assert (result.input_tokens, result.output_tokens, result.top_tier_output_tokens) == (20, 8, 4)
    assert (result.tier_path, result.stall_path, result.cost_usd) == ("02", "10", 1.0)


def test_an_unknown_cost_stays_unknown() -> None:
    assert folded(finished(1, cost=None), finished(2, cost=0.5)).cost_usd is None
    assert folded(finished(1, cost=0.5), finished(2, cost=None)).cost_usd is None


def test_the_totals_of_the_end_win() -> None:
    totals = Totals(usage=Usage(input_tokens=99, output_tokens=7), output_tokens_by_tier=(1, 2, 4))
    result = folded(finished(), ev.RunCancelled(by="bob", totals=totals))
    assert (result.status, result.input_tokens, result.top_tier_output_tokens) == (
        "cancelled",
        99,
        4,
    )


def test_an_answer_with_a_nul_can_be_stored() -> None:
    result = folded(ev.RunFinished(answer="a\x00b", answer_source="tagged", totals=Totals()))
    assert result.answer == "a\ufffdb"


numbers = st.integers(0, 10**6)
steps = st.builds(
    finished,
    step=st.integers(1, 50),
    tier=st.integers(0, 40),
    cost=st.none() | st.floats(0, 100),
    indicator=st.sampled_from([0, 1, None]),
    usage=st.builds(Usage, input_tokens=numbers, output_tokens=numbers),
)
switches = st.builds(
    ev.TierSwitched,
    step=st.just(1),
    from_tier=st.just(0),
    to_tier=st.just(1),
    from_name=st.just("a"),
    to_name=st.just("b"),
    reason=st.just("escalated"),
)
some_totals = st.builds(Totals, usage=st.builds(Usage, input_tokens=numbers, output_tokens=numbers))
text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
ends = st.one_of(
    st.builds(ev.RunFinished, answer=text, answer_source=st.just("tagged"), totals=some_totals),
    st.builds(ev.RunFailed, code=text, message=text, hint=text, totals=some_totals),
    st.builds(ev.RunCancelled, by=text, totals=some_totals),
)
middles = st.lists(
    st.one_of(steps, switches, st.builds(ev.RunStarted), st.builds(ev.RunResumed)), max_size=12
)


class StoredFold(TestCase):
    @settings(max_examples=40, deadline=None)
    @given(middles, st.none() | ends, st.integers(0, 12))
    def test_event_by_event_equals_all_at_once_and_survives_the_database(
        self, middle: list[ev.AnyEvent], end: ev.AnyEvent | None, cut: int
    ) -> None:
        log: list[ev.AnyEvent] = [QUEUED, *middle, *([end] if end else [])]
        run = make_room().submit()
        live = fold.Folded()
        for event in log[:cut]:
            live.add(1000.0, event)
        live = fold.copy(live)
        for event in log[cut:]:
            live.add(1000.0, event)
        _insert(run.pk, 1, 1000.0, log[1:])
        Run.objects.filter(pk=run.pk).update(**live.columns())
        run.refresh_from_db()
        history = [r for r in leases.read_history(run.pk) if r.seq > 0]
        again = fold.fold([ev.Recorded(seq=0, at=1000.0, event=QUEUED), *history])
        assert again.columns() == live.columns()
        assert {name: getattr(run, name) for name in fold.COLUMNS} == live.columns()
        assert len(column_values(live)) == len(fold.COLUMNS)
