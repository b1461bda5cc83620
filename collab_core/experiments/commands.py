"""``python -m collab_core experiment``: run definitions without the web application."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec

from collab_core import command_ladder
from collab_core.domain import Tier
from collab_core.errors import RunCancelled
from collab_core.experiments import paper, paper_report, shipped
from collab_core.experiments.definition import Definition, build
from collab_core.experiments.export import FORMATS, export
from collab_core.experiments.folder import read_trials, retried
from collab_core.experiments.local import Means, prepared
from collab_core.experiments.published import beside
from collab_core.experiments.runner import RunOptions, run_experiment
from collab_core.experiments.table import table, with_retried

_EVERY_S = 2.0
_TASKS_HELP = "a task set in JSON lines, or NAME=BENCHMARK:PATH"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands; ``args.func(args)`` runs one and returns the exit status."""
    parser = subparsers.add_parser(
        "experiment", help="run many tasks under many strategies, and make the table"
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _register_run(actions)
    _register_paper(actions)
    _register_table(actions)
    listed = actions.add_parser("list", help="list the definitions that come with Tandem")
    listed.set_defaults(func=show_list)


def _register_run(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = actions.add_parser("run", help="run a definition; the same call resumes it")
    add = run.add_argument
    add("definition", help=f"{', '.join(shipped.names())}, or an exported file")
    add("--out", type=Path, required=True, help="the experiment's folder")
    add(
        "--simulated",
        nargs="?",
        const="",
        metavar="PRESET",
        help="simulated models in process; without PRESET each ladder is the preset of its name",
    )
    command_ladder.add_arguments(run)
    add("--tasks", action="append", default=[], metavar="NAME=FILE", help=_TASKS_HELP)
    add(
        "--collection",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="an index made by `index`",
    )
    add("--weights", type=Path, help="the folder that trained weights are named in")
    add("--encoder", default=os.environ.get("TANDEM_ENCODER", "hashed"))
    add("--judge", metavar="URL#MODEL", help="grades what needs a judge or a critic")
    add("--judge-key", default="", metavar="VARIABLE", help="where the judge's key is")
    add("--count", type=int, help="draw so many tasks instead of the definition's number")
    add("--seeds", help="comma-separated, instead of the definition's")
    add("--parallel", type=int, default=8, help="trials at a time (default %(default)s)")
    add("--retry-failed", action="store_true", help="begin failed and cancelled trials anew")
    run.set_defaults(func=run_definition)


def _register_paper(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "paper-table-1", help="AgentCollab's Table 1 on simulated models, beside the published rows"
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the folder; the same call goes on in it")
    add(
        "--variant",
        action="append",
        choices=list(paper.VARIANTS),
        help="may be repeated (default: ddv2)",
    )
    add("--tasks", type=int, help="draw so many (default: all 300)")
    add("--seeds", type=int, default=3, help="runs of every task (default %(default)s)")
    add("--training-tasks", type=int, help="of each of the routers' two worlds (default: all 300)")
    add("--json", type=Path, help="write the results to this file too")
    parser.set_defaults(func=reproduce_paper)


def reproduce_paper(args: argparse.Namespace) -> int:
    """Run, print and, if asked for, write the paper's table; 0 = done, whatever was missed.

    Raises:
        InvalidInput: a size is out of range, or the folder holds something else.
        RunCancelled: Ctrl-C; the same command goes on.
    """
    size = paper.Size(tasks=args.tasks, seeds=args.seeds, training_tasks=args.training_tasks)
    made = []
    for name in args.variant or ["ddv2"]:
        sys.stderr.write(f"{name}:\n")
        made.append(paper.reproduce(paper.VARIANTS[name], args.out, size, run_stoppable))
        sys.stdout.write(paper_report.markdown(made[-1]))
    if args.json:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    return 0


def _register_table(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser("table", help="print the table of a folder, finished or not")
    add = parser.add_argument
    add("folder", type=Path)
    add("--format", choices=[*FORMATS, "latex"], default="md", help="latex = tex")
    add("--baseline", help="the arm that speedups are against, instead of the definition's")
    add("--published", help="published rows to lay below, instead of the definition's; or none")
    parser.set_defaults(func=show_table)


def show_table(args: argparse.Namespace) -> int:
    """Print the table of all trials so far.

    Raises:
        InvalidInput: the folder holds no experiment, a log is damaged, or there is no such baseline or
            published table.
    """
    definition, read = read_trials(args.folder)
    baseline = definition.baseline if args.baseline is None else args.baseline
    labels = [arm.label for arm in definition.arms]
    made = table([trial for trial, _ in read], arms=labels, baseline=baseline)
    made = with_retried(made, retried(args.folder, definition))
    name = definition.published if args.published is None else args.published
    if name not in ("", "none"):
        made = beside(made, name)
    sys.stdout.write(export(made, "tex" if args.format == "latex" else args.format))
    return 0


def run_definition(args: argparse.Namespace) -> int:
    """Run what is left of the experiment; 0 = every trial has finished, 1 = some have failed.

    Raises:
        InvalidInput: the definition or what it names is wrong.
        RunCancelled: Ctrl-C; the same command goes on.
    """
    collections = [command_ladder.pair(text, "--collection") for text in args.collection]
    definition = narrowed(shipped.load(args.definition), count=args.count, seeds=args.seeds)
    means = Means(
        cache=args.out / "worlds",
        simulated=args.simulated,
        ladder=command_ladder.ladder_of(args) if args.tier else None,
        task_files=dict(command_ladder.pair(text, "--tasks") for text in args.tasks),
        collections={name: Path(path) for name, path in collections},
        weights=args.weights,
        encoder=args.encoder,
        judge=_judge(args.judge, args.judge_key),
    )
    options = RunOptions(
        parallel=args.parallel, retry_failed=args.retry_failed, synced=args.simulated is None
    )
    counts = run_stoppable(definition, means, args.out, options)
    sys.stderr.write(f"{said(counts)}. The table: experiment table {args.out}\n")
    return 0 if set(counts) <= {"finished"} else 1


def show_list(args: argparse.Namespace) -> int:
    """Print the shipped definitions."""
    for name in shipped.names():
        definition = shipped.load(name)
        arms = ", ".join(arm.label for arm in definition.arms)
        sys.stdout.write(f"{name}\n    {definition.description}\n    {arms}\n")
    return 0


def narrowed(definition: Definition, *, count: int | None, seeds: str | None) -> Definition:
    """Return the definition with another number of tasks and other seeds.

    Raises:
        InvalidInput: one of them is out of range or no number.
    """
    if count is None and seeds is None:
        return definition
    values = definition.model_dump(mode="json")
    if count is not None:
        values["tasks"]["count"] = count
    if seeds is not None:
        values["seeds"] = seeds.split(",")
    return build(values)


def run_stoppable(
    definition: Definition, means: Means, out: Path, options: RunOptions
) -> Counter[str]:
    """Run the experiment with its progress on standard error, until its end or Ctrl-C.

    Raises:
        InvalidInput: see :func:`run_experiment`.
        RunCancelled: SIGINT or SIGTERM.
    """
    try:
        return asyncio.run(_run(definition, means, out, options))
    except asyncio.CancelledError as error:
        raise RunCancelled("Stopped.", hint="The same command goes on from here.") from error


async def _run(
    definition: Definition, means: Means, out: Path, options: RunOptions
) -> Counter[str]:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with prepared(definition, means) as setting:
        return await run_experiment(definition, setting, out, options, report=Ticker())


class Ticker:
    """Writes the state to standard error, at most every two seconds, and at the end."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, counts: Counter[str], total: int) -> None:
        """Tell how far it is."""
        done, now = counts.total(), time.monotonic()
        if now >= self._next or done == total:
            self._next = now + _EVERY_S
            sys.stderr.write(f"{done} of {total} trials: {said(counts)}\n")


def said(counts: Counter[str]) -> str:
    """Return the trials by status in words."""
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def _judge(address: str | None, key: str) -> Tier | None:
    if address is None:
        return None
    return replace(command_ladder.tier_of(f"judge={address}"), api_key_env=key)
