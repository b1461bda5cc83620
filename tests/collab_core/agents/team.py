"""A planner, its seekers and its writer as a script that depends on the prompts alone."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collab_core import events as ev
from collab_core.backends.base import DeltaSink, ModelReply, ModelRequest
from collab_core.domain import Limits, Task, Timing, ToolCall, Usage
from collab_core.errors import BackendError
from collab_core.runtime.engine import RunControl, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.runtime.ledger import Ledger
from collab_core.tools.base import Tool, ToolOutcome
from tests.collab_core.replies import block, spec

Verdicts = Sequence[int]
"""Of one instance: its calls before it answers, and what it says of each."""


@dataclass(frozen=True)
class Round:
    """One assignment of the planner; no seekers = to the writer."""

    seekers: Sequence[Verdicts]
    verdict: int = 1


Plan = Sequence[Round]


class Note:
    name = "note"
    description = "Takes a note."
    parameters: Mapping[str, Any] = {"type": "object"}

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        self.calls += 1
        await asyncio.sleep(0)
        return ToolOutcome(text=f"noted {arguments['text']}")


@dataclass
class Team:
    """A backend: the same prompt gives the same reply, in an order that ``rng`` makes."""

    plan: Plan
    rng: random.Random = field(default_factory=random.Random)
    fails: Mapping[str, BackendError] = field(default_factory=dict)
    """By the beginning of the prompt's task: what is raised instead."""
    hangs: str = ""
    """The beginning of the tasks that are never answered."""
    requests: list[ModelRequest] = field(default_factory=list)
    hanging: int = 0
    stopped: int = 0

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        self.requests.append(request)
        for _ in range(self.rng.randrange(6)):
            await asyncio.sleep(0)
        messages = list(request.transcript.messages)
        task = str(messages[1]["content"])
        if self.hangs and task.startswith(self.hangs):
            await self._hang()
        for beginning, error in self.fails.items():
            if task.startswith(beginning):
                while self.hangs and not self.hanging:
                    await asyncio.sleep(0)
                raise error
        return self._reply(messages, task)

    async def aclose(self) -> None:
        pass

    async def _hang(self) -> None:
        self.hanging += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.stopped += 1
            raise

    def _reply(self, messages: list[Mapping[str, Any]], task: str) -> ModelReply:
        done = sum(message["role"] == "assistant" for message in messages)
        if task.startswith("Task: "):
            verdicts = json.loads(task.partition("\n")[0].rpartition(" ")[2])
            if done < len(verdicts):
                return reply(verdicts[done], "note", {"text": f"{task[6:9]} {done}"}, s=1 + done)
            return reply(1, answer=f"found by {task[6:9]}")
        if task.startswith("Writing task: "):
            return reply(1, answer="A long text.")
        if done == len(self.plan):
            return reply(1, answer="Paris")
        return self._assign(done, self.plan[done])

    @staticmethod
    def _assign(number: int, work: Round) -> ModelReply:
        if not work.seekers:
            return reply(work.verdict, "assign_writer", {"task": f"round {number}"}, s=0.5)
        tasks = [
            {"task": f"{number}.{k} {json.dumps(list(verdicts)).replace(' ', '')}"}
            for k, verdicts in enumerate(work.seekers)
        ]
        return reply(work.verdict, "assign_seekers", {"tasks": tasks}, s=0.5)


class Author(Team):
    """Its writer makes a text of two sections, and its planner gives that text as the answer."""

    def _reply(self, messages: list[Mapping[str, Any]], task: str) -> ModelReply:
        done = sum(message["role"] == "assistant" for message in messages)
        if task.startswith("Writing task: "):
            if done < 2:
                section = {"action": "add", "name": f"S{done}", "text": f"Section {done}."}
                return reply(1, "compose", section)
            return reply(1, answer="Two sections.")
        if not task.startswith("Task: ") and done == len(self.plan):
            return reply(1, answer="text-3")
        return super()._reply(messages, task)


def reply(
    verdict: int,
    tool: str = "",
    arguments: Mapping[str, Any] | None = None,
    *,
    answer: str = "",
    s: float = 0.25,
) -> ModelReply:
    calls = (ToolCall(id="c", name=tool, arguments=json.dumps(arguments)),) if tool else ()
    text = f"Thinking. {block(verdict)}" + (f" <answer>{answer}</answer>" if answer else "")
    return ModelReply(
        text=text,
        tool_calls=calls,
        finish_reason="tool_calls" if calls else "stop",
        usage=Usage(input_tokens=100, output_tokens=10),
        timing=Timing(decode_s=s, total_s=s),
    )


async def work(
    team: Team,
    history: Sequence[ev.Recorded] = (),
    *,
    strategy: str = "agentcollab",
    tools: tuple[Tool, ...] | None = None,
    control: RunControl | None = None,
    parameters: Mapping[str, Any] | None = None,
    **more: Any,
) -> tuple[Any, MemoryJournal]:
    """Run, or resume, and return the terminal event and the log."""
    journal = MemoryJournal(history)
    given = spec(
        strategy,
        task=Task(question="The question"),
        parameters={"agent": "planner-executor", **(parameters or {})},
        limits=more.pop("limits", Limits(max_steps=12)),
        **more,
    )
    terminal = await execute(
        given, journal, backend=team, tools=tools or (Note(),), control=control
    )
    assert terminal == journal.records[-1].event
    return terminal, journal


def by_scope(records: Sequence[ev.Recorded]) -> dict[str, list[Any]]:
    """Return what each instance did: all but clocks and the numbers given to its steps."""
    out: dict[str, list[Any]] = {}
    for record in records:
        event = record.event
        if isinstance(event, ev.RunStarted | ev.RunResumed):
            continue
        out.setdefault(getattr(event, "scope", "end"), []).append(_timeless(event))
    return out


def _timeless(event: ev.AnyEvent) -> Any:
    match event:
        case ev.ModelReplied():
            return (event.key, event.request_digest, event.text, event.tier, event.timing)
        case ev.ToolReturned():
            return (event.key, event.arguments, event.observation, event.error, event.delegated)
        case ev.StepFinished():
            return (event.role, event.tier, event.usage, event.action, event.cost_usd)
        case ev.StepStarted():
            return (event.role, event.tier, event.reason, event.level, event.budget_left)
        case ev.RunFinished():
            totals = event.totals
            return (event.answer, totals.usage, totals.steps_by_tier, totals.switches)
        case ev.ProgressJudged():
            return (event.indicator, event.status)
    return type(event).__name__


def fold(records: Sequence[ev.Recorded], *, tiers: int = 2) -> Ledger:
    ledger = Ledger(tiers=tiers)
    for record in records:
        ledger.add(record.event)
    return ledger


def of(journal: MemoryJournal, kind: type[Any]) -> list[Any]:
    return [record.event for record in journal.records if isinstance(record.event, kind)]
