"""RouteLLM's matrix factorisation, re-trained on local embeddings.

Source: RouteLLM (arXiv 2406.18665), matrix factorisation: delta(M, q) = w2 . (v_M * (W1 v_q + b)),
P(a wins over b | q) = sigmoid(delta(a, q) - delta(b, q)). Ours differs in the embedder (a local one
for OpenAI's), in the optimiser (L-BFGS on all pairs), in L2 decay in place of normalised model
vectors, and in that each tier of the ladder has a vector.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from collab_core.errors import InvalidInput
from collab_core.learned.dataset import Splits, places, scored, split_tasks
from collab_core.learned.evaluation import NOT_INDEPENDENT, held_out_report, large_when_at_least
from collab_core.learned.heads import encode_all, sigmoid
from collab_core.learned.logs import LoggedRun, Logs
from collab_core.learned.rendering import Reading, render
from collab_core.learned.scorers import ROUTELLM
from collab_core.learned.store import Figure, Tensor
from collab_core.learned.trainer import Fitted, Job, Trainer, TrainerOptions

Numbers = NDArray[np.float64]


class RouteLLMOptions(TrainerOptions):
    """How the head is fitted."""

    reading: Reading = Field(
        default="trajectory",
        title="Reading",
        description="What the router reads of a step: the last message (RouteLLM's own reading), or "
        "a bounded rendering of the trajectory (adapted).",
    )
    prefixes: bool = Field(
        default=True,
        title="Learn from every step",
        description="Pair every step of the lower tier's run with the outcome; off = the question "
        "only, as in RouteLLM.",
    )
    ties: Literal["half", "drop"] = Field(
        default="half",
        title="Ties",
        description="Both tiers right or both wrong: half a win for each, or left out.",
    )
    dim: int = Field(
        default=32,
        ge=1,
        le=512,
        title="Dimensions",
        description="Length of a model's vector. RouteLLM: 128, on far more data.",
    )
    decay: float = Field(
        default=1e-3, ge=0.0, le=10.0, title="Decay", description="L2 penalty of every weight."
    )
    max_iterations: int = Field(
        default=200, ge=1, le=5_000, title="Iterations", description="Of L-BFGS, at most."
    )


class Contest(NamedTuple):
    """``share`` of the win of tier ``a`` over tier ``b`` on one prompt."""

    text: str
    a: int
    b: int
    share: float
    weight: float
    group: str


class Shape(NamedTuple):
    """Of the parameters inside one flat vector."""

    tiers: int
    text_dim: int
    dim: int

    def unpack(self, theta: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Return models (tiers, dim), projection (text_dim, dim), bias (dim), classifier (dim)."""
        ends = np.cumsum([self.tiers * self.dim, self.text_dim * self.dim, self.dim])
        models, projection, bias, classifier = np.split(theta, ends)
        return (
            models.reshape(self.tiers, self.dim),
            projection.reshape(self.text_dim, self.dim),
            bias,
            classifier,
        )

    def start(self, seed: int) -> Numbers:
        random = np.random.default_rng(seed)
        return np.concatenate(
            [
                random.normal(0.0, 0.3, self.tiers * self.dim),
                random.normal(0.0, 1.0, self.text_dim * self.dim) / np.sqrt(self.dim),
                np.zeros(self.dim),
                np.ones(self.dim),
            ]
        )


class Batch(NamedTuple):
    """Contests as arrays."""

    vectors: Numbers
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    share: Numbers
    weight: Numbers


def loss(theta: Numbers, shape: Shape, batch: Batch, decay: float) -> tuple[float, Numbers]:
    """Return the weighted mean cross-entropy plus L2, and its gradient in ``theta``."""
    models, projection, bias, classifier = shape.unpack(theta)
    hidden = batch.vectors @ projection + bias
    difference = models[batch.a] - models[batch.b]
    z = (hidden * difference) @ classifier
    total = batch.weight.sum()
    entropy = batch.share * np.logaddexp(0.0, -z) + (1.0 - batch.share) * np.logaddexp(0.0, z)
    value = float(batch.weight @ entropy / total + 0.5 * decay * theta @ theta)
    dz = batch.weight * (sigmoid(z) - batch.share) / total
    d_difference = dz[:, None] * hidden * classifier
    d_hidden = dz[:, None] * difference * classifier
    d_models = np.zeros_like(models)
    np.add.at(d_models, batch.a, d_difference)
    np.add.at(d_models, batch.b, -d_difference)
    gradient = np.concatenate(
        [
            d_models.ravel(),
            (batch.vectors.T @ d_hidden).ravel(),
            d_hidden.sum(axis=0),
            dz @ (hidden * difference),
        ]
    )
    return value, gradient + decay * theta


