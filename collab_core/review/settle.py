"""Several reviewers' labels on a step become one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from collab_core.review.labels import Label, latest


def settle(labels: Iterable[Label]) -> list[Label]:
    """Return one label for each step of each label set, in the order first met.

    The latest adjudicated label stands. Else the majority of those who could tell decides; where it
    is even, or nobody could tell, ``made_progress`` is None. The other fields are those of the first
    label that says so.

    >>> from collab_core.review.labels import Label
    >>> def said(who, what): return Label(run_id=UUID(int=1), step=1, label_set="a", reviewer=who,
    ...     made_progress=what, at=0, tier=0, step_position=1)
    >>> [one.made_progress for one in settle([said("x", True), said("y", False), said("z", True)])]
    [True]
    """
    items: dict[tuple[str, UUID, int], list[Label]] = defaultdict(list)
    for label in latest(labels):
        items[label.label_set, label.run_id, label.step].append(label)
    return [_settled(several) for several in items.values()]


def _settled(several: Sequence[Label]) -> Label:
    decided = [label for label in several if label.adjudicated]
    if decided:
        return max(decided, key=lambda label: label.at)
    yes = sum(label.made_progress is True for label in several)
    no = sum(label.made_progress is False for label in several)
    answer = None if yes == no else yes > no
    for label in several:
        if label.made_progress is answer:
            return label
    return msgspec.structs.replace(several[0], made_progress=None)
