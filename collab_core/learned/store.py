"""Weights and where they come from: one folder with ``manifest.json`` and ``weights.safetensors``.

Both files are treated as hostile: bounded in size, no pickle, every number checked before use.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from collab_core import __version__
from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.encoders import HASHED, Encoder, HashedEncoder, open_encoder

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TENSORS = "weights.safetensors"
MAX_MANIFEST_BYTES = 4 * 1024**2
MAX_TENSOR_BYTES = 256 * 1024**2

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Short = Annotated[str, Field(max_length=200)]
Tensor = NDArray[Any]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EncoderUsed(_Part):
    """What turned text into vectors; ``stand_in`` = figures made with it must say so."""

    name: Short
    dim: int = Field(ge=1, le=65_536)
    digest: Short
    stand_in: bool

    @classmethod
    def of(cls, encoder: Encoder) -> EncoderUsed:
        return cls(
            name=encoder.name, dim=encoder.dim, digest=encoder.digest, stand_in=encoder.stand_in
        )


class TierUsed(_Part):
    """A rung of the ladder that the weights are for."""

    name: Short
    model: Short


class TrainedOn(_Part):
    """What was learned from; splits share no task."""

    source: str = Field(max_length=2_000)
    digest: Short
    """SHA-256 over the runs or files."""
    runs: int = Field(ge=0)
    tasks: int = Field(ge=0)
    run_ids: tuple[Short, ...] = Field(default=(), max_length=10_000)
    """The first 10,000; the digest covers all."""
    splits: dict[Short, int] = Field(default_factory=dict)
    """Examples in train, calibration and held_out."""
    split_by: Short = "task"
    simulated: bool = False
    """Any of the runs used a simulated tier: every figure must be labelled so."""


class Figure(_Part):
    """A number of the held-out report. None = it cannot be computed there."""

    value: Finite | None
    low: Finite | None = None
    high: Finite | None = None
    """95 % interval."""
    n: int = Field(default=0, ge=0)
    """Examples it rests on."""


class Table(_Part):
    """A table of the held-out report, for people; a cell is words or a number, None = unknown."""

    columns: tuple[Short, ...] = Field(max_length=20)
    rows: tuple[tuple[Short | Finite | None, ...], ...] = Field(max_length=1_000)


class CalibrationPoint(_Part):
    """With ``threshold``, ``large_share`` of the calibration split's steps leave the lower tier."""

    threshold: Finite
    large_share: Share


