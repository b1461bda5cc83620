"""A ladder given on the command line: ``--tier``, ``--key``, ``--price`` and ``--context``."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

from collab_core.domain import Ladder, Tier
from collab_core.errors import InvalidInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the tiers."""
    add = parser.add_argument
    add(
        "--tier",
        action="append",
        default=[],
        metavar="NAME=URL#MODEL",
        help="one per tier, cheapest first: small=http://127.0.0.1:8101/v1#qwen3-4b",
    )
    add("--key", action="append", default=[], metavar="NAME=VARIABLE", help="where a tier's key is")
    add(
        "--price",
        action="append",
        default=[],
        metavar="NAME=IN,OUT",
        help="of a tier, in US dollars for a million input and output tokens",
    )
    add("--context", type=int, default=32_768, help="context of every tier, tokens")


def ladder_of(args: argparse.Namespace) -> Ladder:
    """Return the ladder that the options name.

    Raises:
        InvalidInput: no tier, or one of the options is not in its form.
    """
    if not args.tier:
        raise InvalidInput(
            "No tier was given.",
            hint="Add --tier small=URL#MODEL --tier large=URL#MODEL; "
            "`python -m collab_core simulate-tiers` serves simulated ones.",
            field="tier",
        )
    keys = dict(pair(text, "--key") for text in args.key)
    prices = {name: _prices(text) for name, text in (pair(t, "--price") for t in args.price)}
    tiers = tuple(_tier(text, keys, prices, args.context) for text in args.tier)
    for option, named in (("--key", keys), ("--price", prices)):
        if unknown := set(named) - {tier.name for tier in tiers}:
            raise InvalidInput(f"{option} names no tier: {', '.join(sorted(unknown))}.")
    return Ladder(name="command line", tiers=tiers)


def tier_of(text: str) -> Tier:
    """Return the tier that NAME=URL#MODEL names, without a key and prices.

    Raises:
        InvalidInput: it is not in that form.
    """
    return _tier(text, {}, {}, Tier.context_tokens)


def pair(text: str, option: str) -> tuple[str, str]:
    """Split NAME=VALUE.

    Raises:
        InvalidInput: it is not in that form.
    """
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise InvalidInput(f"{option} {text} is not NAME=VALUE.", field=option.removeprefix("--"))
    return name, value


def _tier(
    text: str, keys: dict[str, str], prices: dict[str, tuple[float, float]], context_tokens: int
) -> Tier:
    name, address = pair(text, "--tier")
    base_url, separator, model = address.partition("#")
    if not separator or not model or not base_url.startswith(("http://", "https://")):
        raise InvalidInput(f"--tier {text} is not NAME=URL#MODEL, as in small=http://host/v1#qwen.")
    tier = Tier(
        name=name,
        model=model,
        base_url=base_url.rstrip("/"),
        api_key_env=keys.get(name, ""),
        context_tokens=context_tokens,
    )
    if name not in prices:
        return tier
    given, made = prices[name]
    return replace(tier, price_input_usd=given, price_output_usd=made)


def _prices(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        first = second = math.nan
    if not (math.isfinite(first) and math.isfinite(second) and min(first, second) >= 0):
        raise InvalidInput(f"--price {text} is not IN,OUT as in 0.1,0.4.", field="price")
    return first, second
