"""Every trainer, and the way from a source to a weights folder. A new trainer is a line here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from collab_core.errors import InvalidInput
from collab_core.learned import (
    frugalgpt,
    isotonic,
    masrouter_trainer,
    oi_mas_trainer,
    probe,
    progress_training,
    routellm_mf,
    routellm_table,
)
from collab_core.learned.encoders import Encoder, open_encoder
from collab_core.learned.store import EncoderUsed, Manifest, TrainedOn, ladder_used, now, save
from collab_core.learned.trainer import Fitted, Job, Pair, Progress, Source, Trainer, TrainerOptions

STAND_IN_NOTE = (
    "Made with the hashed bag-of-words stand-in, not with a sentence encoder: these figures say "
    "little about what the method can do."
)
SIMULATED_NOTE = "Trained on simulated tiers: these figures say nothing about real models."

TRAINERS: dict[str, Trainer] = {
    trainer.kind: trainer
    for trainer in (
        routellm_mf.TRAINER,
        routellm_table.TRAINER,
        frugalgpt.TRAINER,
        probe.TRAINER,
        isotonic.TRAINER,
        progress_training.TRAINER,
        oi_mas_trainer.TRAINER,
        masrouter_trainer.TRAINER,
    )
}


def find_trainer(kind: str) -> Trainer:
    """Return a trainer.

    Raises:
        InvalidInput: there is none of that kind.
    """
    if kind not in TRAINERS:
        raise InvalidInput(
            f"There is no trainer {kind[:60]!r}. Choose one of: {', '.join(TRAINERS)}.",
            field="kind",
        )
    return TRAINERS[kind]


def parse_options(kind: str, raw: Mapping[str, Any]) -> TrainerOptions:
    """Return the trainer's options, checked and filled with defaults.

    Raises:
        InvalidInput: with the first option at fault in ``field``.
    """
    try:
        return find_trainer(kind).options.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{name}: {what}" if name else what, field=name) from error


def train(
    kind: str,
    source: Source,
    out: Path,
    options: Mapping[str, Any],
    *,
    seed: int = 0,
    encoder: str = "",
    name: str = "",
    progress: Progress = lambda fraction, text: None,
) -> Manifest:
    """Train, write the weights folder ``out`` and return its manifest.

    ``encoder``: "hashed", a folder, or "" for what ``TANDEM_ENCODER`` says. The same source, options
    and seed give the same tensors.

    Raises:
        InvalidInput: a wrong option, logs that cannot be learned from, or ``out`` exists.
    """
    trainer = find_trainer(kind)
    parsed = parse_options(kind, options)
    if out.exists():
        raise InvalidInput(
            f"{out.name!r} exists already.", field="out", hint="Name a new folder for the weights."
        )
    progress(0.0, "Preparing")
    used = open_encoder(encoder) if trainer.needs_encoder else None
    job = Job(source=source, options=parsed, seed=seed, progress=progress, encoder=used)
    # one thread: the same sums in the same order, and runs beside it keep their cores
    with threadpool_limits(limits=1, user_api="blas"):
        fitted = trainer.fit(job)
    progress(0.98, "Writing the weights")
    manifest = Manifest(
        kind=kind,
        name=name or out.name,
        created=now(),
        encoder=None if used is None else EncoderUsed.of(used),
        ladder=ladder_used(source.ladder),
        trained_on=_trained_on(source, fitted),
        label=fitted.label,
        seed=seed,
        options={**parsed.model_dump(mode="json"), **fitted.learned},
        report=dict(fitted.report),
        calibration=tuple(fitted.calibration),
        tables=dict(fitted.tables),
        notes=tuple(_notes(source, fitted, used)),
    )
    stored = save(out, manifest, fitted.tensors)
    progress(1.0, "Done")
    return stored


def pairs_digest(pairs: Sequence[Pair]) -> str:
    """Return the SHA-256 that names these pairs."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.better}\0{pair.worse}\0{pair.share}\0{pair.prompt}\0".encode())
    return digest.hexdigest()


def _trained_on(source: Source, fitted: Fitted) -> TrainedOn:
    given = source.logs.runs if source.logs else ()
    used = None if fitted.run_ids is None else set(fitted.run_ids)
    runs = [run for run in given if used is None or run.run_id in used]
    return TrainedOn(
        source=source.description[:2_000],
        digest=source.digest,
        runs=len(runs),
        tasks=fitted.tasks,
        run_ids=tuple(run.run_id[:200] for run in runs[:10_000]),
        splits=dict(fitted.splits),
        split_by=fitted.split_by,
        simulated=any(run.simulated for run in runs)
        or any(tier.simulated for tier in source.ladder),
    )


def _notes(source: Source, fitted: Fitted, encoder: Encoder | None) -> list[str]:
    notes = list(fitted.notes)
    if encoder is not None and encoder.stand_in:
        notes.insert(0, STAND_IN_NOTE)
    if any(run.simulated for run in (source.logs.runs if source.logs else ())):
        notes.insert(0, SIMULATED_NOTE)
    if source.logs and source.logs.skipped:
        said = "; ".join(f"{count} {why}" for why, count in sorted(source.logs.skipped.items()))
        notes.append(f"Left out of the logs: {said}.")
    return notes
