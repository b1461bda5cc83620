"""Tables as CSV, JSONL, Markdown and LaTeX. Every format says what is simulated, stood in for,
published or second-hand."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from collab_core.csv_cells import cell
from collab_core.experiments.columns import COLUMNS, Column
from collab_core.experiments.table import Measured, Row, Table

Format = Literal["csv", "jsonl", "md", "tex"]

_COUNTS = (
    "trials",
    "finished",
    "failed",
    "cancelled",
    "open",
    "missing_tasks",
    "correct",
    "scored",
    "unscored",
    "spent_usd",
    "spent_s",
)
_MARKS = ("simulated", "stand_in", "published", "second_hand", "source")
_PARTS = ("value", "low", "high", "n", "tasks", "method")
_HEAD_UNITS = {"frac": "%", "percent": "%", "s": "s", "times": "x", "usd": "USD"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
}
_MARKDOWN = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    **{sign: "\\" + sign for sign in "\\`*_[]|"},
}


def export(made: Table, form: Format) -> str:
    """Return the table as text; texts of users are escaped as the format asks."""
    return FORMATS[form](made)


def marks(row: Row) -> tuple[str, ...]:
    """Return what must stand beside the row's name wherever it is shown."""
    named = ("simulated", row.simulated), ("stand-in", row.stand_in), ("published", row.published)
    return tuple(name for name, is_so in named if is_so)


def shown(column: Column, figure: Measured) -> str:
    """Return a figure for people, without its unit: ``33.9 [28.7, 39.6]``; "" = unknown."""
    if figure.value is None:
        return ""
    text = _number(column, figure.value)
    if figure.low is None or figure.high is None:
        return text
    return f"{text} [{_number(column, figure.low)}, {_number(column, figure.high)}]"


def heading(column: Column) -> str:
    """Return the column's title with its unit: ``Accuracy (%)``."""
    unit = _HEAD_UNITS.get(column.unit, "")
    return f"{column.title} ({unit})" if unit else column.title


def to_csv(made: Table) -> str:
    """One line an arm; each figure with its bounds, sizes and method; cells never run."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    names = [f"{c}{'' if part == 'value' else '_' + part}" for c in made.columns for part in _PARTS]
    writer.writerow(["arm", "is_baseline", *_COUNTS, *names, *_MARKS])
    for row in made.rows:
        figures = [getattr(row.figure(c), part) for c in made.columns for part in _PARTS]
        counts = [getattr(row, name) for name in _COUNTS]
        if row.published:
            counts = [value or None for value in counts]
        ends = [getattr(row, name) for name in _MARKS]
        values = [row.arm, row.is_baseline, *counts, *figures, *ends]
        writer.writerow([cell(_flat(value)) for value in values])
    return out.getvalue()


def to_jsonl(made: Table) -> str:
    """One object an arm, with what the table says of itself in each."""
    head: dict[str, Any] = {"baseline": made.baseline, "level": made.level, "samples": made.samples}
    lines = (msgspec.json.encode(head | msgspec.to_builtins(row)).decode() for row in made.rows)
    return "".join(line + "\n" for line in lines)


def to_markdown(made: Table) -> str:
    columns = [COLUMNS[name] for name in made.columns]
    head = ["Arm", "Runs", *map(heading, columns)]
    lines = [_piped(head), _piped(["---", *("---:" for _ in head[1:])])]
    lines += [_piped(map(_escaped_markdown, _cells(made, row))) for row in made.rows]
    notes = [f"- {_escaped_markdown(note)}" for note in _notes(made)]
    return "\n".join([*lines, "", *notes, ""])


def to_latex(made: Table) -> str:
    r"""Return a plain ``tabular`` (no packages needed) with the notes below it."""
    columns = [COLUMNS[name] for name in made.columns]
    head = ["Arm", "Runs", *map(heading, columns)]
    rows = [head, *(list(_cells(made, row)) for row in made.rows)]
    lines = [" & ".join(map(_escaped_latex, row)) + r" \\" for row in rows]
    lines.insert(1, r"\hline")
    notes = [_escaped_latex(note) + r"\par" for note in _notes(made)]
    begin = r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}"
    return "\n".join([begin, r"\hline", *lines, r"\hline", r"\end{tabular}\par", *notes, ""])


FORMATS: dict[Format, Callable[[Table], str]] = {
    "csv": to_csv,
    "jsonl": to_jsonl,
    "md": to_markdown,
    "tex": to_latex,
}


def _number(column: Column, value: float) -> str:
    return f"{100 * value if column.unit == 'frac' else value:.{column.digits}f}"


def _cells(made: Table, row: Row) -> Iterator[str]:
    """Yield the row's cells for people; second-hand figures carry a dagger."""
    said = ", ".join(marks(row))
    yield f"{row.arm} ({said})" if said else row.arm
    yield "" if row.published else f"{row.finished} of {row.trials}"
    for name in made.columns:
        text = shown(COLUMNS[name], row.figure(name))
        yield f"{text} †" if text and name in row.second_hand else text


def _notes(made: Table) -> list[str]:
    notes = [f"In brackets: {100 * made.level:g} % intervals; Wilson's or a bootstrap by task."]
    if made.baseline:
        notes.append(f"Speedups are against {made.baseline}.")
    if any(row.simulated for row in made.rows):
        notes.append("Simulated rows say nothing about any real model.")
    if any(row.stand_in for row in made.rows):
        notes.append("Stand-in: a hashed encoder stood in for a sentence encoder.")
    if any(row.second_hand for row in made.rows):
        notes.append("† second-hand: from a published summary, not from the paper itself.")
    return [*notes, *made.notes]


def _flat(value: object) -> object:
    """Return a value for one cell: lists in words, yes and no as 1 and 0."""
    if isinstance(value, tuple):
        return " ".join(value)
    return int(value) if isinstance(value, bool) else value


def _piped(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _escaped_markdown(text: str) -> str:
    return "".join(_MARKDOWN.get(sign, sign) for sign in _one_line(text))


def _escaped_latex(text: str) -> str:
    signs = _one_line(text).replace("†", "\0")
    return "".join(_LATEX.get(sign, sign) for sign in signs).replace("\0", r"$\dagger$")
