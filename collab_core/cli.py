"""The command line: the whole method without Django."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from collab_core import __version__, command_ladder
from collab_core import events as ev
from collab_core.backends.models import says_it_is_simulated
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.benchmarks import commands as benchmark_commands
from collab_core.benchmarks.grading import INLINE
from collab_core.domain import Limits, Task
from collab_core.errors import InvalidInput, TandemError
from collab_core.experiments import commands as experiment_commands
from collab_core.learned import commands as learning_commands
from collab_core.runtime.engine import RunControl, RunSpec, execute
from collab_core.runtime.journal import FileJournal, Journal, MemoryJournal
from collab_core.runtime.opening import check_same_run, queued
from collab_core.simulator import commands as simulator_commands
from collab_core.strategies.base import Resources
from collab_core.strategies.registry import STRATEGIES, from_words, parse_parameters
from collab_core.terminal import LiveView
from collab_core.tools import commands as tool_commands
from collab_core.tools.registry import NAMES, Catalogue, RunTools
from collab_core.tools.sandbox import commands as sandbox_commands
from collab_core.tools.settings import read_settings
from collab_core.whatif import commands as whatif_commands

_GIVE_THE_SAME = "Give the same, or name another file with --log."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 the run failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m collab_core", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    _register_run(subparsers)
    benchmark_commands.register(subparsers)
    tool_commands.register(subparsers)
    sandbox_commands.register(subparsers)
    learning_commands.add_parser(subparsers)
    experiment_commands.register(subparsers)
    simulator_commands.register(subparsers)
    whatif_commands.register(subparsers)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return int(arguments.func(arguments))
    except TandemError as error:
        sys.stderr.write(f"{error.message}\n" + (f"{error.hint}\n" if error.hint else ""))
        return 2


def _register_run(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = subparsers.add_parser(
        "run",
        help="run one task and watch it in the terminal",
        epilog="strategies: " + "; ".join(f"{s.name}: {s.summary}" for s in STRATEGIES.values()),
    )
    run.add_argument("question")
    run.add_argument("--strategy", default="agentcollab", choices=list(STRATEGIES))
    run.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="a strategy parameter"
    )
    command_ladder.add_arguments(run)
    run.add_argument("--collection", type=Path, help="an index made by `index`")
    run.add_argument(
        "--tools",
        metavar="NAMES",
        help=f"comma-separated: {', '.join(NAMES)}, mcp:SERVER; or none (default: search, read and "
        "calculator; without a collection calculator)",
    )
    run.add_argument("--gold", action="append", default=[], help="an accepted answer, to score it")
    run.add_argument(
        "--scorer", default="exact", choices=sorted(INLINE), help="how (default %(default)s)"
    )
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--max-steps", type=int, default=40)
    run.add_argument("--max-output-tokens", type=int, default=2_048, help="of one model call")
    run.add_argument(
        "--encoder",
        default=os.environ.get("TANDEM_ENCODER", "hashed"),
        help="for learned strategies: hashed, or a sentence-encoder's folder",
    )
    run.add_argument("--log", type=Path, help="keep the log here; an unfinished one is resumed")
    run.add_argument("--plain", action="store_true", help="print the events as JSON lines instead")
    run.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    spec = _spec(arguments)
    view = LiveView(spec, plain=arguments.plain or not sys.stdout.isatty())
    resources = Resources(any_path=True, encoder=arguments.encoder)
    terminal = asyncio.run(_drive(spec, arguments, resources, view))
    return 0 if isinstance(terminal, ev.RunFinished) else 1


async def _drive(
    spec: RunSpec, arguments: argparse.Namespace, resources: Resources, view: LiveView
) -> ev.AnyEvent:
    catalogue = Catalogue(read_settings(os.environ))
    try:
        built = await catalogue.build(spec.tools, arguments.collection)
        return await _execute(spec, arguments.log, built, resources, view)
    finally:
        await catalogue.aclose()


async def _execute(
    spec: RunSpec, log: Path | None, built: RunTools, resources: Resources, view: LiveView
) -> ev.AnyEvent:
    control = RunControl()
    _catch_signals(control)
    journal = _open_journal(spec, log, view)
    backend = OpenAICompatible()
    try:
        with view:
            if not journal.history:
                await journal.append([queued(await _labelled(spec, backend))])
            return await execute(
                spec,
                journal,
                backend=backend,
                tools=built.tools,
                sandbox=built.sandbox,
                resources=resources,
                worker=f"cli-{os.getpid()}",
                control=control,
                on_delta=view.delta,
            )
    finally:
        await backend.aclose()
        if isinstance(journal, FileJournal):
            journal.close()


def _catch_signals(control: RunControl) -> None:
    """Let Ctrl-C stop the run in order, so that its log gets its end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, control.request_cancel, "the terminal")


def _open_journal(spec: RunSpec, log: Path | None, view: LiveView) -> Journal:
    journal: FileJournal | MemoryJournal
    if log is None:
        journal = _Watched(view)
    else:
        journal = FileJournal(log, on_event=view.event)
        try:
            check_same_run(spec, journal.history, hint=_GIVE_THE_SAME)
        except InvalidInput:
            journal.close()
            raise
        for record in journal.history:
            view.event(record)
    return journal


class _Watched(MemoryJournal):
    """A log in memory that is shown as it grows."""

    def __init__(self, view: LiveView) -> None:
        super().__init__()
        self._view = view

    async def append(self, events: Sequence[ev.AnyEvent]) -> None:
        known = len(self.records)
        await super().append(events)
        for record in self.records[known:]:
            self._view.event(record)


async def _labelled(spec: RunSpec, backend: OpenAICompatible) -> RunSpec:
    """Mark the tiers whose servers say that they simulate: every figure of the run must tell."""
    tiers = spec.ladder.tiers
    said = [await says_it_is_simulated(backend.pool.get(tier), tier.model) for tier in tiers]
    marked = tuple(replace(t, simulated=yes) for t, yes in zip(tiers, said, strict=True))
    return replace(spec, ladder=replace(spec.ladder, tiers=marked))


def _spec(arguments: argparse.Namespace) -> RunSpec:
    if not arguments.question.strip():
        raise InvalidInput("The question is empty.")
    raw = dict(command_ladder.pair(text, "--param") for text in arguments.param)
    parameters = parse_parameters(arguments.strategy, from_words(arguments.strategy, raw))
    return RunSpec(
        task=Task(
            question=arguments.question,
            collection=arguments.collection.name if arguments.collection else "",
        ),
        gold=tuple(arguments.gold),
        scorer=arguments.scorer,
        strategy=arguments.strategy,
        parameters=parameters.model_dump(mode="json"),
        ladder=command_ladder.ladder_of(arguments),
        seed=arguments.seed,
        limits=Limits(max_steps=arguments.max_steps, max_output_tokens=arguments.max_output_tokens),
        run_id=f"cli-{os.getpid()}",
        tools=_tools(arguments.tools),
    )


def _tools(text: str | None) -> tuple[str, ...] | None:
    """Return the names that were given, none for "none"; None = the default."""
    if text is None:
        return None
    return () if text == "none" else tuple(filter(None, map(str.strip, text.split(","))))
