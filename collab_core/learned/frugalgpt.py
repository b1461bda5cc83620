"""FrugalGPT's scorers and thresholds: P(accept | query, draft), one head a tier but the top.

Source: FrugalGPT (arXiv 2305.05176) section 3. Ours differs in the scorer (a logistic head on a frozen
encoder for a fine-tuned DistilBERT; a fine-tuned one can be loaded, ``learned/published.py``) and in
the label, which a step of an agent does not have by itself: see ``label``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.cascade import Cascade, run_cascade, search
from collab_core.learned.dataset import (
    Examples,
    Place,
    Row,
    Splits,
    canonical_action,
    examples,
    need_both,
    places,
    scored,
    shared_prompts,
    split_tasks,
)
from collab_core.learned.evaluation import NOT_INDEPENDENT, held_out_report, large_when_at_most
from collab_core.learned.heads import Head, encode_all, logistic
from collab_core.learned.logs import LoggedDraft, LoggedRun, Logs
from collab_core.learned.rendering import draft as draft_text
from collab_core.learned.rendering import tier_and_body
from collab_core.learned.scorers import FRUGALGPT
from collab_core.learned.store import Figure
from collab_core.learned.trainer import Fitted, Job, Trainer, TrainerOptions
from collab_core.metrics import wilson

Numbers = NDArray[np.float64]
MIN_ROWS = 3


class FrugalGPTOptions(TrainerOptions):
    """What a scorer predicts, and what the cascade may cost."""

    label: Literal["outcome", "agreement"] = Field(
        default="outcome",
        title="Label",
        description="outcome: the run ended right, given to each of its drafts. agreement: the draft "
        "acts as the top tier did on exactly the same prompt.",
    )
    strength: float = Field(
        default=1.0, gt=0.0, le=1e6, title="Regularisation", description="L2; larger = simpler."
    )
    budget_frac: float = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        title="Budget",
        description="Mean cost allowed, as a share of the top tier alone; thresholds are searched for "
        "it. 0 = no search: choose a threshold or a share when you run.",
    )


class Query(NamedTuple):
    """What every tier has answered: one row of a cascade."""

    group: str
    texts: tuple[str, ...]
    """Of the tiers below the top."""
    correct: tuple[float, ...]
    cost: tuple[float, ...]


def fit(job: Job) -> Fitted:
    """Train on logged runs."""
    options: FrugalGPTOptions = job.options
    logs = job.source.need_logs()
    if len(logs.ladder) < 2:
        raise InvalidInput("A cascade needs a ladder of two tiers or more.", field="logs")
    logs = scored(logs) if options.label == "outcome" else logs
    data, queries = _material(logs, options)
    splits = split_tasks(data.groups, seed=job.seed)
    texts = [*data.texts, *(text for query in queries for text in query.texts)]
    bodies = [tier_and_body(text)[1] for text in texts]
    vectors = encode_all(job.encoding(), bodies, job.progress, between=(0.05, 0.75))
    job.progress(0.8, "Fitting the scorers")
    heads = _heads(data, vectors, splits, logs.ladder, options)
    fitted = _fitted(job, data, splits, heads, _score(heads, data.tiers, vectors[: len(data)]))
    if options.budget_frac <= 0:
        return fitted
    job.progress(0.9, "Searching thresholds")
    found, figures = _thresholds(heads, queries, vectors[len(data) :], splits, options)
    return replace(fitted, report={**fitted.report, **figures}, learned={"thresholds": list(found)})


def _fitted(
    job: Job, data: Examples, splits: Splits, heads: Sequence[Head], scores: Numbers
) -> Fitted:
    parts = np.array([splits.part_of[group] for group in data.groups])
    calibration = parts == "calibration"
    judged = splits.of(data, "held_out")
    return Fitted(
        tensors={
            "weights": np.stack([head.weights for head in heads]),
            "biases": np.array([head.bias for head in heads]),
            "quantiles": _quantiles(scores, calibration, data.tiers, judged=len(heads)),
        },
        label=_LABELS[job.options.label],
        report=held_out_report(
            scores[parts == "held_out"], judged.targets, judged.groups, seed=job.seed
        ),
        calibration=large_when_at_most(scores[calibration & (np.array(data.tiers) == 0)]),
        splits=splits.sizes(data),
        tasks=len(splits.part_of),
        notes=("The calibration table is of the lowest tier's drafts.", NOT_INDEPENDENT),
    )


_LABELS = {
    "outcome": "P(accept): the run that the draft is part of ended right",
    "agreement": "P(accept): the draft acts as the top tier did on the same prompt",
}


def _material(logs: Logs, options: FrugalGPTOptions) -> tuple[Examples, list[Query]]:
    if options.label == "outcome":
        return _outcomes(logs), _task_queries(logs)
    return _agreements(logs)


def _outcomes(logs: Logs) -> Examples:
    """Each accepted draft of a lower tier, with its run's outcome."""
    top = len(logs.ladder) - 1
    return examples(
        [
            Row(_text(place, draft), float(bool(place.run.correct)), place.run.task_key, draft.tier)
            for place in places(logs)
            for draft in place.drafts
            if draft.accepted and draft.tier < top
        ]
    )


