"""``python -m collab_core make-world``, ``benchmarks`` and ``load-benchmark``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from collab_core.benchmarks import grading, registry
from collab_core.benchmarks.tasks import (
    DOCUMENTS_FOLDER,
    TASKS_FILE,
    write_tasks,
    write_world,
)
from collab_core.benchmarks.world import generate
from collab_core.errors import InvalidInput

_SHOWN_GROUPS = 12


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands; ``args.func(args)`` runs one and returns the exit status."""
    parser = subparsers.add_parser(
        "make-world", help="generate linked documents and multi-hop questions from a seed"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--questions", type=int, default=300)
    parser.set_defaults(func=run)
    parser = subparsers.add_parser(
        "benchmarks", help="list the benchmarks: their files, graders and licences"
    )
    parser.set_defaults(func=run_list)
    parser = subparsers.add_parser(
        "load-benchmark", help="read a benchmark's published files and check them"
    )
    parser.add_argument("name", choices=registry.names(), metavar="NAME", help="see `benchmarks`")
    parser.add_argument("where", type=Path, help="the file, or the folder that holds it")
    parser.add_argument("--split", default="", help="default: the first that `benchmarks` names")
    parser.add_argument("--scorer", default="", help="another grader than the benchmark's own")
    parser.add_argument("--out", type=Path, help="write the tasks there, one JSON object a line")
    parser.set_defaults(func=run_load)


def run(args: argparse.Namespace) -> int:
    """Write the world and say where it is.

    Raises:
        InvalidInput: see :func:`generate` and :func:`write_world`.
    """
    world = generate(seed=args.seed, documents=args.documents, questions=args.questions)
    write_world(world, args.out)
    sys.stdout.write(
        f"{len(world.entities)} documents in {args.out / DOCUMENTS_FOLDER}, "
        f"{len(world.tasks)} questions in {args.out / TASKS_FILE}\n"
    )
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Print what can be loaded."""
    del args
    for benchmark in registry.BENCHMARKS.values():
        scorer = grading.find(benchmark.scorer)
        sys.stdout.write(f"{benchmark.name}: {benchmark.title}\n")
        for split, patterns in benchmark.splits.items():
            sys.stdout.write(f"  {split}: {' or '.join(patterns)}\n")
        lines = {
            "tasks": benchmark.size,
            "from": benchmark.source,
            "graded by": f"{scorer.name} ({scorer.summary})"
            + (f"; needs a {scorer.needs}" if scorer.needs else ""),
            "licence": benchmark.licence,
            "note": benchmark.notes,
        }
        sys.stdout.write("".join(f"  {name}: {said}\n" for name, said in lines.items() if said))
    return 0


def run_load(args: argparse.Namespace) -> int:
    """Read a benchmark, say what is in it, and perhaps write its tasks.

    Raises:
        InvalidInput: see :func:`registry.load`; or it may not be written.
    """
    if args.out and registry.find(args.name).closed:
        raise InvalidInput(
            f"The authors of {args.name} ask: do not post items in clear. Nothing was written.",
            field="out",
            hint="Leave --out away: the tasks are read from their own files each time.",
        )
    found = registry.load(args.name, args.where, split=args.split, scorer=args.scorer)
    need = f", which needs a {found.needs}" if found.needs else ""
    scorers = ", ".join(sorted({task.scorer for task in found.tasks}))
    sys.stdout.write(
        f"{found.title}, {found.split}: {len(found.tasks):,} tasks, graded by {scorers}{need}\n"
        f"digest {found.digest}\n"
    )
    for name in ("category", "difficulty"):
        counts = Counter(getattr(task, name) for task in found.tasks)
        if set(counts) != {""}:
            listed = [f"{group or 'none'} {n}" for group, n in counts.most_common(_SHOWN_GROUPS)]
            more = f" and {len(counts) - len(listed)} more" if len(counts) > len(listed) else ""
            sys.stdout.write(f"by {name}: {', '.join(listed)}{more}\n")
    if args.out:
        write_tasks(args.out, found.tasks)
        sys.stdout.write(f"written to {args.out}\n")
    return 0
