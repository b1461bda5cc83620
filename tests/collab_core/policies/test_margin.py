"""Margin sampling: a draft stands if its number is above the threshold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.backends.base import ModelReply
from collab_core.errors import InvalidInput
from collab_core.policies.base import Draft
from collab_core.policies.margin import Margin
from tests.collab_core.policies.routes import (
    build,
    context,
    killed_at_every_event,
    of,
    play,
    store_weights,
    table,
)
from tests.collab_core.replies import acts, answers, ladder, tiers_asked


def sure(reply: ModelReply, margin: float | None, *, first: float = 0.999) -> ModelReply:
    return replace(reply, decisive_margin=margin, first_token_margin=first, mean_logprob=-0.5)


def note(text: str, margin: float | None) -> ModelReply:
    return sure(acts(arguments=f'{{"text": "{text}"}}'), margin)


def verdicts(policy: Any, drafts: list[Draft]) -> list[int | None]:
    return [policy.after_generation(context(), draft).rerun_on for draft in drafts]


def drafts(**fields: list[float | None]) -> list[Draft]:
    ((name, values),) = fields.items()
    return [Draft(tier=0, text="x", **{name: value}) for value in values]  # type: ignore[arg-type]


def test_a_margin_must_be_above_the_threshold(tmp_path: Path) -> None:
    policy = build("margin", tmp_path, threshold=0.3)
    given = drafts(decisive_margin=[0.0, 0.29, 0.3, 0.31, 1.0])
    assert verdicts(policy, given) == [1, 1, 1, None, None]


def test_the_first_token_is_read_as_published(tmp_path: Path) -> None:
    policy = build("margin", tmp_path, signal="first_token_margin", threshold=0.9)
    assert verdicts(policy, drafts(first_token_margin=[0.95, 0.85])) == [None, 1]


def test_the_mean_log_probability_is_a_threshold_below_zero(tmp_path: Path) -> None:
    policy = build("margin", tmp_path, signal="mean_logprob", threshold=-0.7)
    assert verdicts(policy, drafts(mean_logprob=[-0.6, -0.7, -3.0])) == [None, 1, 1]


def test_the_fixed_tag_trap(tmp_path: Path) -> None:
    """Every reply begins with the same tag: its first token is sure, what it decides is not."""
    trapped = Draft(tier=0, text="x", first_token_margin=0.999, decisive_margin=0.05)
    first = build("margin", tmp_path, signal="first_token_margin", threshold=0.3)
    assert verdicts(first, [trapped]) == [None]
    assert verdicts(build("margin", tmp_path, threshold=0.3), [trapped]) == [1]


def test_an_unknown_margin_is_rerun_and_said(tmp_path: Path) -> None:
    verdict = build("margin", tmp_path).after_generation(context(), Draft(tier=0, text="x"))
    assert (verdict.rerun_on, verdict.reason) == (1, "no_logprobs")
    assert "told no margin of the deciding token" in verdict.why
    lenient = build("margin", tmp_path, unknown="accept")
    assert verdicts(lenient, [Draft(tier=0, text="x")]) == [None]


def test_log_probabilities_are_asked_for_where_there_is_a_choice(tmp_path: Path) -> None:
    policy = build("margin", tmp_path)
    assert policy.before_step(context()).logprobs
    assert not policy.before_step(context(tiers=1)).logprobs
    assert policy.after_generation(context(tiers=1), Draft(tier=0, text="x")).rerun_on is None


async def test_an_unsure_draft_is_charged_and_its_tool_never_runs(tmp_path: Path) -> None:
    script = [note("one", 0.8), note("two", 0.1), note("three", 0.0), sure(answers(), 0.9)]
    terminal, journal, backend, notes = await play("margin", tmp_path, script)
    # by hand, threshold 0.3: accepted, rejected, the top tier's accepted, accepted
    assert tiers_asked(backend.requests) == ["small", "small", "large", "small"]
    assert notes.taken == ["one", "three"]
    assert all(request.logprobs for request in backend.requests)
    (discarded,) = of(journal, ev.DraftDiscarded)
    assert (discarded.score, discarded.threshold, discarded.reason) == (0.1, 0.3, "unsure")
    assert terminal.totals.usage.output_tokens == 3 * 20 + 10
    assert terminal.totals.scorer_calls == 0


async def test_three_tiers_climb_while_they_are_unsure(tmp_path: Path) -> None:
    script = [note("a", 0.1), note("b", 0.2), note("c", 0.0), note("d", 0.2), note("e", 0.5),
              sure(answers(), 0.4)]  # fmt: skip
    _, _, backend, notes = await play(
        "margin", tmp_path, script, ladder=ladder("small", "middle", "large")
    )
    assert tiers_asked(backend.requests) == ["small", "middle", "large", "small", "middle", "small"]
    assert notes.taken == ["c", "e"]


async def test_killed_at_every_event_it_ends_the_same(tmp_path: Path) -> None:
    small = [note("a", 0.1), note("b", 0.9), sure(answers(), 0.2)]
    large = [note("c", 0.0), note("d", 0.0), sure(answers(), 0.0)]
    whole = await killed_at_every_event("margin", tmp_path, {"small": small, "large": large})
    assert [step.tier for step in of(whole, ev.StepFinished)] == [1, 0, 1]


def isotonic(folder: Path, **more: Any) -> None:
    given: dict[str, Any] = {
        "options": {"signal": "decisive_margin", "method": "isotonic"},
        "calibration": table((0.2, 0.1), (0.6, 0.7)),
        "encoder": None,
    }
    # 0.1 -> 0.2, 0.5 -> 0.6, 0.9 -> 0.6
    tensors = {"x": [0.1, 0.5, 0.9], "y": [0.2, 0.6, 0.6]}
    store_weights(folder / "w", "isotonic", tensors, **{**given, **more})


def test_isotonic_weights_turn_a_margin_into_a_probability(tmp_path: Path) -> None:
    isotonic(tmp_path)
    policy = build("margin", tmp_path, weights="w", threshold=0.4)
    given = drafts(decisive_margin=[0.0, 0.1, 0.3, 0.31, 0.5, 1.0])
    # P: 0.2, 0.2, 0.4 (half-way), 0.41, 0.6, 0.6
    assert verdicts(policy, given) == [1, 1, 1, None, None, None]
    verdict = policy.after_generation(context(), given[4])
    assert verdict.score == pytest.approx(0.6)
    assert "P(right)" in verdict.why


def test_a_target_share_is_looked_up(tmp_path: Path) -> None:
    isotonic(tmp_path)
    policy = build("margin", tmp_path, weights="w", choose_by="target_share", target_share=0.9)
    assert isinstance(policy, Margin)
    assert policy.threshold == 0.6
    with pytest.raises(InvalidInput, match="needs percentiles"):
        build("margin", tmp_path, choose_by="target_share")


def test_percentiles_leave_the_number_as_it_is(tmp_path: Path) -> None:
    isotonic(tmp_path, options={"signal": "decisive_margin", "method": "percentile"})
    policy = build("margin", tmp_path, weights="w", choose_by="target_share", target_share=0.1)
    assert verdicts(policy, drafts(decisive_margin=[0.19, 0.21])) == [1, None]


def test_weights_of_another_signal_are_refused(tmp_path: Path) -> None:
    isotonic(tmp_path)
    with pytest.raises(InvalidInput, match="calibrate 'decisive_margin', not 'mean_logprob'"):
        build("margin", tmp_path, weights="w", signal="mean_logprob")


@pytest.mark.parametrize(
    "tensors", [{"x": [0.5, 0.1], "y": [0, 1]}, {"x": [0.1, 0.5], "y": [1, 0]}, {"x": [], "y": []}]
)
def test_knots_that_do_not_rise_are_damaged(tensors: dict[str, Any], tmp_path: Path) -> None:
    options = {"signal": "decisive_margin", "method": "isotonic"}
    store_weights(tmp_path / "w", "isotonic", tensors, options=options, encoder=None)
    with pytest.raises(InvalidInput, match="knots do not rise"):
        build("margin", tmp_path, weights="w")
