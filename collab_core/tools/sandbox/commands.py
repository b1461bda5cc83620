"""``python -m collab_core sandbox``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import get_args

from collab_core.tools.sandbox.base import SandboxReport
from collab_core.tools.sandbox.selfcheck import VARIABLE, Weakest, self_check


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; ``args.func(args)`` runs it and returns the exit status."""
    parser = subparsers.add_parser(
        "sandbox", help="try to get out of the python tool's sandbox and say how strong it is"
    )
    parser.add_argument(
        "--weakest",
        choices=get_args(Weakest),
        help=f"the weakest rung to accept (default: the variable {VARIABLE}, else reduced)",
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print the report; the status is 1 when the tool is off.

    Raises:
        InvalidInput: see :func:`self_check`.
    """
    report = self_check(args.weakest)
    for line in lines(report):
        sys.stdout.write(line + "\n")
    return 0 if report.sandbox else 1


def lines(report: SandboxReport) -> Iterator[str]:
    """Return the report for a terminal."""
    for check in report.checks:
        detail = f"  ({check.detail})" if check.detail else ""
        yield f"{'held' if check.passed else 'FAILED':7}{check.name}{detail}"
    yield f"sandbox: {report.tier}" + (f", Python {report.python}" if report.python else "")
    if report.reason:
        yield report.reason
