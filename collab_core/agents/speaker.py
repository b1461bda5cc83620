"""An agent instance that only writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from collab_core import events as ev
from collab_core.agents.base import Answer
from collab_core.agents.loop import ReActLoop
from collab_core.agents.steps import OpenStep
from collab_core.runtime.session import Call
from collab_core.transcript import Transcript


class Speaker(ReActLoop):
    """A role without tools: whatever it writes first is its output."""

    def _answer(self, step: OpenStep, reply: ev.ModelReplied) -> Answer | None:
        if step.turn.answer is not None:
            return Answer(step.turn.answer, "tagged", "answer")
        text = step.turn.thought
        return Answer(text, "untagged" if text else "none", "answer")

    async def _think(self, step: OpenStep) -> ev.ModelReplied:
        reply = await super()._think(step)
        # a call that it writes into its text all the same is not made
        step.turn = replace(step.turn, call=None)
        return reply

    def _call(self, step: OpenStep, purpose: str, transcript: Transcript, **more: Any) -> Call:
        return replace(super()._call(step, purpose, transcript, **more), with_tools=False)
