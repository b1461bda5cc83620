"""The hand examples in the docstrings hold."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "budgets",
        "progress",
        "metrics",
        "experiments.inference",
        "runtime.costs",
        "strategies.agreement",
        "tools.arguments",
    ],
)
def test_examples(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"collab_core.{module}"))
    assert results.attempted > 0
    assert results.failed == 0
