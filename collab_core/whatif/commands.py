"""``python -m collab_core what-if``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from collab_core.command_ladder import pair
from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.commands import read_label_file
from collab_core.learned.logs import read_logs
from collab_core.review.settle import settle
from collab_core.strategies.base import Resources
from collab_core.strategies.registry import from_words, parse_parameters
from collab_core.whatif.measure import Measurement, measure
from collab_core.whatif.predict import NAMES, Options, what_if
from collab_core.whatif.recorded import RecordedRun, recorded
from collab_core.whatif.results import Caught, Figure, Figures, WhatIf

_WORDS = {
    "accuracy": ("accuracy", "%", 100.0),
    "latency_s": ("latency", "s", 1.0),
    "steps": ("steps", "", 1.0),
    "large_steps": ("large steps", "", 1.0),
    "switches": ("switches", "", 1.0),
    "cost_usd": ("cost", "$", 1.0),
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; ``args.func(args)`` runs it and returns the exit status."""
    parser = subparsers.add_parser(
        "what-if", help="say what finished runs would have come to under another strategy"
    )
    add = parser.add_argument
    add("logs", type=Path, nargs="*", metavar="LOGS", help="logs (.jsonl) or folders of them")
    add("--strategy", help="the other strategy")
    add("--param", action="append", default=[], metavar="NAME=VALUE", help="one of its parameters")
    add(
        "--measure",
        type=Path,
        nargs=2,
        metavar=("LOGS_A", "LOGS_B"),
        help="predict B's strategy from A's logs, and compare with what B really did",
    )
    add("--pool", type=Path, nargs="+", help="what estimates are made from (default: the logs)")
    add(
        "--labels",
        type=Path,
        help="people's labels: a label set (.jsonl or .csv), or a line "
        '{"run": "ID", "scope": "", "step": 3, "made_progress": false}',
    )
    add("--level", type=float, default=0.95, help="of the intervals, between 0 and 1 (0.95)")
    add("--seed", type=int, default=0, help="of what is drawn")
    add(
        "--encoder",
        default=os.environ.get("TANDEM_ENCODER", "hashed"),
        help="as for run",
    )
    add("--json", action="store_true", help="everything, run by run, as one JSON object")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print the table, or all of it as JSON.

    Raises:
        InvalidInput: wrong options, unreadable logs, or logs that cannot decide the question.
    """
    if not 0.0 < args.level < 1.0:
        raise InvalidInput(f"--level {args.level} is not between 0 and 1.", field="level")
    options = Options(level=args.level, seed=args.seed)
    resources = Resources(any_path=True, encoder=args.encoder)
    found: WhatIf | Measurement
    if args.measure is not None:
        if args.logs or args.strategy or args.param or args.labels:
            raise InvalidInput(
                "--measure takes both sets of logs and the strategy from B's logs.",
                hint="Leave LOGS, --strategy, --param and --labels out.",
            )
        first = _read(args.measure[:1])
        real, pool = _read(args.measure[1:], like=first), _pool(args, first)
        found = measure(first, real, pool=pool, resources=resources, options=options)
    else:
        runs = _asked(args)
        raw = dict(pair(text, "--param") for text in args.param)
        found = what_if(
            runs,
            args.strategy,
            from_words(args.strategy, raw),
            pool=_pool(args, runs),
            resources=resources,
            labels=None if args.labels is None else read_labels(args.labels),
            options=options,
        )
    text = (
        msgspec.json.encode(found).decode() + "\n" if args.json else "\n".join(_told(found)) + "\n"
    )
    sys.stdout.write(text)
    return 0


def _asked(args: argparse.Namespace) -> list[RecordedRun]:
    if not args.logs or not args.strategy:
        raise InvalidInput(
            "Give logs and the strategy to try on them.",
            field="logs",
            hint="As in: what-if runs/ --strategy agentcollab --param budget_max=8",
        )
    return _read(args.logs)


def _read(paths: Sequence[Path], like: Sequence[RecordedRun] = ()) -> list[RecordedRun]:
    ladder: Sequence[TierSnapshot] | None = like[0].tiers if like else None
    logs = read_logs(paths, ladder=ladder)
    for reason, count in logs.skipped.items():
        sys.stderr.write(f"left out: {count} {reason}\n")
    return [recorded(run) for run in logs.runs]


def _pool(args: argparse.Namespace, like: Sequence[RecordedRun]) -> list[RecordedRun] | None:
    return _read(args.pool, like=like) if args.pool else None


class _Label(msgspec.Struct, forbid_unknown_fields=True):
    run: str
    step: int
    made_progress: bool
    scope: str = ""


def read_labels(path: Path) -> dict[tuple[str, str, int], bool]:
    """Read labels: a label set (``collab_core/review/files.py``), or a small object a line.

    Raises:
        InvalidInput: the file or a line cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InvalidInput(
            f"{path.name} cannot be read: {error.strerror}.", field="labels"
        ) from error
    if path.suffix == ".csv" or any(b'"label_set"' in line for line in lines[:1]):
        return {
            (str(one.run_id), one.scope, one.step): one.made_progress
            for one in settle(read_label_file(path))
            if one.made_progress is not None
        }
    labels: dict[tuple[str, str, int], bool] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            label = msgspec.json.decode(line, type=_Label)
        except msgspec.DecodeError as error:
            raise InvalidInput(
                f"{path.name}, line {number} is no label: {error}",
                field="labels",
                hint='A line is {"run": "ID", "step": 3, "made_progress": false}.',
            ) from error
        labels[label.run, label.scope, label.step] = label.made_progress
    return labels


