"""``python -m collab_core make-world``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from collab_core.benchmarks.tasks import DOCUMENTS_FOLDER, TASKS_FILE, write_world
from collab_core.benchmarks.world import generate


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; ``args.func(args)`` runs it and returns the exit status."""
    parser = subparsers.add_parser(
        "make-world", help="generate linked documents and multi-hop questions from a seed"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--questions", type=int, default=300)
    parser.set_defaults(func=run)


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
