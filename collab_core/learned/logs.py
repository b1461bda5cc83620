"""Logged runs as training material: a log is read back into steps, drafts and an outcome."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec

from collab_core import events as ev
from collab_core.agents.grammar import read_turn
from collab_core.domain import Decision, ProgressCheck, StepRecord, Task, TierSnapshot, ToolCall
from collab_core.errors import InvalidInput
from collab_core.learned.store import ladder_used

MAX_LOG_BYTES = 256 * 1024**2
MAX_LOG_FILES = 100_000
_STEP_PURPOSES = frozenset({"think", "final_answer"})
_SUFFIXES = frozenset({".jsonl", ".log", ".ndjson"})


@dataclass(frozen=True, kw_only=True)
class LoggedDraft:
    """One reply that could become a step; ``accepted`` = it did."""

    tier: int
    text: str
    call: ToolCall | None
    answer: str | None
    request_digest: str
    """Drafts with the same one were written on exactly the same prompt."""
    mean_logprob: float | None
    first_token_margin: float | None
    decisive_margin: float | None
    cost_usd: float | None
    output_tokens: int
    accepted: bool = True


@dataclass(frozen=True, kw_only=True)
class LoggedStep:
    """A finished step with all its drafts, the accepted one last."""

    record: StepRecord
    drafts: tuple[LoggedDraft, ...]


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """A run that came to its end."""

    run_id: str
    task: Task
    strategy: str
    ladder: tuple[TierSnapshot, ...]
    simulated: bool
    outcome: Literal["correct", "incorrect", "unscored"]
    branches: tuple[tuple[LoggedStep, ...], ...]
    """The steps of each agent instance, in order; the main one first."""
    answer: str
    cost_usd: float | None
    latency_s: float
    events: tuple[ev.AnyEvent, ...] = ()
    """The whole log, for trainers that read more than steps."""

    @property
    def correct(self) -> bool | None:
        """None = nobody scored it."""
        return None if self.outcome == "unscored" else self.outcome == "correct"

    @property
    def task_key(self) -> str:
        """The same for every run of the same task, whatever tier ran it."""
        named = self.task.task_id or self.task.question
        return hashlib.sha256(f"{self.task.collection}\0{named}".encode()).hexdigest()[:16]

    @property
    def only_tier(self) -> int | None:
        """The tier that ran every step; None where there were several."""
        tiers = {step.record.decision.tier for steps in self.branches for step in steps}
        return tiers.pop() if len(tiers) == 1 else None


@dataclass(frozen=True, kw_only=True)
class Logs:
    """What was read, and what was left out and why (counted, never silently)."""

    runs: tuple[LoggedRun, ...]
    skipped: dict[str, int]
    source: str
    digest: str
    """SHA-256 over the runs' logs, in the order of their ids."""

    @property
    def ladder(self) -> tuple[TierSnapshot, ...]:
        return self.runs[0].ladder


@dataclass(kw_only=True)
class _Branch:
    """The steps of one agent instance while its events are read."""

    steps: list[LoggedStep] = field(default_factory=list)
    started: ev.StepStarted | None = None
    drafts: list[LoggedDraft] = field(default_factory=list)
    tool: ev.ToolReturned | None = None
    check: ProgressCheck = field(default_factory=lambda: ProgressCheck(status="not_asked"))

    def begin(self, event: ev.StepStarted) -> None:
        self.started, self.drafts, self.tool = event, [], None
        self.check = ProgressCheck(status="not_asked")

    def finish(self, event: ev.StepFinished) -> None:
        if self.started is not None and self.drafts:
            record = _record(self.started, event, self.drafts[-1], self.tool, self.check)
            self.steps.append(LoggedStep(record=record, drafts=tuple(self.drafts)))
        self.started = None


