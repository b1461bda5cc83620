"""A tool that remembers its calls finds its state again, although replayed calls are not made."""

from __future__ import annotations

import json
from typing import Any

from collab_core import events as ev
from collab_core.backends.base import ModelRequest
from collab_core.backends.scripted import ScriptedBackend
from collab_core.errors import NonDeterministicReplay
from collab_core.runtime.engine import execute
from collab_core.runtime.fork import prefix
from collab_core.runtime.journal import MemoryJournal
from collab_core.tools.base import Toolbox
from collab_core.tools.calculator import Calculator
from collab_core.tools.compose import Compose
from tests.collab_core.replies import acts, answers, spec

CALLS = [
    {"action": "add", "name": "B", "text": "two"},
    {"action": "add", "name": "A", "text": "one", "position": 1},
    {"action": "add", "name": "A", "text": "refused: the name is taken"},
    {"action": "replace", "name": "B", "text": "second"},
    {"action": "assemble"},
]


def _model(request: ModelRequest) -> Any:
    done = sum(message["role"] == "assistant" for message in request.transcript.messages)
    if done == len(CALLS):
        return answers()
    return acts(tool="compose", arguments=json.dumps(CALLS[done]))


async def _run(journal: MemoryJournal) -> MemoryJournal:
    backend = ScriptedBackend([_model] * (len(CALLS) + 1))
    await execute(spec(), journal, backend=backend, tools=(Compose(), Calculator()), worker="w")
    return journal


def _observations(journal: MemoryJournal) -> list[str]:
    events = [record.event for record in journal.records]
    return [event.observation for event in events if isinstance(event, ev.ToolReturned)]


async def test_a_run_cut_after_any_event_composes_the_same_text() -> None:
    whole = await _run(MemoryJournal())
    assert _observations(whole)[-1] == "one\n\nsecond"
    assert _observations(whole)[2].startswith("Error: There is a section 'A' already")
    for cut in range(len(whole.records)):
        resumed = await _run(MemoryJournal(whole.records[:cut]))
        assert _observations(resumed) == _observations(whole)


async def test_one_tool_object_in_two_runs_does_not_mix_them() -> None:
    tools = (Compose(),)
    for _ in range(2):
        journal = MemoryJournal()
        backend = ScriptedBackend([_model] * (len(CALLS) + 1))
        await execute(spec(), journal, backend=backend, tools=tools, worker="w")
        assert _observations(journal)[-1] == "one\n\nsecond"


async def test_a_fork_begins_with_the_text_of_its_step() -> None:
    whole = await _run(MemoryJournal())
    copied = prefix(whole.records, 2)
    records = [ev.Recorded(seq=i, at=0.0, event=event) for i, event in enumerate(copied)]
    forked = await _run(MemoryJournal(records))
    assert _observations(forked) == _observations(whole)


class Stricter(Compose):
    """A later version that no longer takes what it took."""

    def replay(self, arguments: Any, observation: str) -> None:
        super().replay({**arguments, "name": ""}, observation)

    def fresh(self) -> Compose:
        return Stricter()


async def test_a_tool_whose_rules_changed_stops_the_replay() -> None:
    whole = await _run(MemoryJournal())
    cut = MemoryJournal(whole.records[:-4])
    backend = ScriptedBackend([_model] * 6)
    terminal = await execute(spec(), cut, backend=backend, tools=(Stricter(),), worker="w")
    assert isinstance(terminal, ev.RunFailed)
    assert terminal.code == NonDeterministicReplay.code
    assert "the tool compose refuses a call that it once took" in terminal.message


def test_a_toolbox_without_memory_is_shared() -> None:
    forgetful, other = Toolbox((Calculator(),)), Toolbox((Calculator(), Compose()))
    assert forgetful.fresh() is forgetful
    assert other.fresh().by_name["calculator"] is other.by_name["calculator"]
    assert other.fresh().by_name["compose"] is not other.by_name["compose"]
