"""``python -m collab_core train KIND --live TASKS``: the ladder and the tasks of a live training."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from collab_core.domain import Ladder, Limits, Tier
from collab_core.errors import InvalidInput
from collab_core.learned.encoders import ENCODER_VARIABLE, HASHED, open_encoder

if TYPE_CHECKING:
    from collab_core.learned.live import LiveRuns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a live training needs besides its options."""
    add = parser.add_argument
    add("--live", type=Path, metavar="TASKS", help="play this task set (.jsonl) while training")
    add("--tier", action="append", default=[], metavar="NAME=URL#MODEL", help="as for run")
    add("--key", action="append", default=[], metavar="NAME=VARIABLE", help="as for run")
    add(
        "--price",
        action="append",
        default=[],
        metavar="NAME=IN,OUT",
        help="of a tier, in US dollars for a million input and output tokens",
    )
    add("--collection", type=Path, help="an index made by `index`, for the live runs' tools")
    add("--context", type=int, default=32_768, help="context of every tier, tokens")
    add("--parallel", type=int, default=8, help="live runs at a time")


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
            ladder=_ladder(args),
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


def _ladder(args: argparse.Namespace) -> Ladder:
    keys = dict(_split(text, "--key") for text in args.key)
    prices = {name: _prices(text) for name, text in (_split(t, "--price") for t in args.price)}
    if not args.tier:
        raise InvalidInput("No tier was given.", hint="Add --tier small=URL#MODEL.", field="tier")
    tiers = [_tier(text, keys, args.context) for text in args.tier]
    unknown = set(prices) - {tier.name for tier in tiers}
    if unknown:
        raise InvalidInput(f"--price names no tier: {', '.join(sorted(unknown))}.", field="price")
    priced = [
        dataclasses.replace(
            tier, price_input_usd=prices[tier.name][0], price_output_usd=prices[tier.name][1]
        )
        if tier.name in prices
        else tier
        for tier in tiers
    ]
    return Ladder(name="command line", tiers=tuple(priced))


def _tier(text: str, keys: dict[str, str], context_tokens: int) -> Tier:
    name, address = _split(text, "--tier")
    base_url, separator, model = address.partition("#")
    if not separator or not model or not base_url.startswith(("http://", "https://")):
        raise InvalidInput(f"--tier {text} is not NAME=URL#MODEL, as in small=http://host/v1#qwen.")
    return Tier(
        name=name,
        model=model,
        base_url=base_url.rstrip("/"),
        api_key_env=keys.get(name, ""),
        context_tokens=context_tokens,
    )


def _prices(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        first = second = math.nan
    if not (math.isfinite(first) and math.isfinite(second) and min(first, second) >= 0):
        raise InvalidInput(f"--price {text} is not IN,OUT as in 0.1,0.4.", field="price")
    return first, second


def _split(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise InvalidInput(f"{option} {text} is not NAME=VALUE.", field=option.removeprefix("--"))
    return name, value
