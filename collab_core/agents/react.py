"""The ReAct agent in WebSailor's shape: one instance of the loop with the run's tools."""

from __future__ import annotations

from collections.abc import Callable

from collab_core.agents.base import Answer
from collab_core.agents.loop import LoopOptions, ReActLoop
from collab_core.agents.prompts import prompt
from collab_core.policies.base import Policy
from collab_core.runtime.session import Session


class ReActAgent:
    """Solves one task; the policy says which tier thinks at each step."""

    def __init__(self, options: LoopOptions, new_policy: Callable[[], Policy]) -> None:
        self.options = options
        self.new_policy = new_policy

    async def solve(self, session: Session) -> Answer:
        """Return the answer; see :class:`Agent` for the errors."""
        inline = self.options.check_mode == "inline"
        system = prompt("react_system" if inline else "react_system_separate")
        loop = ReActLoop(
            session,
            self.new_policy(),
            self.options,
            head=[
                {"role": "system", "content": system},
                {"role": "user", "content": session.task.question},
            ],
            max_steps=session.limits.max_steps,
        )
        return await loop.run()
