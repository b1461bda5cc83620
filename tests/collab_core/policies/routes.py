"""Contexts, drafts and weights by hand, for the policies that read or score."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from collab_core import events as ev
from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Decision, Ladder, Limits, StepRecord, Task
from collab_core.learned import store
from collab_core.learned.encoders import HashedEncoder
from collab_core.learned.store import CalibrationPoint, EncoderUsed, Manifest, TrainedOn, save
from collab_core.policies.base import CacheState, Policy, StepContext
from collab_core.runtime.engine import execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.strategies.base import Resources
from collab_core.strategies.registry import find, parse_parameters
from collab_core.tools.base import ToolOutcome
from tests.collab_core.replies import ladder, spec

DIM = 1_024


class Note:
    """A tool that remembers what it was told."""

    name = "note"
    description = "Takes a note."
    parameters: Mapping[str, Any] = {"type": "object"}

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        self.taken.append(arguments["text"])
        return ToolOutcome(text=f"noted {arguments['text']}")


def context(
    *, scores: tuple[float, ...] = (), steps: Sequence[StepRecord] = (), tiers: int = 2
) -> StepContext:
    rungs = ladder(*(f"t{i}" for i in range(tiers)))
    return StepContext(
        task=Task(question="who?"),
        step_index=len(steps) + 1,
        limits=Limits(),
        trajectory=steps,
        tiers=rungs.snapshot(),
        cache=(CacheState(),) * tiers,
        spent_usd=0.0,
        spent_s=0.0,
        random=random.Random(0),
        scores=scores,
    )


def seen(observation: str) -> StepRecord:
    return StepRecord(
        index=1, decision=Decision(tier=0, reason="x"), text="I look.", observation=observation
    )


def manifest(kind: str, *, rungs: Ladder, **more: Any) -> Manifest:
    fields: dict[str, Any] = {
        "kind": kind,
        "name": "by hand",
        "created": store.now(),
        "encoder": EncoderUsed.of(HashedEncoder(DIM)),
        "ladder": store.ladder_used(rungs.snapshot()),
        "trained_on": TrainedOn(source="by hand", digest="d", runs=0, tasks=0),
        "seed": 0,
    }
    return Manifest(**{**fields, **more})


def table(*points: tuple[float, float]) -> tuple[CalibrationPoint, ...]:
    return tuple(CalibrationPoint(threshold=t, large_share=s) for t, s in points)


def leaning(word: str, strength: float = 40.0) -> np.ndarray[Any, Any]:
    """A head of one row whose score rises with ``word`` in the text."""
    return strength * HashedEncoder(DIM).encode([word]).astype(np.float64)


def store_weights(
    folder: Path, kind: str, tensors: Mapping[str, Any], *, rungs: Ladder | None = None, **more: Any
) -> Path:
    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in tensors.items()}
    save(folder, manifest(kind, rungs=rungs or ladder(), **more), arrays)
    return folder


def build(name: str, folder: Path, *, rungs: Ladder | None = None, **raw: Any) -> Policy:
    """Build the policy as the engine does; ``folder`` is what the workspace may load from."""
    made = find(name).policy
    assert made is not None
    return made(parse_parameters(name, raw), rungs or ladder(), Resources(folder=folder))


async def play(
    name: str, folder: Path, script: Sequence[Any], history: Sequence[ev.Recorded] = (), **more: Any
) -> tuple[Any, MemoryJournal, ScriptedBackend, Note]:
    """Run the strategy on scripted replies."""
    journal, backend, note = MemoryJournal(history), ScriptedBackend(script), Note()
    terminal = await execute(
        spec(name, **more),
        journal,
        backend=backend,
        tools=(note,),
        resources=Resources(folder=folder),
    )
    return terminal, journal, backend, note


def of(journal: MemoryJournal, kind: type[Any]) -> list[Any]:
    return [record.event for record in journal.records if isinstance(record.event, kind)]


def steady(records: Sequence[ev.Recorded]) -> list[Any]:
    """Return the log without what a clock or a new worker put into it."""
    kept = []
    for record in records:
        if isinstance(record.event, ev.RunStarted | ev.RunResumed):
            continue
        kept.append(_without_clock(record.event))
    return kept


def _without_clock(event: Any) -> Any:
    fields = msgspec.to_builtins(event)
    for key in ("latency", "cumulative_s", "duration_s", "tokens_per_s"):
        fields.pop(key, None)
    for part in ("totals",):
        if part in fields:
            fields[part] = {k: v for k, v in fields[part].items() if not k.endswith("_s")}
    return event.__class__.__name__, fields


async def killed_at_every_event(
    name: str, folder: Path, replies: Mapping[str, Sequence[ModelReply]], **more: Any
) -> MemoryJournal:
    """Cut the run after each of its events, resume, and compare; return the uncut run.

    ``replies``: by tier, the reply to give at each step of the run.
    """

    def model(request: ModelRequest) -> ModelReply:
        done = sum(message["role"] == "assistant" for message in request.transcript.messages)
        return replies[request.tier.name][done]

    _, whole, _, note = await play(name, folder, [model] * 99, **more)
    for cut in range(len(whole.records)):
        kept = whole.records[:cut]
        _, resumed, backend, again = await play(name, folder, [model] * 99, kept, **more)
        assert steady(resumed.records) == steady(whole.records), f"cut after {cut} events"
        known = sum(isinstance(record.event, ev.ModelReplied) for record in kept)
        assert len(backend.requests) == len(of(whole, ev.ModelReplied)) - known
        ran = sum(isinstance(record.event, ev.ToolReturned) for record in kept)
        assert len(again.taken) == len(note.taken) - ran
    return whole
