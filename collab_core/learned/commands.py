"""``python -m collab_core train`` and ``python -m collab_core weights``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import msgspec

from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput, RunCancelled
from collab_core.learned import live_commands
from collab_core.learned.logs import read_logs
from collab_core.learned.published import load_hf_classifier
from collab_core.learned.store import Manifest, read_manifest
from collab_core.learned.trainer import Pair, Progress, Source
from collab_core.learned.training import TRAINERS, find_trainer, pairs_digest, train
from collab_core.review.files import MAX_BYTES, form_of, read_labels
from collab_core.review.labels import Label

MAX_PAIR_LINES = 200_000
LABEL_FILES = ("labels.jsonl", "labels.csv")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands; ``args.func(args)`` runs one and returns the exit status."""
    parser = subparsers.add_parser(
        "train",
        help="train a learned router on logged runs",
        epilog="kinds: " + "; ".join(f"{t.kind}: {t.summary}" for t in TRAINERS.values()),
    )
    parser.add_argument("kind", choices=list(TRAINERS))
    _add_sources(parser)
    _add_results(parser)
    parser.set_defaults(func=run_train)
    shown = subparsers.add_parser("weights", help="say where weights come from")
    shown.add_argument("folder", type=Path)
    shown.set_defaults(func=show_weights)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--logs", type=Path, nargs="+", default=[], help="logs (.jsonl) or folders of them")
    add(
        "--labels",
        type=Path,
        help="people's labels on steps of --logs (.jsonl or .csv); a file labels.jsonl or labels.csv "
        "in a folder of --logs is found by itself",
    )
    add("--pairs", type=Path, help="JSON lines with prompt and winner (strong, weak or tie)")
    add(
        "--ladder",
        action="append",
        default=[],
        metavar="NAME=MODEL",
        help="one per tier, cheapest first: the ladder that --pairs are for",
    )
    add("--classifier", type=Path, help="the folder of a published RouteLLM classifier")
    live_commands.add_arguments(parser)


def _add_results(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, required=True, help="a new folder for the weights")
    add("--name", default="", help="what the weights are called (the folder's name)")
    add("--encoder", default="", help="hashed, or a folder; otherwise TANDEM_ENCODER")
    add("--seed", type=int, default=0)
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="of the kind")
    add("--progress", choices=("text", "json"), default="text", help="json: one object a line")
    add(
        "--exit-with-stdin",
        action="store_true",
        help="exit when standard input ends, that is when the parent process is gone",
    )


def run_train(args: argparse.Namespace) -> int:
    """Train and print the report; with ``--progress json`` the last line is the manifest.

    Raises:
        InvalidInput: see :func:`train`.
        RunCancelled: SIGINT or SIGTERM; nothing was written.
    """
    as_json = args.progress == "json"
    if args.exit_with_stdin:
        threading.Thread(target=_watch_stdin, name="stdin", daemon=True).start()
    with _stoppable() as stopped, ExitStack() as open_while_training:
        manifest = train(
            args.kind,
            _source(args, open_while_training),
            args.out,
            dict(_pair(text, "--option") for text in args.option),
            seed=args.seed,
            encoder=args.encoder,
            name=args.name,
            progress=_reporter(stopped, as_json=as_json),
        )
    if as_json:
        report = {"manifest": manifest.model_dump(mode="json")}
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        sys.stdout.write(describe(manifest))
    return 0


def show_weights(args: argparse.Namespace) -> int:
    """Print a weights folder's provenance."""
    sys.stdout.write(describe(read_manifest(args.folder)))
    return 0


def describe(manifest: Manifest) -> str:
    """Return a manifest in words, for a terminal."""
    used, on = manifest.encoder, manifest.trained_on
    encoder = "none" if used is None else f"{used.name}, {used.dim} numbers, {used.digest[:12]}"
    lines = [
        f"{manifest.name}: {manifest.kind}, {manifest.created:%Y-%m-%d %H:%M} UTC",
        f"predicts   {manifest.label}",
        f"encoder    {encoder}" + (" (stand-in)" if used and used.stand_in else ""),
        "ladder     " + " < ".join(f"{tier.name} ({tier.model})" for tier in manifest.ladder),
        f"trained on {on.runs} runs of {on.tasks} tasks: {on.source}",
        "examples   " + ", ".join(f"{part} {size}" for part, size in on.splits.items()),
        f"seed       {manifest.seed}",
        f"options    {json.dumps(manifest.options)}",
        f"digest     {manifest.digest}",
        "held out:",
    ]
    for name, figure in manifest.report.items():
        value = "unknown" if figure.value is None else f"{figure.value:.3f}"
        spread = "" if figure.low is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
        lines.append(f"  {name:20} {value}{spread} (n = {figure.n})")
    if manifest.calibration:
        lines.append("threshold -> large-step share:")
        for share in (0.1, 0.25, 0.5, 0.75, 0.9):
            point = manifest.threshold_for_share(share)
            lines.append(f"  {point.threshold:.4g} -> {point.large_share:.0%}")
    for title, table in manifest.tables.items():
        lines += [f"{title.lower()}:", f"  {' | '.join(table.columns)}"]
        lines += ["  " + " | ".join(map(_cell, row)) for row in table.rows]
    lines += [f"note: {note}" for note in manifest.notes]
    return "\n".join(_plain(line) for line in lines) + "\n"


