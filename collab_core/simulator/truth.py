"""What a simulated model knows of its own step: was there progress, whatever it said?

Simulated models err in their verdicts on purpose (``Skill.false_progress``, ``missed_progress``): they
know, and say the opposite now and then. Asked the same with both chances at 0, they say what they
know. It is the model's own local view: following a wrong trail well is progress to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from collab_core.backends.base import DeltaSink, ModelReply, ModelRequest
from collab_core.backends.wire import encode_request
from collab_core.simulator.direct import DirectBackend
from collab_core.simulator.mind import think
from collab_core.simulator.presets import SimulatedModel
from collab_core.simulator.view import look_at


def made_progress(body: Mapping[str, Any], model: SimulatedModel) -> bool | None:
    """Return whether the latest step made progress, by what the model knows; None = there is none.

    ``body`` is the chat request in whose reply it gives its verdict.
    """
    if look_at(body).is_first:
        return None
    honest = replace(model.skill, false_progress=0.0, missed_progress=0.0)
    return think(body, model.name, honest).reported


class KnowingBackend(DirectBackend):
    """A ``DirectBackend`` that notes the truth beside every verdict; for one run of one agent."""

    def __init__(self, models: Iterable[SimulatedModel]) -> None:
        known = tuple(models)
        super().__init__(known)
        self._models = {model.name: model for model in known}
        self.truths: list[bool | None] = []
        """One a call, in order."""

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        """Return the reply; see ``Backend.complete``."""
        reply = await super().complete(request, on_delta)
        body = msgspec.json.decode(encode_request(request))
        self.truths.append(made_progress(body, self._models[request.tier.model]))
        return reply