def _told(found: WhatIf | Measurement) -> list[str]:
    if isinstance(found, WhatIf):
        return _what_if_lines(found)
    lines = _what_if_lines(found.predicted)
    lines += [
        (
            f"measured on {found.pairs} pairs of the same task and seed; exact steps confirmed in "
            f"{found.prefixes_confirmed}"
        ),
    ]
    for error in found.errors:
        name, unit, scale = _WORDS[error.name]
        covered = "inside" if error.covered else "OUTSIDE"
        runs = "" if error.runs_covered is None else f"; of single runs {error.runs_covered:.0%}"
        lines.append(
            f"  {name:12} really {_number(scale * error.real)} {unit}: off by "
            f"{scale * error.error:+.3g}, {covered} the interval{runs}"
        )
    return lines


def _what_if_lines(found: WhatIf) -> list[str]:
    where = sorted(one.index for one in found.divergences if one is not None)
    default = parse_parameters(found.strategy, {}).model_dump(mode="json")
    given = {name: value for name, value in found.parameters.items() if value != default[name]}
    lines = [
        " ".join([found.strategy, *(f"{name}={value}" for name, value in given.items())])
        + (" (simulated)" if found.simulated else ""),
        f"exact: {found.exact_runs} of {found.runs} runs, {found.exact_steps} of {found.steps} "
        "steps"
        + (f"; the others diverge at step {where[len(where) // 2]} (median)" if where else ""),
    ]
    if found.row is None:
        return [*lines, f"not estimated: {found.refused}", *_caught_lines(found.caught)]
    figures, row = found.row.figures, found.row
    lines.append(f"means a run, {found.level:.0%} intervals; recorded in brackets at the end:")
    for name in NAMES:
        word, unit, scale = _WORDS[name]
        lines.append(_line(word, unit, _of(figures, name), scale, _of(found.recorded, name)))
    lines.append(_line("speedup", "x", row.speedup, 1.0, None))
    lines.append(_line("switching", "%", row.switching_ratio, 1.0, None))
    lines.append(_line("large share", "%", row.large_step_share, 100.0, None))
    if found.support is not None:
        support = found.support
        lines.append(f"estimated from {support.pool_runs} runs, {support.pool_steps} steps")
        if support.thin:
            lines.append(
                f"{support.thin_share:.0%} of the estimated steps are hardly in the pool "
                f"({'; '.join(support.thin)}): intervals are wider for it"
            )
    return [*lines, *_caught_lines(found.caught)]


def _caught_lines(found: Caught | None) -> list[str]:
    if found is None:
        return []
    extra = found.extra_large_steps
    cost = (
        "unknown" if extra is None else f"{extra.mean:+.2f} [{extra.low:+.2f}, {extra.high:+.2f}]"
    )
    return [
        (
            f"labels: {found.labelled} usable, {found.false_progress} false progress, of which the "
            f"recorded runs caught {found.recorded_caught}"
        ),
        (
            f"  exactly decided {found.decided}, caught {found.decided_caught}; taking over behind each: "
            f"caught {found.taken_over_caught}, and {found.taken_over_needless} of "
            f"{found.true_progress} true ones needlessly"
        ),
        f"  large steps a run more than recorded: {cost}",
    ]


def _of(figures: Figures, name: str) -> Figure | None:
    figure: Figure | None = getattr(figures, name)
    return figure


def _line(word: str, unit: str, figure: Figure | None, scale: float, before: Figure | None) -> str:
    if figure is None:
        return f"  {word:12} unknown"
    text = f"  {word:12} {_number(scale * figure.mean)} {unit}"
    if figure.exact:
        text += " exactly"
    else:
        text += f" [{_number(scale * figure.low)}, {_number(scale * figure.high)}]"
    return text + (f"  ({_number(scale * before.mean)})" if before is not None else "")


def _number(value: float) -> str:
    return f"{value:.4g}"
