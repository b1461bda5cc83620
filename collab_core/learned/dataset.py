"""Examples out of logged runs, and splits that never share a task."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collab_core.domain import StepRecord, ToolCall
from collab_core.errors import InvalidInput
from collab_core.learned.logs import LoggedDraft, LoggedRun, Logs

Part = Literal["train", "calibration", "held_out"]
PARTS: tuple[Part, ...] = ("train", "calibration", "held_out")
CALIBRATION_FRAC = 0.2
HELD_OUT_FRAC = 0.2
MIN_TASKS = 5


class Place(NamedTuple):
    """A step in its run: what stood before it, and what it became."""

    run: LoggedRun
    before: tuple[StepRecord, ...]
    """The finished steps of the same agent instance before this one."""
    record: StepRecord
    drafts: tuple[LoggedDraft, ...]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Texts with a target each; ``groups`` are task keys, ``tiers`` who wrote the step."""

    texts: tuple[str, ...]
    targets: NDArray[np.float64]
    groups: tuple[str, ...]
    tiers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, keep: Sequence[bool]) -> Examples:
        """Return those with a true flag."""
        at = [number for number, kept in enumerate(keep) if kept]
        return Examples(
            texts=tuple(self.texts[i] for i in at),
            targets=self.targets[at],
            groups=tuple(self.groups[i] for i in at),
            tiers=tuple(self.tiers[i] for i in at),
        )


class Row(NamedTuple):
    """One example while a set is put together."""

    text: str
    target: float
    group: str
    tier: int


def examples(rows: Sequence[Row]) -> Examples:
    """Return the rows as one set."""
    return Examples(
        texts=tuple(row.text for row in rows),
        targets=np.array([row.target for row in rows], dtype=np.float64),
        groups=tuple(row.group for row in rows),
        tiers=tuple(row.tier for row in rows),
    )


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Which split each task belongs to; no task is in two."""

    part_of: dict[str, Part]

    def of(self, data: Examples, part: Part) -> Examples:
        return data.where([self.part_of[group] == part for group in data.groups])

    def sizes(self, data: Examples) -> dict[str, int]:
        """Return the examples in each split."""
        counts = Counter(self.part_of[group] for group in data.groups)
        return {part: counts[part] for part in PARTS}


def places(logs: Logs) -> Iterator[Place]:
    """Yield every step of every run, with what stood before it."""
    for run in logs.runs:
        for steps in run.branches:
            records = tuple(step.record for step in steps)
            for at, step in enumerate(steps):
                yield Place(run, records[:at], step.record, step.drafts)


def scored(logs: Logs) -> Logs:
    """Return the logs with the scored runs only.

    Raises:
        InvalidInput: no run was scored.
    """
    runs = tuple(run for run in logs.runs if run.correct is not None)
    if not runs:
        raise InvalidInput(
            f"None of the {len(logs.runs)} runs in {logs.source} was scored.",
            field="logs",
            hint="Give each task an accepted answer: it decides what correct means.",
        )
    left_out = len(logs.runs) - len(runs)
    skipped = logs.skipped | ({"not scored": left_out} if left_out else {})
    return Logs(runs=runs, skipped=skipped, source=logs.source, digest=logs.digest)


def split_tasks(groups: Sequence[str], *, seed: int) -> Splits:
    """Deal the tasks out: 60 % to train, 20 % to calibrate, 20 % held out.

    Raises:
        InvalidInput: there are fewer than five tasks.
    """
    tasks = sorted(set(groups))
    if len(tasks) < MIN_TASKS:
        raise InvalidInput(
            f"There are examples of {len(tasks)} tasks only; {MIN_TASKS} are the least.",
            field="logs",
            hint="Training, calibration and the held-out report must not share a task; run more.",
        )
    random.Random(seed).shuffle(tasks)
    held_out = max(1, round(HELD_OUT_FRAC * len(tasks)))
    calibration = max(1, round(CALIBRATION_FRAC * len(tasks)))
    part_of: dict[str, Part] = dict.fromkeys(tasks, "train")
    part_of |= dict.fromkeys(tasks[:held_out], "held_out")
    part_of |= dict.fromkeys(tasks[held_out : held_out + calibration], "calibration")
    return Splits(part_of=part_of)


def need_both(data: Examples, *, positive: str, negative: str) -> None:
    """Check that a classifier can learn from ``data``: targets on both sides of 0.5.

    Raises:
        InvalidInput: only one class, or nothing at all.
    """
    high = int((data.targets > 0.5).sum())
    low = int((data.targets < 0.5).sum())
    if not high or not low:
        raise InvalidInput(
            f"The training split holds {high} examples of {positive!r} and {low} of {negative!r}; "
            "both are needed.",
            field="logs",
            hint="Add runs that end the other way (another tier, harder or easier tasks), "
            "or try another seed.",
        )


def canonical_action(call: ToolCall | None, answer: str | None) -> str:
    """Return one text for all ways to write the same action: a call or an answer.

    >>> canonical_action(ToolCall(id="", name="read", arguments='{"b": 1, "a": "X "}'), None)
    'read {"a": "x", "b": 1}'
    >>> canonical_action(None, " Paris. ")
    'answer paris'
    """
    if call is not None:
        try:
            arguments = json.dumps(_folded(json.loads(call.arguments or "{}")), sort_keys=True)
        except (ValueError, RecursionError):
            arguments = " ".join(call.arguments.split())
        return f"{call.name} {arguments}"
    return "answer " + _folded_text(answer or "")


def shared_prompts(logs: Logs) -> dict[str, list[tuple[Place, LoggedDraft]]]:
    """Return the prompts that two or more tiers have answered, each with all its drafts.

    They come from discarded drafts, from forks, and from the first step of runs of the same task.
    """
    found: dict[str, list[tuple[Place, LoggedDraft]]] = defaultdict(list)
    for place in places(logs):
        for draft in place.drafts:
            found[draft.request_digest].append((place, draft))
    return {
        digest: drafts
        for digest, drafts in sorted(found.items())
        if len({draft.tier for _, draft in drafts}) > 1
    }


def _folded(value: object) -> object:
    if isinstance(value, str):
        return _folded_text(value)
    if isinstance(value, dict):
        return {key: _folded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_folded(inner) for inner in value]
    return value


def _folded_text(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")