def _agreements(logs: Logs) -> tuple[Examples, list[Query]]:
    """Each lower tier's draft on a prompt that the top tier answered too."""
    top = len(logs.ladder) - 1
    rows: list[Row] = []
    queries: list[Query] = []
    for answered in shared_prompts(logs).values():
        by_tier = {draft.tier: (place, draft) for place, draft in reversed(answered)}
        if top not in by_tier:
            continue
        wanted = _action(by_tier[top][1])
        for place, draft in answered:
            if draft.tier < top:
                same = float(_action(draft) == wanted)
                rows.append(Row(_text(place, draft), same, place.run.task_key, draft.tier))
        if len(by_tier) == top + 1:
            queries.append(_prompt_query(by_tier, wanted, top))
    if not rows:
        raise InvalidInput(
            f"No prompt in {logs.source} was answered by a lower tier and by the top one.",
            field="logs",
            hint="Run small and large on the same tasks, fork runs, or choose the label outcome.",
        )
    return examples(rows), [query for query in queries if query is not None]


def _prompt_query(by_tier: dict[int, tuple[Place, LoggedDraft]], wanted: str, top: int) -> Query:
    drafts = [by_tier[tier] for tier in range(top + 1)]
    return Query(
        group=drafts[0][0].run.task_key,
        texts=tuple(_text(place, draft) for place, draft in drafts[:top]),
        correct=tuple(float(_action(draft) == wanted) for _, draft in drafts),
        cost=tuple(_known(draft.cost_usd) for _, draft in drafts),
    )


def _task_queries(logs: Logs) -> list[Query]:
    """One query a task that every tier has run alone; the answer is each run's last draft."""
    runs: dict[str, dict[int, LoggedRun]] = defaultdict(dict)
    for run in logs.runs:
        if run.only_tier is not None:
            runs[run.task_key].setdefault(run.only_tier, run)
    top = len(logs.ladder) - 1
    last = {place.run.run_id: place for place in places(logs)}
    return [
        Query(
            group=group,
            texts=tuple(
                _text(last[by_tier[tier].run_id], last[by_tier[tier].run_id].drafts[-1])
                for tier in range(top)
            ),
            correct=tuple(float(bool(by_tier[tier].correct)) for tier in range(top + 1)),
            cost=tuple(_known(by_tier[tier].cost_usd) for tier in range(top + 1)),
        )
        for group, by_tier in sorted(runs.items())
        if len(by_tier) == top + 1
    ]


def _heads(
    data: Examples,
    vectors: NDArray[np.float32],
    splits: Splits,
    ladder: Sequence[TierSnapshot],
    options: FrugalGPTOptions,
) -> list[Head]:
    heads: list[Head] = []
    for tier in range(len(ladder) - 1):
        keep = [
            at == tier and splits.part_of[group] == "train"
            for at, group in zip(data.tiers, data.groups, strict=True)
        ]
        train = data.where(keep)
        name = ladder[tier].name
        need_both(train, positive=f"{name}: accept", negative=f"{name}: reject")
        rows = np.flatnonzero(keep)
        heads.append(logistic(vectors[rows], train.targets, strength=options.strength))
    return heads


