"""What a reviewer may see of a trajectory. The server decides, field by field, what goes out.

A blind reviewer gets for every step of the run: its number, whose it is, what was thought, done and
observed. Not: verdicts and their reasons, tiers, models, strategy, levels and budgets, times, tokens
and costs, tier switches, discarded drafts, retries, scores, warm-ups, and anybody's labels. Their own
item is shown in full after their label is saved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from collab_core.events import (
    AnyEvent,
    DraftDiscarded,
    ModelReplied,
    ProgressJudged,
    StepFinished,
    ToolReturned,
    decode_body,
)
from collab_core.progress import without_block
from collab_core.strategies.registry import STRATEGIES
from webapp.runs.models import Run, RunEvent

MAX_STEPS = 60
"""Steps of context in one answer; a longer run is read on demand."""
BEFORE = 40
MAX_TEXT_CHARS = 20_000
HIDDEN = "[hidden]"
_TYPES = ("model.replied", "draft.discarded", "tool.returned", "progress.judged", "step.finished")
_SAID = frozenset({"think", "final_answer"})
_TAGS = ("progress", "rationale", "indicator")
_ANY_TAG = re.compile(r"</?(?:progress|rationale|indicator)\s*>", re.IGNORECASE)
_EVERYDAY = frozenset(
    [
        "small",
        "medium",
        "mid",
        "middle",
        "large",
        "big",
        "huge",
        "top",
        "base",
        "low",
        "high",
        "fast",
        "slow",
        "cheap",
        "strong",
        "weak",
        "a",
        "b",
        "c",
        "x",
        "y",
        "z",
        "little",
        "main",
        "first",
        "second",
        "other",
        "model",
        "tier",
        "agent",
        "static",
        "dynamic",
        "random",
        "default",
    ]
)
"""Names that are ordinary words: masking them would spoil texts and tell nobody a tier."""


def steps(
    run: Run, numbers: Sequence[int], *, hide: bool, open_step: int = 0
) -> list[dict[str, Any]]:
    """Return steps ready for the page; ``open_step`` is shown in full although others are hidden."""
    masked = mask_of(run) if hide else None
    events: dict[int, list[AnyEvent]] = {}
    rows = RunEvent.objects.filter(run=run, type__in=_TYPES, step__in=list(numbers))
    for step, body in rows.order_by("seq").values_list("step", "body"):
        events.setdefault(step, []).append(decode_body(body))
    told = []
    for number in numbers:
        finished = next((e for e in events.get(number, ()) if isinstance(e, StepFinished)), None)
        if finished is None:
            continue
        covered = hide and number != open_step
        told.append(_Shown(run, finished, events[number], masked, hide=covered).as_dict())
    return told


def finished_steps(run: Run) -> list[int]:
    """Return the numbers of the run's finished steps, in order."""
    found = RunEvent.objects.filter(run=run, type="step.finished")
    return list(found.order_by("step").values_list("step", flat=True))


def window(numbers: Sequence[int], step: int) -> tuple[int, int]:
    """Return the slice of ``numbers`` that is sent with the judged step: all of them if they fit."""
    if len(numbers) <= MAX_STEPS:
        return 0, len(numbers)
    place = numbers.index(step) if step in numbers else 0
    first = max(0, min(place - BEFORE, len(numbers) - MAX_STEPS))
    return first, first + MAX_STEPS


def clean(text: str, masked: re.Pattern[str] | None) -> str:
    """Return a model's text without its progress block, well-formed or not, and without names."""
    text = without_verdicts(text)
    return masked.sub(HIDDEN, text) if masked else text


def without_verdicts(text: str) -> str:
    """Return the text without anything that is, or tries to be, a progress block.

    The strict parser's block goes first; then every element of its tags, whatever their case; what is
    opened and never closed goes to the end.

    >>> without_verdicts("I look.<progress><rationale>new</rationale><indicator>1</indicator></progress>")
    'I look.'
    >>> without_verdicts("a <Progress> no <rationale>x</rationale> b </PROGRESS> c")
    'a  c'
    >>> without_verdicts("a <rationale>stuck</rationale> b <indicator>0")
    'a  b'
    """
    text = without_block(text)
    for tag in _TAGS:
        text = _without_element(text, tag)
    return _ANY_TAG.sub("", text).strip()