def win_rate(theta: Numbers, shape: Shape, vectors: Numbers) -> Numbers:
    """Return P(top tier wins over the lowest) a text."""
    models, projection, bias, classifier = shape.unpack(theta)
    z = (vectors @ projection + bias) @ ((models[-1] - models[0]) * classifier)
    return sigmoid(z)


def fit(job: Job) -> Fitted:
    """Train on preference pairs, or on logged runs of the same tasks on different tiers."""
    options: RouteLLMOptions = job.options
    if len(job.source.ladder) < 2:
        raise InvalidInput("A router needs a ladder of two tiers or more.", field="logs")
    contests = _contests(job, options)
    splits = split_tasks([contest.group for contest in contests], seed=job.seed)
    train, held_out = _sides(contests, splits, top=len(job.source.ladder) - 1)
    steps = _calibration_texts(job, options, splits, contests)
    encoder = job.encoding()
    texts = [c.text for c in (*train, *held_out)] + steps
    vectors = encode_all(encoder, texts, job.progress, between=(0.05, 0.6)).astype(np.float64)
    shape = Shape(len(job.source.ladder), encoder.dim, options.dim)
    theta = _optimise(job, shape, _batch(train, vectors[: len(train)]), options)
    rates = win_rate(theta, shape, vectors[len(train) :])
    return Fitted(
        tensors=_tensors(theta, shape),
        label="P(the top tier wins over the lowest)",
        report=_report(rates[: len(held_out)], held_out, seed=job.seed),
        calibration=large_when_at_least(rates[len(held_out) :]),
        splits={"train": len(train), "calibration": len(steps), "held_out": len(held_out)},
        tasks=len(splits.part_of),
        notes=(_NOTE, NOT_INDEPENDENT),
    )


def _sides(
    contests: Sequence[Contest], splits: Splits, *, top: int
) -> tuple[list[Contest], list[Contest]]:
    """Return what to train on, and what to report on: the top against the lowest tier only."""
    train = [c for c in contests if splits.part_of[c.group] == "train"]
    held_out = [
        c for c in contests if splits.part_of[c.group] == "held_out" and (c.a, c.b) == (top, 0)
    ]
    _need_wins(train)
    return train, held_out


def _tensors(theta: Numbers, shape: Shape) -> dict[str, Tensor]:
    models, projection, bias, classifier = shape.unpack(theta)
    small = projection.astype(np.float32)
    return {"models": models, "projection": small, "bias": bias, "classifier": classifier}


def _report(rates: Numbers, held_out: Sequence[Contest], *, seed: int) -> dict[str, Figure]:
    """Return the figures; auc asks whether the top tier is needed: a win against a tie or a loss."""
    groups = [c.group for c in held_out]
    shares = np.array([c.share for c in held_out])
    figures = held_out_report(rates, shares, groups, seed=seed)
    needed = held_out_report(rates, (shares > 0.5).astype(np.float64), groups, seed=seed)
    return figures | {"auc": needed["auc"], "base_rate": needed["base_rate"]}


_NOTE = "RouteLLM's head re-trained on local embeddings: not the published weights."


