"""The chain of a question, as far as the notes in a conversation resolve it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from collab_core.benchmarks.language import Chain, Relation, read_fact
from collab_core.simulator.view import Note, View


@dataclass(kw_only=True)
class Hop:
    """One link: the ``relation`` of ``entity``; ``value`` is "" while nobody has noted it."""

    entity: str
    relation: Relation
    value: str = ""
    doubtful: bool = False

    @property
    def subject(self) -> str:
        return f"the {self.relation.label} of {self.entity}"


def resolve(view: View, chain: Chain) -> list[Hop]:
    """Return the links in order, up to and including the first open one."""
    entity, hops = chain.anchor, []
    for relation in chain.relations:
        hop = Hop(entity=entity, relation=relation)
        hops.append(hop)
        note = _latest_note(view, hop)
        if note is None:
            break
        hop.value = note.body[len(hop.subject) + 4 :]
        hop.doubtful = note.kind == "Doubtful finding"
        entity = hop.value
    return hops


def _latest_note(view: View, hop: Hop) -> Note | None:
    prefix = f"{hop.subject} is "
    for note in reversed(view.notes):
        if note.kind == "Withdrawn" and note.body == hop.subject:
            return None
        if note.kind != "Withdrawn" and note.body.startswith(prefix):
            return note
    return None


def unsupported(view: View, hops: list[Hop]) -> Iterator[Hop]:
    """Yield the noted links that the pages in the conversation do not bear out."""
    for hop in hops:
        if hop.value:
            page = view.page_about(hop.entity)
            if page is None or read_fact(page.text, hop.relation) != hop.value:
                yield hop
