from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collab_core.errors import InvalidInput
from collab_core.simulator.presets import ladder, load_preset, preset_names

SHIPPED = Path(load_preset.__code__.co_filename).with_name("presets")


def test_the_shipped_pairs() -> None:
    assert preset_names() == ["ddv2-7b-38b", "websailor-7b-32b"]
    models = [[m.name for m in load_preset(name).models] for name in preset_names()]
    assert models == [["ddv2-7b", "ddv2-38b"], ["websailor-7b", "websailor-32b"]]


@pytest.mark.parametrize("name", preset_names())
def test_a_ladder_is_simulated_and_priced(name: str) -> None:
    made = ladder(name, "http://127.0.0.1:8009/v1")
    assert made.simulated
    assert all(tier.simulated and tier.base_url.endswith("/v1") for tier in made.tiers)
    small, large = made.tiers
    assert (small.name, large.name) == ("small", "large")
    assert (small.price_output_usd or 0) < (large.price_output_usd or 0)


@pytest.mark.parametrize("name", preset_names())
def test_published_verdict_errors(name: str) -> None:
    rate = 0.03 if name.startswith("ddv2") else 0.07
    assert all(model.skill.false_progress == rate for model in load_preset(name).models)


def changed(tmp_path: Path, **changes: Any) -> str:
    preset = json.loads((SHIPPED / "ddv2-7b-38b.json").read_text(encoding="utf-8"))
    for key, value in changes.items():
        preset["models"][0][key] = value
    path = tmp_path / "own.json"
    path.write_text(json.dumps(preset), encoding="utf-8")
    return str(path)


def test_a_preset_of_ones_own(tmp_path: Path) -> None:
    assert load_preset(changed(tmp_path, name="mine")).models[0].name == "mine"


@pytest.mark.parametrize(
    "changes",
    [
        {"skill": {"misread": 1.2}},
        {"skill": {"misread": "often"}},
        {"faults": {"cut": 0.6, "stall": 0.6}},
        {"faults": {"cut": -0.1}},
        {"speed": {"load_factor": 0.5}},
        {"speed": {"max_num_seqs": 0}},
        {"name": None},
    ],
)
def test_knobs_out_of_range_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        load_preset(changed(tmp_path, **changes))


@pytest.mark.parametrize("name", ["none", "../presets/ddv2-7b-38b", "none.json", ""])
def test_an_unknown_preset_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        load_preset(name)
