"""Simulated planners, seekers and writers of the planner-executor agent.

A planner that knows the language of the shipped world goes along the chain of the question piece by
piece: it asks seekers for the piece that is open, compares their reports, writes down what it takes
for settled and goes on from there. A weaker one plans worse by mechanisms: it hands out the whole rest
at once, asks for another link than the one it needs, takes an uncertain report for a finding, does
not look into a contradiction, gives a task out again that just failed.
"""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from collab_core.benchmarks.language import Chain, Relation, ask, language, parse_question
from collab_core.simulator.browser import Browser
from collab_core.simulator.reader import Reader, hardness
from collab_core.simulator.skill import Skill
from collab_core.simulator.trail import Hop
from collab_core.simulator.turn import Action, Outcome
from collab_core.simulator.view import Call, Note, View

_TASK = re.compile(r"\ATask: (?P<task>.+?)\n\nWhat it is for: (?P<goal>.+)\Z", re.S)
_WRITING = re.compile(r"\AWriting task: (?P<task>.+?)\n\nReports of the seekers:\n", re.S)
_REPORT = re.compile(
    r"^\[(?P<seeker>(?:[\w./-]*/)?seeker-[\d.]+)\] (?P<task>[^\n]*)\n"
    r"  Report: (?P<text>[^\n]*(?:\n  (?!Ended by: )[^\n]*)*)\n  Ended by: (?P<ended>\w+)",
    re.M,
)
_TEXT = re.compile(r"\A(?P<name>text-\d+) \(")
_PHRASE = re.compile(r"[\"“«']([^\"”»']{3,80})[\"”»']|\b([A-ZÀ-Þ][\w'’-]+(?: [A-ZÀ-Þ][\w'’-]+)+)")
_WRITE = re.compile(r"\b(write|draft|compose|essay|report|article|summar\w+|overview)\b", re.I)
UNCERTAIN = "Uncertain: "
_CALLS_A_PATIENCE = 6
"""A call of a planner is worth as many of a model that searches by itself."""
_SEEKER_PATIENCE = 3
"""A seeker with one piece of the work gives up so many times sooner than one that works alone."""
_SEEKER_GIVE_UP = 0.4


class Said(NamedTuple):
    """One report as the planner reads it."""

    seeker: str
    task: str
    text: str
    certain: bool


class Turn(ABC):
    """What every simulated mind gives: an outcome, and the best answer when it must answer."""

    voice = ""

    def __init__(self, view: View, skill: Skill, rng: random.Random) -> None:
        self.view = view
        self.skill = skill
        self.rng = rng
        self.outcome = Outcome(voice=self.voice)

    @abstractmethod
    def take_turn(self) -> Outcome:
        """Return what the model does now."""

    @abstractmethod
    def guess(self) -> str:
        """Return the best answer that the conversation gives."""

    def _chance(self, probability: float) -> bool:
        return self.rng.random() < probability


def team_turn(view: View, skill: Skill, rng: random.Random) -> Turn | Reader | Browser | None:
    """Return the mind of a planner, a seeker or a writer; None if the request is none of theirs."""
    if "assign_seekers" in view.tools:
        chain = parse_question(view.question)
        return ChainPlanner(view, chain, skill, rng) if chain else FreePlanner(view, skill, rng)
    writing = _WRITING.match(view.question)
    if writing:
        return Writer(view, skill, rng)
    given = _TASK.match(view.question)
    if given is None:
        return None
    view.question = given["task"].strip()
    chain = parse_question(view.question) if {"search", "read"} <= view.tools else None
    if chain is None:
        return Browser(view, skill, rng)
    return Seeker(view, chain, skill, rng, goal=given["goal"].strip())


