from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["cascade", "dataset", "evaluation", "heads", "rendering"])
def test_examples(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"collab_core.learned.{module}"))
    assert results.attempted > 0
    assert results.failed == 0
