"""Label sets as files: JSON lines or CSV, with a manifest that names exactly their bytes.

Comments are hostile text: no cell of the CSV is a formula, and reading gives back every character.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

from collab_core.csv_cells import cell
from collab_core.errors import InvalidInput
from collab_core.review.labels import KINDS, SCHEMA_VERSION, Kind, Label, Name, latest

FORMAT: Final = "tandem.labels/1"
MAX_BYTES = 256 * 1024**2
MAX_LABELS = 500_000
MAX_LINE_BYTES = 128 * 1024
MAX_ERRORS = 1_000
"""Errors that are kept; the rest is counted."""

Form = Literal["jsonl", "csv"]
Method = Literal["all", "random", "stratified", "suspicious"]

COLUMNS = (*Label.__struct_fields__, "kind")
_NULLABLE = frozenset({"made_progress", "verdict"})


class Draw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the items of one queue were drawn."""

    queue: Name
    method: Method
    seed: int
    population: int
    drawn: int
    stratified_by: tuple[Name, ...] = ()


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the items were drawn; each label has its own probability.

    Several queues are told one by one in ``draws``; the numbers here are their sums then.
    """

    method: Method | Literal["several"] = "all"
    seed: int | None = 0
    """None = several draws, each with its own."""
    population: int = 0
    """Steps that could have been drawn; 0 = unknown."""
    drawn: int = 0
    stratified_by: tuple[Name, ...] = ()
    reviewers_per_item: int = 1
    draws: tuple[Draw, ...] = ()
    """Empty where there was one."""


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the export."""

    name: Name
    bytes: int
    sha256: Name


class LabelManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All there is to say about an exported label set."""

    format: Literal["tandem.labels/1"] = FORMAT
    schema_version: Literal[1] = SCHEMA_VERSION
    workspace: Name = ""
    label_set: Name = ""
    question: str = "Did this step move the task meaningfully forward?"
    created: Name = ""
    """ISO 8601, UTC."""
    code_version: Name = ""
    blind: bool | Literal["mixed"] | None = None
    """True = every label was given blind, False = none was, "mixed" = some were; decisions, which never
    are, do not count. None = no label, or a file from before "mixed"."""
    simulated: bool = False
    """Some of the steps are of simulated models."""
    labels: int = 0
    """Latest revisions, without decisions; in older files (no ``revisions``) every line."""
    decisions: int = 0
    """Steps whose disagreement was decided."""
    revisions: int | None = None
    """Lines: every state of every label and decision; None = an older file."""
    items: int = 0
    """Different steps."""
    runs: int = 0
    reviewers: int = 0
    """Who labelled; deciding a disagreement makes nobody one."""
    kinds: dict[str, int] = {}
    """Latest revisions would count once each; here every line does."""
    sampling: Sampling = Sampling()
    files: tuple[FileEntry, ...] = ()


class LineError(NamedTuple):
    """A line that is no label, and why."""

    line: int
    message: str


class Reading(NamedTuple):
    """What a file held."""

    labels: list[Label]
    errors: list[LineError]
    """The first 1,000."""
    bad_lines: int
    """All of them."""
    lines: list[int]
    """Where each of the labels stands in the file, from 1."""


class _Line(Label, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """A label as it is written: with what is derived from it."""

    told: Kind | None = msgspec.field(default=None, name="kind")


def to_jsonl(labels: Iterable[Label]) -> Iterator[bytes]:
    """Yield one line a label, with its ``kind``."""
    for label in labels:
        yield msgspec.json.encode(msgspec.structs.asdict(label) | {"kind": label.kind}) + b"\n"


def to_csv(labels: Iterable[Label]) -> Iterator[bytes]:
    """Yield a line of names, then one line a label; "" is None where a field can be None."""
    yield _csv_line(COLUMNS)
    for label in labels:
        values = msgspec.to_builtins(label) | {"kind": label.kind}
        yield _csv_line([_cell(values[name]) for name in COLUMNS])


def read_labels(blob: bytes, *, form: Form) -> Reading:
    """Read a file of labels; bad lines are told one by one and left out.

    Raises:
        InvalidInput: the file is too large, is no text, or (CSV) has other columns.
    """
    if len(blob) > MAX_BYTES:
        raise InvalidInput(
            f"The label file is larger than {MAX_BYTES // 1024**2} MiB.",
            field="labels",
            hint="Split it by label set or by run.",
        )
    found = _Found()
    for number, label in _csv_labels(blob) if form == "csv" else _json_labels(blob):
        found.add(number, label)
    return found.reading()


def form_of(name: str) -> Form:
    """Return the form that a file's name tells.

    Raises:
        InvalidInput: neither ``.jsonl`` nor ``.csv``.
    """
    for form in get_args(Form):
        if name.lower().endswith(f".{form}"):
            return form  # type: ignore[no-any-return]
    raise InvalidInput(
        f"{name[:100]!r} is no label file.", field="labels", hint="Give a .jsonl or a .csv file."
    )


def manifest_of(
    labels: Sequence[Label],
    files: Mapping[str, bytes],
    *,
    workspace: str,
    label_set: str,
    created: str,
    code_version: str = "",
    sampling: Sampling | None = None,
) -> LabelManifest:
    """Return the manifest of ``files`` (name -> content), which hold ``labels``."""
    kinds = Counter(label.kind for label in labels)
    given = [label for label in labels if not label.adjudicated]
    blind = {label.blind for label in given}
    return LabelManifest(
        workspace=workspace,
        label_set=label_set,
        created=created,
        code_version=code_version,
        blind="mixed" if len(blind) == 2 else next(iter(blind), None),
        simulated=any(label.simulated for label in labels),
        labels=len(latest(given)),
        decisions=len({label.item for label in labels if label.adjudicated}),
        revisions=len(labels),
        items=len({label.item for label in labels}),
        runs=len({label.run_id for label in labels}),
        reviewers=len({label.reviewer for label in given}),
        kinds={kind: kinds[kind] for kind in KINDS},
        sampling=sampling or Sampling(),
        files=tuple(
            FileEntry(name=name, bytes=len(blob), sha256=hashlib.sha256(blob).hexdigest())
            for name, blob in files.items()
        ),
    )


def read_label_manifest(blob: bytes) -> LabelManifest:
    """Read ``manifest.json``.

    Raises:
        InvalidInput: it is none of this version.
    """
    try:
        if len(blob) > MAX_LINE_BYTES:
            raise msgspec.ValidationError("it is too large")
        return msgspec.json.decode(blob, type=LabelManifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(
            f"The manifest of the label set cannot be read: {error}.",
            field="manifest",
            hint=f"Give the manifest.json that was exported with it ({FORMAT}).",
        ) from error


def check_file(manifest: LabelManifest, name: str, blob: bytes) -> None:
    """Check that a file is byte for byte the one that was exported.

    Raises:
        InvalidInput: the manifest does not name it, or it was changed since.
    """
    entry = next((entry for entry in manifest.files if entry.name == name), None)
    if entry is None:
        raise InvalidInput(f"The manifest names no file {name[:100]!r}.", field="manifest")
    found = hashlib.sha256(blob).hexdigest()
    if found != entry.sha256:
        raise InvalidInput(
            f"{name[:100]} is not the file that was exported: its SHA-256 is {found[:12]}…, the "
            f"manifest says {entry.sha256[:12]}….",
            field="labels",
            hint="Import it without the manifest if the change is meant.",
        )


class _Found:
    """Labels and errors while a file is read."""

    def __init__(self) -> None:
        self._labels: list[Label] = []
        self._lines: list[int] = []
        self._errors: list[LineError] = []
        self._bad = 0
        self._seen: dict[tuple[UUID, int, str, str, int], int] = {}

    def add(self, line: int, label: Label | str) -> None:
        """Take a label, or what is wrong with the line."""
        if isinstance(label, Label):
            key = (label.run_id, label.step, label.label_set, label.reviewer, label.revision)
            first = self._seen.setdefault(key, line)
            if first == line:
                self._labels.append(label)
                self._lines.append(line)
                self._check_number()
                return
            label = f"it repeats the label of line {first}"
        self._bad += 1
        if len(self._errors) < MAX_ERRORS:
            self._errors.append(LineError(line, label))

    def _check_number(self) -> None:
        if len(self._labels) > MAX_LABELS:
            raise InvalidInput(
                f"The file holds more than {MAX_LABELS} labels.", field="labels", hint="Split it."
            )

    def reading(self) -> Reading:
        return Reading(self._labels, self._errors, self._bad, self._lines)


def _json_labels(blob: bytes) -> Iterator[tuple[int, Label | str]]:
    for number, line in enumerate(blob.split(b"\n"), start=1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE_BYTES:
            yield number, f"the line is longer than {MAX_LINE_BYTES} bytes"
            continue
        try:
            written = msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield number, str(error)
        else:
            yield number, _checked(written)


def _csv_labels(blob: bytes) -> Iterator[tuple[int, Label | str]]:
    try:
        text = blob.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("The CSV file is not UTF-8.", field="labels") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = _next_row(rows)
    required = set(COLUMNS) - {"kind"}
    if not isinstance(header, list) or set(header) - {"kind"} != required:
        names = set(header) if isinstance(header, list) else set()
        missing = ", ".join(sorted(required - names)) or "none"
        unknown = ", ".join(sorted(names - set(COLUMNS)))[:200] or "none"
        raise InvalidInput(
            f"The first line does not name the columns of a label file; missing: {missing}; "
            f"unknown: {unknown}.",
            field="labels",
            hint="Export a label set to see the columns, or see docs/labels.md.",
        )
    while (row := _next_row(rows)) is not None:
        line = rows.line_num
        if isinstance(row, str) or len(row) != len(header):
            yield line, row if isinstance(row, str) else f"{len(row)} cells, not {len(header)}"
        elif row:
            yield line, _from_cells(dict(zip(header, row, strict=True)))


def _next_row(rows: Iterator[list[str]]) -> list[str] | str | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        return str(error)


def _from_cells(cells: Mapping[str, str]) -> Label | str:
    values = {name: _value(name, text) for name, text in cells.items()}
    try:
        return _checked(msgspec.convert(values, _Line, strict=False))
    except msgspec.ValidationError as error:
        return str(error)


def _value(name: str, text: str) -> object:
    if not text and name in _NULLABLE:
        return None
    if name == "verdict" and text in ("0", "1"):
        return int(text)
    return text.removeprefix("'")


def _checked(written: _Line) -> Label | str:
    values = msgspec.structs.asdict(written)
    told = values.pop("told")
    label = Label(**values)
    if told is not None and told != label.kind:
        return f"kind is {told}, but label and verdict make it {label.kind}"
    return label


def _cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula and that can be read back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return "" if value is None else repr(value)
    return "'" + value if value.startswith("'") else str(cell(value))


def _csv_line(cells: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()
