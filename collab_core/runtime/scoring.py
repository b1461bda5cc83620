"""Running a learned scorer off the event loop."""

from __future__ import annotations

import asyncio
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from collab_core.errors import ScorerFailed, TandemError

if TYPE_CHECKING:
    from collab_core.learned.base import Scorer

logger = logging.getLogger(__name__)


@cache
def _scorer_threads() -> ThreadPoolExecutor:
    """Learned scorers compute: they must not hold up the event loop, nor each other for long."""
    return ThreadPoolExecutor(2, thread_name_prefix="scorer")


async def numbers(scorer: Scorer, texts: tuple[str, ...]) -> tuple[float, ...]:
    """Return what the scorer says of the texts.

    Raises:
        ScorerFailed: it raised, or gave something that is no finite number.
    """
    loop = asyncio.get_running_loop()
    try:
        values = await loop.run_in_executor(_scorer_threads(), scorer.score, texts)
        given = tuple(float(value) for value in values)
    except TandemError:
        raise
    except Exception as error:
        logger.exception("scorer %s raised", scorer.name)
        raise ScorerFailed(f"The scorer {scorer.name} broke ({type(error).__name__}).") from error
    if not given:
        raise ScorerFailed(f"The scorer {scorer.name} gave no number.")
    if not all(map(math.isfinite, given)):
        raise ScorerFailed(f"The scorer {scorer.name} gave a number that is not finite.")
    return given
