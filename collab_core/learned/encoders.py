"""From text to a vector: a hashed bag of words that is always there, or a sentence encoder."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from collab_core.errors import InvalidInput

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = NDArray[np.float32]

HASHED = "hashed"
HASHED_DIM = 1_024
ENCODER_VARIABLE = "TANDEM_ENCODER"
REQUIREMENTS = "requirements-encoders.txt"
MAX_ENCODER_BYTES = 8 * 1024**3
MAX_LISTING_BYTES = 1024**2
_READ = frozenset({".safetensors", ".json", ".txt", ".model"})
_PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_PROBE = "The encoder's digest rests on how it writes down this line, ten times a hundred."


class Encoder(Protocol):
    """Turns texts into vectors of one length. Thread-safe and deterministic."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def stand_in(self) -> bool:
        """True = it knows nothing of meaning; every figure made with it must say so."""
        ...

    @property
    def digest(self) -> str:
        """Names exactly this encoding: weights trained on another one are worthless here."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32 of shape (n, dim)."""
        ...


class HashedEncoder:
    """Words and pairs of words, hashed into ``dim`` signed buckets, L2-normalised.

    It needs no download and gives the same vectors in every process. It is a stand-in: it knows words,
    not meaning.
    """

    name = HASHED
    stand_in = True

    def __init__(self, dim: int = HASHED_DIM) -> None:
        # scikit-learn takes a second to import: only runs that use a learned router pay for it
        from sklearn.feature_extraction.text import HashingVectorizer  # noqa: PLC0415

        self.dim = dim
        self._vectorizer = HashingVectorizer(
            n_features=dim,
            ngram_range=(1, 2),
            token_pattern=r"(?u)\b\w+\b",  # noqa: S106 - a pattern of words
            norm="l2",
            alternate_sign=True,
            dtype=np.float32,
        )
        self.digest = hashlib.sha256(self.encode([_PROBE]).tobytes()).hexdigest()

    def encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.asarray(self._vectorizer.transform(texts).toarray(), dtype=np.float32)


class SentenceEncoder:
    """A sentence-transformers model from a folder; see :func:`sentence_encoder`."""

    stand_in = False

    def __init__(self, folder: Path, model: SentenceTransformer, digest: str) -> None:
        self.name = folder.name
        self.digest = digest
        self._model = model
        # fast tokenizers refuse to be used by two threads at once
        self._lock = threading.Lock()
        self.dim = self.encode([_PROBE]).shape[1]

    def encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        with self._lock:
            vectors = self._model.encode(
                list(texts),
                batch_size=32,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
        return np.asarray(vectors, dtype=np.float32)


def sentence_encoder(folder: Path) -> SentenceEncoder:
    """Return the sentence-transformers model in ``folder``; nothing is downloaded, no code of the
    folder is run, only safetensors are read.

    Raises:
        InvalidInput: the package or the folder is missing, or holds no such model.
    """
    require_encoder_packages()
    digest = folder_digest(folder)
    _check_modules(folder)
    return _loaded(folder.resolve(), digest)


def _check_modules(folder: Path) -> None:
    """Refuse a folder that names classes of its own: loading them would run its code."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return
    try:
        with listed.open("rb") as file:
            modules = json.loads(file.read(MAX_LISTING_BYTES))
        kinds = [str(module["type"]) for module in modules]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidInput(
            f"The encoder in {folder.name!r} is damaged: modules.json.", field="encoder"
        ) from error
    for kind in kinds:
        if not kind.startswith("sentence_transformers."):
            raise InvalidInput(
                f"The encoder in {folder.name!r} wants to run code of its own ({kind[:80]}).",
                field="encoder",
                hint="Only encoders made of sentence-transformers' own modules are loaded.",
            )


@lru_cache(maxsize=2)
def _loaded(folder: Path, digest: str) -> SentenceEncoder:
    # torch takes seconds to import and is optional
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    safe: dict[str, Any] = {"use_safetensors": True}
    try:
        model = SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs=safe,
        )
        return SentenceEncoder(folder, model, digest)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise InvalidInput(
            f"The encoder in {folder.name} cannot be loaded: {str(error)[:300]}",
            field="encoder",
            hint="Give a folder that sentence-transformers has saved, with model.safetensors in it.",
        ) from error


def require_encoder_packages() -> None:
    """Check that torch, transformers and sentence-transformers are there.

    Raises:
        InvalidInput: naming the requirements file.
    """
    missing = [
        name
        for name in ("torch", "transformers", "sentence_transformers")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise InvalidInput(
            f"A sentence encoder needs {', '.join(missing)}, which is not installed.",
            field="encoder",
            hint=f"Install {REQUIREMENTS}, or use the encoder {HASHED!r}.",
        )


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 of a model folder: names and contents of its files, sub-folders included.

    Raises:
        InvalidInput: it is no folder, holds no ``*.safetensors``, holds pickled weights only, or is
            larger than 8 GiB.
    """
    if not folder.is_dir():
        raise InvalidInput(f"There is no folder {folder.name!r}.", field="encoder")
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path for path in found if path.suffix in _READ]
    safe = {path.parent for path in files if path.suffix == ".safetensors"}
    pickled = {path.parent for path in found if path.suffix in _PICKLED}
    # each module of an encoder has a folder; beside safetensors a pickled copy is never read
    if not safe or pickled - safe:
        raise InvalidInput(
            f"The folder {folder.name!r} holds no .safetensors file"
            + (" for each pickled one." if safe else "."),
            field="encoder",
            hint="Pickled weights (.bin, .pt) can run code and are never read; convert them first.",
        )
    if sum(path.stat().st_size for path in files) > MAX_ENCODER_BYTES:
        raise InvalidInput(f"The folder {folder.name!r} is larger than 8 GiB.", field="encoder")
    return _digest_of(
        folder.resolve(), tuple((path.relative_to(folder), stamp(path)) for path in files)
    )


def stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file does; zeros if there is none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest_of(folder: Path, files: tuple[tuple[Path, tuple[int, int, int]], ...]) -> str:
    """Hash the files once, as long as they do not change: a large encoder takes seconds."""
    digest = hashlib.sha256()
    for path, (_, size, _) in files:
        digest.update(f"{path.as_posix()}\0{size}\0".encode())
        with (folder / path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def open_encoder(name: str = "", *, environ: Mapping[str, str] = os.environ) -> Encoder:
    """Return the encoder called ``name``: "hashed" or a folder; "" = what ``TANDEM_ENCODER`` says.

    Raises:
        InvalidInput: see :func:`sentence_encoder`.
    """
    name = name or environ.get(ENCODER_VARIABLE, "") or HASHED
    if name == HASHED:
        return HashedEncoder()
    return sentence_encoder(Path(name))
