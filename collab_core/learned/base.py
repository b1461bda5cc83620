"""The contract of a learned scorer."""

from __future__ import annotations

from typing import Protocol


class Scorer(Protocol):
    """Turns texts into numbers; the only part of a learned router that is not a pure policy.

    The engine calls :meth:`score` in a thread, off the event loop, stores the values in the run's log
    (``scorer.returned``) and charges the time it took; a replay reads them from there.
    """

    @property
    def name(self) -> str:
        """What people call it: the name in its manifest."""
        ...

    @property
    def digest(self) -> str:
        """Names exactly these weights and this encoder: a resumed run must meet the same."""
        ...

    @property
    def stand_in(self) -> bool:
        """True = its encoder is the hashed bag of words: every figure made with it must say so."""
        ...

    def score(self, texts: tuple[str, ...]) -> tuple[float, ...]:
        """Return one finite number a text, in order. Blocking, thread-safe, deterministic."""
        ...
