"""The contract of a trainer: what it is given and what it returns."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, JsonValue

from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.base import Scorer
from collab_core.learned.encoders import Encoder
from collab_core.learned.logs import Logs
from collab_core.learned.store import CalibrationPoint, Figure, Table, Tensor
from collab_core.review.labels import Label

Progress = Callable[[float, str], None]
"""Called as (fraction 0..1, what is being done). It stops the training by raising (say,
``RunCancelled``): nothing is written then."""


class TrainerOptions(BaseModel):
    """Base of every trainer's options; the web form and the command line are made of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A human's or a judge's preference: ``share`` of the win goes to ``better`` (0.5 = a tie)."""

    prompt: str
    better: int
    worse: int
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a trainer learns from: logs, pairs, or nothing (live training)."""

    ladder: tuple[TierSnapshot, ...]
    logs: Logs | None = None
    pairs: tuple[Pair, ...] = ()
    labels: tuple[Label, ...] = ()
    """People's labels on steps of ``logs``, where the trainer ``needs_labels``."""
    classifier: Scorer | None = None
    """A published one, where the trainer ``needs_classifier``."""
    world: Any = None
    """Live training of a whole method: an ``OIMasWorld`` or a ``TeamWorld``; None = from logs."""
    description: str = ""
    digest: str = ""

    @classmethod
    def of_logs(
        cls, logs: Logs, *, classifier: Scorer | None = None, labels: Sequence[Label] = ()
    ) -> Source:
        digest = logs.digest
        if labels:
            said = b"".join(msgspec.json.encode(label) for label in labels)
            digest = hashlib.sha256(digest.encode() + said).hexdigest()
        return cls(
            ladder=logs.ladder,
            logs=logs,
            labels=tuple(labels),
            classifier=classifier,
            description=logs.source,
            digest=digest,
        )

    def need_logs(self) -> Logs:
        """Return the logs.

        Raises:
            InvalidInput: there are none.
        """
        if self.logs is None:
            raise InvalidInput(
                "This trainer learns from logged runs.", field="logs", hint="Give --logs."
            )
        return self.logs


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training, as a trainer sees it."""

    source: Source
    options: Any
    """An instance of the trainer's own options model."""
    seed: int
    progress: Progress
    encoder: Encoder | None = None
    """Not None where the trainer ``needs_encoder``."""

    def encoding(self) -> Encoder:
        """Return the encoder.

        Raises:
            InvalidInput: there is none.
        """
        if self.encoder is None:
            raise InvalidInput("This trainer needs an encoder.", field="encoder")
        return self.encoder


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a trainer returns."""

    tensors: Mapping[str, Tensor]
    label: str
    """What was predicted, in words."""
    report: Mapping[str, Figure] = field(default_factory=dict)
    calibration: Sequence[CalibrationPoint] = ()
    splits: Mapping[str, int] = field(default_factory=dict)
    tasks: int = 0
    run_ids: Sequence[str] | None = None
    """The runs that were learned from; None = all of the source's."""
    notes: Sequence[str] = ()
    split_by: str = "task"
    """What no two splits share: task or run."""
    tables: Mapping[str, Table] = field(default_factory=dict)
    """Of the report, by title."""
    learned: Mapping[str, JsonValue] = field(default_factory=dict)
    """Settings found by the training (thresholds): stored among the options."""


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """A kind of weights and how it is made."""

    kind: str
    title: str
    summary: str
    options: type[TrainerOptions]
    fit: Callable[[Job], Fitted]
    needs_encoder: bool = True
    needs_labels: bool = False
    """It learns from people's labels (``Source.labels``) on the steps of logged runs."""
    least_of_each: int = 0
    """Labelled steps of each answer, progress and no progress, that it needs."""
    needs_classifier: bool = False
    """It works on a published classifier (``Source.classifier``)."""


def deal(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Return the numbers 0..count - 1 for training and held out, 4 : 1.

    >>> [len(part) for part in deal(10, seed=0)]
    [8, 2]

    Raises:
        InvalidInput: there are fewer than five.
    """
    if count < 5:
        raise InvalidInput(f"There are {count} tasks; five are the least.", field="tasks")
    numbers = list(range(count))
    random.Random(seed).shuffle(numbers)
    held_out = max(1, round(count / 5))
    return sorted(numbers[held_out:]), sorted(numbers[:held_out])