def _without_element(text: str, tag: str) -> str:
    """Cut out every ``<tag>…</tag>``; one that is not closed, to the end. Linear time."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    lower = text.lower()
    if len(lower) != len(text):  # a few letters change their length: their places would not fit
        lower = text
    kept, at = [], 0
    while True:
        start = lower.find(opening, at)
        if start < 0:
            kept.append(text[at:])
            return "".join(kept)
        kept.append(text[at:start])
        end = lower.find(closing, start)
        if end < 0:
            return "".join(kept)
        at = end + len(closing)


def mask_of(run: Run) -> re.Pattern[str] | None:
    """Return what finds the names of the run's tiers, models, endpoints and strategy in a text."""
    strategy = STRATEGIES.get(run.strategy)
    names = [run.strategy, run.ladder_name, strategy.title if strategy else ""]
    for tier in run.tiers:
        names += [str(tier.get("name", "")), str(tier.get("model", ""))]
        names.append(str(tier.get("model", "")).rpartition("/")[2])
    return _pattern(names)


def _pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    telling = {
        name.strip()
        for name in names
        if len(name.strip()) > 1 and name.strip().lower() not in _EVERYDAY
    }
    if not telling:
        return None
    longest_first = sorted(telling, key=len, reverse=True)
    words = "|".join(re.escape(name) for name in longest_first)
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)


class _Shown:
    """One step on its way out; ``masked`` is None where nothing is hidden."""

    def __init__(
        self,
        run: Run,
        finished: StepFinished,
        events: Sequence[AnyEvent],
        masked: re.Pattern[str] | None,
        *,
        hide: bool,
    ) -> None:
        self.run, self.finished, self.events = run, finished, events
        self.masked, self.hide = masked, hide

    def as_dict(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "step": self.finished.step,
            "scope": self._name(self.finished.scope),
            "role": self._name(self.finished.role),
            "thoughts": self._thoughts(),
            "actions": self._actions(),
        }
        if not self.hide:
            told["seen"] = self._seen()
        return told

    def _thoughts(self) -> list[str]:
        """The replies that became the step; discarded drafts come before, each with its event."""
        replies = [
            event
            for event in self.events
            if isinstance(event, ModelReplied) and event.purpose in _SAID and "~" not in event.scope
        ]
        drafts = sum(isinstance(event, DraftDiscarded) for event in self.events)
        texts = [self._text(reply.text) for reply in replies[drafts:]]
        return [text for text in texts if text]

    def _actions(self) -> list[dict[str, Any]]:
        return [
            {
                "tool": event.tool,
                "arguments": self._text(event.arguments),
                "observation": self._text(event.observation),
                "error": event.error,
            }
            for event in self.events
            if isinstance(event, ToolReturned)
        ]

    def _name(self, name: str) -> str:
        return self.masked.sub(HIDDEN, name) if self.hide and self.masked else name

    def _text(self, text: str) -> str:
        text = clean(text, self.masked) if self.hide else without_block(text)
        if len(text) <= MAX_TEXT_CHARS:
            return text
        return f"{text[:MAX_TEXT_CHARS]}…"

    def _seen(self) -> dict[str, Any]:
        """What a blind reviewer does not get."""
        finished = self.finished
        judged = next((e for e in self.events if isinstance(e, ProgressJudged)), None)
        return {
            "tier": finished.tier,
            "tiers": len(self.run.tiers),
            "tier_name": finished.tier_name,
            "level": finished.level,
            "check": finished.check,
            "indicator": finished.indicator,
            "rationale": judged.rationale if judged else "",
            "latency_s": finished.latency.total_s,
            "output_tokens": finished.usage.output_tokens,
            "tokens_per_s": finished.tokens_per_s,
        }
