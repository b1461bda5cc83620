"""Simulated models in the roles of OI-MAS: who splits, criticises, weighs, checks and repairs.

A Verifier goes its own way through the documents and compares; a weaker one errs as it errs anywhere.
A Refiner leaves alone what was found right, and works anew on what was found wrong.
"""

from __future__ import annotations

import random
import re
from typing import Protocol

from collab_core.benchmarks.language import parse_question
from collab_core.simulator.skill import Skill
from collab_core.simulator.turn import Outcome
from collab_core.simulator.view import View

_OUTPUT = re.compile(r'<output role="(?P<role>\w+)-\w+">\n(?P<text>.*?)\n</output>', re.S)
_ROLE = re.compile(r"\AYou are the (?P<role>Decomposer|Critique|Ensembler|Verifier|Refiner)\.")
_ANSWERING = frozenset({"generator", "generator_cot", "ensembler", "refiner", "programmer"})
_RIGHT, _WRONG = "Verdict: correct", "Verdict: wrong"


class Turn(Protocol):
    """A mind that takes one turn."""

    def take_turn(self) -> Outcome: ...
    def guess(self) -> str: ...


def conduct(view: View, skill: Skill, rng: random.Random) -> str | None:
    """Return what a role says that needs no tool now; None if the request is none of theirs."""
    role = role_of(view)
    answers = given_answers(view)
    if role == "Decomposer":
        return _split(view)
    if role == "Critique":
        return _criticise(answers, skill, rng)
    if role == "Ensembler" and answers:
        return f"I compare what was found.\n{_tagged(_most(answers))}"
    if role == "Refiner" and answers and _latest_verdict(view) == _RIGHT:
        return f"The check found it right, so it stands.\n{_tagged(answers[-1])}"
    return None


def conducted(view: View, turn: Turn) -> Turn:
    """Return a mind whose answer is a verdict, if it verifies."""
    answers = given_answers(view)
    return _Verifying(turn, answers[-1]) if role_of(view) == "Verifier" and answers else turn


class _Verifying:
    """Solves the task by itself and compares."""

    def __init__(self, turn: Turn, latest: str) -> None:
        self._turn = turn
        self._latest = latest

    def take_turn(self) -> Outcome:
        outcome = self._turn.take_turn()
        if outcome.answer is not None:
            outcome.answer = self._verdict(outcome.answer)
        return outcome

    def guess(self) -> str:
        return self._verdict(self._turn.guess())

    def _verdict(self, own: str) -> str:
        if _form(own) == _form(self._latest):
            return f"I come to the same.\n{_RIGHT}"
        return f"{_WRONG}, as I come to another end.\nAnswer: {own}"


def role_of(view: View) -> str:
    """Return the role's title, "" if the model was given none of these."""
    found = _ROLE.match(view.system)
    return found["role"] if found else ""


def given_answers(view: View) -> list[str]:
    """Return the answers that roles before gave, in order."""
    return [
        found["text"].strip()
        for found in _OUTPUT.finditer(view.told)
        if found["role"] in _ANSWERING and found["text"].strip()
    ]


def _latest_verdict(view: View) -> str:
    found = re.findall(f"{_RIGHT}|{_WRONG}", view.told)
    return found[-1] if found else ""


def _split(view: View) -> str:
    chain = parse_question(view.question)
    if chain is None:
        return _tagged(f"1. Find out what is asked.\n2. Answer it: {view.question[:200]}")
    steps = [f"1. Find the {chain.relations[0].label} of {chain.anchor}."]
    steps += [
        f"{number}. Then find the {relation.label} of that."
        for number, relation in enumerate(chain.relations[1:], start=2)
    ]
    return _tagged("\n".join([*steps, "A name of its own answers each of them."]))


def _criticise(answers: list[str], skill: Skill, rng: random.Random) -> str:
    apart = len({_form(answer) for answer in answers}) > 1
    if not answers:
        return _tagged("There is no answer yet.\nSomebody must solve the task first.")
    if apart or rng.random() > skill.comprehension:
        return _tagged("The work does not show where the answer was read.\nIt must be checked.")
    return _tagged("Nothing speaks against the answer.\nEvery part of the task was taken up.")


def _most(answers: list[str]) -> str:
    forms = [_form(answer) for answer in answers]
    return max(answers, key=lambda answer: forms.count(_form(answer)))


def _form(value: str) -> str:
    return " ".join(value.casefold().strip(" .").split())


def _tagged(text: str) -> str:
    return f"<answer>{text.replace('<', '(').replace('>', ')')}</answer>"
