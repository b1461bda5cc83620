"""``python -m collab_core index``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from collab_core.tools.indexing import MAX_FILE_BYTES, IndexReport, index_folder


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; ``args.func(args)`` runs it and returns the exit status."""
    parser = subparsers.add_parser(
        "index", help="turn a folder of .txt, .md and .html files into a document collection"
    )
    parser.add_argument("source", type=Path, help="the folder")
    parser.add_argument("target", type=Path, help="the collection file to write")
    parser.add_argument(
        "--max-file-bytes",
        type=int,
        default=MAX_FILE_BYTES,
        help="take at most this much of each file (default %(default)s)",
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Index the folder and say what became of its files.

    Raises:
        InvalidInput: see :func:`index_folder`.
    """
    report = index_folder(args.source, args.target, max_file_bytes=args.max_file_bytes)
    sys.stdout.write(f"{report.indexed} documents indexed into {args.target}\n")
    for line in remarks(report):
        sys.stderr.write(line + "\n")
    return 0


def remarks(report: IndexReport) -> list[str]:
    """Return one line for each file that was not taken whole."""
    return [
        *(f"shortened: {name}" for name in report.shortened),
        *(f"refused (leads out of the folder, or unreadable): {name}" for name in report.refused),
        *(f"skipped (binary or empty): {name}" for name in report.skipped),
    ]
