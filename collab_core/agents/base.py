"""What every way of working has in common: it solves a task behind a session and gives an answer."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from collab_core import events as ev
from collab_core.runtime.session import Session


class Answer(NamedTuple):
    """``source`` says how it was found, ``ended_by`` what ended the work: answer, or a limit."""

    text: str
    source: ev.AnswerSource
    ended_by: str


class Agent(Protocol):
    """A plain async function with its options; it does no I/O of its own."""

    async def solve(self, session: Session) -> Answer:
        """Return the answer; a second agent of the same options and log does exactly the same.

        Raises:
            LimitExceeded: a limit other than the steps or the context was reached first.
            BackendError: a model call failed after its retries.
        """
        ...
