"""A model that knows the language of the shipped world and works its way along a chain.

It has the request and nothing else: what it knows of the world stands in the observations, what it
believes stands in the notes of earlier turns, its own or another tier's. It fails by mechanisms: a
passage too hard for it (the hardness of a fact is fixed, so a harder passage stays hard), a wrong
value taken from it, a wrong page, a vague query, a repeated call. A wrong value poisons all that
follows until a model checks the earlier findings and understands the passage better.
"""

from __future__ import annotations

import hashlib
import random
import re
from typing import Any

from collab_core.benchmarks.language import Chain, language, read_fact, read_rumour
from collab_core.simulator.skill import Skill
from collab_core.simulator.trail import Hop, resolve, unsupported
from collab_core.simulator.turn import Action, Outcome
from collab_core.simulator.view import Hit, Page, View

_NAME = re.compile(r"[A-Z][\w'’-]+(?: (?:(?:of|the) )?[A-Z][\w'’-]+)*")


def hardness(question: str, hop: Hop) -> float:
    """Return how hard the passage for this link is, 0..1; a property of the task, not of chance."""
    text = f"{question}|{hop.entity}|{hop.relation.key}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


class Reader:
    """One turn of one model."""

    def __init__(self, view: View, chain: Chain, skill: Skill, rng: random.Random) -> None:
        self.view = view
        self.chain = chain
        self.skill = skill
        self.rng = rng
        self.hops = resolve(view, chain)
        self.outcome = Outcome()
        self._wrong_note = False
        self._fresh: set[str] = set()

    def take_turn(self) -> Outcome:
        """Return what the model does now."""
        if not self.view.is_first:
            self._audit()
            self._study()
            self._judge()
        self._act()
        return self.outcome

    @property
    def frontier(self) -> Hop | None:
        """The open link; None if all are resolved."""
        return self.hops[-1] if not self.hops[-1].value else None

    def _chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def _understands(self, hop: Hop) -> bool:
        if hardness(self.view.question, hop) < self.skill.comprehension:
            return True
        return self._chance(self.skill.second_look)

    # -- checking what earlier turns wrote down

    def _audit(self) -> None:
        for hop in list(unsupported(self.view, self.hops)):
            rate = self.skill.audit_doubted if hop.doubtful else self.skill.audit_plain
            if self._chance(rate) and self._repair(hop):
                return

    def _repair(self, hop: Hop) -> bool:
        page = self.view.page_about(hop.entity)
        position = self.hops.index(hop)
        if page is None:
            self.outcome.notes.append(f"Withdrawn: {hop.subject}.")
            hop.value = ""
            del self.hops[position + 1 :]
        else:
            truth = read_fact(page.text, hop.relation)
            if truth is None or not self._understands(hop):
                return False
            self._note("Correction", hop, truth, page)
            del self.hops[position + 1 :]
            self._open_next()
        self.outcome.advanced = True
        return True

    # -- taking facts from pages

    def _study(self) -> None:
        latest = self.view.latest.page if self.view.latest else None
        if self._take_for_right(latest):
            return
        for _ in self.chain.relations:
            hop = self.frontier
            page = self.view.page_about(hop.entity) if hop else None
            if hop is None or page is None:
                return
            is_new = latest is not None and latest.id == page.id and not self._read_before(page)
            if not is_new and not self._chance(self.skill.reconsider):
                return
            if not self._look(hop, page):
                return

    def _read_before(self, page: Page) -> bool:
        return any(c.page and c.page.id == page.id for c in self.view.calls[:-1])

    def _look(self, hop: Hop, page: Page) -> bool:
        """Look for the fact; tell whether something was noted."""
        truth = read_fact(page.text, hop.relation)
        if truth is not None and self._understands(hop):
            self._note("Finding", hop, truth, page)
            self._open_next()
            self.outcome.advanced = True
            return True
        wrong = self._plausible(hop, page, truth) if self._chance(self.skill.misread) else None
        if wrong is None:
            self.outcome.remarks.append("missing_fact")
            return False
        self._drift(hop, wrong, page)
        return True

    def _take_for_right(self, page: Page | None) -> bool:
        """Perhaps mistake a page about something else for the one that was wanted."""
        hop = self.frontier
        if page is None or hop is None or page.title == hop.entity:
            return False
        value = read_fact(page.text, hop.relation)
        if value is None or not self._chance(self.skill.confusion):
            self.outcome.remarks.append("other_page")
            return False
        self._drift(hop, value, page)
        return True

    def _drift(self, hop: Hop, value: str, page: Page) -> None:
        self._wrong_note = True
        self._note("Finding", hop, value, page)
        self._open_next()

    def _plausible(self, hop: Hop, page: Page, truth: str | None) -> str | None:
        """Return a wrong value that the page suggests: a rumour, something of the same kind."""
        rumour = read_rumour(page.text, hop.relation)
        if rumour:
            return rumour
        same_kind = [
            read_fact(page.text, other)
            for other in language().of(hop.relation.subject)
            if other.object == hop.relation.object and other.key != hop.relation.key
        ]
        others = [value for value in same_kind if value and value != truth]
        if not others and not hop.relation.is_literal:
            seen = {page.title, truth, hop.entity}
            others = [name for name in _NAME.findall(page.text) if " " in name and name not in seen]
        return self.rng.choice(others) if others else None

    def _note(self, kind: str, hop: Hop, value: str, page: Page) -> None:
        hop.value = value
        self.outcome.notes.append(f"{kind}: {hop.subject} is {value} [{page.id}].")

    def _open_next(self) -> None:
        position = len(self.hops)
        if position < len(self.chain.relations):
            relation = self.chain.relations[position]
            self.hops.append(Hop(entity=self.hops[-1].value, relation=relation))

    # -- judging the latest step

    def _judge(self) -> None:
        outcome, latest = self.outcome, self.view.latest
        if self._wrong_note:
            outcome.advanced = False
        elif not outcome.advanced and latest is not None:
            outcome.advanced = self._found_page(latest.hits)
        error = self.skill.missed_progress if outcome.advanced else self.skill.false_progress
        outcome.reported = outcome.advanced != self._chance(error)
        if not outcome.reported:
            outcome.notes = [
                note.replace("Finding:", "Doubtful finding:", 1) for note in outcome.notes
            ]

    def _found_page(self, hits: list[Hit]) -> bool:
        """Tell whether the latest search is the first to show the wanted page."""
        hop = self.frontier
        if hop is None or self.view.page_about(hop.entity):
            return False
        if not any(hit.title == hop.entity for hit in hits):
            return False
        earlier = (hit for call in self.view.calls[:-1] for hit in call.hits)
        return all(hit.title != hop.entity for hit in earlier)

    # -- deciding what to do next

    def _act(self) -> None:
        hop = self.frontier
        if hop is None:
            self.outcome.answer = self.hops[-1].value
            return
        tired = self.view.fruitless_calls() > self.skill.patience_calls
        if tired and self._chance(self.skill.give_up):
            self.outcome.answer, self.outcome.guessed = self.guess(), True
            return
        self.outcome.action = self._next_call(hop)

    def guess(self) -> str:
        """Return the best answer that the conversation gives, found or not."""
        hop = self.frontier
        if hop is None:
            return self.hops[-1].value
        last = self.chain.relations[-1]
        pages = [call.page for call in self.view.calls if call.page]
        values = [v for p in pages if (v := read_fact(p.text, last) or read_rumour(p.text, last))]
        return self.rng.choice(values) if values else hop.entity

    def _next_call(self, hop: Hop) -> Action:
        if self.view.page_about(hop.entity):
            return self._flounder(hop)
        unread = [hit for hit in self.view.hits() if hit.id not in self.view.read_ids()]
        wanted = [hit for hit in unread if hit.title == hop.entity]
        if wanted:
            others = [hit for hit in unread if hit.title != hop.entity]
            alike = sorted(others, key=lambda hit: -_likeness(hit.title, hop.entity))
            if alike and self._chance(self.skill.distraction):
                return Action("read", {"id": alike[0].id})
            return Action("read", {"id": wanted[0].id})
        query = {"query": hop.entity}
        if self._chance(self.skill.poor_query):
            query = {"query": self._vague_query(hop)}
        if not self.view.was_made("search", query):
            return Action("search", query)
        return self._flounder(hop)

    def _vague_query(self, hop: Hop) -> str:
        kind = hop.relation.subject
        first = hop.entity.split()[0]
        return self.rng.choice((f"{kind} {hop.relation.label}", f"{first} {kind}", f"old {kind}"))

    def _flounder(self, hop: Hop) -> Action:
        """Do something although the way on is not seen: repeat a call, vary the query, read on."""
        latest = self.view.latest
        if latest and latest.name and self._chance(self.skill.repetition):
            return Action(latest.name, latest.arguments)
        page = self.view.page_about(hop.entity)
        unread = [hit for hit in self.view.hits() if hit.id not in self.view.read_ids()]
        label, entity = hop.relation.label, hop.entity
        options: list[tuple[str, dict[str, Any]]] = [
            ("search", {"query": f"{entity} {label}"}),
            ("search", {"query": f"{label} {entity} record"}),
        ]
        options += [("read", {"id": hit.id}) for hit in unread[:3]]
        if page:
            options.append(("read", {"id": page.id}))
        new = [option for option in options if not self.view.was_made(*option)]
        return Action(*self.rng.choice(new or options))


def _likeness(title: str, wanted: str) -> float:
    """Return how easily two names are confused, 0..1."""
    first, second = set(title.lower().split()), set(wanted.lower().split())
    shared = len(first & second) / max(1, len(first | second))
    return shared + (0.2 if title[:2] == wanted[:2] else 0.0)