def read_logs(
    paths: Sequence[Path],
    *,
    ladder: Sequence[TierSnapshot] | None = None,
    leave_out: frozenset[Path] = frozenset(),
) -> Logs:
    """Read runs from JSON-lines files and folders of them (``--log`` or an export).

    ``leave_out``: files of the folders that are no logs. A file may hold several runs one after the other. Runs without an end are left out and counted.

    Raises:
        InvalidInput: a file cannot be read or is no log, there is no finished run at all, or the
            runs have different ladders (or another one than ``ladder``).
    """
    source = ", ".join(path.name for path in paths)[:500]
    files = [path for path in _files(paths) if path not in leave_out]
    return collect(_runs_in(files), source=source, ladder=ladder)


def collect(
    logs: Iterable[tuple[str, Sequence[ev.Recorded]]],
    *,
    source: str,
    ladder: Sequence[TierSnapshot] | None = None,
) -> Logs:
    """Turn (run id, events) into training material.

    Raises:
        InvalidInput: see :func:`read_logs`.
    """
    runs: dict[str, LoggedRun] = {}
    digests: dict[str, str] = {}
    seen: set[str] = set()
    skipped: dict[str, int] = defaultdict(int)
    for run_id, records in logs:
        run = read_run(run_id, records)
        if isinstance(run, str):
            skipped[run] += 1
        elif (digest := _digest(records)) in seen:
            skipped["the same run twice"] += 1
        else:
            seen.add(digest)
            if run_id in runs:
                run = replace(run, run_id=f"{run_id}-{digest[:8]}")
            runs[run.run_id] = run
            digests[run.run_id] = digest
    found = tuple(runs[run_id] for run_id in sorted(runs))
    _check_ladders(found, ladder, source, skipped)
    whole = hashlib.sha256("".join(digests[key] for key in sorted(digests)).encode()).hexdigest()
    return Logs(runs=found, skipped=dict(skipped), source=source, digest=whole)


def read_run(run_id: str, records: Sequence[ev.Recorded]) -> LoggedRun | str:
    """Return the run, or in words why it is of no use."""
    queued = next((r.event for r in records if isinstance(r.event, ev.RunQueued)), None)
    end = records[-1].event if records else None
    if queued is None:
        return "no run.queued event"
    if not isinstance(end, ev.RunFinished):
        return "did not finish"
    branches: dict[str, _Branch] = defaultdict(_Branch)
    for record in records:
        _take(branches, record.event)
    steps = tuple(tuple(branches[scope].steps) for scope in sorted(branches))
    if not any(steps):
        return "no steps"
    return LoggedRun(
        run_id=run_id,
        task=queued.task,
        strategy=queued.strategy,
        ladder=queued.ladder,
        simulated=queued.simulated,
        outcome=end.outcome,
        branches=tuple(branch for branch in steps if branch),
        answer=end.answer,
        cost_usd=end.totals.cost_usd,
        latency_s=end.totals.latency_s,
        events=tuple(record.event for record in records),
    )


def _take(branches: dict[str, _Branch], event: ev.AnyEvent) -> None:
    scope = getattr(event, "scope", None)
    if scope is None or "~" in scope:
        # calls made side by side within a step are no steps of their own
        return
    branch = branches[scope]
    if isinstance(event, ev.StepStarted):
        branch.begin(event)
    elif isinstance(event, ev.ModelReplied) and event.purpose in _STEP_PURPOSES:
        branch.drafts.append(_draft(event))
    elif isinstance(event, ev.DraftDiscarded) and branch.drafts:
        branch.drafts[-1] = replace(branch.drafts[-1], accepted=False)
    elif isinstance(event, ev.ToolReturned) and branch.tool is None:
        branch.tool = event
    elif isinstance(event, ev.ProgressJudged):
        branch.check = ProgressCheck(
            status=event.status,
            indicator=event.indicator,
            made_progress=event.made_progress,
            rationale=event.rationale,
        )
    elif isinstance(event, ev.StepFinished):
        branch.finish(event)


def _draft(reply: ev.ModelReplied) -> LoggedDraft:
    turn = read_turn(reply.text, reply.tool_calls, step=reply.step)
    return LoggedDraft(
        tier=reply.tier,
        text=reply.text,
        call=turn.call,
        answer=turn.answer,
        request_digest=reply.request_digest,
        mean_logprob=reply.mean_logprob,
        first_token_margin=reply.first_token_margin,
        decisive_margin=reply.decisive_margin,
        cost_usd=reply.cost_usd,
        output_tokens=reply.usage.output_tokens,
    )


