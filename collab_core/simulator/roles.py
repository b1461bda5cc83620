"""Simulated models in the roles of whole methods: planners of COPE, debaters, roles of a workflow.

Plans work by mechanisms. A plan that names the link at hand saves an executor vague queries; one that
names another link leads it astray. The hints of a guideline (exact titles, rumours, a second look)
make the mistakes they speak of rarer, and a bad hint makes one more frequent. A weaker model slips
more often when it plans: so its plans help less, and can hurt.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from collab_core.benchmarks.language import Relation, language, parse_question
from collab_core.simulator.skill import Skill
from collab_core.simulator.trail import resolve
from collab_core.simulator.turn import Outcome
from collab_core.simulator.view import Note, View

_AFTER_QUESTION = re.compile(
    r"\n\n(?=<plan kind=|<output role=|Another agent has worked on this task|"
    r"Before the next step is done)"
)
_PLAN = re.compile(r'<plan kind="\w+">\n(.*?)\n</plan>', re.S)
_OUTPUT = re.compile(r'<output role="[\w-]+">\n(.*?)\n</output>', re.S)
_OTHER = re.compile(r'<agent number="\d+">\n.*?\nAnswer: ([^\n]*)\n</agent>', re.S)
_OWN = re.compile(r"<answer>(.*?)</answer>", re.S)
_TOLD = re.compile(r"Answer: ([^\n]{1,300})")
_HANDED_NOTE = re.compile(
    r"\b(?P<kind>Finding|Doubtful finding|Correction): (?P<body>the [^\n\[]{3,300}? is [^\n\[]{1,120}?)"
    r" \[(?P<page>[\w-]{1,40})\]\."
)
_EXACT = "Open the page whose title is exactly the name."
_RUMOUR = "A rumour beside the fact is not the fact."
_AGAIN = "If a passage does not settle it, read it once more before you go on."
_FIRST = "Take the first result that looks right."
_MAX_ANSWER_CHARS = 300


class Turn(Protocol):
    """A mind that takes one turn."""

    def take_turn(self) -> Outcome: ...
    def guess(self) -> str: ...


def brief(view: View, skill: Skill) -> Skill:
    """Leave the question alone in ``view.question``; return the skill as plans have changed it."""
    question, *rest = _AFTER_QUESTION.split(view.question, maxsplit=1)
    told = "".join(rest)
    view.question, view.told = question.strip(), told
    if told.startswith("Another agent has worked"):
        handed = [Note(m["kind"], m["body"], m["page"], 0) for m in _HANDED_NOTE.finditer(told)]
        view.notes = [*handed, *view.notes]
    plans = "\n".join(_PLAN.findall(f"{told}\n{view.request}"))
    return _guided(view, skill, plans) if plans else skill


def speak(view: View, skill: Skill, rng: random.Random) -> str | None:
    """Return what a role says that calls no tool; None if the request is none of theirs."""
    request = view.request or view.told
    if view.system.startswith("You are a planner. Another model"):
        return _plan(view.question, skill, rng, fine="Write a guideline" in view.system)
    if request.startswith("Before the next step is done"):
        return _next_plan(view, skill, rng, fine="five short lines" in request)
    if request.startswith("Other agents worked on the same task"):
        return _revise(view, skill, rng)
    if "You have no tools. Write your part" in view.system:
        return _write_part(view)
    return None


def informed(view: View, turn: Turn) -> Turn:
    """Return a mind that falls back on what other roles found, when it has to guess."""
    given = _values(view.told)
    return _Informed(turn, given) if given else turn


class _Informed:
    def __init__(self, turn: Turn, given: Sequence[str]) -> None:
        self._turn = turn
        self._given = given

    def take_turn(self) -> Outcome:
        outcome = self._turn.take_turn()
        if outcome.guessed and outcome.answer is not None:
            outcome.answer = _most(self._given)
        return outcome

    def guess(self) -> str:
        return _most([*self._given, self._turn.guess()])


# -- plans


def _guided(view: View, skill: Skill, plans: str) -> Skill:
    chain = parse_question(view.question)
    hop = resolve(view, chain)[-1] if chain else None
    if hop is not None and not hop.value:
        astray = hop.relation.label not in plans
        skill = replace(
            skill,
            poor_query=min(1.0, skill.poor_query + 0.25) if astray else skill.poor_query * 0.4,
            confusion=min(1.0, skill.confusion + 0.2) if astray else skill.confusion,
        )
    if _EXACT in plans:
        skill = replace(skill, distraction=skill.distraction * 0.3, confusion=skill.confusion * 0.4)
    if _RUMOUR in plans:
        skill = replace(skill, misread=skill.misread * 0.5)
    if _AGAIN in plans:
        again = 1.0 - (1.0 - skill.reconsider) * 0.5
        skill = replace(skill, reconsider=again, repetition=skill.repetition * 0.5)
    if _FIRST in plans:
        skill = replace(
            skill,
            distraction=min(1.0, skill.distraction + 0.25),
            confusion=min(1.0, skill.confusion + 0.2),
        )
    return skill


def _plan(question: str, skill: Skill, rng: random.Random, *, fine: bool) -> str:
    chain = parse_question(question)
    if chain is None:
        goal = f"Find out what the question asks: {question[:300]}"
        return "\n".join([goal, *_hints(skill, rng)]) if fine else goal
    labels = [_slip(relation, skill, rng).label for relation in chain.relations]
    if not fine:
        links = ", then the ".join(f"{label} of that" for label in labels[1:])
        tail = f", then the {links}" if links else ""
        return (
            f"Start from {chain.anchor} and find the {labels[0]}{tail}. "
            f"The answer is the last of these, a {chain.relations[-1].object}."
        )
    steps = [f"Search for {chain.anchor}, and find the {labels[0]}."]
    steps += [f"Then find the {label} of what you found." for label in labels[1:]]
    return _numbered([*steps, *_hints(skill, rng)])


def _next_plan(view: View, skill: Skill, rng: random.Random, *, fine: bool) -> str:
    chain = parse_question(view.question)
    if chain is None:
        aim = "Look for what the question still leaves open."
        return _numbered([aim, *_hints(skill, rng)]) if fine else aim
    hop = resolve(view, chain)[-1]
    if hop.value:
        return f"Everything is settled: give {hop.value} as the answer."
    label = _slip(hop.relation, skill, rng).label
    aim = f"Find the {label} of {hop.entity}."
    return _numbered([aim, *_hints(skill, rng)]) if fine else aim


def _hints(skill: Skill, rng: random.Random) -> list[str]:
    """Return the hints that the model thinks of; a weak one thinks of a bad one now and then."""
    thinks_of = min(1.0, skill.comprehension + 0.3)
    hints = [hint for hint in (_EXACT, _RUMOUR, _AGAIN) if rng.random() < thinks_of]
    return [*hints, _FIRST] if rng.random() < (1.0 - skill.comprehension) / 2 else hints


def _slip(relation: Relation, skill: Skill, rng: random.Random) -> Relation:
    """Perhaps name another link than the one that the question asks for."""
    others = [r for r in language().of(relation.subject) if r.key != relation.key]
    if others and rng.random() < skill.confusion / 2:
        return rng.choice(others)
    return relation


def _numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


# -- what others said


def _revise(view: View, skill: Skill, rng: random.Random) -> str:
    """Compare the own answer with the others'; doubt and a majority change a mind."""
    own = (_OWN.findall(view.last_words) or [""])[-1].strip()
    others = [answer.strip() for answer in _OTHER.findall(view.request) if answer.strip() != "none"]
    favourite = _most([own, *others])
    settled = bool(own) and _form(favourite) == _form(own)
    doubtful = any(note.kind == "Doubtful finding" for note in view.notes) or not view.notes
    gives_in = not own or rng.random() < (0.9 if doubtful else 1.0 - skill.comprehension)
    if settled or not gives_in:
        return f"The others do not change my mind; what I read stands.\n{_tagged(own)}"
    return f"The others agree on something else, and my own way was not sure.\n{_tagged(favourite)}"


def _write_part(view: View) -> str:
    """Weigh what the other roles gave: what most of them say, among equals the first."""
    given = _values(view.told)
    best = _most(given) if given else "unknown"
    if "what you answer is the answer to the task" in view.system:
        return _tagged(best)
    agree = sum(_form(value) == _form(best) for value in given)
    return f"{agree} of {len(given)} of what was given say this.\nAnswer: {best}"


def _values(told: str) -> list[str]:
    """Return the answers in the outputs of other roles, in order."""
    found = []
    for output in _OUTPUT.findall(told):
        named = _TOLD.search(output)
        value = named[1] if named else output if "\n" not in output else ""
        if value.strip() and len(value) <= _MAX_ANSWER_CHARS:
            found.append(value.strip())
    return found


def _most(values: Sequence[str]) -> str:
    """Return what most of them say; among equals the first; "" says nothing."""
    counts = Counter(form for value in values if (form := _form(value)))
    if not counts:
        return ""
    winner = counts.most_common(1)[0][0]
    return next(value for value in values if _form(value) == winner)


def _form(value: str) -> str:
    return " ".join(value.casefold().strip(" .").split())


def _tagged(answer: str) -> str:
    return f"<answer>{answer.replace('<', '(').replace('>', ')')}</answer>"
