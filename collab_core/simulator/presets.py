"""Named pairs of simulated models, in ``presets/*.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from collab_core.domain import Ladder, Tier
from collab_core.errors import InvalidInput
from collab_core.simulator.skill import Skill
from collab_core.simulator.speed import Speed

_FOLDER = Path(__file__).with_name("presets")


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Shares (0..1) of the requests that go wrong, each in its own way."""

    rate_limit: float = 0.0
    """429 with Retry-After."""
    retry_after_s: float = 1.0
    server_error: float = 0.0
    """500."""
    stall: float = 0.0
    """The stream stops in the middle and stays open."""
    cut: float = 0.0
    """The connection is closed in the middle."""
    malformed: float = 0.0
    """A broken line of JSON in the middle."""
    abort: float = 0.0
    """It ends properly, but with finish_reason "abort", as vLLM does when it is stopped."""

    def kinds(self) -> tuple[tuple[str, float], ...]:
        """Return name and share of each fault, in a fixed order."""
        names = ("rate_limit", "server_error", "stall", "cut", "malformed", "abort")
        return tuple((name, float(getattr(self, name))) for name in names)


@dataclass(frozen=True, kw_only=True)
class SimulatedModel:
    """One model: its name on the wire, and all its knobs. Prices are US dollars per 1M tokens."""

    name: str
    tier: str
    skill: Skill
    speed: Speed
    faults: Faults = field(default_factory=Faults)
    context_tokens: int = 65_536
    price_input_usd: float | None = None
    price_cached_usd: float | None = None
    price_output_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A ladder of simulated models, cheapest first."""

    name: str
    models: tuple[SimulatedModel, ...]


def preset_names() -> list[str]:
    """Return the shipped presets."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def load_preset(name: str) -> Preset:
    """Return a shipped preset by its name, or one from a file by its path ending in ``.json``.

    Raises:
        InvalidInput: there is none, or the file does not hold one.
    """
    path = Path(name) if name.endswith(".json") else _FOLDER / f"{name}.json"
    if not name.endswith(".json") and name not in preset_names():
        raise InvalidInput(
            f"There is no preset {name!r}.",
            field="preset",
            hint=f"Take one of {', '.join(preset_names())}, or the path of a .json file.",
        )
    try:
        preset = msgspec.json.decode(path.read_bytes(), type=Preset)
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidInput(
            f"{path.name} is not a preset: {error}.",
            field="preset",
            hint="Start from one of collab_core/simulator/presets/.",
        ) from error
    for model in preset.models:
        _check(model)
    if not preset.models:
        raise InvalidInput(f"{path.name} holds no model.", field="preset")
    return preset


def _check(model: SimulatedModel) -> None:
    shares = {f"faults.{name}": share for name, share in model.faults.kinds()}
    shares |= {
        f"skill.{name}": value
        for name in model.skill.__dataclass_fields__
        if isinstance(value := getattr(model.skill, name), float)
    }
    speed = model.speed
    durations = (speed.overhead_s, speed.prefill_s_per_token, speed.decode_s_per_token)
    wrong = [name for name, share in shares.items() if not 0 <= share <= 1]
    if sum(share for _, share in model.faults.kinds()) > 1:
        wrong.append("faults (together over 1)")
    if min(durations) < 0 or speed.load_factor < 1 or speed.max_num_seqs < 1:
        wrong.append("speed")
    if wrong:
        raise InvalidInput(f"Model {model.name}: {wrong[0]} is out of range.", field="preset")


def ladder(preset: str, base_url: str) -> Ladder:
    """Return the ladder of a preset as it is served at ``base_url`` (ending in ``/v1``).

    Raises:
        InvalidInput: see :func:`load_preset`.
    """
    loaded = load_preset(preset)
    tiers = tuple(
        Tier(
            name=model.tier,
            model=model.name,
            base_url=base_url,
            endpoint="simulated",
            price_input_usd=model.price_input_usd,
            price_cached_usd=model.price_cached_usd,
            price_output_usd=model.price_output_usd,
            context_tokens=model.context_tokens,
            max_concurrency=model.speed.max_num_seqs,
            simulated=True,
            structured_output=True,
            supports_priority=True,
        )
        for model in loaded.models
    )
    return Ladder(name=loaded.name, tiers=tiers)
