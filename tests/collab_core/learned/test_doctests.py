from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = [
    "cascade",
    "dataset",
    "evaluation",
    "evidence",
    "heads",
    "masrouter",
    "oi_mas",
    "pricing",
    "progress_report",
    "reinforce",
    "rendering",
    "trainer",
]


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"collab_core.learned.{module}"))
    assert results.attempted > 0
    assert results.failed == 0
