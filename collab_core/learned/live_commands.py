"""``python -m collab_core train KIND --live TASKS``: the ladder and the tasks of a live training."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from collab_core import command_ladder
from collab_core.command_ladder import ladder_of
from collab_core.domain import Limits
from collab_core.errors import InvalidInput
from collab_core.learned.encoders import ENCODER_VARIABLE, HASHED, open_encoder

if TYPE_CHECKING:
    from collab_core.learned.live import LiveRuns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a live training needs besides its options."""
    add = parser.add_argument
    add("--live", type=Path, metavar="TASKS", help="play this task set (.jsonl) while training")
    add("--collection", type=Path, help="an index made by `index`, for the live runs' tools")
    add("--parallel", type=int, default=8, help="live runs at a time")
    command_ladder.add_arguments(parser)


def open_ladder(args: argparse.Namespace) -> LiveRuns:
    """Return what plays the runs of a live training; a context manager.

    Raises:
        InvalidInput: the kind cannot be trained live, or tasks, tiers or prices are wrong.
    """
    # the engine imports the strategies, and they this package; and only a training needs autograd
    from collab_core.backends.openai_compatible import OpenAICompatible  # noqa: PLC0415
    from collab_core.benchmarks.tasks import load_tasks  # noqa: PLC0415
    from collab_core.learned.live import LADDERS, LiveSettings  # noqa: PLC0415
    from collab_core.tools.registry import build_tools  # noqa: PLC0415

    if args.kind not in LADDERS:
        raise InvalidInput(
            f"{args.kind} is not trained live; {' and '.join(LADDERS)} are.", field="kind"
        )
    if not 1 <= args.parallel <= 256:
        raise InvalidInput("--parallel is 1 to 256.", field="parallel")
    options = dict(text.partition("=")[::2] for text in args.option)
    return LADDERS[args.kind](
        LiveSettings(
            tasks=load_tasks(args.live),
            ladder=ladder_of(args),
            backend=OpenAICompatible,
            tools=build_tools(args.collection),
            collection=args.collection.name if args.collection else "",
            limits=Limits(),
            encoder=open_encoder(args.encoder),
            encoder_name=args.encoder or os.environ.get(ENCODER_VARIABLE, "") or HASHED,
            parallel=args.parallel,
            need_costs=_needs_costs(options),
        )
    )


def _needs_costs(options: dict[str, str]) -> bool:
    weight = options.get("cost_weight", options.get("cost_rate", "1"))
    try:
        return float(weight) > 0 and options.get("cost_term", "true").lower() not in ("false", "0")
    except ValueError:
        # the option's own check will say what is wrong with it
        return True
