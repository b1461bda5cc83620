"""A run in the terminal, live: the staircase as bars, the steps, the text as it streams."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from collab_core import events as ev
from collab_core.prefill import warm_prefill

if TYPE_CHECKING:
    from collab_core.runtime.engine import RunSpec

_COLOURS = ("blue", "yellow", "cyan", "magenta")
_VERDICTS = {1: "+ progress", 0: "o no progress", None: "- no verdict"}
_ROWS = 14
_BAR_CHARS = 16
_TEXT_CHARS = 600
"""Of streaming text, shared by all agents at work."""


class LiveView:
    """Shows events as they are stored; ``plain`` prints each as one JSON line instead."""

    def __init__(self, spec: RunSpec, *, plain: bool) -> None:
        self._spec = spec
        self._plain = plain
        self._finished: list[ev.StepFinished] = []
        self._verdicts: dict[int, ev.ProgressJudged] = {}
        self._switches: dict[int, ev.TierSwitched] = {}
        self._discarded: dict[int, list[ev.DraftDiscarded]] = {}
        self._running: dict[str, ev.StepStarted] = {}
        """By agent instance."""
        self._text: dict[str, str] = {}
        self._end: ev.AnyEvent | None = None
        self._told: list[ev.AnyEvent] = []
        """What the account of warm-ups is made of."""
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=8, get_renderable=self.render)

    def __enter__(self) -> LiveView:
        if not self._plain:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._plain:
            self._live.stop()

    @property
    def delta(self) -> Callable[[ev.ModelDelta], None] | None:
        """Where streaming text goes; None when nobody would see it."""
        return None if self._plain else self._delta

    def event(self, record: ev.Recorded) -> None:
        """Take in one stored event."""
        if self._plain:
            sys.stdout.write(ev.encode(record).decode() + "\n")
            sys.stdout.flush()
            return
        if isinstance(record.event, ev.RunQueued | ev.ModelReplied):
            self._told.append(record.event)
        match record.event:
            case ev.StepStarted() as event:
                self._running[event.scope], self._text[event.scope] = event, ""
            case ev.DraftDiscarded() as event:
                self._discarded.setdefault(event.step, []).append(event)
            case ev.ProgressJudged() as event:
                self._verdicts[event.step] = event
            case ev.TierSwitched() as event:
                self._switches[event.step] = event
            case ev.StepFinished() as event:
                self._finished.append(event)
                self._running.pop(event.scope, None)
            case ev.RunFinished() | ev.RunFailed() | ev.RunCancelled() as event:
                self._end = event

    def render(self) -> RenderableType:
        """Return the whole picture."""
        parts: list[RenderableType] = [self._head(), self._steps()]
        parts += self._working()
        if self._end is not None:
            parts.append(self._ending(self._end))
            if (account := warm_prefill(self._told)) is not None:
                parts.append(Text(account.sentence))
        return Group(*parts)

    def _working(self) -> list[RenderableType]:
        """Return a panel for each agent at work; those that wait for others have none."""
        busy = [one for one in self._running.values() if not self._waits(one)]
        shown = _TEXT_CHARS // max(1, len(busy))
        return [
            Panel(
                Text(self._text.get(one.scope, "")[-shown:] or "…"),
                title=", ".join(filter(None, (f"step {one.step}", _agent(one), one.tier_name))),
                border_style=_colour(one.tier),
            )
            for one in busy
        ]

    def _waits(self, step: ev.StepStarted) -> bool:
        below = f"{step.scope}/" if step.scope else ""
        return any(
            other.scope != step.scope and other.scope.startswith(below) and other.step > step.step
            for other in self._running.values()
        )

    def _delta(self, delta: ev.ModelDelta) -> None:
        # what is generated aside (samples) has no place of its own here
        if delta.kind == "text" and "~" not in delta.scope:
            # a new attempt starts again at offset 0 and replaces what the last one showed
            before = self._text.get(delta.scope, "")
            self._text[delta.scope] = before[: delta.offset] + delta.text

    def _head(self) -> Text:
        tiers = " + ".join(tier.model for tier in self._spec.ladder.tiers)
        return Text(f"{self._spec.task.question}\n{self._spec.strategy} on {tiers}", style="bold")

    def _steps(self) -> Table:
        table = Table(box=None, pad_edge=False)
        several = any(step.scope for step in self._finished) or len(self._running) > 1
        agent = ("agent",) if several else ()
        for title in ("step", *agent, "tier", "s", "tok/s", "cumulative", "verdict", "action"):
            justify: JustifyMethod = "right" if title in ("step", "s", "tok/s") else "left"
            table.add_column(title, justify=justify, no_wrap=True)
        longest = max((step.cumulative_s for step in self._finished), default=1.0)
        for step in self._finished[-_ROWS:]:
            for note in self._notes(step.step):
                table.add_row("", *("" for _ in agent), "", "", "", Text(note, style="italic"))
            bar = round(_BAR_CHARS * step.cumulative_s / longest) if longest else 0
            table.add_row(
                str(step.step),
                *(_agent(step) for _ in agent),
                Text(step.tier_name, style=_colour(step.tier)),
                f"{step.latency.total_s:.1f}",
                "" if step.tokens_per_s is None else f"{step.tokens_per_s:.0f}",
                Text("█" * bar + f" {step.cumulative_s:.1f} s", style=_colour(step.tier)),
                _VERDICTS[step.indicator],
                Text(step.action[:60]),
            )
        return table

    def _notes(self, step: int) -> list[str]:
        """Return what happened on the way into a step: a switch, drafts that were rejected."""
        notes = []
        if (switch := self._switches.get(step)) is not None:
            arrow = "up" if switch.to_tier > switch.from_tier else "down"
            notes.append(f"{arrow} to {switch.to_name}: {switch.reason.replace('_', ' ')}")
        notes += [
            f"draft of {draft.tier_name} discarded, anew on {draft.to_name}"
            for draft in self._discarded.get(step, ())
        ]
        return notes

    def _ending(self, event: ev.AnyEvent) -> Panel:
        if isinstance(event, ev.RunFinished):
            text = f"{event.answer or 'no answer'}\n{event.outcome}, ended by {event.ended_by}"
            return Panel(Text(text), title="answer", border_style="green")
        if isinstance(event, ev.RunFailed):
            return Panel(
                Text(f"{event.message}\n{event.hint}"), title=event.code, border_style="red"
            )
        return Panel(Text("stopped"), border_style="yellow")


def _agent(step: ev.StepStarted | ev.StepFinished) -> str:
    """Name the instance; an agent that works alone needs no name."""
    return step.scope or (step.role if step.role != "agent" else "")


def _colour(tier: int) -> str:
    return _COLOURS[tier % len(_COLOURS)]
