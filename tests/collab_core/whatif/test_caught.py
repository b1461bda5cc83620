from __future__ import annotations

from collab_core.whatif.predict import what_if
from collab_core.whatif.results import Caught
from tests.collab_core.whatif.logs import play


def of(verdicts: list[int], labels: dict[int, bool], source: str = "small") -> Caught:
    run = play(source, verdicts)
    keyed = {("r", "", step): label for step, label in labels.items()}
    found = what_if([run], "period", {"period": 3, "first": 2}, labels=keyed)
    assert found.caught is not None
    return found.caught


def test_a_false_progress_is_caught_if_the_next_step_is_on_a_higher_tier() -> None:
    # the other policy: 0 1 0 0 1, the first divergence at step 2
    found = of([1, 1, 1, 1, 1], {1: False, 2: True, 3: False, 4: False})
    assert (found.labelled, found.false_progress, found.true_progress) == (4, 3, 1)
    # exact: behind step 1; taking over behind 3 it stays small, behind 4 it is large
    assert (found.decided, found.decided_caught) == (1, 1)
    assert (found.taken_over_caught, found.taken_over_needless) == (2, 0)
    assert found.recorded_caught == 0
    assert found.extra_large_steps is None


def test_needless_escalations_are_counted() -> None:
    assert of([1, 1, 1], {1: True}).taken_over_needless == 1


def test_a_right_stall_is_neither() -> None:
    found = of([0, 1, 1], {1: False})
    assert (found.labelled, found.false_progress, found.true_progress) == (1, 0, 0)


def test_the_last_step_and_steps_on_the_top_tier_have_nothing_to_catch() -> None:
    assert of([1, 1], {2: False}).labelled == 0
    assert of([1, 1], {1: False}, source="large").labelled == 0
