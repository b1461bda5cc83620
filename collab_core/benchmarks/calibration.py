"""Does an agent know how sure it may be? Stated confidences against the share that was right."""

from __future__ import annotations

from collections.abc import Sequence

BINS = 5


def calibration_error(
    confidences_frac: Sequence[float], correct: Sequence[bool], *, bins: int = BINS
) -> float | None:
    """Return the expected calibration error, 0..1; None without answers.

    Bins of equal width; of each, the distance between the share that is right and the mean
    confidence, weighted by its answers. Source: BrowseComp-ZH's published script (five bins of
    20 %, 100 % in the last). Humanity's Last Exam publishes a root mean square over bins of equal
    counts instead: not comparable.

    Raises:
        ValueError: not one confidence for each answer, or one outside of 0..1.

    >>> round(calibration_error([0.9, 0.9, 0.1, 0.1], [True, False, False, False]), 3)
    0.25
    """
    if not confidences_frac:
        return None
    members: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for confidence, right in zip(confidences_frac, correct, strict=True):
        if not 0.0 <= confidence <= 1.0:
            raise ValueError(f"a confidence of {confidence} is not in 0..1")
        members[min(int(confidence * bins), bins - 1)].append((confidence, right))
    distances = (
        abs(sum(right for _, right in some) - sum(confidence for confidence, _ in some))
        for some in members
    )
    return sum(distances) / len(confidences_frac)