def _quantiles(
    scores: Numbers, calibration: NDArray[np.bool_], tiers: Sequence[int], *, judged: int
) -> Numbers:
    """Return 101 quantiles of each tier's scores: at a share, a tier passes on that many drafts."""
    at = np.array(tiers)
    rows = []
    for tier in range(judged):
        mine = scores[calibration & (at == tier)]
        if not len(mine):
            raise InvalidInput(
                f"The calibration split holds no draft of tier {tier + 1}.",
                field="logs",
                hint="Run more tasks on every tier, or try another seed.",
            )
        rows.append(np.quantile(mine, np.linspace(0, 1, 101)))
    return np.array(rows)


def _score(heads: Sequence[Head], tiers: Sequence[int], vectors: NDArray[np.float32]) -> Numbers:
    at = np.array(tiers)
    scores = np.zeros(len(at))
    for tier, head in enumerate(heads):
        scores[at == tier] = head.probability(vectors[at == tier])
    return scores


def _thresholds(
    heads: Sequence[Head],
    queries: Sequence[Query],
    vectors: NDArray[np.float32],
    splits: Splits,
    options: FrugalGPTOptions,
) -> tuple[list[float], dict[str, Figure]]:
    """Search on the calibration split, report on the held-out one."""
    judged = len(heads)
    tiers = [tier for _ in queries for tier in range(judged)]
    scores = _score(heads, tiers, vectors).reshape(len(queries), judged)
    rows = list(zip(queries, scores, strict=True))
    calibration = _cascade([row for row in rows if splits.part_of[row[0].group] == "calibration"])
    _check_costs(calibration)
    budget = options.budget_frac * float(calibration.cost[:, -1].mean())
    found = search(calibration, budget=budget)
    if found is None:
        raise InvalidInput(
            f"Even the lowest tier alone costs more than {options.budget_frac:.0%} of the top tier.",
            field="budget_frac",
            hint="Raise the budget.",
        )
    held_out = _cascade([row for row in rows if splits.part_of[row[0].group] == "held_out"])
    return found.tolist(), _cascade_figures(held_out, found)


def _check_costs(calibration: Cascade) -> None:
    if len(calibration.cost) < MIN_ROWS:
        raise InvalidInput(
            f"Only {len(calibration.cost)} queries of the calibration split were answered by every "
            f"tier; {MIN_ROWS} are the least to search thresholds.",
            field="budget_frac",
            hint="Run every tier alone on more of the tasks, or train with budget 0.",
        )
    if np.isnan(calibration.cost).any():
        raise InvalidInput(
            "The runs have no cost, so a budget means nothing.",
            field="budget_frac",
            hint="Give the tiers prices and run again, or train with budget 0.",
        )


def _cascade(rows: Sequence[tuple[Query, Numbers]]) -> Cascade:
    return Cascade(
        np.array([scores for _, scores in rows]),
        np.array([query.correct for query, _ in rows]),
        np.array([query.cost for query, _ in rows]),
    )


def _cascade_figures(held_out: Cascade, thresholds: Numbers) -> dict[str, Figure]:
    n = len(held_out.cost)
    if not n or np.isnan(held_out.cost).any():
        return {"cascade_accuracy": Figure(value=None)}
    outcome = run_cascade(held_out, thresholds)
    interval = wilson(round(outcome.accuracy * n), n)
    top_cost = float(held_out.cost[:, -1].mean())
    return {
        "cascade_accuracy": Figure(
            value=outcome.accuracy,
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            n=n,
        ),
        "top_tier_accuracy": Figure(value=float(held_out.correct[:, -1].mean()), n=n),
        "cascade_cost_frac": Figure(value=outcome.mean_cost / top_cost if top_cost else None, n=n),
        "cascade_large_share": Figure(value=outcome.large_share, n=n),
    }


def _text(place: Place, draft: LoggedDraft) -> str:
    return draft_text(
        place.run.task, place.before, tier=draft.tier, text=draft.text, call=draft.call
    )


def _action(draft: LoggedDraft) -> str:
    return canonical_action(draft.call, draft.answer)


def _known(cost_usd: float | None) -> float:
    return float("nan") if cost_usd is None else cost_usd


TRAINER = Trainer(
    kind=FRUGALGPT,
    title="FrugalGPT scorers",
    summary="P(accept | query, draft) for each tier but the top, and thresholds under a cost budget.",
    options=FrugalGPTOptions,
    fit=fit,
)
