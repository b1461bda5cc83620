"""Logged runs of a small world whose right tier can be read off the question."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from collab_core import events as ev
from collab_core.domain import (
    LatencySplit,
    Limits,
    Task,
    TierSnapshot,
    Timing,
    ToolCall,
    Totals,
    Usage,
)
from collab_core.learned.logs import Logs, collect

PRICES = (1.0, 10.0, 100.0)
EASY = ("count", "list", "name", "spell")
HARD = ("prove", "derive", "integrate", "refute")
FILLER = ("river", "table", "green", "window", "seven", "bread", "lamp", "stone")


def ladder(*names: str) -> tuple[TierSnapshot, ...]:
    return tuple(
        TierSnapshot(name=name, model=f"{name}-model", price_output_usd=price)
        for name, price in zip(names or ("small", "large"), PRICES, strict=False)
    )


def question(number: int, *, hard: bool) -> str:
    random_ = random.Random(number)
    words = random_.sample(HARD if hard else EASY, 2) + random_.sample(FILLER, 3)
    random_.shuffle(words)
    return f"{' '.join(words)} {number}?"


def run(
    task: str,
    tiers: Sequence[int],
    *,
    correct: bool | None,
    ladder_: tuple[TierSnapshot, ...] = ladder(),
    margins: Sequence[float] = (),
    indicators: Sequence[int] = (),
    drafts: Sequence[tuple[int, str]] = (),
    answer: str = "",
) -> list[ev.Recorded]:
    """One run whose step i ran on ``tiers[i]``; ``drafts`` = (step, answer) of discarded ones on 0."""
    events: list[ev.AnyEvent] = [
        ev.RunQueued(
            task=Task(question=task),
            strategy="small",
            parameters={},
            ladder=ladder_,
            seed=0,
            limits=Limits(),
        ),
        ev.RunStarted(),
    ]
    for index, tier in enumerate(tiers, start=1):
        last = index == len(tiers)
        events += _step(
            index,
            tier,
            ladder_,
            text=(answer or ("right" if correct else "wrong")) if last else "",
            margin=margins[index - 1] if margins else None,
            indicator=indicators[index - 1] if indicators else 1,
            discarded=[text for step, text in drafts if step == index],
            prompt=f"{task}/{index}",
        )
    outcome = "unscored" if correct is None else "correct" if correct else "incorrect"
    events.append(
        ev.RunFinished(
            answer=answer,
            answer_source="tagged",
            outcome=outcome,
            totals=Totals(steps=len(tiers), latency_s=1.0, cost_usd=sum(PRICES[t] for t in tiers)),
        )
    )
    return [ev.Recorded(seq=seq, at=float(seq), event=event) for seq, event in enumerate(events)]


def _step(
    index: int,
    tier: int,
    ladder_: tuple[TierSnapshot, ...],
    *,
    text: str,
    margin: float | None,
    indicator: int,
    discarded: Sequence[str],
    prompt: str,
) -> list[ev.AnyEvent]:
    begun_on = 0 if discarded else tier
    name = ladder_[tier].name
    events: list[ev.AnyEvent] = [
        ev.StepStarted(step=index, tier=begun_on, tier_name=ladder_[begun_on].name, reason="fixed")
    ]
    for answer in discarded:
        events.append(_reply(index, 0, ladder_[0].name, answer, margin, prompt))
        events.append(
            ev.DraftDiscarded(
                step=index,
                tier=0,
                tier_name=ladder_[0].name,
                to_tier=tier,
                to_name=name,
                reason="rejected",
            )
        )
    events.append(_reply(index, tier, name, text, margin, prompt))
    if not text:
        events.append(
            ev.ToolReturned(
                key=f"main:{index}t",
                step=index,
                call_id="c",
                tool="search",
                arguments='{"q": "x"}',
                observation=f"found {index}",
                duration_s=0.0,
            )
        )
    events.append(
        ev.ProgressJudged(
            step=index, indicator=indicator, made_progress=bool(indicator), status="parsed"
        )
    )
    events.append(
        ev.StepFinished(
            step=index,
            tier=tier,
            tier_name=name,
            reason="fixed",
            latency=LatencySplit(),
            cumulative_s=0.0,
            usage=Usage(output_tokens=10),
            cost_usd=PRICES[tier],
        )
    )
    return events


def _reply(
    index: int, tier: int, name: str, answer: str, margin: float | None, prompt: str
) -> ev.ModelReplied:
    calls = () if answer else (ToolCall(id="c", name="search", arguments='{"q": "x"}'),)
    return ev.ModelReplied(
        key=f"main:{index}",
        step=index,
        purpose="think",
        tier=tier,
        tier_name=name,
        request_digest=prompt,
        text=f"<answer>{answer}</answer>" if answer else "I search.",
        tool_calls=calls,
        finish_reason="stop",
        usage=Usage(output_tokens=10),
        timing=Timing(),
        cost_usd=PRICES[tier],
        mean_logprob=None if margin is None else margin - 1.0,
        first_token_margin=margin,
        decisive_margin=margin,
    )


def predictable(tasks: int = 60, *, steps: int = 2) -> dict[str, list[ev.Recorded]]:
    """Each task on small and on large: small is right on the easy ones only, large always."""
    found: dict[str, list[ev.Recorded]] = {}
    for number in range(tasks):
        hard = number % 2 == 1
        asked = question(number, hard=hard)
        found[f"small-{number}"] = run(
            asked, [0] * steps, correct=not hard, margins=[0.1 if hard else 0.9] * steps
        )
        found[f"large-{number}"] = run(asked, [1] * steps, correct=True)
    return found


def logs(runs: dict[str, list[ev.Recorded]]) -> Logs:
    return collect(runs.items(), source="a test")


def write(folder: Path, runs: dict[str, list[ev.Recorded]]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, records in runs.items():
        (folder / f"{name}.jsonl").write_bytes(b"".join(ev.encode(r) + b"\n" for r in records))
    return folder
