from __future__ import annotations

from typing import Literal

import pytest

from collab_core.review.labels import Kind, kind_of, latest
from tests.collab_core.review.labelled import label


@pytest.mark.parametrize(
    ("made_progress", "verdict", "kind"),
    [
        (True, 1, "correct"),
        (False, 0, "correct"),
        (False, 1, "false_progress"),
        (True, 0, "missed_progress"),
        (None, 1, "unsure"),
        (None, None, "no_verdict"),
        (False, None, "no_verdict"),
    ],
)
def test_label_and_verdict_make_the_kind(
    made_progress: bool | None, verdict: Literal[0, 1] | None, kind: Kind
) -> None:
    assert kind_of(made_progress=made_progress, verdict=verdict) == kind
    assert label(made_progress, verdict).kind == kind


def test_only_the_latest_revision_of_a_reviewer_counts() -> None:
    first, other = label(True, 1), label(True, 1, reviewer="bob")
    changed = label(False, 1, revision=2)
    assert latest([changed, other, first]) == [changed, other]
