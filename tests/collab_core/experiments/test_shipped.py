from __future__ import annotations

from pathlib import Path

import pytest

from collab_core.errors import InvalidInput
from collab_core.experiments import shipped
from collab_core.experiments.published import find
from collab_core.experiments.setting import limits_of
from collab_core.simulator.presets import preset_names
from collab_core.strategies.registry import parse_parameters


@pytest.mark.parametrize("name", shipped.names())
def test_a_shipped_definition_can_be_run_as_it_is(name: str) -> None:
    definition = shipped.load(name)
    assert definition.name == name
    assert definition.baseline
    assert limits_of(definition).max_steps == 40
    for arm in definition.arms:
        parse_parameters(arm.strategy, arm.parameters)
        assert arm.ladder in preset_names()
    if definition.published:
        assert find(definition.published).table.rows


def test_the_paper_has_its_tables() -> None:
    assert {"smoke", "growth-sweep", "paper-table-1", "paper-table-2"} <= set(shipped.names())


def test_the_growth_goes_from_0_to_3() -> None:
    arms = shipped.load("growth-sweep").arms[1:]
    assert [arm.parameters["growth"] for arm in arms] == [0, 1, 2, 3]


def test_a_definition_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(shipped.load("smoke").model_dump_json())
    assert shipped.load(str(path)) == shipped.load("smoke")


def test_an_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        shipped.load("smok")
    assert "smoke" in caught.value.hint
