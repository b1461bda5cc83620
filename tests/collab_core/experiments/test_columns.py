from __future__ import annotations

import re
from pathlib import Path

from collab_core.experiments.columns import COLUMNS

PAGE = Path(__file__).parents[3] / "docs" / "experiments-figures.md"


def test_the_page_names_every_column_in_its_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.read_text(), flags=re.MULTILINE)
    methods = {"wilson", "bootstrap", "paired_bootstrap", "wilson_by_task", "definition"}
    columns = [(name, title) for name, title in rows if name not in methods]
    assert columns == [(column.name, column.title) for column in COLUMNS.values()]


def test_every_column_is_said_in_a_sentence() -> None:
    for column in COLUMNS.values():
        assert column.meaning[0].isupper(), column.name
        assert column.meaning.endswith("."), column.name