class Manifest(_Part):
    """All there is to say about a set of weights."""

    format_version: int = FORMAT_VERSION
    kind: Short
    name: Short
    created: AwareDatetime
    code_version: Short = __version__
    encoder: EncoderUsed | None
    """None = the weights read numbers, not text."""
    ladder: tuple[TierUsed, ...] = Field(min_length=1, max_length=64)
    trained_on: TrainedOn
    label: str = Field(default="", max_length=500)
    """What was predicted, in words."""
    seed: int
    options: dict[Short, JsonValue] = Field(default_factory=dict)
    report: dict[Short, Figure] = Field(default_factory=dict)
    calibration: tuple[CalibrationPoint, ...] = Field(default=(), max_length=10_001)
    tables: dict[Short, Table] = Field(default_factory=dict)
    """By title."""
    notes: tuple[Annotated[str, Field(max_length=1_000)], ...] = Field(default=(), max_length=100)
    tensors_sha256: Short = ""
    """Filled in by :func:`save`."""

    @property
    def digest(self) -> str:
        """Names exactly these weights with this encoder, 32 hex digits."""
        used = self.encoder.digest if self.encoder else ""
        text = json.dumps(
            [self.kind, self.tensors_sha256, used, self.options], sort_keys=True, default=str
        )
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def threshold_for_share(self, share: float) -> CalibrationPoint:
        """Return the calibrated point whose large-step share is nearest to ``share``.

        Raises:
            InvalidInput: the weights carry no calibration table.
        """
        if not self.calibration:
            raise InvalidInput(
                f"The weights {self.name!r} carry no calibration table.",
                field="target_share",
                hint="Give a threshold instead of a target share.",
            )
        return min(self.calibration, key=lambda point: abs(point.large_share - share))


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Checked weights; all numbers are finite."""

    manifest: Manifest
    tensors: Mapping[str, Tensor]

    def take(self, name: str, *shape: int | None) -> NDArray[np.float64]:
        """Return one tensor as float64; None in ``shape`` = any length there.

        Raises:
            InvalidInput: it is missing or has another shape.
        """
        tensor = self.tensors.get(name)
        wanted = "x".join("any" if size is None else str(size) for size in shape) or "scalar"
        if tensor is None:
            raise _damaged(self.manifest.name, f"the tensor {name!r} ({wanted}) is missing")
        fits = len(tensor.shape) == len(shape) and all(
            size is None or size == real for size, real in zip(shape, tensor.shape, strict=True)
        )
        if not fits:
            found = "x".join(map(str, tensor.shape)) or "scalar"
            raise _damaged(self.manifest.name, f"the tensor {name!r} is {found}, not {wanted}")
        return tensor.astype(np.float64)


def ladder_used(tiers: Sequence[TierSnapshot]) -> tuple[TierUsed, ...]:
    """Return what a manifest keeps of a ladder."""
    return tuple(TierUsed(name=tier.name, model=tier.model) for tier in tiers)


def now() -> datetime:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def save(
    folder: Path, manifest: Manifest, tensors: Mapping[str, Tensor], *, replace: bool = False
) -> Manifest:
    """Write a weights folder and return its manifest, complete with the tensors' digest.

    The folder appears whole or not at all; with ``replace`` an older *weights* folder makes way.

    Raises:
        InvalidInput: ``folder`` exists already, or a tensor holds NaN or infinity.
    """
    blob = save_tensors({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    _check_finite(manifest.name, tensors)
    if folder.exists() and not (replace and (folder / MANIFEST).is_file()):
        raise InvalidInput(
            f"{folder.name!r} exists already.",
            field="out",
            hint="Name a new folder for the weights.",
        )
    complete = manifest.model_copy(update={"tensors_sha256": hashlib.sha256(blob).hexdigest()})
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        _write(fresh / TENSORS, blob)
        _write(fresh / MANIFEST, complete.model_dump_json(indent=2).encode() + b"\n")
        _put_in_place(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return complete


def load(
    folder: Path, *, kind: str | None = None, ladder: Sequence[TierSnapshot] | None = None
) -> Weights:
    """Read a weights folder; None = any kind, any ladder.

    Raises:
        InvalidInput: the folder is missing or damaged, of another kind, for another ladder or of a
            newer format; the message says which, the hint what to do.
    """
    manifest = read_manifest(folder)
    if kind is not None and manifest.kind != kind:
        raise InvalidInput(
            f"The weights {manifest.name!r} are of kind {manifest.kind!r}; {kind!r} is needed.",
            field="weights",
            hint=f"Choose weights that `train {kind}` has made.",
        )
    if ladder is not None:
        check_ladder(manifest, ladder)
    blob = _read_bounded(folder / TENSORS, MAX_TENSOR_BYTES, manifest.name)
    if hashlib.sha256(blob).hexdigest() != manifest.tensors_sha256:
        raise _damaged(manifest.name, f"{TENSORS} is not the file that the manifest names")
    try:
        tensors = load_tensors(blob)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(manifest.name, f"{TENSORS} cannot be read ({error})") from error
    _check_finite(manifest.name, tensors)
    return Weights(manifest=manifest, tensors=tensors)


def read_manifest(folder: Path) -> Manifest:
    """Read only what a weights folder says of itself.

    Raises:
        InvalidInput: there is none, it is damaged or of a newer format.
    """
    blob = _read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES, folder.name)
    try:
        raw = json.loads(blob)
    except (ValueError, RecursionError) as error:
        raise _damaged(folder.name, f"{MANIFEST} is not JSON ({error})") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise InvalidInput(
            f"The weights {folder.name!r} have format {version}; this Tandem reads up to "
            f"{FORMAT_VERSION}.",
            field="weights",
            hint="Update Tandem, or train the weights again with this version.",
        )
    try:
        return Manifest.model_validate_json(blob)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _damaged(folder.name, f"{MANIFEST}, {where}: {first['msg']}") from error


def check_ladder(manifest: Manifest, ladder: Sequence[TierSnapshot]) -> None:
    """Check that the weights are for exactly this ladder: names and models, in order.

    Raises:
        InvalidInput: they are for another one.
    """
    wanted = ladder_used(ladder)
    if manifest.ladder != wanted:
        raise InvalidInput(
            f"The weights {manifest.name!r} were trained for the ladder {_words(manifest.ladder)}; "
            f"this run has {_words(wanted)}.",
            field="weights",
            hint="Choose the ladder they were trained for, or train on logs of this one.",
        )


def encoder_for(manifest: Manifest, *, encoder: str = "") -> Encoder:
    """Return the encoder that the weights need; ``encoder`` as in :func:`open_encoder`.

    Raises:
        InvalidInput: it is missing, or another one than the weights were trained with.
    """
    used = manifest.encoder
    if used is None:
        raise _damaged(manifest.name, "the manifest names no encoder")
    found: Encoder = HashedEncoder(used.dim) if used.name == HASHED else open_encoder(encoder)
    if (found.digest, found.dim) != (used.digest, used.dim):
        raise InvalidInput(
            f"The weights {manifest.name!r} were trained with the encoder {used.name!r} "
            f"({used.digest[:12]}); the one here is {found.name!r} ({found.digest[:12]}).",
            field="weights",
            hint="Set TANDEM_ENCODER to the folder of that encoder, or train the weights again.",
        )
    return found


def _check_finite(name: str, tensors: Mapping[str, Tensor]) -> None:
    for key, tensor in tensors.items():
        if tensor.dtype.kind not in "fiu":
            raise _damaged(name, f"the tensor {key!r} holds {tensor.dtype}, not numbers")
        if not np.isfinite(tensor).all():
            raise _damaged(name, f"the tensor {key!r} holds NaN or infinity")


def _read_bounded(path: Path, limit: int, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            blob = file.read(limit + 1)
    except OSError as error:
        raise InvalidInput(
            f"There are no weights in {name!r}: {path.name} cannot be read ({error.strerror}).",
            field="weights",
            hint="Name a folder that `python -m collab_core train` has made.",
        ) from error
    if len(blob) > limit:
        raise _damaged(name, f"{path.name} is larger than {limit // 1024**2} MiB")
    return blob


def _write(path: Path, blob: bytes) -> None:
    with path.open("wb") as file:
        file.write(blob)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Rename; an older folder is moved aside first, as no rename can replace a full folder."""
    if not folder.exists():
        fresh.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    folder.rename(aside / "weights")
    fresh.rename(folder)
    shutil.rmtree(aside)


def _damaged(name: str, what: str) -> InvalidInput:
    return InvalidInput(
        f"The weights {name!r} are damaged: {what}.",
        field="weights",
        hint="Train them again, or copy the folder again from where it was made.",
    )


def _words(ladder: Sequence[TierUsed]) -> str:
    return " < ".join(f"{tier.name} ({tier.model})" for tier in ladder)
