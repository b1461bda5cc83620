from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collab_core.benchmarks.registry import digest
from collab_core.benchmarks.tasks import load_tasks
from collab_core.errors import InvalidInput
from collab_core.experiments.definition import build
from collab_core.experiments.local import Means, prepared
from collab_core.experiments.setting import Setting
from tests.collab_core.replies import ladder

LINES = '{"id": "a", "question": "?", "answers": ["1"]}\n{"id": "b", "question": "??"}\n'
ARM = {"label": "Small", "strategy": "small", "ladder": "mine"}


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    path.write_text(LINES)
    return path


async def found(tmp_path: Path, changes: dict[str, Any] | None = None, **given: Any) -> Setting:
    values = {"name": "e", "tasks": {"name": "set"}, "arms": [ARM], **(changes or {})}
    means = Means(cache=tmp_path / "worlds", **{"ladder": ladder(), **given})
    async with prepared(build(values), means) as setting:
        return setting


async def test_names_are_found_where_the_command_line_says(tmp_path: Path, tasks: Path) -> None:
    setting = await found(tmp_path, task_files={"set": str(tasks)})
    assert [task.id for task in setting.tasks] == ["a", "b"]
    assert setting.rigs["mine"].ladder == ladder()
    assert [tool.name for tool in setting.tools.tools] == ["calculator"]


async def test_a_published_benchmark_is_read_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id,question,answer\nx,How many?,3\n")
    setting = await found(tmp_path, task_files={"set": f"own:{path}"})
    assert [(task.id, task.answers) for task in setting.tasks] == [("x", ("3",))]


async def test_a_world_is_made_when_it_is_needed(tmp_path: Path) -> None:
    world = {"tasks": {"name": "world-3", "count": 2}, "collection": "world-3"}
    setting = await found(tmp_path, world)
    assert len(setting.tasks) == 2
    assert {tool.name for tool in setting.tools.tools} >= {"search", "read"}
    assert [path.name for path in (tmp_path / "worlds").iterdir()] == ["world-3"]


async def test_another_set_of_the_same_name_is_refused(tmp_path: Path, tasks: Path) -> None:
    files = {"set": str(tasks)}
    right = {"name": "set", "digest": digest(load_tasks(tasks))}
    await found(tmp_path, {"tasks": right}, task_files=files)
    with pytest.raises(InvalidInput, match="another one than the definition"):
        await found(tmp_path, {"tasks": right | {"digest": "0" * 64}}, task_files=files)


@pytest.mark.parametrize(
    ("changes", "given", "says"),
    [
        ({}, {"task_files": {}}, "no task set 'set'"),
        ({"collection": "notes"}, {}, "no collection 'notes'"),
        ({}, {"ladder": None}, "ladder 'mine' is a name only"),
        ({"arms": [ARM, {**ARM, "label": "b", "ladder": "other"}]}, {}, "2 ladders"),
        ({}, {"simulated": ""}, "no preset 'mine'"),
    ],
)
async def test_what_cannot_be_found_is_named(
    tmp_path: Path, tasks: Path, changes: dict[str, Any], given: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        await found(tmp_path, changes, **{"task_files": {"set": str(tasks)}, **given})