def _contests(job: Job, options: RouteLLMOptions) -> list[Contest]:
    found = [
        Contest(pair.prompt, pair.better, pair.worse, pair.share, 1.0, pair.prompt)
        for pair in job.source.pairs
    ]
    # the higher tier comes first
    found = [c if c.a > c.b else c._replace(a=c.b, b=c.a, share=1.0 - c.share) for c in found]
    if job.source.logs is not None:
        found += contests_of(
            scored(job.source.logs), reading=options.reading, prefixes=options.prefixes
        )
    top = len(job.source.ladder) - 1
    if options.ties == "drop":
        found = [c for c in found if c.share != 0.5]
    if not any((c.a, c.b) == (top, 0) for c in found):
        raise InvalidInput(
            "No task was run on the lowest and on the top tier alone, so nobody can win.",
            field="logs",
            hint="Run the strategies small and large on the same tasks and add their logs.",
        )
    return found


def contests_of(logs: Logs, *, reading: Reading, prefixes: bool) -> list[Contest]:
    """Return the higher against the lower tier for every task that both have run alone.

    A step of the lower tier's run is a prompt; the steps of one task weigh 1 together.
    """
    by_task: dict[str, dict[int, list[LoggedRun]]] = defaultdict(lambda: defaultdict(list))
    for run in logs.runs:
        if run.only_tier is not None:
            by_task[run.task_key][run.only_tier].append(run)
    found: list[Contest] = []
    for group, runs in sorted(by_task.items()):
        for low, high in combinations(sorted(runs), 2):
            share = 0.5 + 0.5 * (_accuracy(runs[high]) - _accuracy(runs[low]))
            texts = _prompts(runs[low], reading, prefixes=prefixes)
            found += [Contest(text, high, low, share, 1.0 / len(texts), group) for text in texts]
    return found


def _accuracy(runs: Sequence[LoggedRun]) -> float:
    return sum(bool(run.correct) for run in runs) / len(runs)


def _prompts(runs: Sequence[LoggedRun], reading: Reading, *, prefixes: bool) -> list[str]:
    if not prefixes:
        return [render(runs[0].task, (), reading)]
    texts: list[str] = []
    for run in runs:
        for steps in run.branches:
            records = [step.record for step in steps]
            texts += [render(run.task, records[:at], reading) for at in range(len(records))]
    return list(dict.fromkeys(texts))


def _calibration_texts(
    job: Job, options: RouteLLMOptions, splits: Splits, contests: Sequence[Contest]
) -> list[str]:
    """Return what a router will be asked: every step of the calibration tasks' runs."""
    texts = [c.text for c in contests if splits.part_of[c.group] == "calibration"]
    if job.source.logs is None:
        return texts
    return [
        render(place.run.task, place.before, options.reading)
        for place in places(job.source.logs)
        if splits.part_of.get(place.run.task_key) == "calibration"
    ] or texts


def _need_wins(train: Sequence[Contest]) -> None:
    won = sum(c.share > 0.5 for c in train)
    lost = sum(c.share < 0.5 for c in train)
    if not won and not lost:
        raise InvalidInput(
            f"All {len(train)} pairs of the training split are ties; there is nothing to learn.",
            field="logs",
            hint="Add tasks that one tier solves and another does not.",
        )


def _batch(contests: Sequence[Contest], vectors: Numbers) -> Batch:
    return Batch(
        vectors,
        np.array([c.a for c in contests]),
        np.array([c.b for c in contests]),
        np.array([c.share for c in contests]),
        np.array([c.weight for c in contests]),
    )


def _optimise(job: Job, shape: Shape, batch: Batch, options: RouteLLMOptions) -> Numbers:
    # takes a second to import: only who trains pays
    from scipy.optimize import minimize  # noqa: PLC0415

    done = 0

    def report(theta: Numbers) -> None:
        nonlocal done
        done += 1
        job.progress(0.6 + 0.35 * done / options.max_iterations, f"Iteration {done}")

    found = minimize(
        loss,
        shape.start(job.seed),
        args=(shape, batch, options.decay),
        jac=True,
        method="L-BFGS-B",
        callback=report,
        options={"maxiter": options.max_iterations},
    )
    return np.asarray(found.x)


TRAINER = Trainer(
    kind=ROUTELLM,
    title="RouteLLM, matrix factorisation",
    summary="P(the top tier wins) from preference pairs or from runs of the same tasks on several "
    "tiers.",
    options=RouteLLMOptions,
    fit=fit,
)
