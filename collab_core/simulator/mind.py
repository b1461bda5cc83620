"""A simulated model: a pure function of the request, its name and its skill."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collab_core.benchmarks.language import parse_question
from collab_core.simulator.browser import Browser
from collab_core.simulator.conducted import conduct, conducted
from collab_core.simulator.examiner import examine
from collab_core.simulator.planner import team_turn
from collab_core.simulator.reader import Reader
from collab_core.simulator.roles import brief, informed, speak
from collab_core.simulator.skill import Skill
from collab_core.simulator.view import View, look_at
from collab_core.simulator.wording import Wording


@dataclass(frozen=True, kw_only=True)
class SimulatedCall:
    """A tool call to send; ``arguments`` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class Thought:
    """A reply before the protocol cuts and times it."""

    text: str
    call: SimulatedCall | None = None
    certainty: float = 0.9
    """0..1; how the log-probabilities shall look."""
    reported: bool = True
    """The verdict on the latest step."""
    rationale: str = ""
    randomness: str = ""
    """A seed for everything else that belongs to this reply."""


def think(body: Mapping[str, Any], model: str, skill: Skill) -> Thought:
    """Return the reply to a chat request; the same request and seed give the same reply.

    ``body`` is an OpenAI chat completion request. No clock, no I/O, nothing remembered.
    """
    view = look_at(body)
    if body.get("tool_choice") == "none":
        view.tools = frozenset() if view.mode == "think" else view.tools
    randomness = f"{model}|{body.get('seed')}|{view.digest}"
    rng = random.Random(randomness)
    verdict = examine(view)
    if verdict is not None:
        return Thought(text=verdict, randomness=randomness)
    skill = brief(view, skill)
    said = conduct(view, skill, rng) or speak(view, skill, rng)
    if said is not None:
        return Thought(text=said, randomness=randomness)
    turn = informed(view, team_turn(view, skill, rng) or _alone(view, skill, rng))
    turn = conducted(view, turn)
    outcome = turn.take_turn()
    words = random.Random(f"{randomness}|words")
    wording = Wording(view, skill, words, voice=outcome.voice)
    block = wording.block(outcome)
    text, call = "", None
    if view.mode == "check":
        text = block
    elif view.mode == "answer":
        text = wording.forced(turn.guess(), outcome)
    else:
        text = wording.turn(outcome)
        call = _call(view, outcome.action, randomness)
    return Thought(
        text=text,
        call=call,
        certainty=outcome.certainty,
        reported=outcome.reported,
        rationale=block[len("<progress><rationale>") : block.index("</rationale>")],
        randomness=randomness,
    )


def _alone(view: View, skill: Skill, rng: random.Random) -> Reader | Browser:
    chain = parse_question(view.question) if {"search", "read"} <= view.tools else None
    return Reader(view, chain, skill, rng) if chain else Browser(view, skill, rng)


def _call(
    view: View, action: tuple[str, Mapping[str, Any]] | None, randomness: str
) -> SimulatedCall | None:
    if action is None or action[0] not in view.tools:
        return None
    number = random.Random(f"{randomness}|call").getrandbits(48)
    return SimulatedCall(
        id=f"call_{number:012x}",
        name=action[0],
        arguments=json.dumps(dict(action[1]), ensure_ascii=False),
    )
