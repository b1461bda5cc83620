"""A turn put into words, in the forms that the prompts ask for."""

from __future__ import annotations

import random
import tomllib
from functools import lru_cache
from pathlib import Path

from collab_core.simulator.skill import Skill
from collab_core.simulator.turn import Outcome
from collab_core.simulator.view import View


@lru_cache(maxsize=1)
def _phrases() -> dict[str, list[str]]:
    path = Path(__file__).with_name("wording.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


class Wording:
    """Writes one turn; ``rng`` chooses among ways to say the same."""

    def __init__(self, view: View, skill: Skill, rng: random.Random, *, voice: str = "") -> None:
        self._view = view
        self._voice = voice
        self._skill = skill
        self._rng = rng

    def turn(self, outcome: Outcome) -> str:
        """Return thought, notes, progress block (if the system prompt has one) and any answer."""
        parts = [" ".join([*self._observed(outcome), *self._details(), self._intention(outcome)])]
        parts[1:1] = outcome.notes
        if self._view.wants_block:
            parts.append(self.block(outcome))
        if outcome.answer is not None:
            parts.append(self.answer(outcome.answer))
        return "\n".join(parts)

    def block(self, outcome: Outcome) -> str:
        """Return the progress block alone."""
        rationale = self._rationale(outcome)[:590].replace("<", "(").replace(">", ")")
        indicator = 1 if self._view.is_first or outcome.reported else 0
        return (
            f"<progress><rationale>{rationale}</rationale>"
            f"<indicator>{indicator}</indicator></progress>"
        )

    def forced(self, answer: str, outcome: Outcome) -> str:
        """Return the last turn, where no tool can be called any more."""
        parts = [self._pick("guess")]
        if self._view.wants_block:
            parts.append(self.block(outcome))
        return "\n".join([*parts, self.answer(answer)])

    def answer(self, text: str) -> str:
        """Return the answer in its tags."""
        return f"<answer>{text.replace('<', '(').replace('>', ')')}</answer>"

    def _pick(self, key: str, what: str = "") -> str:
        phrases = _phrases()
        own = phrases.get(f"{self._voice}_{key}") or phrases[key]
        return self._rng.choice(own).replace("{what}", what)

    def _observed(self, outcome: Outcome) -> list[str]:
        if self._view.is_first:
            return [self._pick("first")]
        kinds = {note.split(":")[0] for note in outcome.notes}
        if kinds & {"Correction", "Withdrawn"}:
            return [self._pick("corrected")]
        if kinds:
            return [self._pick("noted" if outcome.reported else "doubted")]
        remarks = [self._pick(remark) for remark in outcome.remarks[:1]]
        return remarks or [self._pick("hits_seen" if outcome.advanced else "nothing")]

    def _details(self) -> list[str]:
        stock = _phrases().get(f"{self._voice}_detail") or _phrases()["detail"]
        return self._rng.sample(stock, min(self._skill.detail, len(stock)))

    def _intention(self, outcome: Outcome) -> str:
        if outcome.action is None:
            return self._pick("guess" if outcome.guessed else "answer")
        tool, arguments = outcome.action
        what = outcome.aim or str(next(iter(arguments.values()), ""))
        return self._pick(tool if tool in _phrases() else "other", what)

    def _rationale(self, outcome: Outcome) -> str:
        latest = self._view.latest
        if latest is None:
            return self._pick("rationale_first")
        if outcome.notes:
            what = outcome.notes[-1].partition(": ")[2].rpartition(" [")[0] or outcome.notes[-1]
        elif latest.page:
            what = f"read the page {latest.page.title}"
        elif latest.name == "assign_seekers":
            what = "the latest reports"
        elif latest.name == "search":
            what = f"{len(latest.hits)} results for {latest.arguments.get('query', '')}"
        else:
            what = "one more call was answered"
        what = what.strip().rstrip(".")[:300]
        return self._pick("rationale_progress" if outcome.reported else "rationale_stall", what)