def _source(args: argparse.Namespace, open_while_training: ExitStack) -> Source:
    if sum((args.pairs is not None, bool(args.logs), args.live is not None)) > 1:
        raise InvalidInput("Give one of --logs, --pairs and --live.", field="logs")
    if args.live is not None:
        ladder = open_while_training.enter_context(live_commands.open_ladder(args))
        return ladder.source()
    if args.pairs is not None:
        return pair_source(args.pairs, tuple(_pair(text, "--ladder") for text in args.ladder))
    if not args.logs:
        raise InvalidInput("Nothing to learn from: give --logs.", field="logs")
    published = None if args.classifier is None else load_hf_classifier(args.classifier, "routellm")
    beside = labels_beside(args.logs)
    logs = read_logs(args.logs, leave_out=frozenset(beside))
    if not find_trainer(args.kind).needs_labels:
        return Source.of_logs(logs, classifier=published)
    files = beside if args.labels is None else [args.labels]
    labels = [label for file in files for label in read_label_file(file)]
    return Source.of_logs(logs, labels=labels)


def _watch_stdin() -> None:
    while os.read(0, 65_536):
        continue
    # at once, also out of a long fit: nothing is written before the end
    os._exit(1)


def labels_beside(paths: Sequence[Path]) -> list[Path]:
    """Return the label files that lie in folders of logs."""
    return [
        file
        for path in paths
        for name in LABEL_FILES
        if path.is_dir() and (file := path / name).is_file()
    ]


def read_label_file(path: Path) -> list[Label]:
    """Read a label file of which every line must be right.

    Raises:
        InvalidInput: it cannot be read, holds no label, or a line is none; the message names the line.
    """
    form = form_of(path.name)
    try:
        with path.open("rb") as file:
            blob = file.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"{path.name} cannot be read: {error.strerror}."
        raise InvalidInput(what, field="labels") from error
    reading = read_labels(blob, form=form)
    labels, bad = reading.labels, reading.bad_lines
    if reading.errors:
        line, message = reading.errors[0]
        more = f" and {bad - 1} more lines are none either" if bad > 1 else ""
        raise InvalidInput(
            f"{path.name}, line {line} is no label: {message}{more}.",
            field="labels",
            hint="Give a label set as it was exported; docs/labels.md has the format.",
        )
    if not labels:
        raise InvalidInput(f"{path.name} holds no labels.", field="labels")
    return labels


class _PairLine(msgspec.Struct):
    prompt: str
    winner: str


def pair_source(path: Path, tiers: tuple[tuple[str, str], ...]) -> Source:
    """Read preference pairs: ``{"prompt": …, "winner": "strong" | "weak" | "tie"}`` a line.

    Raises:
        InvalidInput: the file or a line cannot be read, or there is no ladder of two tiers.
    """
    if len(tiers) < 2:
        raise InvalidInput(
            "Pairs need the ladder that they are for.",
            field="ladder",
            hint="Add --ladder small=MODEL --ladder large=MODEL, cheapest first.",
        )
    pairs = tuple(_read_pairs(path, top=len(tiers) - 1))
    if not pairs:
        raise InvalidInput(f"{path.name} holds no pairs.", field="pairs")
    return Source(
        ladder=tuple(TierSnapshot(name=name, model=model) for name, model in tiers),
        pairs=pairs,
        description=f"{path.name}: {len(pairs)} preference pairs",
        digest=pairs_digest(pairs),
    )


def _read_pairs(path: Path, *, top: int) -> Iterator[Pair]:
    shares = {"strong": 1.0, "tie": 0.5, "weak": 0.0}
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(
            f"{path.name} cannot be read: {error.strerror}.", field="pairs"
        ) from error
    with file:
        for number, line in enumerate(file, start=1):
            if number > MAX_PAIR_LINES:
                raise InvalidInput(f"{path.name} has over {MAX_PAIR_LINES} lines.", field="pairs")
            if not line.strip():
                continue
            try:
                pair = msgspec.json.decode(line, type=_PairLine)
                share = shares[pair.winner]
            except (msgspec.DecodeError, KeyError) as error:
                raise InvalidInput(
                    f"{path.name}, line {number} is not a pair: {error}",
                    field="pairs",
                    hint='A line is {"prompt": "…", "winner": "strong"}, or "weak", or "tie".',
                ) from error
            yield Pair(prompt=pair.prompt, better=top, worse=0, share=share)


class _Stop:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    stop = _Stop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _reporter(stop: _Stop, *, as_json: bool) -> Progress:
    def report(fraction: float, text: str) -> None:
        if stop.asked:
            raise RunCancelled("The training was stopped; nothing was written.")
        if as_json:
            sys.stdout.write(json.dumps({"fraction": round(fraction, 4), "text": text}) + "\n")
        else:
            sys.stderr.write(f"{fraction:4.0%} {text}\n")
        sys.stdout.flush()

    return report


def _pair(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise InvalidInput(f"{option} {text[:80]} is not NAME=VALUE.")
    return name, value


def _cell(value: str | float | None) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else f"{value:g}"


def _plain(text: str) -> str:
    """Return the text without control characters: a manifest is somebody else's file."""
    return "".join(c if c.isprintable() else " " for c in text)