def _record(
    started: ev.StepStarted,
    finished: ev.StepFinished,
    draft: LoggedDraft,
    tool: ev.ToolReturned | None,
    check: ProgressCheck,
) -> StepRecord:
    return StepRecord(
        index=started.step,
        # a rerun draft's step finishes on another tier than it was begun on
        decision=Decision(tier=finished.tier, reason=started.reason),
        text=draft.text,
        tool_name=draft.call.name if draft.call else "",
        tool_arguments=draft.call.arguments if draft.call else "",
        observation=tool.observation if tool else "",
        tool_error=bool(tool and tool.error),
        check=check,
        usage=finished.usage,
        latency_s=finished.latency.total_s,
        cost_usd=finished.cost_usd,
        mean_logprob=draft.mean_logprob,
        first_token_margin=draft.first_token_margin,
        decisive_margin=draft.decisive_margin,
    )


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(p for p in path.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
        elif path.is_file():
            files.append(path)
        else:
            raise InvalidInput(f"There is no log {path.name!r}.", field="logs")
        if len(files) > MAX_LOG_FILES:
            raise InvalidInput(f"More than {MAX_LOG_FILES} log files.", field="logs")
    return files


def _runs_in(files: Sequence[Path]) -> Iterator[tuple[str, Sequence[ev.Recorded]]]:
    for path in files:
        if path.stat().st_size > MAX_LOG_BYTES:
            raise InvalidInput(
                f"{path.name} is larger than {MAX_LOG_BYTES // 1024**2} MiB.",
                field="logs",
                hint="Export the runs to one file each and name the folder.",
            )
        for number, records in enumerate(_split(path)):
            yield (path.stem if not number else f"{path.stem}#{number + 1}"), records


def _split(path: Path) -> Iterator[list[ev.Recorded]]:
    """Yield the runs of a file; each begins with ``seq`` 0 and counts without a gap."""
    records: list[ev.Recorded] = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = ev.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            if number == len(lines):
                # torn by a crash in mid-write; the run has no end and is counted as such
                break
            raise InvalidInput(
                f"{path.name}, line {number} is not an event: {error}",
                field="logs",
                hint="Give logs as `--log` writes them or a run's page exports them (.jsonl).",
            ) from error
        if record.seq == 0 and records:
            yield records
            records = []
        if record.seq != len(records):
            raise InvalidInput(
                f"{path.name}, line {number} has seq {record.seq}, not {len(records)}.",
                field="logs",
                hint="An event is missing; export the run again.",
            )
        records.append(record)
    if records:
        yield records


def _check_ladders(
    runs: Sequence[LoggedRun],
    ladder: Sequence[TierSnapshot] | None,
    source: str,
    skipped: dict[str, int],
) -> None:
    if not runs:
        why = "; ".join(f"{count} {reason}" for reason, count in skipped.items())
        raise InvalidInput(
            f"There is no finished run in {source or 'the logs'}" + (f" ({why})." if why else "."),
            field="logs",
            hint="Run some tasks first, with an accepted answer so that they are scored.",
        )
    wanted = ladder_used(runs[0].ladder if ladder is None else ladder)
    for run in runs:
        if ladder_used(run.ladder) != wanted:
            names = [
                " < ".join(f"{tier.name} ({tier.model})" for tier in tiers)
                for tiers in (ladder_used(run.ladder), wanted)
            ]
            raise InvalidInput(
                f"The run {run.run_id} is of the ladder {names[0]}, not {names[1]}.",
                field="logs",
                hint="Train on logs of one ladder; leave the others out.",
            )


def _digest(records: Sequence[ev.Recorded]) -> str:
    digest = hashlib.sha256()
    for record in records:
        digest.update(ev.encode_body(record.event))
    return digest.hexdigest()
