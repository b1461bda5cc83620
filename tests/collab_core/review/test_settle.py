from __future__ import annotations

import doctest

from collab_core.review import settle as module
from collab_core.review.settle import settle
from tests.collab_core.review.labelled import label


def test_examples() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_an_even_split_is_unsure_until_somebody_decides() -> None:
    split = [label(True, 1), label(False, 1, reviewer="bob")]
    assert [one.made_progress for one in settle(split)] == [None]
    decision = label(False, 1, reviewer="eve", adjudicated=True)
    assert settle([*split, decision]) == [decision]


def test_a_decision_stands_against_the_majority_and_the_latest_of_two_counts() -> None:
    two = [label(True, 1), label(True, 1, reviewer="bob")]
    decided = [
        label(False, 1, reviewer=who, adjudicated=True, at=at) for who, at in [("e", 9), ("f", 5)]
    ]
    assert settle([*two, *decided]) == [decided[0]]


def test_who_cannot_tell_has_no_vote() -> None:
    three = [label(None, 1), label(None, 1, reviewer="bob"), label(False, 1, reviewer="eve")]
    assert settle(three) == [three[2]]


def test_steps_and_label_sets_are_kept_apart() -> None:
    several = [label(True, 1), label(False, 1, step=2), label(False, 1, label_set="second")]
    assert settle(several) == several