class Seeker(Reader):
    """A reader that works for a planner: how hard a passage is depends on the planner's question,
    whatever the words of the task, so that asking again is not rolling the dice again."""

    def __init__(
        self, view: View, chain: Chain, skill: Skill, rng: random.Random, *, goal: str
    ) -> None:
        patience = max(2, skill.patience_calls // _SEEKER_PATIENCE)
        give_up = max(skill.give_up, _SEEKER_GIVE_UP)
        skill = replace(skill, patience_calls=patience, give_up=give_up)
        super().__init__(view, chain, skill, rng)
        self.goal = goal

    def take_turn(self) -> Outcome:
        outcome = super().take_turn()
        if outcome.answer is None:
            return outcome
        if any(note.startswith("Doubtful finding") for note in outcome.notes):
            # what it doubts at this moment it looks at once more before it reports
            outcome.answer, outcome.action = None, self._flounder(self.hops[-1])
        elif outcome.guessed or any(hop.doubtful for hop in self.hops):
            outcome.answer = f"{UNCERTAIN}{outcome.answer.removeprefix(UNCERTAIN)}"
        return outcome

    def guess(self) -> str:
        open_link = self.frontier is not None
        return f"{UNCERTAIN if open_link else ''}{super().guess()}"

    def _understands(self, hop: Hop) -> bool:
        if hardness(self.goal, hop) < self.skill.comprehension:
            return True
        return self._chance(self.skill.second_look)


def describe(entity: str, relations: Sequence[Relation]) -> str:
    """Return the words for what a piece of a chain asks for.

    >>> parts = [language().relations[key] for key in ("birthplace", "twin")]
    >>> describe("Berit Quipra", parts)
    'the twin town of the birthplace of Berit Quipra'
    """
    words = entity
    for relation in relations:
        words = f"the {relation.label} of {words}"
    return words


class ChainPlanner(Turn):
    """A planner before a question of the shipped world."""

    voice = "planner"

    def __init__(self, view: View, chain: Chain, skill: Skill, rng: random.Random) -> None:
        super().__init__(view, skill, rng)
        self.chain = chain
        self.entity, self.position = chain.anchor, 0
        self._wrong_note = False
        self._follow_notes()

    def take_turn(self) -> Outcome:
        if not self.view.is_first:
            self._audit()
            self._weigh()
            self._judge()
        self._act()
        return self.outcome

    @property
    def rest(self) -> tuple[Relation, ...]:
        """The links that are still open."""
        return self.chain.relations[self.position :]

    # -- what is settled

    def _follow_notes(self) -> None:
        self.entity, self.position = self.chain.anchor, 0
        while self.rest:
            found = self._noted()
            if found is None:
                return
            self.position, self.entity = found

    def _noted(self) -> tuple[int, str] | None:
        """Return how far the latest note about the open piece leads, and to what."""
        for note in reversed(self.view.notes):
            for end in range(len(self.rest), 0, -1):
                subject = describe(self.entity, self.rest[:end])
                if note.kind == "Withdrawn" and note.body == subject:
                    return None
                if note.kind != "Withdrawn" and note.body.startswith(f"{subject} is "):
                    return self.position + end, note.body[len(subject) + 4 :]
        return None

    def _audit(self) -> None:
        """Perhaps take back what was written down with doubts."""
        latest: dict[str, Note] = {}
        for note in self.view.notes:
            latest[note.body.partition(" is ")[0]] = note
        for subject, note in latest.items():
            if note.kind == "Doubtful finding" and self._chance(self.skill.audit_doubted):
                self.outcome.notes.append(f"Withdrawn: {subject}.")
                self.view.notes.append(Note("Withdrawn", subject, "", len(self.view.calls)))
                self.outcome.advanced = True
                self._follow_notes()
                return

    # -- judging reports

    def _weigh(self) -> None:
        """Take from the latest reports what they settle."""
        pieces: dict[int, list[Said]] = {}
        for said in reports(self.view.latest):
            length = self._length_of(said.task)
            if length and said.text:
                pieces.setdefault(length, []).append(said)
        if not pieces:
            self.outcome.remarks.append("no_report")
            return
        length = max(pieces, key=lambda n: (len(pieces[n]), n))
        self._settle(length, pieces[length])

    def _length_of(self, task: str) -> int:
        """Return how many open links the task covers; 0 = it does not fit."""
        asked = parse_question(task)
        if asked is None or asked.anchor != self.entity or len(asked.relations) > len(self.rest):
            return 0
        slipped = asked.relations != self.rest[: len(asked.relations)]
        return 0 if slipped and self._chance(self.skill.comprehension) else len(asked.relations)

    def _settle(self, length: int, said: list[Said]) -> None:
        certain = [one.text for one in said if one.certain]
        contradict = len(set(certain)) > 1
        if contradict and self._chance(self.skill.audit_doubted):
            self.outcome.remarks.append("contradiction")
            return
        if not certain and self._chance(self.skill.comprehension):
            self.outcome.remarks.append("no_report")
            return
        values = certain or [one.text for one in said]
        # what most say; among equals, chance
        value = max(dict.fromkeys(values), key=lambda v: (values.count(v), self.rng.random()))
        kind = "Finding" if certain and not contradict else "Doubtful finding"
        self._wrong_note = not certain
        self.outcome.advanced = self.outcome.advanced or bool(certain)
        self.outcome.notes.append(
            f"{kind}: {describe(self.entity, self.rest[:length])} is {value}."
        )
        self.position, self.entity = self.position + length, value

    def _judge(self) -> None:
        outcome, skill = self.outcome, self.skill
        if self._wrong_note:
            outcome.advanced = False
        error = skill.missed_progress if outcome.advanced else skill.false_progress
        outcome.reported = outcome.advanced != self._chance(error)

    # -- planning

    def _act(self) -> None:
        if not self.rest:
            self.outcome.answer = self.entity
            return
        patience = max(2, self.skill.patience_calls // _CALLS_A_PATIENCE)
        last = max((note.call for note in self.view.notes), default=0)
        if len(self.view.calls) - last > patience and self._chance(0.5):
            self.outcome.answer, self.outcome.guessed = self.guess(), True
            return
        latest = self.view.latest
        if latest and not self.outcome.notes and self._chance(self.skill.repetition):
            self._assign(_tasks(latest))
        else:
            self._assign(self._plan())

    def _plan(self) -> list[str]:
        """Return the tasks of the next call: the next piece, asked for more than once."""
        plan = Hop(entity=self.chain.anchor, relation=self.chain.relations[-1])
        clumsy = hardness(f"plan|{self.view.question}", plan) >= self.skill.comprehension
        again = not self.view.is_first and not self.outcome.notes
        if clumsy and not again:
            return [self._word(self.rest)]
        length = 1 if again or not self._chance(0.4) else min(2, len(self.rest))
        wanted = [self._word(self._slip(self.rest[:length])) for _ in range(3 if again else 2)]
        return list(dict.fromkeys(wanted))

    def _slip(self, piece: tuple[Relation, ...]) -> tuple[Relation, ...]:
        """Perhaps ask for something else about the same subject."""
        others = [r for r in language().of(piece[-1].subject) if r != piece[-1] and r.questions]
        if others and self._chance(self.skill.confusion / 2):
            return (*piece[:-1], self.rng.choice(others))
        return piece

    def _word(self, piece: tuple[Relation, ...]) -> str:
        return ask(Chain(self.entity, piece), piece[0].subject, self.rng.choice)

    def _assign(self, tasks: Sequence[str]) -> None:
        self.outcome.aim = f"{len(tasks)} seeker{'s' if len(tasks) > 1 else ''}: {tasks[0]}"
        given = [{"task": task} for task in tasks]
        self.outcome.action = Action("assign_seekers", {"tasks": given})

    def guess(self) -> str:
        if not self.rest:
            return self.entity
        said = [one.text for call in self.view.calls for one in reports(call) if one.text]
        return said[-1] if said else self.entity


class FreePlanner(Turn):
    """A planner before any other question: one seeker for the question, one for each name in it."""

    voice = "planner"

    def take_turn(self) -> Outcome:
        outcome, latest = self.outcome, self.view.latest
        if latest is None:
            names = dict.fromkeys(a or b for a, b in _PHRASE.findall(self.view.question))
            about = [f"What is written about {name}?" for name in list(names)[:2]]
            tasks = [self.view.question[:1_000], *about]
            outcome.aim = f"{len(tasks)} seekers: {tasks[0]}"
            outcome.action = Action("assign_seekers", {"tasks": [{"task": t} for t in tasks]})
            return outcome
        outcome.advanced = bool(_TEXT.match(latest.observation)) or any(
            said.text for said in reports(latest)
        )
        error = self.skill.missed_progress if outcome.advanced else self.skill.false_progress
        outcome.reported = outcome.advanced != self._chance(error)
        if latest.name == "assign_seekers" and self._wants_text():
            outcome.aim = self.view.question[:80]
            outcome.action = Action("assign_writer", {"task": self.view.question[:1_000]})
        else:
            outcome.answer = self.guess()
        return outcome

    def guess(self) -> str:
        for call in reversed(self.view.calls):
            written = _TEXT.match(call.observation)
            if written:
                return written["name"]
        said = [one for call in self.view.calls for one in reports(call) if one.text]
        certain = [one.text for one in said if one.certain]
        return (certain or [one.text for one in said] or ["unknown"])[0]

    def _wants_text(self) -> bool:
        return "assign_writer" in self.view.tools and bool(_WRITE.search(self.view.question))


class Writer(Turn):
    """Makes a section of every report, then reads the whole once."""

    voice = "writer"

    def take_turn(self) -> Outcome:
        outcome = self.outcome
        outcome.advanced = not (self.view.latest and self.view.latest.observation[:6] == "Error:")
        outcome.reported = outcome.advanced
        for section in self._sections() if "compose" in self.view.tools else ():
            if not self.view.was_made("compose", section):
                outcome.aim = str(section.get("name", "the whole text"))
                outcome.action = Action("compose", section)
                return outcome
        outcome.answer = self.guess()
        return outcome

    def guess(self) -> str:
        if any(call.name == "compose" for call in self.view.calls):
            return f"The text has {len(list(self._paragraphs()))} sections."
        return "\n\n".join(text for _, text in self._paragraphs())

    def _sections(self) -> Iterator[dict[str, Any]]:
        for name, text in self._paragraphs():
            yield {"action": "add", "name": name, "text": text}
        yield {"action": "assemble"}

    def _paragraphs(self) -> Iterator[tuple[str, str]]:
        written = _WRITING.match(self.view.question)
        material = self.view.question[written.end() if written else 0 :]
        found = list(_said(material))
        for number, said in enumerate(found, start=1):
            text = said.text if said.certain else f"It is not settled, but perhaps {said.text}."
            yield f"Part {number}", f"{said.task}\n{text}"
        if not found:
            yield "Part 1", "The seekers reported nothing."


def reports(call: Call | None) -> list[Said]:
    """Return the reports in an observation, with the tasks as the planner gave them."""
    if call is None or call.name != "assign_seekers":
        return []
    tasks = _tasks(call)
    found = []
    for said in _said(call.observation):
        number = int(said.seeker.rpartition(".")[2]) - 1
        found.append(said._replace(task=tasks[number]) if number < len(tasks) else said)
    return found


def _said(text: str) -> Iterator[Said]:
    for match in _REPORT.finditer(text):
        report = " ".join(match["text"].split())
        certain = match["ended"] == "answer" and not report.startswith(UNCERTAIN.strip())
        value = report.removeprefix(UNCERTAIN.strip()).strip()
        yield Said(match["seeker"], match["task"], "" if value == "nothing" else value, certain)


def _tasks(call: Call) -> list[str]:
    given = call.arguments.get("tasks")
    fields = [item if isinstance(item, Mapping) else {} for item in given or ()]
    return [str(item.get("task", "")) for item in fields]
